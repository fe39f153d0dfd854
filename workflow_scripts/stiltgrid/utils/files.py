"""Atomic writes: files are written under a temporary name and renamed at the end."""

import contextlib
import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stiltgrid.utils.errors import StiltgridError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path` (a file or folder); it replaces `path` if the block succeeds.

    Raises StiltgridError, with the free space, where the file system is full.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    # A folder of its own, because safetensors writes another temporary file beside the one that it is given, and a
    # killed process leaves it there.
    holder = final.with_name(f".{final.name}.{os.getpid()}.partial")
    temporary = holder / final.name
    try:
        holder.mkdir(exist_ok=True)
        yield temporary
        _apply_umask(temporary)
        if temporary.is_dir() and final.is_dir():
            shutil.rmtree(final)
        temporary.replace(final)
    except Exception as error:
        if _is_disk_full(error):
            free = shutil.disk_usage(final.parent).free / 1e9
            raise StiltgridError(
                f"{final}: no room to write it ({error}); {free:.2f} GB are free there. Nothing half-written is kept: "
                "make room and run again, finished jobs stay finished"
            ) from error
        raise
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _apply_umask(path: Path) -> None:
    """Set the permissions of a file, or of a folder's files, by the process's umask; safetensors writes mode 600."""
    umask = os.umask(0o077)
    os.umask(umask)
    for file in [path, *path.rglob("*")]:
        if file.is_file():
            file.chmod(stat.S_IMODE(file.stat().st_mode) | (0o666 & ~umask))


def _is_disk_full(error: Exception) -> bool:
    """Whether an error means a full disk, a quota or a file size limit; safetensors and Arrow only say so in text."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return getattr(error, "errno", None) in numbers or any(f"os error {number})" in str(error) for number in numbers)


def write_json(value: Any, path: str | os.PathLike[str]) -> None:
    """Write indented, key-sorted UTF-8 JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read UTF-8 JSON."""
    return json.loads(Path(path).read_text(encoding="utf-8"))

"""A cache of code digests on disk: with unchanged code, a run parses no source file."""

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.files import write_json


class DigestCache:
    """Digests that are valid while no Python file below a folder changes its time or size; written by `save`."""

    def __init__(self, folder: Path, file: Path | None) -> None:
        self._file = file
        self._stamp = _stamp(folder)
        self._digests: dict[str, str] = {}
        self._changed = False
        if file is not None and file.is_file():
            try:
                saved = json.loads(file.read_text(encoding="utf-8"))
                self._digests = saved["digests"] if saved["stamp"] == self._stamp else {}
            except (ValueError, KeyError, TypeError, OSError):
                self._digests = {}

    def digest(self, key: str, make: Callable[[], str]) -> str:
        """The digest of this name; `make` computes it where it is not cached."""
        if key not in self._digests:
            self._digests[key] = make()
            self._changed = True
        return self._digests[key]

    def save(self) -> None:
        """Write the cache for the next run. Where it cannot be written, the next run takes a second longer."""
        if self._file is None or not self._changed:
            return
        with contextlib.suppress(OSError, StiltgridError):
            write_json({"stamp": self._stamp, "digests": self._digests}, self._file)


def _stamp(folder: Path) -> str:
    """Digest of the interpreter's version and of every Python file's path, time and size."""
    found = [sys.version]
    for path in sorted(folder.rglob("*.py")):
        state = path.stat()
        found.append(f"{path}|{state.st_mtime_ns}|{state.st_size}")
    return hashlib.sha256("\n".join(found).encode()).hexdigest()

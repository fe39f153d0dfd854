"""Checksums (XXH3, 64 bits) of weights and token ids, stored inside the files and verified where these are read.

A safetensors file keeps its checksum in the header's metadata, an Arrow file in the metadata of its schema. They find
damage to files, not attacks. The digest of the same content is the same on every machine.
"""

import json
import mmap
import os
import shutil
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import xxhash

from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path

AnyPath = str | os.PathLike[str]
KEY = "xxh3"
_LENGTH = struct.Struct("<Q")  # a safetensors file begins with the length of its header in bytes


def digest(parts: Iterable[Any]) -> str:
    """The checksum of the concatenation of some buffers, as 16 hexadecimal digits."""
    state = xxhash.xxh3_64()
    for part in parts:
        state.update(part)
    return state.hexdigest()


def weights_header(path: AnyPath) -> dict[str, Any]:
    """The header of a safetensors file: {tensor: {dtype, shape, data_offsets}} and `__metadata__`.

    Raises SourceError, with the file's name, where it is truncated or not a safetensors file.
    """
    header, start, end = _header(path)
    size = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    if end - start != size:
        raise _damaged(path, f"{size} bytes of tensors expected, {end - start} found")
    return header


def seal_weights(path: AnyPath) -> None:
    """Store the checksum of a safetensors file's tensors in its header; all else stays as it is."""
    header, start, _ = _header(path)
    header["__metadata__"] = {**header.get("__metadata__", {}), KEY: _weights_digest(path, header, start)}
    content = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    content += b" " * (-len(content) % 8)  # tensors begin at a multiple of eight bytes
    with atomic_path(path) as temporary, Path(path).open("rb") as source, temporary.open("wb") as target:
        target.write(_LENGTH.pack(len(content)) + content)
        source.seek(start)
        shutil.copyfileobj(source, target, 2**24)


def verify_weights(path: AnyPath) -> None:
    """Raise SourceError, with the file's name, for a safetensors file whose tensors are not those that were written.

    A file that was never sealed (one of the user's) is checked for its form and its length only.
    """
    header = weights_header(path)
    stored = header.get("__metadata__", {}).get(KEY)
    if stored is not None and stored != _weights_digest(path, header, _header(path)[1]):
        raise _damaged(path, "its checksum does not match")


def _header(path: AnyPath) -> tuple[dict[str, Any], int, int]:
    """The parsed header, and the positions of the first byte of tensors and of the file's end."""
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            [length] = _LENGTH.unpack(file.read(_LENGTH.size))
            if length > size - _LENGTH.size:
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
            entries = [entry for name, entry in header.items() if name != "__metadata__"]
            if not all(isinstance(entry["data_offsets"][1], int) for entry in entries):
                raise ValueError("its header does not list tensors")
        return header, _LENGTH.size + length, size
    except (OSError, ValueError, struct.error, AttributeError, LookupError, TypeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error


def _weights_digest(path: AnyPath, header: Mapping[str, Any], start: int) -> str:
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    listed = json.dumps(tensors, sort_keys=True).encode()
    with Path(path).open("rb") as file:
        if os.fstat(file.fileno()).st_size <= start:
            return digest([listed])
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            with view[start:] as data:
                return digest([listed, data])


def _damaged(path: AnyPath, reason: str) -> SourceError:
    return SourceError(f"{Path(path)}: safetensors file truncated or damaged ({reason}); delete it and run again")

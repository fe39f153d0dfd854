"""Writes encoded data of any size in little memory, as the very bytes that `write_encoded` would write.

Training maps each column as one flat array, so the file has one record batch, which Arrow can only write from memory.
The columns are therefore collected in unnamed files. Then Arrow writes a record batch of zeros of the same sizes (pages
of zeros that no one has written to take no memory), and the columns are copied into their places in the file.
"""

import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from stiltgrid.modeling.encoded import CHECKSUM, write_encoded
from stiltgrid.utils.checksums import digest
from stiltgrid.utils.files import atomic_path

COPIED = 2**20  # bytes at a time


class EncodedWriter:
    """Collects tables of sequences (see `modeling.encoded.to_table`) and writes them as one. Used in `with`.

    The unnamed files are in `folder`, beside the output; they go with the process.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._columns: dict[str, _Column] = {}
        self.num_rows = 0

    def __enter__(self) -> "EncodedWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for column in self._columns.values():
            column.close()

    def add(self, table: pa.Table) -> None:
        """Append a table; all tables have the same columns."""
        for name in table.column_names:
            if name not in self._columns:
                self._columns[name] = _Column(self._folder)
            self._columns[name].add(table.column(name))
        self.num_rows += table.num_rows

    def tokens(self) -> int:
        """Number of token ids so far."""
        column = self._columns.get("input_ids")
        return column.length if column is not None else 0

    def write(self, path: str | os.PathLike[str], metadata: dict[bytes, bytes] | None) -> None:
        """Write everything with some metadata of the schema and a checksum, atomically."""
        schema = pa.schema([(name, column.type) for name, column in self._columns.items()])
        if not self.num_rows:
            write_encoded(schema.empty_table().replace_schema_metadata(metadata), path)
            return
        found = digest(self._content(schema)).encode()
        schema = schema.with_metadata({**(metadata or {}), CHECKSUM: found})
        table = pa.table([column.zeros(self.num_rows) for column in self._columns.values()], schema=schema)
        with atomic_path(path) as temporary:
            with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
                writer.write_table(table, max_chunksize=self.num_rows)
            self._fill(temporary)

    def _content(self, schema: pa.Schema) -> Iterator[Any]:
        """What `modeling.encoded` computes the checksum of, in pieces."""
        yield str(schema).encode()
        for column in self._columns.values():
            for file in column.files():
                file.seek(0)
                while piece := file.read(COPIED):
                    yield piece

    def _fill(self, path: Path) -> None:
        """Copy the columns over the zeros of the file."""
        places = _places(path)
        with path.open("r+b") as target:
            for column in self._columns.values():
                for file in column.files():
                    file.seek(0)
                    target.seek(next(places))
                    shutil.copyfileobj(file, target, COPIED)


@dataclass
class _Column:
    """One column on disk: its values, and for lists the offsets (int64, from 0)."""

    folder: Path
    length: int = 0  # values
    type: pa.DataType = field(default_factory=pa.int32)
    _values: Any = None
    _offsets: Any = None

    def add(self, column: pa.ChunkedArray) -> None:
        for chunk in column.chunks:
            if pa.types.is_large_list(column.type):
                if self._offsets is None:
                    self.type, self._offsets = column.type, self._file()
                    self._offsets.write(np.zeros(1, dtype=np.int64))
                edges = chunk.offsets.to_numpy()
                self._offsets.write(edges[1:] - edges[0] + self.length)
                chunk = chunk.values.slice(edges[0], edges[-1] - edges[0])
            values = np.ascontiguousarray(chunk.to_numpy(zero_copy_only=False), dtype=np.int32)
            if self._values is None:
                self._values = self._file()
            self._values.write(values)
            self.length += len(values)

    def files(self) -> list[Any]:
        return [file for file in (self._offsets, self._values) if file is not None]

    def zeros(self, rows: int) -> pa.Array:
        """An array of the column's sizes whose values are zero; the last offset of a list is right."""
        values = pa.Array.from_buffers(pa.int32(), self.length, [None, pa.py_buffer(_pages(4 * self.length))])
        if self._offsets is None:
            return values
        offsets = _pages(8 * (rows + 1))
        offsets[8 * rows : 8 * (rows + 1)] = self.length.to_bytes(8, "little")
        return pa.Array.from_buffers(self.type, rows, [None, pa.py_buffer(offsets)], children=[values])

    def close(self) -> None:
        for file in self.files():
            file.close()

    def _file(self) -> Any:
        return tempfile.TemporaryFile(dir=self.folder)


def _pages(size: int) -> mmap.mmap:
    """Zeros that take no memory until they are written to (private pages; shared ones would take it when read)."""
    return mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _places(path: Path) -> Iterator[int]:
    """Where in an Arrow file of one record batch its buffers begin, column after column."""
    with pa.memory_map(str(path), "r") as file:
        start = file.read_buffer().address
        found = []
        for column in pa.ipc.open_file(file).get_batch(0).columns:
            found += [buffer.address - start for buffer in column.buffers() if buffer is not None]
    return iter(found)

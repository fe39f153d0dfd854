"""Canonical rows in an unnamed file on disk, so that a data set of any size is prepared in little memory."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from stiltgrid.utils.parquet import parquet_writer

ROW_GROUP = 65_536  # rows; the file is the same however its rows came in batches


class RowSpool:
    """Tables of one schema, written one after another and read again in that order, as often as needed.

    The file is in `folder`, beside the output, and has no name: it goes with the process. Used in `with`.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.schema = schema
        self.counts: Counter[tuple[str, str]] = Counter()  # rows by language and split
        self._file: Any = tempfile.TemporaryFile(dir=folder)
        self._writer: pa.RecordBatchStreamWriter | None = pa.ipc.new_stream(self._file, schema)

    def __enter__(self) -> "RowSpool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def num_rows(self) -> int:
        """Number of rows written so far."""
        return self.counts.total()

    def fill(self, tables: Iterable[pa.Table]) -> None:
        """Write tables after those that are there; none may be written once the rows have been read."""
        assert self._writer is not None, "the rows have been read already"
        for table in tables:
            self._writer.write_table(table)
            self.counts.update(
                zip(table.column("language").to_pylist(), table.column("split").to_pylist(), strict=True)
            )

    def tables(self) -> Iterator[pa.Table]:
        """The rows from the beginning, in the tables that they were written in."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._file.seek(0)
        for batch in pa.ipc.open_stream(self._file):
            yield pa.Table.from_batches([batch])

    def read(self) -> pa.Table:
        """All rows in memory."""
        return pa.concat_tables([self.schema.empty_table(), *self.tables()])

    def write(self, path: Path, metadata: dict[bytes, bytes]) -> None:
        """Write all rows as parquet with some metadata in the schema."""
        with parquet_writer(path, self.schema.with_metadata(metadata), compression="zstd") as writer:
            for group in row_groups(self.tables(), ROW_GROUP):
                writer.write_table(group.replace_schema_metadata(metadata), row_group_size=ROW_GROUP)


def row_groups(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The rows of some tables in tables of `size` rows, each of one chunk; the last may have fewer."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        while (count := sum(each.num_rows for each in waiting)) >= size:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, size).combine_chunks()
            waiting = [joined.slice(size)] if count > size else []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()

"""Parquet files that the workflow writes and reads, with a checksum on every page and one clear error for damage.

Imports pyarrow, so nothing that runs while the workflow is parsed imports this.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from stiltgrid.utils.errors import SourceError

if TYPE_CHECKING:
    import pandas as pd

BUFFER = 2**20  # bytes of a column that are read at a time
AnyPath = str | os.PathLike[str]


@contextlib.contextmanager
def parquet_errors(path: AnyPath) -> Iterator[None]:
    """Wrap code that reads `path`: if the file is truncated, damaged or missing, raises SourceError with its name."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        problem = f"parquet file truncated or damaged ({reason}); delete it and run again"
        raise SourceError(f"{Path(path)}: {problem}") from error


def read_parquet(path: AnyPath, columns: Sequence[str] | None = None, filters: Any = None) -> pa.Table:
    """A table of the workflow's own. Raises SourceError, with the file's name, where it is truncated or damaged."""
    with parquet_errors(path):
        return pq.read_table(path, columns=columns, filters=filters, page_checksum_verification=True)


def read_frame(path: AnyPath, filters: Any = None) -> "pd.DataFrame":
    """Like `read_parquet`, as a pandas data frame."""
    import pandas as pd

    with parquet_errors(path):
        return pd.read_parquet(path, filters=filters, page_checksum_verification=True)


def read_schema(path: AnyPath) -> pa.Schema:
    """The schema of a parquet file, with its metadata. Raises as `read_parquet` does."""
    with parquet_errors(path):
        return pq.read_schema(path)


def count_rows(path: AnyPath) -> int:
    """The number of rows of a parquet file, from its footer. Raises as `read_parquet` does."""
    with parquet_errors(path):
        return int(pq.read_metadata(path).num_rows)


def open_parquet(path: AnyPath) -> pq.ParquetFile:
    """A parquet file to be read in batches, in `with`. Arrow's errors are the caller's.

    Arrow's `pre_buffer` would keep every row group that has been read until the file is closed.
    """
    return pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False, buffer_size=BUFFER)


def read_batches(path: AnyPath, rows: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """A parquet file in batches of at most so many rows. Raises as `read_parquet` does."""
    with parquet_errors(path), open_parquet(path) as file:
        yield from file.iter_batches(rows, columns=columns)


def write_parquet(table: pa.Table, path: AnyPath, compression: str = "snappy", row_group: int | None = None) -> None:
    """Write a table with checksums, in row groups of so many rows. Not atomic: `path` is a temporary one."""
    pq.write_table(table, path, compression=compression, row_group_size=row_group, write_page_checksum=True)


def parquet_writer(path: AnyPath, schema: pa.Schema, compression: str = "snappy") -> pq.ParquetWriter:
    """A writer of row groups with checksums, to be used in `with`."""
    return pq.ParquetWriter(path, schema, compression=compression, write_page_checksum=True)

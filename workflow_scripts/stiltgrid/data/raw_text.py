"""Raw text for language modelling, as parquet."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from stiltgrid.utils.parquet import parquet_errors

if TYPE_CHECKING:
    pass


SCHEMA = pa.schema([("language", pa.string()), ("text", pa.string())])
TEXTS_AT_ONCE = 2000


def read_texts(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """(language, text) of every document, in file order."""
    with parquet_errors(path):
        for batch in pq.ParquetFile(str(path)).iter_batches(TEXTS_AT_ONCE):
            yield from zip(batch.column("language").to_pylist(), batch.column("text").to_pylist(), strict=True)

"""Reads raw text for language modelling from parquet; written by `preparation.raw_text`."""

import os
from collections.abc import Iterator

import pyarrow as pa

from stiltgrid.utils.parquet import read_batches

SCHEMA = pa.schema([("language", pa.string()), ("text", pa.string())])
BATCH = 2000  # documents


def read_texts(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """(language, text) of every document, in file order."""
    for batch in read_batches(path, BATCH):
        yield from zip(batch.column("language").to_pylist(), batch.column("text").to_pylist(), strict=True)

"""Parquet files that the grid wrote, and one clear error where one is damaged."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from stiltgrid.utils.errors import SourceError


@contextlib.contextmanager
def whole_parquet(path: str | os.PathLike[str]) -> Iterator[None]:
    """Around reading `path`: SourceError, naming the file and the remedy, where it is cut, damaged or missing."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(f"{Path(path)}: not a whole parquet file ({reason}); delete it and run again") from error

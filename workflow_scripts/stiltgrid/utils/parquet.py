"""One clear error for a damaged parquet file. Imports pyarrow, so nothing that runs at parse time imports this."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from stiltgrid.utils.errors import SourceError


@contextlib.contextmanager
def parquet_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Wrap code that reads `path`: if the file is truncated, damaged or missing, raises SourceError with its name."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(f"{Path(path)}: not a whole parquet file ({reason}); delete it and run again") from error

"""What tests read of prepared files."""

import json
import os
from typing import Any

import pyarrow.parquet as pq


def provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The facts in a prepared parquet file's metadata: task, rows by language and split, provenance, note."""
    return dict(json.loads(pq.read_schema(path).metadata[b"stiltgrid"]))

"""A row on its way from a source to a family, and what a file of rows says of itself.

Light: read when the workflow is parsed.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

METADATA = b"stiltgrid"  # key of the facts in a prepared parquet file's metadata


@dataclass(frozen=True, slots=True)
class RawRow:
    """A source row and where it stands ('xnli/test.de.jsonl.gz line 17'), for errors that name it."""

    values: Mapping[str, Any]
    place: str


def read_provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a prepared parquet file says of itself, for whoever reports a score on it.

    {"task", "rows": {"de/test": count}, "provenance": {"source", "commits" or "files" or "world"}}, and "note"
    where a reader of the scores must know something of this copy of the data.
    """
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata or {}
    return dict(json.loads(metadata.get(METADATA, b"{}")))

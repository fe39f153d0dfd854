"""A row on its way from a source to a family. Light: read when the workflow is parsed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RawRow:
    """A source row and where it stands ('xnli/test.de.jsonl.gz line 17'), for errors that name it."""

    values: Mapping[str, Any]
    place: str

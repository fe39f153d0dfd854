"""Rows as a source reads them. Imported while the workflow is parsed, so it imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stiltgrid.utils.errors import RowError, nearest


@dataclass(frozen=True, slots=True)
class RawRow:
    """A source row and its place ('xnli/test.de.jsonl.gz line 17'), which error messages name."""

    values: Mapping[str, Any]
    place: str

    def value(self, column: str) -> Any:
        """A column's value. Raises RowError where the row does not have the column."""
        return member(self.values, column, self.place)


def member(values: Mapping[str, Any], name: str, place: str) -> Any:
    """A member of a (nested) mapping of a row. Raises RowError where it is absent."""
    if name not in values:
        raise RowError(place, f"expected '{name}', found {', '.join(values)}; {nearest(name, values)}")
    return values[name]

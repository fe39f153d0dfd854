"""Rows as a source reads them. Imported while the workflow is parsed, so it imports nothing heavy."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from stiltgrid.data import values
from stiltgrid.utils.errors import RowError, StiltgridError, nearest


@dataclass(frozen=True, slots=True)
class RawRow:
    """A source row and its place ('xnli/test.de.jsonl.gz line 17'), which error messages name.

    The methods read one column as a value of a type (see `data.values`) and raise RowError for any other and for an
    absent column; an optional column may be absent.
    """

    values: Mapping[str, Any]
    place: str

    def value(self, column: str) -> Any:
        """A value of any type."""
        if column not in self.values:
            there = ", ".join(self.values)
            raise RowError(self.place, f"expected column '{column}', found {there}; {nearest(column, self.values)}")
        return self.values[column]

    def text(self, column: str) -> str:
        """A text."""
        return values.text(self.value(column), self.place, f"column '{column}'")

    def optional_text(self, column: str) -> str | None:
        """A text; None for a missing value."""
        return values.optional_text(self.values.get(column), self.place, f"column '{column}'")

    def identifier(self, column: str) -> str:
        """An id: a text or a whole number."""
        return values.identifier(self.value(column), self.place, f"column '{column}'")

    def identifiers(self, column: str) -> list[str]:
        """A list of ids; [] for a missing value."""
        value, name = self.values.get(column), f"column '{column}'"
        found = [] if values.is_missing(value) else values.items(value, self.place, name, "a list of ids")
        return [values.identifier(item, self.place, name) for item in found]

    def mapping(self, column: str) -> "RawRow":
        """A mapping, as a row of its own."""
        return RawRow(values.mapping(self.value(column), self.place, f"column '{column}'"), self.place)

    def mappings(self, column: str) -> list["RawRow"]:
        """A list of mappings, each as a row of its own."""
        name = f"column '{column}'"
        found = values.items(self.value(column), self.place, name, "a list of mappings")
        return [RawRow(values.mapping(item, self.place, name), self.place) for item in found]

    def whole_number(self, column: str) -> int:
        """A whole number."""
        return values.whole_number(self.value(column), self.place, f"column '{column}'")


class GuardedRows:
    """Rows one after another; inside `errors()`, any error about one of them is raised as RowError with its place."""

    def __init__(self, rows: Iterable[RawRow]) -> None:
        self._rows = rows
        self._place = "the first row"

    def __iter__(self) -> Iterator[RawRow]:
        for row in self._rows:
            self._place = row.place
            yield row

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Around the work on the rows. Errors with a message of their own and a lack of memory pass unchanged."""
        try:
            yield
        except (StiltgridError, MemoryError):
            raise
        except Exception as error:  # whatever a row can do to a reader that expects something else
            problem = f"{type(error).__name__}: {error}".encode("ascii", "backslashreplace").decode()[:200]
            raise RowError(self._place, f"this row or the next cannot be read ({problem})") from error

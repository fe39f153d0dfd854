"""Typed reading of source rows by a card's `fields`: a column, a dotted path, a template, or a list of these."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stiltgrid.data import values
from stiltgrid.utils.errors import RowError, nearest

if TYPE_CHECKING:
    from stiltgrid.data.rows import RawRow
    from stiltgrid.grid.cards import TaskCard

_INTEGRAL_FLOAT = re.compile(r"(-?\d+)\.0+")


def resolve(row: RawRow, spec: Any, field: str) -> Any:
    """The value, of any type, of a card's field `field`, which `spec` describes, in a row.

    A spec is a column's name, a dotted path (`choices.text`, which reads every item of a list), a template with braces
    (`{premise} What was the {question}?`) or a list of specs (whose lists are concatenated).

    Raises:
        RowError: naming the row, the missing column and the nearest one that the row has.
    """
    if isinstance(spec, str):
        return _template(row, spec, field) if "{" in spec else _path(row, spec, field)
    found: list[Any] = []
    for item in spec:
        value = resolve(row, item, field)
        found.extend(value if _is_list(value) else [value])
    return found


def text(row: RawRow, spec: Any, field: str) -> str:
    """The value of a field that must be a text. Raises RowError for any other."""
    return values.text(resolve(row, spec, field), row.place, _shown(spec, field))


def optional_text(row: RawRow, spec: Any, field: str) -> str | None:
    """The value of a field that may be missing (null or NaN) and must be a text otherwise."""
    return values.optional_text(resolve(row, spec, field), row.place, _shown(spec, field))


def texts(row: RawRow, spec: Any, field: str) -> list[str]:
    """The value of a field that must be a list of texts. Raises RowError for any other."""
    return values.texts(resolve(row, spec, field), row.place, _shown(spec, field))


def identifier(card: TaskCard, row: RawRow, language: str, split: str, number: int) -> str:
    """The row's id: the card's `id` field (a text or a whole number), or its place in the split ('de-test-17')."""
    spec = card.fields.get("id")
    if spec is None:
        return f"{language}-{split}-{number}"
    return values.identifier(resolve(row, spec, "id"), row.place, _shown(spec, "id"))


class Labels:
    """Reads the raw labels of one card: a position among the card's labels, or None for those that it leaves out.

    A raw label is one of `label_values` or else the name of a label. Labels are compared as text, so that 0, 0.0, "0"
    and "0.0" are one; what is in `drop_labels` is left out, and what `relabel` names is read as the label given there.
    """

    def __init__(self, card: TaskCard) -> None:
        self.card = card
        self._dropped = frozenset(map(str, card.drop_labels))
        raw = [str(value) for value in card.label_values]
        self._positions: dict[str, int] = {}
        for number, name in (*enumerate(raw), *enumerate(card.labels)):  # raw values win over names like them
            self._positions.setdefault(name, number)
        for name, label in card.relabel.items():
            self._positions[name] = self._positions[label]
        self._found: dict[str | int, int | None] = {}

    def number(self, row: RawRow, field: str = "label") -> int | None:
        """The label of a row. Raises RowError naming the label found and the nearest that the card has."""
        spec = self.card.fields[field]
        return self._number(resolve(row, spec, field), row.place, _shown(spec, field))

    def numbers(self, row: RawRow, field: str = "tags") -> list[int | None]:
        """The labels of a row that has a list of them. Raises as `number` does."""
        spec = self.card.fields[field]
        name = _shown(spec, field)
        found = values.items(resolve(row, spec, field), row.place, name, "a list of labels")
        return [self._number(value, row.place, name) for value in found]

    @property
    def known(self) -> bool:
        """Whether the card lists labels at all."""
        return bool(self._positions)

    def option(self, row: RawRow, field: str = "label") -> int:
        """The label of a row whose card lists none: a number from 0, perhaps as text."""
        spec = self.card.fields[field]
        value, name = resolve(row, spec, field), _shown(spec, field)
        found = self._text(value, row.place, name)
        if not found.isdecimal():
            raise values.refusal(value, row.place, name, "an option's number from 0")
        return values.whole_number(int(found), row.place, name)

    def drops(self, row: RawRow, field: str = "label") -> bool:
        """Whether a row's label is one that the card leaves out."""
        spec = self.card.fields[field]
        return self._text(resolve(row, spec, field), row.place, _shown(spec, field)) in self._dropped

    def _number(self, value: Any, place: str, name: str) -> int | None:
        plain = type(value) in (str, int)  # True equals 1 as a key of a dictionary, so only these are cached
        if plain and value in self._found:
            return self._found[value]
        found = self._text(value, place, name)
        if found not in self._dropped and found not in self._positions:
            known = [*map(str, self.card.label_values), *self.card.labels]
            shown = values.describe(value).removeprefix("number ")
            problem = f"label {shown} is not in card '{self.card.name}'; {nearest(found, known)}"
            raise RowError(place, problem)
        number = None if found in self._dropped else self._positions[found]
        if plain:
            self._found[value] = number
        return number

    def _text(self, value: Any, place: str, name: str) -> str:
        """A label as text; "0.0", as pandas writes a column of labels some of which are missing, is "0"."""
        truth = isinstance(value, bool) and str(value) in self._positions
        found = str(value) if truth else values.label(value, place, name)
        if found in self._positions or found in self._dropped:
            return found
        match = _INTEGRAL_FLOAT.fullmatch(found)
        return match[1] if match else found


def _shown(spec: Any, field: str) -> str:
    return f"field '{field}' ({spec if isinstance(spec, str) else ', '.join(map(str, spec))})"


def _template(row: RawRow, spec: str, field: str) -> str:
    parts: list[str] = []
    for literal, name, _, _ in string.Formatter().parse(spec):
        parts.append(literal)
        if name is not None:
            value, shown = _path(row, name, field), f"field '{field}': '{name}' in the template"
            number = isinstance(value, (int, float)) and not isinstance(value, bool) and not values.is_missing(value)
            parts.append(_plain(value) if number else values.text(value, row.place, shown))
    return "".join(parts)


def _plain(number: float) -> str:
    """A number in a template; whole numbers without a fraction, also where pandas stores them as 3.0."""
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def _path(row: RawRow, spec: str, field: str) -> Any:
    if spec in row.values:
        return row.values[spec]
    value: Any = row.values
    walked: list[str] = []
    for step in spec.split("."):
        value = _step(row, value, step, spec, walked, field)
        walked.append(step)
    return value


def _step(row: RawRow, value: Any, step: str, spec: str, walked: Sequence[str], field: str) -> Any:
    shown = f"field '{field}' ({spec})"
    value = values.parsed(value, row.place, shown, "{")
    if _is_list(value):
        return [_step(row, item, step, spec, walked, field) for item in value]
    if isinstance(value, Mapping):
        if step in value:
            return value[step]
        inside = f" inside '{'.'.join(walked)}'" if walked else ""
        missing = spec if not walked else step
        raise RowError(row.place, f"no column '{missing}'{inside} (wanted by field '{field}'); {nearest(step, value)}")
    raise RowError(
        row.place, f"field '{field}': '{'.'.join(walked)}' holds {values.describe(value)}, so '{spec}' cannot be read"
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))

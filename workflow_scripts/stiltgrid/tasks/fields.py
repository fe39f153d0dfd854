"""How a card's `fields` read a source row: a column, a dotted path, a template, or a list of these."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stiltgrid.utils.errors import RowError, nearest

if TYPE_CHECKING:
    from stiltgrid.grid.cards import TaskCard
    from stiltgrid.tasks.families.base import RawRow


def resolve(row: RawRow, spec: Any, field: str) -> Any:
    """The value that a card's field `field`, described by `spec`, has in a row.

    A spec is a column's name, a dotted path (`choices.text`; over a list it reads every item), a template
    with braces (`{premise} What was the {question}?`) or a list of specs (lists inside it are joined in).
    Raises RowError naming the row, the column wanted and the nearest that the row has.
    """
    if isinstance(spec, str):
        return _template(row, spec, field) if "{" in spec else _path(row, spec, field)
    values: list[Any] = []
    for item in spec:
        value = resolve(row, item, field)
        values.extend(value if _is_list(value) else [value])
    return values


def text(row: RawRow, spec: Any, field: str) -> str:
    """Like `resolve`, for a field that must be text."""
    value = resolve(row, spec, field)
    if not isinstance(value, str):
        raise RowError(row.place, f"field '{field}' ({spec}) must be text, found {_describe(value)}")
    return value


def texts(row: RawRow, spec: Any, field: str) -> list[str]:
    """Like `resolve`, for a field that must be a list of texts."""
    value = resolve(row, spec, field)
    if not _is_list(value):
        raise RowError(row.place, f"field '{field}' ({spec}) must be a list of texts, found {_describe(value)}")
    for item in value:
        if not isinstance(item, str):
            raise RowError(row.place, f"field '{field}' ({spec}) must hold texts only, found {_describe(item)}")
    return list(value)


def identifier(card: TaskCard, row: RawRow, language: str, split: str, number: int) -> str:
    """The row's id: the card's `id` field, or its place in the split ('de-test-17')."""
    if "id" in card.fields:
        return str(resolve(row, card.fields["id"], "id"))
    return f"{language}-{split}-{number}"


def dropped(card: TaskCard, value: Any) -> bool:
    """Whether a raw label is one that the card leaves out (compared as text, so -1 and "-1" are one)."""
    return str(value) in {str(item) for item in card.drop_labels}


def label_index(card: TaskCard, value: Any, place: str) -> int:
    """Position in `card.labels` of a raw label: one of `label_values` (compared as text), or a label's name.

    Raises RowError naming the row, the label found and what the card knows.
    """
    wanted = str(value)
    raw_values = [str(item) for item in card.label_values]
    if wanted in raw_values:
        return raw_values.index(wanted)
    if wanted in card.labels:
        return card.labels.index(wanted)
    known = [*raw_values, *card.labels]
    raise RowError(place, f"label {value!r} is not in card '{card.name}'; {nearest(wanted, known)}")


def _template(row: RawRow, spec: str, field: str) -> str:
    parts: list[str] = []
    for literal, name, _, _ in string.Formatter().parse(spec):
        parts.append(literal)
        if name is not None:
            value = _path(row, name, field)
            if not isinstance(value, (str, int, float)):
                raise RowError(
                    row.place, f"field '{field}': '{name}' in the template must be text, found {_describe(value)}"
                )
            parts.append(str(value))
    return "".join(parts)


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
    if _is_list(value):
        return [_step(row, item, step, spec, walked, field) for item in value]
    if isinstance(value, Mapping):
        if step in value:
            return value[step]
        inside = f" inside '{'.'.join(walked)}'" if walked else ""
        missing = spec if not walked else step
        raise RowError(row.place, f"no column '{missing}'{inside} (wanted by field '{field}'); {nearest(step, value)}")
    raise RowError(
        row.place, f"field '{field}': '{'.'.join(walked)}' holds {_describe(value)}, so '{spec}' cannot be read"
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _describe(value: Any) -> str:
    if value is None:
        return "nothing (null)"
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 40 else shown[:37] + '...'}"

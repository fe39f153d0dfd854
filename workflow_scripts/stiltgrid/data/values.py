"""Typed values of source rows: every function takes one kind of value and refuses all others.

Accepted are the forms in which pandas and Excel write a value of the kind: 0.0 for 0, null or NaN for a missing value.
Numbers spelled as text are accepted from files without types only (`Untyped`). Every function gets the row's place
and a name for the field, and raises RowError with both, with what was expected and with what was found.
"""

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from stiltgrid.utils.errors import RowError

INT32, INT64 = 2**31 - 1, 2**63 - 1
_SHOWN = 40  # characters of a value in a message
_INTEGRAL = re.compile(r"([-+]?\d+)(?:\.0*)?")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


class Untyped(str):
    """Text of a file without types (CSV, TSV): a number where a number is expected, JSON where a list is."""

    __slots__ = ()


def is_missing(value: Any) -> bool:
    """Whether a value is null or NaN, in which pandas stores missing values."""
    if isinstance(value, Decimal):
        return value.is_nan()
    return value is None or (isinstance(value, float) and value != value)


def text(value: Any, place: str, name: str, expected: str = "text") -> str:
    """A text. Not a number, not NaN, and no half of a surrogate pair, which no file can store."""
    if not isinstance(value, str):
        raise refusal(value, place, name, expected)
    if not value.isascii() and _LONE_SURROGATES.search(value):
        raise refusal(value, place, name, f"{expected} of whole characters (no half of a surrogate pair)")
    return str(value)


def optional_text(value: Any, place: str, name: str) -> str | None:
    """A text, or None for a missing value."""
    return None if is_missing(value) else text(value, place, name, "text or null")


def identifier(value: Any, place: str, name: str) -> str:
    """An id: a text that is not empty, or a whole number."""
    if isinstance(value, str):
        found = text(value, place, name, "an id")
    else:
        found = str(whole_number(value, place, name, "an id (text or whole number)", -INT64, INT64))
    if not found.strip():
        raise refusal(value, place, name, "an id")
    return found


def whole_number(
    value: Any, place: str, name: str, expected: str = "a whole number", minimum: int = -INT32, maximum: int = INT32
) -> int:
    """A whole number from `minimum` to `maximum`; 3.0 is 3."""
    number: int | None = None
    if isinstance(value, bool):
        pass
    elif isinstance(value, int):
        number = value
    elif isinstance(value, (float, Decimal)):
        number = _integral(value)
    elif isinstance(value, Untyped) and len(value) < _SHOWN and (match := _INTEGRAL.fullmatch(value.strip())):
        number = int(match[1])
    if number is None or not minimum <= number <= maximum:
        limits = "" if number is None else f" from {minimum} to {maximum}"
        raise refusal(value, place, name, f"{expected}{limits}")
    return number


def items(value: Any, place: str, name: str, expected: str = "a list") -> Sequence[Any]:
    """The items of a list."""
    found = parsed(value, place, name, "[")
    if not isinstance(found, (list, tuple)):
        raise refusal(value, place, name, expected)
    return found


def texts(value: Any, place: str, name: str) -> list[str]:
    """A list of texts."""
    return [text(item, place, name, "a list of texts") for item in items(value, place, name, "a list of texts")]


def whole_numbers(value: Any, place: str, name: str) -> list[int]:
    """A list of whole numbers."""
    expected = "a list of whole numbers"
    return [whole_number(item, place, name, expected) for item in items(value, place, name, expected)]


def mapping(value: Any, place: str, name: str) -> Mapping[str, Any]:
    """A mapping."""
    found = parsed(value, place, name, "{")
    if not isinstance(found, Mapping):
        raise refusal(value, place, name, "a mapping")
    return found


def label(value: Any, place: str, name: str) -> str:
    """A label, a text or a whole number, as the text by which it is compared with the card's: 0 and 0.0 are "0"."""
    expected = "a label (text or whole number)"
    if isinstance(value, str):
        return text(value, place, name, expected)
    return str(whole_number(value, place, name, expected, -INT64, INT64))


def parsed(value: Any, place: str, name: str, opening: str) -> Any:
    """The list or mapping that a cell of an untyped file spells as JSON; any other value unchanged."""
    if isinstance(value, Untyped) and value.lstrip().startswith(opening):
        return parse_json(value, f"{place}, {name}")
    return value


def _integral(value: float | Decimal) -> int | None:
    """The whole number that a decimal one stands for; None for fractions and beyond what a float holds exactly."""
    if is_missing(value) or not -(2**53) < value < 2**53 or value != int(value):
        return None
    return int(value)


class _RepeatedKey(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKey(next(name for name in names if names.count(name) > 1))
    return values


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def parse_json(line: str, place: str, expected: str = "JSON") -> Any:
    """A JSON value. Raises RowError for broken JSON, a key given twice, and numbers or nesting without bounds."""
    try:
        return _DECODER.decode(line)
    except json.JSONDecodeError as error:
        problem = f"broken JSON ({error.msg} at column {error.colno})"
    except _RepeatedKey as error:
        problem = f"key {describe(str(error))} given twice"
    except RecursionError:
        problem = "lists or objects nested too deeply"
    except ValueError:  # Python refuses to convert integers of more than 4300 digits
        problem = "a number of thousands of digits"
    raise RowError(place, f"expected {expected}, found {problem}")


def refusal(value: Any, place: str, name: str, expected: str) -> RowError:
    """The error for a value of another kind."""
    return RowError(place, f"{name}: expected {expected}, found {describe(value)}")


def describe(value: Any) -> str:
    """A value in an error message: its kind and its beginning, in characters that every terminal shows."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, float) and value != value:
        return "not a number (NaN, which pandas stores for a missing value)"
    if isinstance(value, str):
        return _cut(repr(str(value)))
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**_SHOWN:
        return "a number of more than 40 digits"
    kinds: dict[type, str] = {
        bool: "",
        int: "number ",
        float: "number ",
        list: "list ",
        tuple: "list ",
        dict: "mapping ",
    }
    shown = json.dumps(value) if isinstance(value, bool) else _repr(value)
    return f"{kinds.get(type(value), type(value).__name__ + ' ')}{_cut(shown)}"


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or with a number of thousands of digits
        return "…"


def _cut(shown: str) -> str:
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"

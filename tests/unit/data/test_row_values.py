"""Typed values of rows: what is taken, what is refused, and that no value at all ends in another error."""

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stiltgrid.data import values
from stiltgrid.data.values import Untyped
from stiltgrid.utils.errors import RowError

READERS = (
    values.text, values.optional_text, values.identifier, values.whole_number, values.items, values.texts,
    values.whole_numbers, values.mapping, values.label,
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_subnormal=False), st.text(), st.decimals(),
    st.binary(), st.dates(),
    st.text().map(Untyped),
    st.text(st.characters(categories=["Cs"])),
)  # fmt: skip
ANY = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@settings(max_examples=500, derandomize=True, deadline=None)
@given(value=ANY)
def test_every_reader_returns_its_kind_or_refuses_with_place_and_name(value: Any) -> None:
    kinds = {
        values.text: str, values.optional_text: (str, type(None)), values.identifier: str, values.whole_number: int,
        values.items: (list, tuple), values.texts: list, values.whole_numbers: list, values.mapping: dict,
        values.label: str,
    }  # fmt: skip
    for reader in READERS:
        try:
            found = reader(value, "train.en.jsonl line 3", "field 'x' (x)")
        except RowError as error:
            assert str(error).startswith("train.en.jsonl line 3")
            str(error).encode("utf-8")  # every message can be written to a log
        else:
            assert isinstance(found, kinds[reader])
            for text in found if isinstance(found, list) and reader is values.texts else [found]:
                if isinstance(text, str):
                    text.encode("utf-8")  # and every text to a file


@settings(max_examples=500, derandomize=True, deadline=None)
@given(number=st.integers(-(2**31) + 1, 2**31 - 1))
def test_a_whole_number_is_read_from_every_form_that_pandas_writes(number: int) -> None:
    forms = (number, float(number), Decimal(number), Untyped(number), Untyped(f"{number}.0"), Untyped(f" {number} "))
    assert {values.whole_number(form, "here", "n") for form in forms} == {number}
    assert {values.label(form, "here", "n") for form in (number, float(number), str(number))} == {str(number)}


@pytest.mark.parametrize(
    "value",
    [3.5, "0", None, True, math.nan, math.inf, 2**31, [0], {"a": 0}, Untyped("1e3"), Untyped("0x1"), Untyped("")],
)
def test_what_is_not_a_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(RowError, match=r"^here: field 'answers': expected a whole number.*, found "):
        values.whole_number(value, "here", "field 'answers'")


def test_nan_and_numbers_are_not_text() -> None:
    for value in (math.nan, 3.0, 0, None, True, ["a"], "\ud83d", "half an emoji \ude00"):
        with pytest.raises(RowError, match="^here: premise: expected text"):
            values.text(value, "here", "premise")
    assert values.optional_text(math.nan, "here", "title") is None is values.optional_text(None, "here", "title")


def test_lists_and_mappings_in_cells_of_csv_are_json() -> None:
    assert values.texts(Untyped(' ["a", "b"]'), "here", "tokens") == ["a", "b"]
    assert values.mapping(Untyped('{"text": ["Ada"]}'), "here", "answers") == {"text": ["Ada"]}
    with pytest.raises(RowError, match="here, answers: expected JSON, found broken JSON"):
        values.mapping(Untyped("{'text': array(['Ada'])}"), "here", "answers")
    with pytest.raises(RowError, match="tokens: expected a list of texts, found '"):
        values.texts('["a"]', "here", "tokens")  # in a typed file a text is a text


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_subnormal=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(value=JSON)
def test_json_is_read_as_pythons_own_reader_does(value: Any) -> None:
    assert values.parse_json(json.dumps(value), "here") == json.loads(json.dumps(value)) == value


@settings(max_examples=500, derandomize=True, deadline=None)
@given(line=st.text() | st.text('[]{}",:0123456789.eE+-tfn \\u').map(lambda text: "{" + text))
def test_no_line_ends_in_anything_but_a_value_or_a_row_error(line: str) -> None:
    try:
        values.parse_json(line, "here")
    except RowError as error:
        str(error).encode("utf-8")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"label": 0, "label": 1}', "key 'label' given twice"),
        ('{"answers": {"text": [], "text": []}}', "key 'text' given twice"),
        ("[" * 20_000 + "]" * 20_000, "nested too deeply"),
        ('{"label": ' + "9" * 5_000 + "}", "a number of thousands of digits"),
        ('{"label": 0', "broken JSON"),
    ],
)
def test_json_that_has_no_one_meaning_is_refused(line: str, problem: str) -> None:
    with pytest.raises(RowError, match=f"^train.en.jsonl line 7: expected JSON, found .*{problem}"):
        values.parse_json(line, "train.en.jsonl line 7")


def test_a_value_is_shown_in_characters_that_every_terminal_has() -> None:
    assert values.describe("\ud83d") == r"'\ud83d'"
    assert values.describe(10**4999) == "a number of more than 40 digits"
    assert values.describe(True) == "true"
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert values.describe(deep).startswith("list ")

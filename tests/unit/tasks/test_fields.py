"""Card fields read columns, paths, templates and lists; what is missing is named with its row."""

import pytest
from stiltgrid.data.rows import RawRow
from stiltgrid.tasks import fields
from stiltgrid.utils.errors import RowError

ROW = RawRow(
    {
        "premise": "It rained.",
        "question": "effect",
        "number": 3,
        "nothing": None,
        "dotted.name": "kept",
        "choices": {"label": ["A", "B"], "text": ["wet", "dry"]},
        "answers": [{"text": "one", "answer_start": 4}, {"text": "two", "answer_start": 9}],
        "first": "a",
        "second": "b",
    },
    "copa.jsonl line 3",
)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("premise", "It rained."),
        ("dotted.name", "kept"),
        ("choices.text", ["wet", "dry"]),
        ("answers.answer_start", [4, 9]),
        ("{premise} What was the {question}?", "It rained. What was the effect?"),
        ("{number}: {{braces}} stay", "3: {braces} stay"),
        (["first", "second"], ["a", "b"]),
        (["first", "choices.text", "{first}{second}"], ["a", "wet", "dry", "ab"]),
    ],
)
def test_specs(spec, value):
    assert fields.resolve(ROW, spec, "context") == value


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("premisse", ["copa.jsonl line 3", "'premisse'", "'context'", "did you mean 'premise'?"]),
        ("choices.texts", ["'texts' inside 'choices'", "did you mean 'text'?"]),
        ("premise.text", ["'premise' holds str 'It rained.'", "'premise.text'"]),
        ("{premise} {quastion}", ["'quastion'", "did you mean 'question'?"]),
        ("{nothing} else", ["'nothing'", "null"]),
    ],
)
def test_missing_columns_name_row_field_and_nearest(spec, parts):
    with pytest.raises(RowError) as caught:
        fields.resolve(ROW, spec, "context")
    for part in parts:
        assert part in str(caught.value)


def test_text_and_texts_refuse_other_types():
    with pytest.raises(RowError, match="line 3.*'context'.*must be text, found int 3"):
        fields.text(ROW, "number", "context")
    with pytest.raises(RowError, match="must be a list of texts, found str"):
        fields.texts(ROW, "premise", "choices")
    with pytest.raises(RowError, match="must hold texts only, found int 4"):
        fields.texts(ROW, "answers.answer_start", "choices")


def test_labels_by_value_as_text_or_by_name(tools):
    card = tools.card(
        "sequence", {}, labels=("entailment", "neutral", "contradiction"), label_values=(0, 1, 2), drop_labels=(-1,)
    )
    assert [fields.label_index(card, value, "here") for value in (0, "2", "neutral")] == [0, 2, 1]
    assert fields.dropped(card, -1) and fields.dropped(card, "-1") and not fields.dropped(card, 1)
    with pytest.raises(RowError, match="data.tsv line 9: label 'entailmnt' is not in card 'sample'; .*'entailment'"):
        fields.label_index(card, "entailmnt", "data.tsv line 9")


def test_raw_values_win_over_names_that_look_like_them(tools):
    card = tools.card("sequence", {}, labels=("1", "2"), label_values=(2, 1))
    assert fields.label_index(card, 1, "here") == 1


def test_ids_come_from_the_card_or_the_place_in_the_split(tools):
    assert fields.identifier(tools.card("sequence", {"id": "number"}), ROW, "de", "test", 17) == "3"
    assert fields.identifier(tools.card("sequence", {}), ROW, "de", "test", 17) == "de-test-17"

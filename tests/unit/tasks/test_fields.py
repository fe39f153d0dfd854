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
        ("premise.text", ["'premise' holds 'It rained.'", "'premise.text'"]),
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
    with pytest.raises(RowError, match=r"line 3: field 'context' \(number\): expected text, found number 3"):
        fields.text(ROW, "number", "context")
    with pytest.raises(RowError, match=r"field 'choices' \(premise\): expected a list of texts, found 'It rained.'"):
        fields.texts(ROW, "premise", "choices")
    with pytest.raises(RowError, match="expected a list of texts, found number 4"):
        fields.texts(ROW, "answers.answer_start", "choices")
    assert fields.optional_text(ROW, "nothing", "title") is None


def labelled(value):
    return RawRow({"label": value}, "data.tsv line 9")


def test_labels_by_value_as_text_or_by_name(tools):
    names = ("entailment", "neutral", "contradiction")
    labels = fields.Labels(
        tools.card("sequence", {"label": "label"}, labels=names, label_values=(0, 1, 2), drop_labels=(-1,))
    )
    assert [labels.number(labelled(value)) for value in (0, "2", "neutral", 1.0, "1.0")] == [0, 2, 1, 1, 1]
    assert [labels.number(labelled(value)) for value in (-1, "-1", -1.0, "-1.0")] == [None] * 4
    assert labels.drops(labelled(-1.0)) and not labels.drops(labelled(1))
    with pytest.raises(RowError, match="data.tsv line 9: label 'entailmnt' is not in card 'sample'; .*'entailment'"):
        labels.number(labelled("entailmnt"))


@pytest.mark.parametrize("value", [None, float("nan"), True, [0], {"a": 0}, 0.5, "", "\ud83d"])
def test_a_label_of_another_kind_is_refused_even_beside_an_equal_one(tools, value):
    labels = fields.Labels(tools.card("sequence", {"label": "label"}, labels=("a", "b"), label_values=(0, 1)))
    assert labels.number(labelled(1)) == 1
    with pytest.raises(RowError, match="^data.tsv line 9: ") as caught:
        labels.number(labelled(value))
    str(caught.value).encode()


def test_raw_values_win_over_names_that_look_like_them(tools):
    labels = fields.Labels(tools.card("sequence", {"label": "label"}, labels=("1", "2"), label_values=(2, 1)))
    assert labels.number(labelled(1)) == 1


def test_ids_come_from_the_card_or_the_place_in_the_split(tools):
    assert fields.identifier(tools.card("sequence", {"id": "number"}), ROW, "de", "test", 17) == "3"
    assert fields.identifier(tools.card("sequence", {}), ROW, "de", "test", 17) == "de-test-17"


def test_a_relabelled_value_is_read_as_the_label_given(tools):
    card = tools.card("tagging", {"tokens": "a", "tags": "b"}, labels=("O", "B-LOC"), relabel={"B-DATE": "O"})
    labels = fields.Labels(card)
    row = RawRow({"b": ["B-DATE", "B-LOC", "O"]}, "data.conll line 1")
    assert labels.numbers(row) == [0, 1, 0]
    with pytest.raises(RowError, match="label 'I-DATE' is not in card"):
        labels.numbers(RawRow({"b": ["I-DATE"]}, "data.conll line 5"))

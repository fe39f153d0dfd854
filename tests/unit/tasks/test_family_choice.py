"""Multiple choice: options of an example stay together, their number may vary, softmax over them."""

import math

import pytest
import torch
from stiltgrid.tasks.families import family
from stiltgrid.utils.errors import RowError

FIELDS = {"context": "{premise} What was the {question}?", "choices": "endings", "label": "label"}
ROWS = [
    {"premise": "It rained.", "question": "effect", "endings": ["The boats were wet.", "The boats flew."], "label": 0},
    {"premise": "He sold bread.", "question": "cause", "endings": ["He bakes.", "He sails.", "He swims."], "label": 2},
]
SCORES = [2.0, 1.0, 0.5, 0.0, 3.0]


def hidden(batch):
    states = torch.zeros(*batch.input_ids.shape, 1)
    states[:, 0, 0] = torch.tensor(SCORES)[torch.as_tensor(batch.indices)]
    return states


@pytest.fixture
def bench(tools, tiny_tokenizer):
    return tools.Bench(tools.card("choice", FIELDS), ROWS, tiny_tokenizer)


def test_one_sequence_an_option(bench, tiny_tokenizer):
    context, option = tiny_tokenizer.ids(["It rained. What was the effect?", "The boats flew."])
    assert bench.ids(1).tolist() == [0, *context, 2, 2, *option, 2]
    assert bench.encoded.scalars["example"].tolist() == [0, 0, 1, 1, 1]
    assert bench.encoded.scalars["option"].tolist() == [0, 1, 0, 1, 2]
    assert bench.encoded.scalars["gold"].tolist() == [1, 0, 0, 0, 1]


def test_loss_is_a_softmax_over_each_examples_options(bench, tools):
    batch = bench.batch()
    loss = bench.family.loss(bench.card, tools.Readout(), hidden(batch), batch)
    first = math.log(math.exp(2) + math.exp(1)) - 2
    second = math.log(math.exp(0.5) + 1 + math.exp(3)) - 3
    assert loss.item() == pytest.approx(first + second, abs=1e-5)
    assert bench.family.loss_weight(bench.encoded.scalars, {}, 5) == 2


def test_an_example_drawn_twice_in_a_row_counts_twice(bench, tools):
    once = bench.batch([0, 1])
    twice = bench.batch([0, 1, 0, 1])
    single = bench.family.loss(bench.card, tools.Readout(), hidden(once), once)
    double = bench.family.loss(bench.card, tools.Readout(), hidden(twice), twice)
    assert double.item() == pytest.approx(2 * single.item(), abs=1e-5)


def test_decode_takes_the_best_option_of_each_example(bench):
    predictions = bench.decode(hidden)
    assert predictions.column("prediction").to_pylist() == [0, 2]
    assert bench.measured(predictions) == {"accuracy": 100}
    wrong = bench.decode(lambda batch: -hidden(batch))
    assert wrong.column("prediction").to_pylist() == [1, 1]
    assert bench.measured(wrong) == {"accuracy": 0}


def test_letters_and_numbers_as_labels(tools):
    card = tools.card("choice", {**FIELDS, "choices": ["one", "two"]}, labels=("A", "B"))
    row = {"premise": "x", "question": "y", "one": "first", "two": "second"}
    choice = family("choice")
    assert choice.examples(card, tools.rows([{**row, "label": "B"}]), "en", "dev")[0]["label"] == 1
    from_one = tools.card("choice", {**FIELDS, "choices": ["one", "two"]}, labels=("a", "b"), label_values=("1", "2"))
    assert choice.examples(from_one, tools.rows([{**row, "label": 2}]), "en", "dev")[0]["label"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 3}, "line 1: the label is option 3 .*has 2"),
        ({"label": "C"}, "line 1: field 'label' .*: expected an option's number from 0, found 'C'"),
        ({"endings": ["only one"]}, "line 1: .*two or more options, found 1"),
        ({"endings": ["The boats were wet.", ""]}, r"line 1: field 'choices\[1\]' is empty"),
    ],
)
def test_bad_rows_are_named(tools, change, message):
    with pytest.raises(RowError, match=message):
        family("choice").examples(tools.card("choice", FIELDS), tools.rows([{**ROWS[0], **change}]), "en", "dev")

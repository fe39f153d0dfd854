"""Sequence classification: labels by name, whole pairs, longer text cut first, loss and accuracy by hand."""

import math

import numpy as np
import pytest
import torch
from stiltgrid.tasks.families import family
from stiltgrid.utils.errors import RowError

FIELDS = {"text_a": "premise", "text_b": "hypothesis", "label": "label"}
NLI = {"labels": ("entailment", "neutral", "contradiction"), "label_values": (0, 1, 2), "drop_labels": (-1,)}
ROWS = [
    {"premise": "The lamp turns all night.", "hypothesis": "The lamp turns.", "label": 0},
    {"premise": "The boats are blue.", "hypothesis": "The boats are old.", "label": -1},
    {"premise": "The boats are blue.", "hypothesis": "The boats are white.", "label": "2"},
]


@pytest.fixture
def bench(tools, tiny_tokenizer):
    return tools.Bench(tools.card("sequence", FIELDS, **NLI), ROWS, tiny_tokenizer)


def test_rows_without_gold_label_are_left_out_and_keep_their_number(bench):
    assert bench.rows.column("id").to_pylist() == ["en-dev-0", "en-dev-2"]
    assert bench.rows.column("label").to_pylist() == [0, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 3}, "line 3: label 3 is not in card 'sample'; valid: .*entailment"),
        ({"hypothesis": "  "}, "line 3: field 'text_b' is empty; .*empty_texts"),
        ({"premise": None}, "line 3: field 'text_a' .* found nothing"),
    ],
)
def test_bad_rows_are_named(tools, change, message):
    from stiltgrid.tasks.families import family

    rows = tools.rows([*ROWS[:2], {**ROWS[2], **change}])
    with pytest.raises(RowError, match=message):
        family("sequence").examples(tools.card("sequence", FIELDS, **NLI), rows, "en", "dev")


def test_empty_texts_can_be_dropped_or_kept(tools, tiny_tokenizer):
    rows = [*ROWS, {"premise": "", "hypothesis": "The end.", "label": 1}]
    for rule, count in (("drop", 2), ("keep", 3)):
        card = tools.card("sequence", FIELDS, **NLI, options={"empty_texts": rule})
        assert tools.Bench(card, rows, tiny_tokenizer).rows.num_rows == count


def test_pairs_are_joined_with_special_tokens(bench, tiny_tokenizer):
    first, second = tiny_tokenizer.ids([ROWS[0]["premise"], ROWS[0]["hypothesis"]])
    assert bench.ids(0).tolist() == [0, *first, 2, 2, *second, 2]
    assert bench.encoded.scalars["label"].tolist() == [0, 2]


def test_single_texts_need_no_second(tools, tiny_tokenizer):
    card = tools.card("sequence", {"text_a": "premise", "label": "label"}, **NLI)
    bench = tools.Bench(card, ROWS, tiny_tokenizer)
    assert bench.ids(0).tolist() == [0, *tiny_tokenizer.ids([ROWS[0]["premise"]])[0], 2]
    assert bench.rows.column("text_b").to_pylist() == [None, None]


def test_the_longer_text_is_cut_first(tools, tiny_tokenizer):
    card = tools.card("sequence", FIELDS, **NLI, max_length=20)
    rows = [{"premise": "The lamp turns all night above the harbour. " * 9, "hypothesis": "night", "label": 0}]
    first, second = tiny_tokenizer.ids([rows[0]["premise"], "night"])
    assert tools.Bench(card, rows, tiny_tokenizer).ids(0).tolist() == [
        0,
        *first[: 20 - 4 - len(second)],
        2,
        2,
        *second,
        2,
    ]


def test_loss_sums_cross_entropy_over_sequences(bench, tools):
    def hidden(batch):
        states = torch.zeros(*batch.input_ids.shape, 3)
        states[0, 0] = torch.tensor([1.0, 0.0, 0.0])  # right label 0
        states[1, 0] = torch.tensor([0.0, 2.0, 0.0])  # right label 2
        return states

    batch = bench.batch()
    loss = bench.family.loss(bench.card, tools.Readout(), hidden(batch), batch)
    expected = math.log(math.e + 2) - 1 + math.log(math.exp(2) + 2)
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    assert bench.family.loss_weight(bench.encoded.scalars, {}, 2) == 2


def test_decode_and_measure(bench):
    def hidden(batch):
        states = torch.zeros(*batch.input_ids.shape, 3)
        states[:, 0, 0] = 1
        return states

    predictions = bench.decode(hidden)
    assert predictions.select(["prediction", "gold", "score"]).to_pylist() == [
        {"prediction": "entailment", "gold": "entailment", "score": 1},
        {"prediction": "entailment", "gold": "contradiction", "score": 0},
    ]
    assert bench.measured(predictions) == {"accuracy": 50}


def test_a_positive_label_adds_its_f1(tools, tiny_tokenizer):
    card = tools.card(
        "sequence", FIELDS, labels=("different", "same"), label_values=(0, 1), options={"positive": "same"}
    )
    bench = tools.Bench(card, [{**ROWS[0], "label": label} for label in (0, 1, 1)], tiny_tokenizer)

    def always_same(batch):
        return torch.tensor([0.0, 1.0]).expand(*batch.input_ids.shape, 2)

    measured = bench.measured(bench.decode(always_same))
    assert measured["accuracy"] == pytest.approx(200 / 3)
    assert measured["f1"] == pytest.approx(80)  # precision 2/3, recall 1
    assert measured["accuracy_and_f1"] == pytest.approx((200 / 3 + 80) / 2)


def test_head_scores_every_label(bench):
    torch.manual_seed(0)
    head = bench.family.build_head(bench.card, 8)
    assert head(torch.randn(5, 8)).shape == (5, 3)
    assert np.isclose(head.projection.weight.std().item(), 0.02, atol=0.01)
    assert not head.projection.bias.any()


@pytest.mark.parametrize(
    ("name", "compares"), [("sequence", True), ("choice", True), ("span", True), ("tagging", False), ("dual", False)]
)
def test_only_families_of_text_pairs_compare(name: str, compares: bool) -> None:
    kind = family(name)
    assert kind.pooling("compared") == ("compared" if compares else "mean")
    assert kind.pooled_width(8, "compared") == (32 if compares else 8)
    assert (kind.pooling("cls"), kind.pooled_width(8, "cls")) == ("cls", 8)

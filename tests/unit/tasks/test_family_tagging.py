"""Tagging: every word has its tag, however long the sentence and however odd the word."""

import math

import numpy as np
import pytest
import torch
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.tagging import CONTINUED
from stiltgrid.utils.errors import RowError

FIELDS = {"tokens": "tokens", "tags": "tags"}
LABELS = ("NOUN", "VERB", "PUNCT")
ROWS = [
    {"tokens": ["The", "lighthouse", "turns", "."], "tags": ["NOUN", "NOUN", "VERB", "PUNCT"]},
    {"tokens": ["老灯塔", "转动", "。"], "tags": ["NOUN", "VERB", "PUNCT"]},
]
LONG = {
    "tokens": [f"harbour{number}" if number % 3 else "ประภาคารเก่า" for number in range(60)],
    "tags": [LABELS[number * number % 3] for number in range(60)],
}


def gold_states(batch):
    """Hidden states that score each marked word's own tag highest."""
    tags = batch.padded(batch.tokens["tag"], CONTINUED)
    return torch.nn.functional.one_hot(tags.clamp(min=0), len(LABELS)).float()


def make(tools, tokenizer, rows, **more):
    return tools.Bench(tools.card("tagging", FIELDS, labels=LABELS, **more), rows, tokenizer)


def test_tags_stand_on_first_sub_tokens(tools, tiny_tokenizer):
    bench = make(tools, tiny_tokenizer, ROWS)
    (ids, words), _ = tiny_tokenizer.word_ids([row["tokens"] for row in ROWS])
    assert bench.ids(0).tolist() == [0, *ids, 2]
    first = [place == 0 or words[place] != words[place - 1] for place in range(len(words))]
    tags = bench.encoded.tokens["tag"][: len(ids) + 2]
    assert tags[0] == tags[-1] == CONTINUED
    assert [tag != CONTINUED for tag in tags[1:-1]] == first
    assert [tag for tag in tags if tag != CONTINUED] == [0, 0, 1, 2]


@pytest.mark.parametrize("max_length", [9, 16, 64, 4000])
def test_splitting_changes_no_words_tag(tools, tiny_tokenizer, max_length):
    bench = make(tools, tiny_tokenizer, [*ROWS, LONG], max_length=max_length)
    assert bench.encoded.lengths.max() <= max_length
    if max_length < 4000:
        assert len(bench.encoded) > 3
    marked = bench.encoded.tokens["tag"][bench.encoded.tokens["tag"] != CONTINUED]
    assert marked.tolist() == [tag for tags in bench.rows.column("tags").to_pylist() for tag in tags]
    predictions = bench.decode(gold_states)
    assert predictions.column("prediction").to_pylist() == [row["tags"] for row in [*ROWS, LONG]]
    assert bench.measured(predictions)["accuracy"] == 100


def test_pieces_begin_at_words_and_lose_none(tools, tiny_tokenizer):
    split = make(tools, tiny_tokenizer, [LONG], max_length=20)
    whole = make(tools, tiny_tokenizer, [LONG], max_length=4000)
    pieces = [split.ids(number)[1:-1] for number in range(len(split.encoded))]
    assert np.concatenate(pieces).tolist() == whole.ids(0)[1:-1].tolist()
    starts = split.encoded.offsets[:-1] + 1
    assert (split.encoded.tokens["tag"][starts] != CONTINUED).all()


def test_words_without_sub_tokens_and_words_too_long_still_get_a_tag(tools, tiny_tokenizer):
    row = {"tokens": ["", "lamp", "harbour" * 40, ""], "tags": ["PUNCT", "NOUN", "NOUN", "VERB"]}
    bench = make(tools, tiny_tokenizer, [row], max_length=12)
    assert bench.encoded.lengths.max() <= 12
    assert bench.ids(0)[1] == tiny_tokenizer.unknown == 3
    assert bench.decode(gold_states).column("prediction").to_pylist() == [["PUNCT", "NOUN", "NOUN", "VERB"]]


def test_predictions_are_matched_to_sequences_in_any_batch(tools, tiny_tokenizer):
    bench = make(tools, tiny_tokenizer, [*ROWS, LONG], max_length=16)
    outputs = [None] * len(bench.encoded)
    for start in range(0, len(bench.encoded), 3):
        indices = list(range(start, min(start + 3, len(bench.encoded))))[::-1]
        batch = bench.batch(indices)
        for index, output in zip(
            indices, bench.family.predict(bench.card, tools.Readout(), gold_states(batch), batch), strict=True
        ):
            outputs[index] = output
    predictions = bench.family.decode(bench.card, outputs, bench.encoded.scalars, bench.rows, {})
    assert predictions.column("score").to_pylist() == [1, 1, 1]


def test_loss_counts_words_not_tokens(tools, tiny_tokenizer):
    bench = make(tools, tiny_tokenizer, ROWS)
    batch = bench.batch()
    states = torch.zeros(*batch.input_ids.shape, 3)
    loss = bench.family.loss(bench.card, tools.Readout(), states, batch)
    assert loss.item() == pytest.approx(7 * math.log(3), abs=1e-4)
    assert bench.family.loss_weight({}, bench.encoded.tokens, 2) == 7


def measure(tools, tokenizer, labels, rows, guesses, **options):
    card = tools.card("tagging", FIELDS, labels=labels, options=options)
    bench = tools.Bench(card, rows, tokenizer)
    outputs = [np.asarray([labels.index(tag) for tag in tags]) for tags in guesses]
    return bench.measured(bench.family.decode(card, outputs, bench.encoded.scalars, bench.rows, {}))


def test_entities_are_measured_by_chunk(tools, tiny_tokenizer):
    labels = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    rows = [{"tokens": ["a", "b", "c", "d"], "tags": ["B-PER", "I-PER", "O", "B-LOC"]}]
    found = measure(tools, tiny_tokenizer, labels, rows, [["B-PER", "O", "O", "B-LOC"]], scheme="bio")
    assert found == {"f1": pytest.approx(50), "precision": 50, "recall": 50, "accuracy": 75}


def test_parts_of_speech_have_chunk_f1_accuracy_and_macro_f1(tools, tiny_tokenizer):
    labels = ("CCONJ", "SCONJ", "NOUN")
    rows = [{"tokens": ["a", "b", "c", "d"], "tags": ["NOUN", "NOUN", "CCONJ", "SCONJ"]}]
    guesses = [["NOUN", "NOUN", "CCONJ", "CCONJ"]]
    found = measure(tools, tiny_tokenizer, labels, rows, guesses, scheme="plain", chunks="seqeval-0.0.12")
    # Chunks: gold NOUN(0-1) CCONJ SCONJ; predicted NOUN(0-1) CCONJ(2-3): one of two right, of three wanted
    assert found["f1"] == pytest.approx(100 * 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))
    assert found["accuracy"] == 75
    assert found["macro_f1"] == pytest.approx(100 * (1 + 2 / 3 + 0) / 3)


def test_tags_of_words_have_chunks_by_xtremes_rule_only(tools, tiny_tokenizer):
    rows = [{"tokens": ["a"], "tags": ["NOUN"]}]
    assert set(measure(tools, tiny_tokenizer, ("NOUN",), rows, [["NOUN"]])) == {"accuracy", "macro_f1"}


def test_a_type_may_be_any_text(tools, tiny_tokenizer):
    """O and S begin its name, and it holds a blank: nothing is read into a type, and lists stay lists."""
    labels = ("O", "B-Legal Entity", "I-Legal Entity", "B-ORG-x", "B-O", "I-O")
    rows = [{"tokens": ["a", "b", "c", "d"], "tags": ["B-Legal Entity", "I-Legal Entity", "B-O", "I-O"]}]
    right = measure(tools, tiny_tokenizer, labels, rows, [rows[0]["tags"]], scheme="bio")
    assert right == {"f1": 100, "precision": 100, "recall": 100, "accuracy": 100}
    half = measure(
        tools, tiny_tokenizer, labels, rows, [["B-Legal Entity", "I-Legal Entity", "O", "B-O"]], scheme="bio"
    )
    assert half["f1"] == pytest.approx(50)


@pytest.mark.parametrize(("rule", "f1"), [("default", 100.0), ("strict", 0.0)])
def test_the_card_chooses_how_strictly_chunks_are_read(tools, tiny_tokenizer, rule, f1):
    """A chunk that opens with I counts in seqeval's default mode and not in its strict mode."""
    labels = ("O", "B-PER", "I-PER")
    rows = [{"tokens": ["a", "b", "c"], "tags": ["B-PER", "I-PER", "O"]}]
    found = measure(tools, tiny_tokenizer, labels, rows, [["I-PER", "I-PER", "O"]], scheme="bio", chunks=rule)
    assert found["f1"] == f1


def test_open_tag_sets_have_no_chunks(tools, tiny_tokenizer):
    rows = [{"tokens": ["a"], "tags": ["NP"]}]
    assert set(measure(tools, tiny_tokenizer, ("NP",), rows, [["NP"]], labels_from_data=True)) == {
        "accuracy",
        "macro_f1",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tags": ["NOUN"]}, "line 1: .* found 4 tokens and 1 tags"),
        ({"tokens": [], "tags": []}, "line 1: .*length above 0, found 0 tokens"),
        ({"tags": ["NOUN", "NOUN", "VERBS", "PUNCT"]}, "line 1: label 'VERBS' is not in card 'sample'; .*'VERB'"),
    ],
)
def test_bad_rows_are_named(tools, change, message):
    with pytest.raises(RowError, match=message):
        family("tagging").examples(
            tools.card("tagging", FIELDS, labels=LABELS), tools.rows([{**ROWS[0], **change}]), "en", "dev"
        )


def test_words_with_a_dropped_tag_are_left_out(tools):
    card = tools.card("tagging", FIELDS, labels=LABELS, drop_labels=("_",))
    rows = tools.rows(
        [{"tokens": ["zum", "zu", "Hafen"], "tags": ["_", "NOUN", "NOUN"]}, {"tokens": ["am"], "tags": ["_"]}]
    )
    assert family("tagging").examples(card, rows, "de", "dev") == [
        {"id": "de-dev-0", "language": "de", "split": "dev", "tokens": ["zu", "Hafen"], "tags": [0, 0]}
    ]

"""XTREME's chunk F1 is seqeval 0.0.12's: its chunks by hand, its numbers as that version printed them."""

import pytest
from stiltgrid.tasks.metrics.chunks import chunk_scores, chunks
from stiltgrid.tasks.tag_schemes import XTREME


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["B-PER", "I-PER", "O", "B-LOC"], [("PER", 0, 1), ("LOC", 3, 3)]),
        (["B-PER", "B-PER"], [("PER", 0, 0), ("PER", 1, 1)]),
        (["O", "I-ORG", "I-ORG", "I-LOC"], [("ORG", 1, 2), ("LOC", 3, 3)]),  # I after O, or of another type, begins
        (["B-ORG", "I-LOC"], [("ORG", 0, 0), ("LOC", 1, 1)]),
        (["O", "O"], []),
        # Bare tags: neighbours of one tag merge ...
        (["NOUN", "NOUN", "VERB"], [("NOUN", 0, 1), ("VERB", 2, 2)]),
        # ... but S is seqeval's one-word prefix, so SCONJ and SYM never do
        (["SCONJ", "SCONJ"], [("SCONJ", 0, 0), ("SCONJ", 1, 1)]),
        (["INTJ", "INTJ"], [("INTJ", 0, 1)]),
    ],
)
def test_chunks(tags, found):
    assert chunks(tags, XTREME) == found


def test_coordinating_and_subordinating_conjunctions_are_two_types():
    # seqeval 1.2.2 would call this right: it cuts both down to "CONJ"
    assert chunk_scores([["CCONJ"]], [["SCONJ"]], XTREME) == {"f1": 0, "precision": 0, "recall": 0}


def test_merging_makes_it_differ_from_token_accuracy():
    # Three of four words are right, but gold has chunks 0-2 and 3, the prediction 0-1 and 2-3
    scores = chunk_scores([["NOUN", "NOUN", "NOUN", "VERB"]], [["NOUN", "NOUN", "VERB", "VERB"]], XTREME)
    assert scores["f1"] == 0


def test_chunks_do_not_merge_over_sentences():
    apart = chunk_scores([["NOUN"], ["NOUN"]], [["NOUN"], ["VERB"]], XTREME)
    assert apart == {"f1": pytest.approx(50), "precision": pytest.approx(50), "recall": pytest.approx(50)}


GOLD_ENTITIES = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-ORG", "I-ORG", "I-ORG", "O"], ["B-LOC", "B-LOC", "O"]]
GUESSED_ENTITIES = [["B-PER", "I-PER", "O", "B-ORG"], ["O", "B-ORG", "I-ORG", "O", "O"], ["I-LOC", "B-LOC", "I-PER"]]
GOLD_WORDS = [
    ["DET", "NOUN", "NOUN", "VERB", "SCONJ", "PRON", "VERB", "PUNCT"],
    ["SYM", "SYM", "NUM", "NUM", "CCONJ", "X", "PUNCT", "PUNCT"],
]
GUESSED_WORDS = [
    ["DET", "NOUN", "PROPN", "VERB", "CCONJ", "PRON", "VERB", "PUNCT"],
    ["SYM", "SYM", "NUM", "NOUN", "CCONJ", "X", "PUNCT", "SYM"],
]


@pytest.mark.parametrize(
    ("gold", "guess", "f1", "precision", "recall"),
    [
        (GOLD_ENTITIES, GUESSED_ENTITIES, 54.5454545455, 50.0, 60.0),
        (GOLD_WORDS, GUESSED_WORDS, 62.0689655172, 56.25, 69.2307692308),
    ],
)
def test_numbers_that_seqeval_0_0_12_printed(gold, guess, f1, precision, recall):
    assert chunk_scores(gold, guess, XTREME) == {
        "f1": pytest.approx(f1),
        "precision": pytest.approx(precision),
        "recall": pytest.approx(recall),
    }


def test_unequal_sentences_are_refused():
    with pytest.raises(ValueError, match="2 tags .* 1 predictions"):
        chunk_scores([["A", "B"]], [["A"]])

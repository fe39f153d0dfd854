"""Accuracy, one label's F1 and macro F1 by hand."""

import random

import pytest
from stiltgrid.tasks.metrics.accuracy import accuracy, label_f1, macro_f1

GOLD = ["a", "a", "a", "b", "b", "c"]
GUESS = ["a", "a", "b", "b", "a", "d"]


def test_accuracy_is_the_share_of_equal_pairs():
    assert accuracy(GOLD, GUESS) == 50
    assert accuracy([], []) == 0
    with pytest.raises(ValueError, match="shorter"):
        accuracy(["a", "b"], ["a"])


def test_label_f1():
    # a: 2 right of 3 wanted and 3 given; precision = recall = 2/3
    assert label_f1(GOLD, GUESS, "a") == pytest.approx(200 / 3)
    assert label_f1(GOLD, GUESS, "z") == 0


def test_macro_f1_means_over_labels_of_either_side():
    # a 2/3, b 2*1/(2+2) = 1/2, c 0 (never given), d 0 (never wanted)
    assert macro_f1(GOLD, GUESS) == pytest.approx(100 * (2 / 3 + 1 / 2) / 4)


def test_macro_f1_does_not_depend_on_the_order_of_a_set():
    draw = random.Random(1)
    golds, predictions = ([draw.randrange(17) for _ in range(300)] for _ in range(2))
    # Other names stand elsewhere in a set, as the same ones do in another process.
    found = {
        macro_f1([f"{name}{tag}" for tag in golds], [f"{name}{tag}" for tag in predictions]) for name in "abcdefgh"
    }
    assert len(found) == 1

"""Ranks to measures, by hand."""

import pytest
from stiltgrid.tasks.metrics.retrieval import average_precision, precision_recall_f1, recall, reciprocal_rank


def test_average_precision_divides_by_the_smaller_of_relevant_and_k():
    assert average_precision([1, 3], relevant=3, k=20) == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert average_precision([1, 2, 21], relevant=25, k=20) == pytest.approx(2 / 20)
    assert average_precision([2], relevant=1, k=20) == 0.5
    assert average_precision([21], relevant=1, k=20) == 0.0
    assert average_precision([], relevant=2) == 0.0


def test_recall_is_a_share_of_all_relevant():
    assert [recall([1, 4, 9], relevant=4, k=k) for k in (1, 5, 10)] == [0.25, 0.5, 0.75]


def test_reciprocal_rank_is_of_the_first():
    assert reciprocal_rank([4, 9]) == 0.25
    assert reciprocal_rank([]) == 0.0


def test_f1_of_pairs():
    assert precision_recall_f1(correct=2, predicted=4, gold=5) == pytest.approx((0.5, 0.4, 4 / 9))
    assert precision_recall_f1(correct=0, predicted=0, gold=5) == (0.0, 0.0, 0.0)

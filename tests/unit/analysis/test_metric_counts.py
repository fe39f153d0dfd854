"""Counts give each metric again: against the families' own measures and by hand."""

import numpy as np
import pyarrow as pa
import pytest
from stiltgrid.analysis.metric_counts import CountedMetric, counted_metric
from stiltgrid.grid.cards import TaskCard
from stiltgrid.tasks.families import family
from stiltgrid.tasks.metrics.accuracy import macro_f1
from stiltgrid.utils.errors import StiltgridError


def total(counted: CountedMetric, **columns: list) -> float:
    return float(counted.value(counted.counts_of(pa.table(columns)).sum(axis=0)))


def test_means_are_means() -> None:
    assert total(counted_metric("sequence", "accuracy"), score=[1.0, 0.0, 1.0, 1.0]) == 75
    assert total(counted_metric("choice", "accuracy"), score=[0.0, 1.0]) == 50
    assert total(counted_metric("span", "f1"), f1=[0.5, 1.0]) == 75
    assert total(counted_metric("span", "exact_match"), exact_match=[0.0, 1.0, 0.0]) == pytest.approx(100 / 3)


@pytest.mark.parametrize("rule", ["default", "strict", "seqeval-0.0.12"])
def test_chunk_f1_and_word_accuracy_are_the_familys(rule: str) -> None:
    options = {"scheme": "bio", "chunks": rule}
    card = TaskCard("panx", "tagging", "", "", ("en",), "f1", 64, options=options)
    gold = [["B-PER", "I-PER", "O", "O"], ["B-LOC", "O"], ["O", "O", "B-ORG"], ["O"], ["B-PER", "O"]]
    guess = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "O"], ["O", "O", "B-ORG"], ["O"], ["I-PER", "O"]]
    table = pa.table(
        {
            "id": list("abcde"),
            "language": ["en"] * 5,
            "split": ["test"] * 5,
            "prediction": guess,
            "gold": gold,
        }
    )
    measured = {item.metric: item.value for item in family("tagging").measure(card, table, table)}
    for metric in ("f1", "accuracy"):
        counted = counted_metric("tagging", metric, options)
        assert total(counted, prediction=guess, gold=gold) == pytest.approx(measured[metric])


def test_macro_f1_needs_the_labels_and_is_the_metric() -> None:
    labels = ["NOUN", "VERB", "X", "SYM"]
    gold, guess = [["NOUN", "VERB", "NOUN"], ["VERB", "X"]], [["NOUN", "NOUN", "NOUN"], ["VERB", "VERB"]]
    counted = counted_metric("tagging", "macro_f1", {"labels": labels})
    expected = macro_f1(sum(gold, []), sum(guess, []))
    assert total(counted, prediction=guess, gold=gold) == pytest.approx(expected)
    with pytest.raises(StiltgridError, match="'macro_f1' of family 'tagging'"):
        counted_metric("tagging", "macro_f1")


def test_f1_of_a_label() -> None:
    counted = counted_metric("sequence", "f1", {"positive": "duplicate"})
    gold, guess = ["duplicate", "other", "duplicate", "other"], ["duplicate", "duplicate", "other", "other"]
    assert total(counted, prediction=guess, gold=gold) == 50


def test_retrieval() -> None:
    nearest = counted_metric("embedding", "accuracy")
    assert total(nearest, prediction=["c1", "c2", "c9"], gold=[["c1"], ["c1"], ["c8", "c9"]]) == pytest.approx(200 / 3)
    mined = counted_metric("embedding", "f1")
    # 3 pairs given, 2 of them right, 4 wanted: F1 = 2 * 2 / 7
    pairs = {"prediction": ["a", "b", "c", None], "gold": [["a"], ["b", "d"], [], ["e"]]}
    assert total(mined, **pairs) == pytest.approx(400 / 7)
    assert mined.absent_is_zero and not nearest.absent_is_zero


def test_ranked_metrics_by_hand() -> None:
    columns = {"ranks": [[1, 3], [30]], "relevant": [2, 1]}
    assert total(counted_metric("dual", "map@20"), **columns) == pytest.approx(100 * ((1 + 2 / 3) / 2) / 2)
    assert total(counted_metric("dual", "recall@1"), **columns) == pytest.approx(25)
    assert total(counted_metric("dual", "mrr"), **columns) == pytest.approx(100 * (1 + 1 / 30) / 2)


def test_no_examples_score_nothing() -> None:
    for kind, metric in (("sequence", "accuracy"), ("tagging", "f1"), ("embedding", "f1"), ("dual", "map@20")):
        counted = counted_metric(kind, metric)
        empty = counted.counts_of(pa.table({name: [] for name in counted.columns}))
        assert counted.value(np.zeros_like(empty.sum(axis=0))) == 0


def test_a_metric_without_counts_is_refused() -> None:
    with pytest.raises(StiltgridError, match="metric 'best_f1' of family 'span' cannot be resampled"):
        counted_metric("span", "best_f1")

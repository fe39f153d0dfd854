"""Metrics as functions of counts that are summed over examples, computed from predictions.parquet.

Accuracy, F1 and macro F1 are all functions of such sums, so resampling examples and summing their counts gives the
exact metric of the resampled test set.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from stiltgrid.tasks.metrics.chunks import chunks
from stiltgrid.tasks.metrics.retrieval import average_precision, recall, reciprocal_rank
from stiltgrid.tasks.tag_schemes import chunk_rule, scheme_of
from stiltgrid.utils.errors import StiltgridError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

Labels = Sequence[str]


@dataclass(frozen=True)
class CountedMetric:
    """A metric as a function of summed counts.

    `counts(*columns)` returns an array (examples, k) from the named columns of predictions.parquet; `value` maps sums
    (..., k) to scores from 0 to 100. `statistic` describes what is resampled, for the tables. With `absent_is_zero` an
    example without a prediction counts as zeros (mined pairs); otherwise all rows must have the same examples.
    """

    statistic: str
    columns: tuple[str, ...]
    counts: Callable[..., np.ndarray]
    value: Callable[[np.ndarray], np.ndarray]
    absent_is_zero: bool = False

    def counts_of(self, predictions: "pa.Table") -> np.ndarray:
        """Counts of every row of a table of predictions, (rows, k)."""
        return self.counts(*(predictions.column(name).to_pylist() for name in self.columns))


def counted_metric(family: str, metric: str, options: Mapping[str, Any] | None = None) -> CountedMetric:
    """A family's metric as a function of counts.

    `options` are those of the task card, with its `labels` for macro F1. Raises StiltgridError for a metric that is not
    a function of sums over examples, such as F1 at the best threshold.
    """
    options = options or {}
    known = {**_COUNTED.get(family, {})}
    if family == "sequence" and "positive" in options:
        positive = partial(_label_f1_counts, label=options["positive"])
        known["f1"] = CountedMetric("F1 of a label", ("prediction", "gold"), positive, _f1)
    if family == "tagging":
        chunked = partial(_chunk_counts, rule=chunk_rule(options), scheme=scheme_of(options))
        known["f1"] = CountedMetric("chunk F1 of resampled sentences", _TAGS, chunked, _f1)
    if family == "tagging" and options.get("labels"):
        tags = partial(_tag_counts, labels=tuple(options["labels"]))
        known["macro_f1"] = CountedMetric("macro F1 of the words of resampled sentences", _TAGS, tags, _macro_f1)
    if metric not in known:
        raise StiltgridError(
            f"metric '{metric}' of family '{family}' cannot be resampled by example; {nearest(metric, known)}"
        )
    return known[metric]


def _mean_counts(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    return np.stack([array, np.ones_like(array)], axis=1)


def _ratio(sums: np.ndarray) -> np.ndarray:
    return 100 * _divide(sums[..., 0], sums[..., 1])


def _f1(sums: np.ndarray) -> np.ndarray:
    """F1 from counts of (correct, predicted, gold) items: 2 · correct / (predicted + gold), 0 without any."""
    return 100 * _divide(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def _macro_f1(sums: np.ndarray) -> np.ndarray:
    """Mean F1 over the labels that occur; counts are (correct, predicted + gold) for each label in turn."""
    both, total = sums[..., 0::2], sums[..., 1::2]
    return 100 * _divide(_divide(2 * both, total).sum(axis=-1), (total > 0).sum(axis=-1))


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below > 0)


def _label_f1_counts(predictions: Sequence[str], golds: Sequence[str], label: str) -> np.ndarray:
    given = np.asarray([item == label for item in predictions], dtype=np.float64)
    wanted = np.asarray([item == label for item in golds], dtype=np.float64)
    return np.stack([given * wanted, given, wanted], axis=1)


def _chunk_counts(predictions: Sequence[Labels], golds: Sequence[Labels], rule: str, scheme: str) -> np.ndarray:
    counts = np.empty((len(golds), 3))
    for row, (prediction, gold) in enumerate(zip(predictions, golds, strict=True)):
        wanted = set(chunks(gold, rule, scheme))
        given = wanted if prediction == gold else set(chunks(prediction, rule, scheme))
        counts[row] = len(given & wanted), len(given), len(wanted)
    return counts


def _word_counts(predictions: Sequence[Labels], golds: Sequence[Labels]) -> np.ndarray:
    return np.asarray([
        (sum(a == b for a, b in zip(given, wanted, strict=True)), len(wanted))
        for given, wanted in zip(predictions, golds, strict=True)
    ], dtype=np.float64).reshape(-1, 2)  # fmt: skip


def _tag_counts(predictions: Sequence[Labels], golds: Sequence[Labels], labels: Sequence[str]) -> np.ndarray:
    place = {label: 2 * number for number, label in enumerate(labels)}
    counts = np.zeros((len(golds), 2 * len(labels)))
    for row, given, wanted in zip(counts, predictions, golds, strict=True):
        for a, b in zip(given, wanted, strict=True):
            row[place[a]] += a == b
            row[place[a] + 1] += 1
            row[place[b] + 1] += 1
    return counts


def _hit_counts(predictions: Sequence[str | None], golds: Sequence[Labels]) -> np.ndarray:
    return _mean_counts([prediction in gold for prediction, gold in zip(predictions, golds, strict=True)])


def _pair_counts(predictions: Sequence[str | None], golds: Sequence[Labels]) -> np.ndarray:
    return np.asarray([
        (prediction in gold, prediction is not None, len(gold))
        for prediction, gold in zip(predictions, golds, strict=True)
    ], dtype=np.float64).reshape(-1, 3)  # fmt: skip


def _rank_counts(ranks: Sequence[Sequence[int]], relevant: Sequence[int], of: Callable[..., float]) -> np.ndarray:
    return _mean_counts([of(found, wanted) for found, wanted in zip(ranks, relevant, strict=True)])


def _mean(column: str, statistic: str) -> CountedMetric:
    return CountedMetric(statistic, (column,), _mean_counts, _ratio)


def _ranked(statistic: str, of: Callable[..., float]) -> CountedMetric:
    return CountedMetric(statistic, ("ranks", "relevant"), partial(_rank_counts, of=of), _ratio)


_TAGS = ("prediction", "gold")
_COUNTED: Mapping[str, Mapping[str, CountedMetric]] = {
    "sequence": {"accuracy": _mean("score", "mean over examples")},
    "choice": {"accuracy": _mean("score", "mean over questions")},
    "span": {
        "f1": _mean("f1", "mean over questions"),
        "exact_match": _mean("exact_match", "mean over questions"),
    },
    "tagging": {
        "accuracy": CountedMetric("word accuracy of resampled sentences", _TAGS, _word_counts, _ratio),
    },
    "embedding": {
        "accuracy": CountedMetric("mean over queries", _TAGS, _hit_counts, _ratio),
        "f1": CountedMetric("F1 of pairs of resampled queries, threshold held", _TAGS, _pair_counts, _f1, True),
    },
    "dual": {
        "map@20": _ranked("mean over queries", average_precision),
        "mrr": _ranked("mean over queries", lambda ranks, relevant: reciprocal_rank(ranks)),
        **{f"recall@{k}": _ranked("mean over queries", partial(recall, k=k)) for k in (1, 5, 10, 20)},
    },
}  # fmt: skip

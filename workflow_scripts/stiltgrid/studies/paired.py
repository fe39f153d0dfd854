"""Linear contrasts of a target's rows with paired intervals, on `bootstrap`'s replicates; their means over targets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stiltgrid.analysis.bootstrap import CONFIDENCE, Difference, Gain, Replicates, gain
from stiltgrid.analysis.statistics import t_p_value, t_quantile
from stiltgrid.studies.errors import StudyError

POWER = 0.9


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of scores with its 95 % interval; None where the examples show no spread."""

    value: float
    se: float | None
    low: float | None
    high: float | None
    df: float | None
    p: float | None

    @property
    def detectable(self) -> float | None:
        """The true value that a test at 5 % finds with 90 % power at this precision; None without an interval."""
        if self.se is None or self.df is None:
            return None
        return (t_quantile(CONFIDENCE, self.df) + t_quantile(2 * POWER - 1, self.df)) * self.se


def difference(replicates: Replicates, weights: Mapping[int, float], languages: Sequence[int] = ()) -> Difference:
    """Rows (by position) weighted and added, at all seeds, over all or some languages (positions)."""
    some = np.asarray(languages if len(languages) else range(len(replicates.languages)))
    line = np.zeros(replicates.scores.shape[1])
    for row, weight in weights.items():
        line[row] += weight
    return Difference(
        np.einsum("lrs,r->ls", replicates.scores[some], line),
        np.einsum("dlrs,r->dls", replicates.drawn[:, some], line),
        replicates.examples[some],
        replicates.clusters,
    )


def contrast(
    replicates: Replicates, weights: Mapping[int, float], languages: Sequence[int] = (), drawn_languages: bool = False
) -> Contrast:
    """The contrast's mean over languages and seeds, with `bootstrap.gain`'s interval over seeds and examples.

    `drawn_languages` treats the languages as a sample too: the variance of their true differences, divided by their
    number, is added (what examples and seeds explain of their spread is taken off first). Languages are then
    clusters of queries. Raises StudyError for one language.
    """
    found = difference(replicates, weights, languages)
    mean = gain(found)
    if not drawn_languages:
        return _of_gain(mean)
    count = len(found.scores)
    if count < 2:
        raise StudyError("languages as a sample: expected at least 2 languages, found 1; compare examples instead")
    if mean.se is None:
        return _of_gain(mean)
    each = [gain(Difference(found.scores[[n]], found.drawn[:, [n]], found.examples[[n]], found.clusters))
            for n in range(count)]  # fmt: skip
    within = float(np.mean([(item.se or 0.0) ** 2 for item in each]))
    between = max(0.0, float(found.scores.mean(axis=1).var(ddof=1)) - within) / count
    variance = mean.se**2 + between
    if variance <= 0:
        return _of_gain(mean)
    share = between / variance
    df = 1 / (share / (count - 1) + (1 - share) / (mean.df or math.inf))
    return _interval(mean.value, math.sqrt(variance), df)


def combined(parts: Sequence[Contrast]) -> Contrast:
    """The mean of independent contrasts (targets have examples of their own); df by Welch and Satterthwaite."""
    value = float(np.mean([item.value for item in parts]))
    known = [item for item in parts if item.se]
    if not known or any(item.se is None for item in parts):
        return Contrast(value, None, None, None, None, None)
    variances = np.asarray([(item.se or 0.0) ** 2 for item in known]) / len(parts) ** 2
    total = float(variances.sum())
    df = total**2 / sum(each**2 / (item.df or math.inf) for each, item in zip(variances, known, strict=True))
    return _interval(value, math.sqrt(total), float(df) if df else math.inf)


def _of_gain(mean: Gain) -> Contrast:
    return Contrast(mean.value, mean.se, mean.low, mean.high, mean.df, mean.p)


def _interval(value: float, se: float, df: float) -> Contrast:
    half = t_quantile(CONFIDENCE, df) * se
    return Contrast(value, se, value - half, value + half, df, t_p_value(value / se, df))

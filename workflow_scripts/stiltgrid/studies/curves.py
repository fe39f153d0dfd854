"""Curves over the number of tasks: intervals, the smallest number within noise of the best, tests. Pure.

A curve is an array (sizes, seeds) of scores in points. Seeds shift all sizes alike (they share data order and heads),
so what is left after sizes and seeds is the noise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stiltgrid.analysis.statistics import t_quantile
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.mixed import CONFIDENCE, Effect


@dataclass(frozen=True)
class Curve:
    """A curve's mean at every size, the noise of one score, and its degrees of freedom."""

    sizes: tuple[int, ...]
    means: np.ndarray
    noise: float
    df: int
    seeds: int

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval of each mean, seeds' common shifts aside."""
        return t_quantile(CONFIDENCE, self.df) * self.noise / math.sqrt(self.seeds)

    @property
    def best(self) -> int:
        """The size with the highest mean, the smallest of equals."""
        return self.sizes[int(np.argmax(self.means))]

    @property
    def margin(self) -> float:
        """Points below the best that noise alone may make: Tukey's honest significant difference at 5 %."""
        from scipy.stats import studentized_range

        return float(studentized_range.ppf(CONFIDENCE, len(self.sizes), self.df)) * self.noise / math.sqrt(self.seeds)

    @property
    def enough(self) -> int:
        """The smallest size whose mean is within noise of the best."""
        high = float(self.means.max()) - self.margin
        return next(size for size, mean in zip(self.sizes, self.means, strict=True) if mean >= high)


def fit_curve(sizes: Sequence[int], scores: np.ndarray) -> Curve:
    """A curve from scores (sizes, seeds); StudyError for one seed, one size, missing scores or no variation at all."""
    values = _checked(sizes, scores)
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0, keepdims=True) + values.mean()
    df = (values.shape[0] - 1) * (values.shape[1] - 1)
    return Curve(tuple(sizes), values.mean(axis=1), math.sqrt(float((rest**2).sum()) / df), df, values.shape[1])


def trend(curve: Curve) -> Effect:
    """Points a doubling of the number of tasks: a straight line through the curve over log2 of its sizes."""
    place = np.log2(np.asarray(curve.sizes, dtype=np.float64))
    place = place - place.mean()
    spread = float(place @ place)
    return Effect(
        "points a doubling",
        float(place @ curve.means) / spread,
        curve.noise / math.sqrt(curve.seeds * spread),
        curve.df,
    )


def against_random(chosen: np.ndarray, orders: np.ndarray) -> Effect:
    """The ranking's mean score over sizes less that of random orders, held against how much orders differ.

    `chosen` is (sizes, seeds), `orders` (orders, sizes, seeds). An order that means nothing is one more random order,
    which is what the interval is for: it is that of a single new draw, n - 1 degrees of freedom for n orders.
    Raises StudyError for fewer than two orders.
    """
    if len(orders) < 2:
        raise StudyError(f"random orders: expected two at least, found {len(orders)}; one shows no variance")
    means = orders.mean(axis=(1, 2))
    spread = float(means.std(ddof=1))
    if spread == 0:
        raise StudyError(f"random orders: all {len(orders)} have the same mean score, so nothing can be compared")
    value = float(chosen.mean() - means.mean())
    return Effect("ranked less random", value, spread * math.sqrt(1 + 1 / len(orders)), float(len(orders) - 1))


def places(alone: np.ndarray) -> Effect:
    """Points that one place higher in the ranking is worth, of tasks alone: (tasks, seeds), best-ranked first.

    A straight line through the tasks' means; tasks are the units, n - 2 degrees of freedom. Every task is looked at,
    not just those that a few random orders happen to begin with. Raises StudyError for fewer than four tasks.
    """
    means = np.asarray(alone, dtype=np.float64).mean(axis=1)
    count = len(means)
    if count < 4:
        raise StudyError(f"ranking: expected four tasks at least, found {count}")
    if not np.isfinite(means).all() or np.ptp(means) == 0:
        raise StudyError(f"ranking: expected scores that differ, found {means[0]:g} for every task or some missing")
    place = np.arange(count)[::-1] - (count - 1) / 2
    spread = float(place @ place)
    value = float(place @ means) / spread
    rest = means - means.mean() - value * place
    return Effect("points a place", value, math.sqrt(float(rest @ rest) / (count - 2) / spread), float(count - 2))


def interaction(sizes: Sequence[int], by_language: Mapping[str, np.ndarray], similarity: Mapping[str, float]) -> Effect:
    """How much more a doubling of the tasks gives to a language one standard deviation more like English.

    `by_language` are curves (sizes, seeds). Each language's slope over log2 of the sizes is regressed on its
    similarity to English, standardised; languages are the units, n - 2 degrees of freedom. Raises StudyError for
    fewer than four languages with a similarity, or where all are equally similar.
    """
    names = sorted(by_language.keys() & similarity.keys())
    if len(names) < 4:
        raise StudyError(f"interaction: expected four languages with features at least, found {len(names)}")
    x = np.asarray([similarity[name] for name in names])
    if np.ptp(x) == 0:
        raise StudyError(f"interaction: all {len(names)} languages are equally similar to English")
    x = (x - x.mean()) / x.std()
    place = np.log2(np.asarray(sizes, dtype=np.float64))
    place = place - place.mean()
    slopes = np.asarray([place @ _checked(sizes, by_language[name]).mean(axis=1) for name in names]) / (place @ place)
    value = float(x @ slopes) / len(names)
    rest = slopes - slopes.mean() - value * x
    se = math.sqrt(float(rest @ rest) / (len(names) - 2) / len(names))
    return Effect("similarity × log2 tasks", value, se, float(len(names) - 2))


def _checked(sizes: Sequence[int], scores: np.ndarray) -> np.ndarray:
    values = np.asarray(scores, dtype=np.float64)
    if values.shape[0] != len(sizes) or len(sizes) < 2:
        raise StudyError(
            f"curve: expected scores of two sizes at least, found {values.shape[0]} for {len(sizes)} sizes"
        )
    if values.shape[1] < 2:
        raise StudyError(f"curve: expected two seeds at least, found {values.shape[1]}; one shows no noise")
    if not np.isfinite(values).all():
        raise StudyError(f"curve: {int((~np.isfinite(values)).sum())} of {values.size} scores are missing")
    if np.ptp(values) == 0:
        raise StudyError(f"curve: every score is {values.flat[0]:g}, so nothing can be told of the number of tasks")
    return values

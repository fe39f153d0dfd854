"""Curves of scores over the number of tasks, and the tests of study 4 on them. Pure.

A curve is an array (sizes, seeds) of scores in points. A seed shifts all sizes alike (data order, heads), so the
residual after sizes and seeds is the noise of training. A trend of one order of the tasks is tested against this noise
and holds for these tasks in this order (`trend`). That mixtures of more tasks score higher whatever the order is
tested on one slope per random order (`order_trend`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stiltgrid.analysis.statistics import t_quantile
from stiltgrid.studies.effects import CONFIDENCE, Effect, mean_effect, slope_effect
from stiltgrid.studies.errors import StudyError


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
    """Points per doubling of the tasks in one order: a line through the curve over log2 of its sizes."""
    place = np.log2(np.asarray(curve.sizes, dtype=np.float64))
    place = place - place.mean()
    spread = float(place @ place)
    return Effect(
        "points a doubling",
        float(place @ curve.means) / spread,
        curve.noise / math.sqrt(curve.seeds * spread),
        curve.df,
    )


def log2_slopes(sizes: Sequence[int], scores: np.ndarray) -> np.ndarray:
    """Points per doubling of the tasks: slopes over log2 of the sizes, of scores (..., sizes, seeds)."""
    place = np.log2(np.asarray(sizes, dtype=np.float64))
    place = place - place.mean()
    slopes: np.ndarray = np.einsum("...ks,k->...", scores, place) / scores.shape[-1] / float(place @ place)
    return slopes


def order_trend(sizes: Sequence[int], orders: np.ndarray) -> Effect:
    """Points per doubling of the tasks over random orders (orders, sizes, seeds); orders are the units.

    Raises StudyError for fewer than three orders or two sizes.
    """
    if len(sizes) < 2:
        raise StudyError(f"trend over random orders: expected two sizes at least, found {len(sizes)}")
    return mean_effect("points a doubling", log2_slopes(sizes, orders).tolist())


def set_trend(sizes: Sequence[int], scores: np.ndarray) -> Effect:
    """Points per doubling of the tasks over independent sets of tasks, from scores (sets, seeds); sets are the units.

    Raises StudyError for fewer than four sets and sets of one size.
    """
    return slope_effect("points a doubling", np.log2(np.asarray(sizes, dtype=np.float64)).tolist(),
                        np.asarray(scores, dtype=np.float64).mean(axis=1).tolist())  # fmt: skip


def against_random(chosen: np.ndarray, orders: np.ndarray) -> Effect:
    """The ranking's mean score over sizes less that of random orders.

    `chosen` is (sizes, seeds), `orders` (orders, sizes, seeds). A ranking without information is one more random
    order, so the interval is that of a single new order, with n - 1 degrees of freedom for n orders. Raises StudyError
    for fewer than two orders.
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
    """Points per place in the ranking, of tasks trained alone (tasks, seeds), best first.

    A line through the tasks' means; tasks are the units, n - 2 degrees of freedom. Raises StudyError for fewer than
    four tasks.
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
        raise StudyError(f"curve: every score is {values.flat[0]:g}, so the number of tasks changes nothing")
    return values

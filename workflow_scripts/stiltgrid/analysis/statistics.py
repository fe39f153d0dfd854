"""Numbers about numbers: means over seeds, their spread, differences paired by seed. Pure numpy.

Floor of everything that compares cells; resampling over seeds and examples belongs here too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` draws (seeds) and their sample standard deviation, None where one draw shows none."""

    value: float
    sd: float | None
    n: int


def estimate(values: Iterable[float]) -> Estimate:
    """Mean and sample standard deviation (n - 1 in the divisor) of one number a seed.

    Raises ValueError for no values or for one that is not finite: both would pass silently as NaN.
    """
    array = np.asarray(list(values), dtype=np.float64)
    if array.size == 0:
        raise ValueError("no values to take a mean of")
    if not np.isfinite(array).all():
        raise ValueError(f"expected finite values, found {array.tolist()}")
    sd = float(array.std(ddof=1)) if array.size > 1 else None
    return Estimate(float(array.mean()), sd, int(array.size))


def paired_gain(row: Mapping[int, float], baseline: Mapping[int, float]) -> Estimate | None:
    """Mean difference row - baseline over the seeds that both have; None when they share none.

    Pairing by seed takes out what a seed does to both (data order, the new head), so the spread is that of
    the difference, not of the two scores.
    """
    shared = sorted(row.keys() & baseline.keys())
    return estimate(row[seed] - baseline[seed] for seed in shared) if shared else None


def unweighted_mean(values: Mapping[str, float]) -> float:
    """Mean over languages, each counting once whatever its number of examples (XTREME's `evaluate.py`)."""
    return estimate(values[key] for key in sorted(values)).value

"""Means over seeds and their spread, differences paired by seed, Student's t, p-values of many tests.

Everything that compares cells builds on this module; `bootstrap` resamples examples.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit


@dataclass(frozen=True)
class Estimate:
    """The mean of `n` values (one per seed) and their sample standard deviation, None for a single value."""

    value: float
    sd: float | None
    n: int


def estimate(values: Iterable[float]) -> Estimate:
    """Mean and sample standard deviation (divisor n - 1) of values, one per seed.

    Raises ValueError for no values and for values that are not finite, which would otherwise become a silent NaN.
    """
    array = np.asarray(list(values), dtype=np.float64)
    if array.size == 0:
        raise ValueError("no values to take a mean of")
    if not np.isfinite(array).all():
        raise ValueError(f"expected finite values, found {array.tolist()}")
    sd = float(array.std(ddof=1)) if array.size > 1 else None
    return Estimate(float(array.mean()), sd, int(array.size))


def paired_gain(row: Mapping[int, float], baseline: Mapping[int, float]) -> Estimate | None:
    """Mean of row - baseline over the seeds that both have; None when they share none.

    Pairing by seed removes what a seed changes in both (data order, the new head), so the standard deviation is that
    of the difference, not of the two scores.
    """
    shared = sorted(row.keys() & baseline.keys())
    return estimate(row[seed] - baseline[seed] for seed in shared) if shared else None


def unweighted_mean(values: Mapping[str, float]) -> float:
    """Mean over languages, all with the same weight whatever their number of examples (XTREME's `evaluate.py`)."""
    return estimate(values[key] for key in sorted(values)).value


def t_quantile(confidence: float, df: float) -> float:
    """The t with P(|T| <= t) = `confidence` for `df` degrees of freedom (not necessarily whole, or infinite).

    Raises ValueError for a confidence outside (0, 1) and for degrees of freedom that are not positive.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, found {confidence}")
    _require_df(df)
    return float(stdtrit(df, (1 + confidence) / 2))


def t_p_value(statistic: float, df: float) -> float:
    """Two-sided p-value of a t statistic.

    Raises ValueError for NaN and for degrees of freedom that are not positive.
    """
    if np.isnan(statistic):
        raise ValueError("expected a t statistic, found NaN")
    _require_df(df)
    return float(2 * stdtr(df, -abs(statistic)))


def _require_df(df: float) -> None:
    if not df > 0:
        raise ValueError(f"expected positive degrees of freedom, found {df}")


def adjusted_p_values(p_values: Sequence[float], method: Literal["holm", "fdr_bh"]) -> list[float]:
    """P-values adjusted for being several: `holm` (Holm 1979) or `fdr_bh` (Benjamini and Hochberg 1995).

    Of Holm's, those up to 0.05 hold a false rejection in at most 5 % of families of tests, whatever the dependence
    between tests. Of Benjamini and Hochberg's, those up to 0.05 are false in at most 5 % of cases on average, for tests
    that are independent or share a baseline. Raises ValueError for numbers outside [0, 1].
    """
    from statsmodels.stats.multitest import multipletests  # takes a second to import, and few jobs need it

    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"expected p-values from 0 to 1, found {p.tolist()}")
    adjusted: list[float] = multipletests(p, method=method)[1].tolist() if len(p) else []
    return adjusted

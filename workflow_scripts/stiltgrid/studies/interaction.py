"""Do two models differ in which row suits which target? The model × row × target interaction against seeds. Pure.

Gains are (seeds, rows, targets). Each seed's matrix is centred by rows and by targets, which removes what a row does to
all targets, what a target gains from all rows, and the noise of the target's baseline. With M1 and M2 the means over S
seeds of both models' centred matrices, R rows and T targets,

    F = (S / 2) Σ (M1 - M2)² / df1  over  Σ (seed's centred matrix - its model's mean)² / df2

with df1 = (R - 1)(T - 1) and df2 = 2 (S - 1) df1: the F test of the interaction in a balanced analysis of variance.
Targets are noisy in different degrees, so both degrees of freedom are multiplied by Box's (1954) epsilon of the
targets' noise variances.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc, fdtri

from stiltgrid.studies.errors import StudyError, refuse_few, refuse_gaps

ALPHA, POWER = 0.05, 0.9


@dataclass(frozen=True)
class Interaction:
    """The F test of divergence.

    `sd` is the standard deviation in points of the true differences between the models' patterns, with its 95 %
    interval; `detectable` is the one that the test finds 9 times in 10 at this noise. `noise` is the standard deviation
    of one centred gain over seeds.
    """

    f: float
    p: float
    df1: float
    df2: float
    sd: float
    low: float
    high: float
    detectable: float
    noise: float


def interaction(
    first: np.ndarray, second: np.ndarray, rows: Sequence[str], targets: Sequence[str], columns: Sequence[int] = ()
) -> Interaction:
    """Test all targets, or the share of some (positions in `columns`), on gains (seeds, rows, targets) of two models.

    Raises StudyError for missing cells, one seed, fewer than two rows or targets, and where seeds never differ.
    """
    for gains in (first, second):
        refuse_gaps("gains", gains.mean(axis=0), rows, targets)
    seeds = len(first)
    refuse_few("divergence", seeds, 2, "seeds", "one shows no noise to compare the difference with")
    refuse_few("divergence", min(len(rows), len(targets)), 2, "rows and targets", "one has no pattern")
    one, two = (centred(gains) for gains in (first, second))
    some = list(columns) or list(range(len(targets)))
    df1 = (len(rows) - 1) * (len(targets) - 1) * len(some) / len(targets)
    df2 = 2 * (seeds - 1) * df1
    between = seeds / 2 * float(((one.mean(axis=0) - two.mean(axis=0))[:, some] ** 2).sum()) / df1
    noise = sum(((item - item.mean(axis=0))[:, :, some] ** 2).sum(axis=(0, 1)) for item in (one, two))
    within = float(noise.sum()) / df2
    if within <= 0:
        raise StudyError("divergence: expected seeds that differ, found the same gains with every seed")
    df1, df2 = (df * _sphericity(noise, 2 * (seeds - 1) * (len(rows) - 1)) for df in (df1, df2))
    f = between / within
    ends = [f / float(fdtri(df1, df2, level)) for level in (1 - ALPHA / 2, ALPHA / 2)]
    ratio = float(fdtri(df1, df2, 1 - ALPHA)) / float(fdtri(df1, df2, 1 - POWER))
    sd, low, high, detectable = (np.sqrt(2 * within / seeds * max(each - 1, 0.0)) for each in (f, *ends, ratio))
    p = float(fdtrc(df1, df2, f))
    return Interaction(f, p, df1, df2, float(sd), float(low), float(high), float(detectable), float(np.sqrt(within)))


def _sphericity(noise: np.ndarray, df: int) -> float:
    """Box's epsilon of the targets' noise, (Σ v)² / (T Σ v²), 1 for equal variances; `df` of each corrects its bias."""
    squares = float((noise**2).sum()) / (1 + 2 / df)
    return min(1.0, float(noise.sum()) ** 2 / (len(noise) * squares))


def centred(gains: np.ndarray) -> np.ndarray:
    """Each seed's matrix less its rows' and its targets' means."""
    moved: np.ndarray = gains - gains.mean(axis=1, keepdims=True)
    return moved - moved.mean(axis=2, keepdims=True)

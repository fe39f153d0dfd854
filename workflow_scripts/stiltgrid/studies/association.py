"""Does a measure of a row and a target go with the row's gain on that target? Ranks, slopes, permutations. Pure.

All matrices are (rows, targets). Targets are measured in different points, so what is compared stands within a
target: gains and measures are centred there (target effects) and divided by their standard deviation there.

P-values come from permuting intermediates within targets. A row that harms one target tends to harm all of them, so
its gains are not so many independent numbers: `p` permutes the rows of all targets together and holds whatever the
rows do to all targets alike. `p_apart` shuffles each target for itself; it holds only where rows have no effect in
common (benchmarks/study_simulations.py shows how far it is off where they have).

With controls Z the residuals of gains on Z are permuted (Freedman and Lane 1983); as the residual measure is at right
angles to Z, the permuted slopes are sums over one (rows, rows) matrix. The slope's interval holds the values that the
same test does not reject.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stiltgrid.analysis.statistics import adjusted_p_values
from stiltgrid.studies.errors import constant_columns, refuse_constant, refuse_few, refuse_gaps

PERMUTATIONS = 9999
ALPHA = 0.05
FEWEST_ROWS = 4
ROUNDING = 1e-9


@dataclass(frozen=True)
class TargetAssociation:
    """Spearman's rank correlation of a measure with the gains on one target; p_holm corrects over the targets."""

    target: str
    rho: float
    p: float
    p_holm: float
    rows: int


@dataclass(frozen=True)
class PooledAssociation:
    """All targets together.

    `rho` is the mean of Spearman's correlations within targets. `slope` is the change in gain, in standard deviations
    of a target's gains, for one standard deviation of the measure, the controls held; `low` and `high` bound its
    95 % interval, None where so few rows bound nothing.
    """

    rho: float
    rho_p: float
    slope: float
    low: float | None
    high: float | None
    p: float
    p_apart: float
    rows: int
    targets: int
    controls: tuple[str, ...]
    uncontrolled: tuple[str, ...]


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 along the first axis; equals share their mean rank."""
    array = np.asarray(values, dtype=np.float64)
    below = (array[None, ...] < array[:, None, ...]).sum(axis=1)
    equal = (array[None, ...] == array[:, None, ...]).sum(axis=1)
    return below + (equal + 1) / 2


def standardised(matrix: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and standard deviation 1 (0 where all rows are the same)."""
    moved = matrix - matrix.mean(axis=0)
    spread = moved.std(axis=0)
    return np.divide(moved, spread, out=np.zeros_like(moved), where=spread > 0)


def by_target(
    gains: np.ndarray,
    measure: np.ndarray,
    rows: Sequence[str],
    targets: Sequence[str],
    generator: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> list[TargetAssociation]:
    """Spearman's correlation and its permutation p-value for each target.

    Raises StudyError for missing cells, a constant column and fewer than four rows.
    """
    _refuse(gains, measure, rows, targets, FEWEST_ROWS)
    x, y = standardised(ranks(measure)), standardised(ranks(gains))
    order = draw_orders(len(rows), permutations, generator)
    found = []
    for column in range(len(targets)):
        among = np.outer(x[:, column], y[:, column]) / len(rows)
        found.append((float(np.trace(among)), permutation_p(np.trace(among), sums_along(among, order))))
    corrected = adjusted_p_values([p for _, p in found], "holm")
    return [
        TargetAssociation(target, rho, p, p_holm, len(rows))
        for target, (rho, p), p_holm in zip(targets, found, corrected, strict=True)
    ]


def pooled(
    gains: np.ndarray,
    measure: np.ndarray,
    controls: Mapping[str, np.ndarray],
    rows: Sequence[str],
    targets: Sequence[str],
    generator: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> PooledAssociation:
    """Mean rank correlation and controlled slope over all targets, with target effects.

    `controls` are (rows, targets) each; one that never differs within a target is left out and named. Raises
    StudyError for missing cells, a constant column, one target, fewer rows than parameters, and a measure that the
    controls tell wholly.
    """
    idle = constant_columns(controls)
    used = tuple(name for name in controls if name not in idle)
    _refuse(gains, measure, rows, targets, max(FEWEST_ROWS, len(used) + 3))
    refuse_few("all targets together", len(targets), 2, "targets", "one target stands in the table by target")
    order = draw_orders(len(rows), permutations, generator)
    among = standardised(ranks(measure)) @ standardised(ranks(gains)).T / gains.size
    x, y, z = design(gains, measure, [controls[name] for name in used])
    residual_x, residual_y = residual(x, z), residual(y, z)
    size = float((residual_x**2).sum())
    refuse_few(
        "the measure beside its controls", int(size > ROUNDING * gains.size), 1, "part that the controls do not tell",
        "leave a control out",
    )  # fmt: skip
    slope = float((residual_x * y).sum()) / size
    moved = sums_along(residual_x @ residual_y.T, order) / size
    low, high = _inverted(slope, moved, sums_along(residual_x @ residual_x.T, order) / size)
    apart = _sums_apart(residual_x, residual_y, generator, permutations) / size
    return PooledAssociation(
        rho=float(np.trace(among)), rho_p=permutation_p(np.trace(among), sums_along(among, order)), slope=slope,
        low=low, high=high, p=permutation_p(slope, moved), p_apart=permutation_p(slope, apart), rows=len(rows),
        targets=len(targets), controls=used, uncontrolled=tuple(idle),
    )  # fmt: skip


def design(gains: np.ndarray, measure: np.ndarray, controls: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Measure and gains standardised within targets, and controls (k, rows, targets) centred there."""
    centred = [np.asarray(item, dtype=np.float64) - np.mean(item, axis=0) for item in controls]
    return standardised(measure), standardised(gains), np.stack(centred) if centred else np.zeros((0, *gains.shape))


def residual(matrix: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """What controls (k, rows, targets) do not tell of a matrix (rows, targets), by least squares."""
    if not len(controls):
        return matrix
    flat = controls.reshape(len(controls), -1).T
    told = flat @ np.linalg.lstsq(flat, matrix.reshape(-1), rcond=None)[0]
    return matrix - told.reshape(matrix.shape)


def draw_orders(rows: int, permutations: int, generator: np.random.Generator) -> np.ndarray:
    """(permutations, rows) random orders of the rows."""
    return generator.permuted(np.tile(np.arange(rows), (permutations, 1)), axis=1)


def sums_along(among: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(permutations,): sums of among[row, order[row]], the statistic when the second matrix's rows are permuted."""
    return among[np.arange(len(among)), order].sum(axis=1)


def permutation_p(found: float, drawn: np.ndarray) -> float:
    """Two-sided: the share of permutations at least as far from 0, the data itself counted among them."""
    return float((1 + (np.abs(drawn) >= abs(found) - ROUNDING).sum()) / (1 + len(drawn)))


def _refuse(gains: np.ndarray, measure: np.ndarray, rows: Sequence[str], targets: Sequence[str], least: int) -> None:
    refuse_few("association", len(rows), least, "rows", "with fewer than there are parameters anything fits")
    refuse_gaps("gains", gains, rows, targets)
    refuse_gaps("the measure", measure, rows, targets)
    refuse_constant("gains", gains, targets)
    refuse_constant("the measure", measure, targets)


def _inverted(slope: float, u: np.ndarray, v: np.ndarray) -> tuple[float | None, float | None]:
    """The slopes b whose test |u - b v| >= |slope - b| is not rejected at 5 %.

    Each permutation holds the b of one interval around `slope`; the answer is a quantile of their ends.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(slope - u) / (1 - v), (slope + u) / (1 + v)])
    ends = np.where(np.isfinite(ends), ends, np.stack([np.full_like(u, -np.inf), np.full_like(u, np.inf)]))
    low, high = np.sort(ends.min(axis=0)), np.sort(ends.max(axis=0))[::-1]
    place = int(ALPHA * (len(u) + 1)) - 1
    bounds = (float(low[place]), float(high[place])) if place >= 0 else (-np.inf, np.inf)
    return tuple(bound if np.isfinite(bound) else None for bound in bounds)  # type: ignore[return-value]


def _sums_apart(x: np.ndarray, y: np.ndarray, generator: np.random.Generator, permutations: int) -> np.ndarray:
    total = np.zeros(permutations)
    for column in range(x.shape[1]):
        order = draw_orders(len(x), permutations, generator)
        total += sums_along(np.outer(x[:, column], y[:, column]), order)
    return total

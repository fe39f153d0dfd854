"""Is a measure of a row and a target associated with the row's gain on that target? Ranks, slopes, permutations. Pure.

All matrices are (rows, targets). Targets are measured in different points, so gains and measures are centred within
each target and divided by their standard deviation there. Two slopes are estimated: over all cells, and over what is
left when each row's mean is removed as well (`within_rows`), which a row that helps or harms every target cannot
dominate.

P-values permute the rows of all targets together, because a row that harms one target tends to harm all of them, so
that its gains are not so many independent numbers. With controls Z the residuals of gains on Z are permuted (Freedman
and Lane 1983), and partial correlations are compared, which are pivotal; as the residual measure is orthogonal to Z,
the permuted slopes are sums over one (rows, rows) matrix. The slope's interval holds the values that the same test does
not reject. All measures of a model share the permutations, so `max_t` corrects for their number (Westfall and Young
1993).
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
class Slope:
    """Standard deviations of gain for one of the measure, controls held, with its 95 % interval and p-value.

    `low` and `high` are None where so few rows bound nothing. `drawn` are the slopes of all permutations.
    """

    value: float
    low: float | None
    high: float | None
    p: float
    drawn: np.ndarray


@dataclass(frozen=True)
class PooledAssociation:
    """All targets together: the mean of Spearman's correlations within targets, and both slopes."""

    rho: float
    rho_p: float
    slope: Slope
    within_rows: Slope
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
    gains: np.ndarray, measure: np.ndarray, rows: Sequence[str], targets: Sequence[str], order: np.ndarray
) -> list[TargetAssociation]:
    """Spearman's correlation and its permutation p-value for each target; `order` is (permutations, rows).

    Raises StudyError for missing cells, a constant column and fewer than four rows.
    """
    _refuse(gains, measure, rows, targets, FEWEST_ROWS)
    x, y = standardised(ranks(measure)), standardised(ranks(gains))
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
    order: np.ndarray,
) -> PooledAssociation:
    """Mean rank correlation and controlled slopes over all targets; `order` is (permutations, rows).

    `controls` are (rows, targets) each; one that never differs within a target is left out and named. Raises StudyError
    for missing cells, a constant column, one target, fewer rows than parameters, and a measure that the controls
    determine.
    """
    idle = constant_columns(controls)
    used = tuple(name for name in controls if name not in idle)
    _refuse(gains, measure, rows, targets, max(FEWEST_ROWS, len(used) + 3))
    refuse_few("all targets together", len(targets), 2, "targets", "one target stands in the table by target")
    among = standardised(ranks(measure)) @ standardised(ranks(gains)).T / gains.size
    x, y, z = design(gains, measure, [controls[name] for name in used])
    return PooledAssociation(
        rho=float(np.trace(among)), rho_p=permutation_p(np.trace(among), sums_along(among, order)),
        slope=_slope(x, y, z, order), within_rows=_slope(row_centred(x), row_centred(y), row_centred(z), order),
        rows=len(rows), targets=len(targets), controls=used, uncontrolled=tuple(idle),
    )  # fmt: skip


def row_centred(matrix: np.ndarray) -> np.ndarray:
    """A matrix (..., rows, targets) less its rows' means."""
    moved: np.ndarray = matrix - matrix.mean(axis=-1, keepdims=True)
    return moved


def _slope(x: np.ndarray, y: np.ndarray, z: np.ndarray, order: np.ndarray) -> Slope:
    residual_x, residual_y = residual(x, z), residual(y, z)
    size = float((residual_x**2).sum())
    refuse_few(
        "the measure beside its controls", int(size > ROUNDING * x.size), 1, "part that the controls leave open",
        "leave a control out",
    )  # fmt: skip
    slope = float((residual_x * y).sum()) / size
    moved = _refitted(residual_x, residual_y, z, order) / size
    low, high = _inverted(slope, moved, _refitted(residual_x, residual_x, z, order) / size)
    return Slope(slope, low, high, permutation_p(slope, moved), moved)


def _refitted(x: np.ndarray, y: np.ndarray, z: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(permutations,): products of x with y's rows permuted, each as if y's length beside the controls were the same.

    x and y are residuals on z. Permuted residuals are no longer orthogonal to z, so what z explains of them by chance
    is taken out of their length: partial correlations are compared.
    """
    moved = sums_along(x @ y.T, order)
    explained = np.zeros(len(order))
    if len(z):
        basis = np.linalg.svd(z.reshape(len(z), -1), full_matrices=False)
        kept = basis[2][basis[1] > ROUNDING * basis[1].max()].reshape(-1, *x.shape)
        explained = np.sum([sums_along(each @ y.T, order) ** 2 for each in kept], axis=0)
    length = float((y**2).sum())
    scaled: np.ndarray = moved / np.sqrt(np.maximum(1 - explained / length, ROUNDING)) if length > 0 else moved
    return scaled


def max_t(found: Sequence[float], drawn: Sequence[np.ndarray]) -> list[float]:
    """P-values adjusted over tests that share permutations (Westfall and Young 1993, single step).

    `found` are statistics whose size is evidence against the null, `drawn` those of the permutations, in the same order
    for every test. Each is divided by its standard deviation over the permutations, and compared with the largest of
    all.
    """
    spreads = [float(each.std()) or 1.0 for each in drawn]
    largest = np.max([each / spread for each, spread in zip(drawn, spreads, strict=True)], axis=0)
    return [
        float((1 + (largest >= value / spread - ROUNDING).sum()) / (1 + len(largest)))
        for value, spread in zip(found, spreads, strict=True)
    ]


def design(gains: np.ndarray, measure: np.ndarray, controls: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Measure and gains standardised within targets, and controls (k, rows, targets) centred there."""
    centred = [np.asarray(item, dtype=np.float64) - np.mean(item, axis=0) for item in controls]
    return standardised(measure), standardised(gains), np.stack(centred) if centred else np.zeros((0, *gains.shape))


def residual(matrix: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """The residual of a matrix (rows, targets) on controls (k, rows, targets), by least squares."""
    if not len(controls):
        return matrix
    flat = controls.reshape(len(controls), -1).T
    fitted = flat @ np.linalg.lstsq(flat, matrix.reshape(-1), rcond=None)[0]
    return matrix - fitted.reshape(matrix.shape)


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

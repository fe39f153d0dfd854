"""What earlier grids say of a new one: shrunken effects of rows and targets, and how rows go together.

A column is one target under one backbone. Its scores, centred over rows and divided by the standard deviation of their
effects, are a vector z over rows. The model of z is a multivariate normal in two levels:

    z = b_target + d,    b_target ~ N(μ, Σ),    d ~ N(0, τ² I)

μ holds the shrunken mean effect of each row, Σ how much targets differ from it and which rows go together, τ² what
changes from one backbone to the next. All are estimated by moments. The columns of the same target under other
backbones are noisy observations of b_target (`pooling` says how noisy); where there are none, μ and Σ are what is
known, and where the kinds of tasks are known, β times the affinity of the row's tasks with the target (`affinity`) is
added to μ, with β by ridge regression.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stiltgrid.selection.affinity import Slope, fit_slope
from stiltgrid.selection.pooling import LEAST_VARIANCE, Pooling, fit_pooling

# Measured on TaskWeb by benchmarks/selection_replay.py, for what too few earlier grids cannot show.
BETWEEN_SHARE = 0.55  # τ² of the variance of effects, where there is one earlier grid
SEED_SHARE = 0.8  # variance of a seed by the variance of effects, where there is one seed
CORRELATION_KEPT = 0.5  # covariances between rows are shrunk to this share
BACKBONE_SHARE = 0.05  # variance of what a backbone adds to whole rows, by that of effects
LEAST_SHARE = 0.1  # effects are at least this share of the variance between rows
COLD_SCALE = 4.0  # points; standard deviation of row effects without any earlier grid
SCALE_SPREAD = 0.5  # standard deviation of the logarithm of a column's scale around its expectation


Shown = Sequence[tuple[np.ndarray, np.ndarray]]  # rows and mean scores in points of the cells of each column


@dataclass(frozen=True)
class EarlierGrid:
    """Scores of an earlier grid in points, NaN where it has none: (targets, rows, seeds), aligned with the new grid."""

    name: str
    scores: np.ndarray


@dataclass(frozen=True)
class ColumnPrior:
    """What is expected of a column before anything of it is run.

    `mean` (rows,) and `covariance` (rows, rows) of z; `scale` in points is the standard deviation of its effects,
    `seed_variance` in points² that of one training run. Of the covariance, `between` on the diagonal is what a new
    backbone adds; `shared` is the variance of what backbones have in common, 0 where no earlier grid shows any.
    `affinity` (rows,) is that of the rows with the target, `slope` its coefficient in `mean` and `covariance`; both are
    None for a target that earlier grids have, or without kinds of tasks.
    """

    mean: np.ndarray
    covariance: np.ndarray
    scale: float
    seed_variance: float
    between: float = 0.0
    shared: float = 0.0
    affinity: np.ndarray | None = None
    slope: Slope | None = None

    def sloping(self, slope: Slope) -> "ColumnPrior":
        """The same with another coefficient of the affinity; unchanged where there is none."""
        if self.affinity is None or self.slope is None:
            return self
        mean = self.mean + (slope.mean - self.slope.mean) * self.affinity
        apart = (slope.variance - self.slope.variance) * np.outer(self.affinity, self.affinity)
        return replace(self, mean=mean, covariance=self.covariance + apart, slope=slope)

    def agreeing(self, shift: float) -> "ColumnPrior":
        """The same where the new backbone agrees more with the earlier ones, by the log-odds of the shared variance."""
        if not self.shared or not self.between:
            return self
        whole = self.shared + self.between
        share = 1 / (1 + self.between / self.shared * np.exp(-shift))
        factor, fresh = share * whole / self.shared, (1 - share) * whole
        apart = self.covariance - self.between * np.eye(len(self.mean))
        covariance = factor * apart + fresh * np.eye(len(self.mean))
        return replace(self, mean=np.sqrt(factor) * self.mean, covariance=covariance, between=fresh)


@dataclass(frozen=True)
class Standardised:
    """Columns of earlier grids: z and the variance of its noise (grids, targets, rows), scales (grids, targets)."""

    z: np.ndarray
    noise: np.ndarray
    scale: np.ndarray
    seed_variance: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """Weight of each entry, 0 where it is missing."""
        return np.where(np.isnan(self.z), 0.0, 1 / (1 + self.noise))


@dataclass(frozen=True)
class Prior:
    """The fitted model of columns; see the module for the symbols. `unrelated` is Σ without what affinity explains."""

    mean: np.ndarray
    covariance: np.ndarray
    between: float
    columns: Standardised | None = None
    pooling: Pooling | None = None
    affinity: np.ndarray | None = None
    slope: Slope = Slope()
    unrelated: np.ndarray | None = None

    def column(self, target: int) -> ColumnPrior:
        """What is expected of a target in the new grid, given its columns in earlier grids, if there are any.

        Only a target without such columns is expected to be as the affinity says.
        """
        mean, covariance = self.mean, self.covariance
        affinity, slope = None, None
        known = self.columns is not None and not np.isnan(self.columns.z[:, target]).all()
        if self.affinity is not None and not known:
            affinity, slope = self.affinity[target], self.slope
            mean = mean + slope.mean * affinity
            covariance = covariance if self.unrelated is None else self.unrelated
            covariance = covariance + slope.variance * np.outer(affinity, affinity)
        rows = len(mean)
        fresh = self.between * np.eye(rows)
        if self.columns is None or self.pooling is None:
            variance = SEED_SHARE * COLD_SCALE**2
            return ColumnPrior(mean, covariance + fresh, COLD_SCALE, variance, affinity=affinity, slope=slope)
        z, noise = self.columns.z[:, target], self.columns.noise[:, target]
        pooled, precision = self.pooling.pooled(z, noise)
        seen = np.flatnonzero(precision)
        if len(seen):
            noise_there = np.diag(1 / precision[seen])
            gain = np.linalg.solve(covariance[np.ix_(seen, seen)] + noise_there, covariance[seen]).T
            mean = mean + gain @ (pooled[seen] - mean[seen])
            covariance = covariance - gain @ covariance[seen]
        scale, seed = _expected(self.columns.scale, target), _expected(self.columns.seed_variance, target)
        shared = float(np.mean(np.diag(self.covariance)) + np.mean(self.mean**2))
        return ColumnPrior(mean, covariance + fresh, scale, seed, self.between, shared, affinity, slope)


def standardise(grids: Sequence[EarlierGrid]) -> Standardised:
    """Columns centred over rows and divided by the standard deviation of their effects.

    That is estimated as the variance between rows less what seeds explain; a column of noise gets noisy z.
    """
    z, noise, scale, seeds = [], [], [], []
    for grid in grids:
        number = (~np.isnan(grid.scores)).sum(axis=-1)
        mean = _nanmean(grid.scores, -1)
        centred = mean - _nanmean(mean, -1)[:, None]
        between = np.maximum(_variance(centred), 1e-6)
        variance = _pooled_variance(grid.scores, number)
        variance = np.where(np.isnan(variance), between * SEED_SHARE / (1 + SEED_SHARE), variance)
        of_mean = variance / np.maximum(np.nan_to_num(_nanmean(np.where(number, number, np.nan).astype(float), -1)), 1)
        effects = np.maximum(between - of_mean, LEAST_SHARE * between)
        z.append(centred / np.sqrt(effects)[:, None])
        absent = ~number.any(axis=-1)
        share = np.where(absent, 1.0, variance / effects)
        noise.append(share[:, None] / np.maximum(number, 1))
        scale.append(np.where(absent, np.nan, np.sqrt(effects)))
        seeds.append(np.where(absent, np.nan, np.maximum(variance, 1e-3)))
    return Standardised(np.stack(z), np.stack(noise), np.stack(scale), np.stack(seeds))


def fit_prior(grids: Sequence[EarlierGrid], rows: int, affinity: np.ndarray | None = None) -> Prior:
    """The model of columns by moments, weighted by how little noise an entry has; of no grids, a cold start.

    `affinity` (targets, rows) as `affinity.affinities` gives it, where the kinds of tasks are known.
    """
    if not grids:
        return Prior(np.zeros(rows), np.eye(rows) * (1 - BETWEEN_SHARE), BETWEEN_SHARE, affinity=affinity)
    columns = standardise(grids)
    z, weights = np.nan_to_num(columns.z), columns.weights
    signal = _ratio((weights * (z**2 - columns.noise)).sum(), weights.sum(), 1.0)
    shared = _products(z, weights)  # same row and target, two grids: variance of μ and Σ
    between = signal * BETWEEN_SHARE if shared is None else signal - shared
    between = float(np.clip(between, LEAST_VARIANCE, max(signal, 1.0)))
    total = weights.sum(axis=0)
    targets = np.where(total > 0, (weights * z).sum(axis=0) / np.maximum(total, 1e-12), np.nan)
    mean = _shrunken_mean(targets)
    own = max(max(signal, 0.0) - between - float(np.mean(mean**2)), LEAST_VARIANCE)
    covariance = _covariance(targets, own)
    slope, unrelated = Slope(), None
    if affinity is not None:
        slope = fit_slope(targets - mean, affinity, max(signal - between, LEAST_VARIANCE))
        unrelated = _covariance(targets - slope.mean * affinity, own)
    pooling = fit_pooling(columns.z, columns.noise, max(signal - between, LEAST_VARIANCE), between)
    return Prior(mean, covariance, between, columns, pooling, affinity, slope, unrelated)


def sloping_columns(columns: Sequence[ColumnPrior], seen: Shown) -> list[ColumnPrior]:
    """The columns with the coefficient of affinity that the other columns' cells show.

    A column's own cells are left out, as in `row_effects`.
    """
    products, squares = np.zeros(len(columns)), np.zeros(len(columns))
    for place, (column, (which, scores)) in enumerate(zip(columns, seen, strict=True)):
        if column.affinity is None or len(which) < 2:
            continue
        assert column.slope is not None
        z = scores / column.scale - column.mean[which] + column.slope.mean * column.affinity[which]
        own = np.diag(column.covariance)[which] - column.slope.variance * column.affinity[which] ** 2
        weight = 1 / (own + column.seed_variance / column.scale**2)
        x, y = (part - (weight * part).sum() / weight.sum() for part in (column.affinity[which], z))
        products[place], squares[place] = (weight * x * y).sum(), (weight * x**2).sum()
    return [
        column if column.slope is None else column.sloping(
            column.slope.seeing(products.sum() - products[place], squares.sum() - squares[place]))
        for place, column in enumerate(columns)
    ]  # fmt: skip


def row_effects(columns: Sequence[ColumnPrior], seen: Shown) -> np.ndarray:
    """(columns, rows) shrunken effects of this backbone on whole rows, in z, as the other columns' cells show them.

    `seen` holds (rows, mean scores in points) of the cells of each column. A column's own cells are left out of its
    effects, which shift its prior mean: they would count twice.
    """
    rows = len(columns[0].mean)
    above, below = np.zeros((len(columns), rows)), np.zeros((len(columns), rows))
    for place, (column, (which, scores)) in enumerate(zip(columns, seen, strict=True)):
        if len(which) < 2:
            continue
        z = scores / column.scale - column.mean[which]
        variance = np.diag(column.covariance)[which] + column.seed_variance / column.scale**2
        level = (z / variance).sum() / (1 / variance).sum()
        above[place, which], below[place, which] = (z - level) / variance, 1 / variance
    other_above, other_below = above.sum(axis=0) - above, below.sum(axis=0) - below
    effects: np.ndarray = other_above / (other_below + 1 / BACKBONE_SHARE)
    return effects


def _covariance(targets: np.ndarray, own: float) -> np.ndarray:
    """(rows, rows) shrunken covariance of the deviations of targets from the mean, `own` on its diagonal."""
    deviation = np.nan_to_num(targets - _nanmean(targets, 0))
    present = (~np.isnan(targets)).astype(float)
    number = np.maximum(present.T @ present, 2)
    covariance = CORRELATION_KEPT * (deviation.T @ deviation) / (number - 1)
    np.fill_diagonal(covariance, own)
    values, vectors = np.linalg.eigh(covariance)
    found: np.ndarray = (vectors * np.maximum(values, LEAST_VARIANCE / 2)) @ vectors.T
    return found


def _products(z: np.ndarray, weights: np.ndarray) -> float | None:
    """Mean product of two grids' entries of the same cell; None without such pairs."""
    above = ((weights * z).sum(axis=0) ** 2 - (weights**2 * z**2).sum(axis=0)).sum()
    below = (weights.sum(axis=0) ** 2 - (weights**2).sum(axis=0)).sum()
    return float(above / below) if below > 1e-9 else None


def _shrunken_mean(targets: np.ndarray) -> np.ndarray:
    """Mean effect of each row over targets, shrunk by how well the targets agree (James-Stein by moments)."""
    mean = np.nan_to_num(_nanmean(targets, 0))
    counts = np.maximum((~np.isnan(targets)).sum(axis=0), 1)
    error = np.nan_to_num(_nanmean((targets - mean) ** 2, 0)) * counts / np.maximum(counts - 1, 1) / counts
    spread = max(float(np.var(mean) - error.mean()), 0.0)
    shrunk: np.ndarray = mean * spread / np.maximum(spread + error, 1e-9)
    return shrunk


def _expected(values: np.ndarray, target: int) -> float:
    """Geometric mean over grids of a target's values, of all targets' where the earlier grids lack it."""
    own = values[:, target]
    own = own[~np.isnan(own)]
    some = own if len(own) else values[~np.isnan(values)]
    return float(np.exp(np.log(np.maximum(some, 1e-3)).mean())) if len(some) else COLD_SCALE


def _pooled_variance(scores: np.ndarray, number: np.ndarray) -> np.ndarray:
    """(targets,) variance over seeds, pooled over rows; NaN where no row has two seeds."""
    squares = (scores - _nanmean(scores, -1)[..., None]) ** 2
    freedom = np.maximum(number - 1, 0).sum(axis=-1)
    return np.where(freedom > 0, np.nansum(squares, axis=(-2, -1)) / np.maximum(freedom, 1), np.nan)


def _nanmean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean without NaN; NaN (and no warning) where there is nothing."""
    number = (~np.isnan(values)).sum(axis=axis)
    return np.where(number > 0, np.nansum(values, axis=axis) / np.maximum(number, 1), np.nan)


def _variance(centred: np.ndarray) -> np.ndarray:
    number = (~np.isnan(centred)).sum(axis=-1)
    variance: np.ndarray = np.nansum(centred**2, axis=-1) / np.maximum(number - 1, 1)
    return variance


def _ratio(above: float, below: float, otherwise: float) -> float:
    return float(above / below) if below > 0 else otherwise

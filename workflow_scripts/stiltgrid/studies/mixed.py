"""A linear mixed model with one random intercept, told by effects with intervals that hold for few groups.

statsmodels fits it (REML); its normal intervals are too short for a dozen groups, so effects are held against Student's
t with the degrees of freedom of the level at which they vary ("inner-outer": Pinheiro and Bates 2000, section 2.4.2),
and the difference of two effects against the fewer of theirs.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stiltgrid.analysis.statistics import t_p_value, t_quantile
from stiltgrid.studies.errors import StudyError

CONFIDENCE = 0.95
POWER = 0.9
EDGE = 1e-3  # of the residual variance: a variance between groups where the likelihood is compared with that at none
NO_VARIANCE = "no variance between groups was found beyond that within them"
OPTIMISERS = ("bfgs", "lbfgs", "cg", "powell")


class NoConvergence(StudyError):
    """No optimiser found the maximum: there is no estimate, which is not the same as no effect."""


@dataclass(frozen=True)
class Effect:
    """One coefficient, in units of the outcome for one of its predictor's; `detectable` is found 9 times in 10."""

    name: str
    value: float
    se: float
    df: float

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval."""
        return t_quantile(CONFIDENCE, self.df) * self.se

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + self.half_width

    @property
    def p(self) -> float:
        """Two-sided p-value of no effect."""
        return t_p_value(self.value / self.se, self.df) if self.se else float(self.value == 0)

    @property
    def detectable(self) -> float:
        """The true effect that a test at 5 % finds with 90 % power at this precision."""
        return (t_quantile(CONFIDENCE, self.df) + t_quantile(2 * POWER - 1, self.df)) * self.se


@dataclass(frozen=True)
class MixedFit:
    """A fitted model: effects by predictor, standard deviations between groups and of the rest, counts, remarks."""

    effects: Mapping[str, Effect]
    covariance: Mapping[tuple[str, str], float]
    group_sd: float
    residual_sd: float
    rows: int
    groups: int
    remarks: tuple[str, ...] = field(default=())

    def difference(self, first: str, second: str) -> Effect:
        """Effect of `first` less that of `second`, with the fewer degrees of freedom of the two.

        Satterthwaite's are more, and gave 8 % false alarms at 5 % with a dozen sets.
        """
        one, two = self.effects[first], self.effects[second]
        variance = one.se**2 + two.se**2 - 2 * self.covariance[first, second]
        df = min(one.df, two.df)
        return Effect(f"{first} \u2212 {second}", one.value - two.value, math.sqrt(max(variance, 0.0)), df)


def standardised(values: Sequence[float], name: str) -> np.ndarray:
    """Values less their mean, over their standard deviation; StudyError where all are the same."""
    array = np.asarray(values, dtype=np.float64)
    if not array.size or np.ptp(array) == 0:
        raise StudyError(f"{name}: expected values that differ, found one value in all {array.size} rows")
    return (array - array.mean()) / array.std()


def fit_mixed(
    outcome: Sequence[float],
    predictors: Mapping[str, np.ndarray],
    groups: Sequence[str],
    shifts: Mapping[str, Sequence[Any]] | None = None,
) -> MixedFit:
    """REML fit of outcome = intercept + predictors + shifts + random intercept of its group + rest.

    `predictors` are (n,) arrays, `shifts` categories (n,) whose levels each move the outcome (seeds), of which nothing
    is reported. Raises StudyError for a constant outcome or predictor, missing numbers, predictors that cannot be told
    apart, fewer than three groups and no more rows than parameters; NoConvergence where no optimiser converges.
    """
    values = np.asarray(outcome, dtype=np.float64)
    names = list(predictors)
    design, extra = _design(len(values), predictors, shifts or {})
    labels = np.asarray(groups)
    inner, outer = _check(values, design, names, labels, extra)
    fitted = _least_squares(values, design) if _no_variance_between(values, design, labels) else None
    fitted = fitted or _reml(values, design, labels)
    covariance = fitted.covariance
    effects = {
        name: Effect(
            name,
            float(fitted.coefficients[1 + place]),
            float(math.sqrt(covariance[1 + place, 1 + place])),
            float(outer if _constant_within(predictors[name], labels) else inner),
        )
        for place, name in enumerate(names)
    }
    pairs = {(a, b): float(covariance[1 + i, 1 + j]) for i, a in enumerate(names) for j, b in enumerate(names)}
    counts = (len(values), len(set(labels.tolist())))
    return MixedFit(effects, pairs, math.sqrt(fitted.between), math.sqrt(fitted.within), *counts, fitted.remarks)


def _design(
    rows: int, predictors: Mapping[str, np.ndarray], shifts: Mapping[str, Sequence[Any]]
) -> tuple[np.ndarray, int]:
    """(rows, parameters) with an intercept first, and how many of the columns are shifts."""
    columns = [np.ones(rows), *(np.asarray(column, dtype=np.float64) for column in predictors.values())]
    extra = 0
    for levels in shifts.values():
        for level in sorted(set(levels))[1:]:
            columns.append(np.asarray([float(item == level) for item in levels]))
            extra += 1
    return np.column_stack(columns), extra


def _check(
    values: np.ndarray, design: np.ndarray, names: Sequence[str], labels: np.ndarray, extra: int
) -> tuple[int, int]:
    """Degrees of freedom within and between groups; StudyError where the model cannot be fitted."""
    rows, parameters = design.shape
    if not np.isfinite(values).all() or not np.isfinite(design).all():
        raise StudyError(f"mixed model: expected finite numbers in all {rows} rows, some are missing")
    if rows <= parameters + 1:
        raise StudyError(f"mixed model: {rows} rows cannot tell {parameters + 2} parameters; add seeds or draws")
    if np.ptp(values) == 0:
        raise StudyError(f"mixed model: the outcome is {values[0]:g} in all {rows} rows, so nothing can explain it")
    if np.linalg.matrix_rank(design) < parameters:
        raise StudyError(f"mixed model: {', '.join(names)} cannot be told apart in this design (or one is constant)")
    count = len(set(labels.tolist()))
    between = sum(_constant_within(design[:, 1 + place], labels) for place in range(len(names)))
    outer, inner = count - 1 - between, rows - count - (len(names) - between) - extra
    if outer < 1 or count < 3:
        raise StudyError(f"mixed model: {count} groups cannot tell {between} effects between groups; add draws")
    if inner < 1:
        raise StudyError(f"mixed model: {rows} rows in {count} groups leave no variance within groups; add seeds")
    return inner, outer


def _constant_within(column: np.ndarray, labels: np.ndarray) -> bool:
    return all(np.ptp(np.asarray(column)[labels == label]) == 0 for label in np.unique(labels))


@dataclass(frozen=True)
class _Fitted:
    """Fixed effects with their covariance, and the variances between groups and within them."""

    coefficients: np.ndarray
    covariance: np.ndarray
    between: float
    within: float
    remarks: tuple[str, ...] = ()


def _no_variance_between(values: np.ndarray, design: np.ndarray, labels: np.ndarray) -> bool:
    """Whether the restricted likelihood falls from a variance of 0 between groups on.

    Its maximum is there then, on the edge of what a variance can be, where optimisers stumble.
    """
    return _restricted_likelihood(values, design, labels, EDGE) < _restricted_likelihood(values, design, labels, 0.0)


def _restricted_likelihood(values: np.ndarray, design: np.ndarray, labels: np.ndarray, ratio: float) -> float:
    """REML log-likelihood up to a constant, the residual variance profiled out; `ratio` is between over within."""
    rows, parameters = design.shape
    covariance = np.eye(rows) + ratio * (labels[:, None] == labels[None, :])
    inverse = np.linalg.inv(covariance)
    inner = design.T @ inverse @ design
    rest = values - design @ np.linalg.solve(inner, design.T @ inverse @ values)
    degrees = rows - parameters
    scale = float(rest @ inverse @ rest) / degrees
    return float(-(degrees * math.log(scale) + np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(inner)[1]) / 2)


def _least_squares(values: np.ndarray, design: np.ndarray) -> _Fitted:
    """What the mixed model is without a variance between groups."""
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ values
    rest = values - design @ coefficients
    within = float(rest @ rest) / (design.shape[0] - design.shape[1])
    return _Fitted(coefficients, within * inverse, 0.0, within, (NO_VARIANCE,))


def _reml(values: np.ndarray, design: np.ndarray, labels: np.ndarray) -> _Fitted:
    """The fit of the first optimiser that converges; NoConvergence where none does."""
    from statsmodels.regression.mixed_linear_model import MixedLM
    from statsmodels.tools.sm_exceptions import ModelWarning

    model = MixedLM(values, design, groups=labels)
    said: list[str] = []
    for method in OPTIMISERS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ModelWarning)
                warnings.simplefilter("ignore", RuntimeWarning)
                fitted = model.fit(reml=True, method=method)
        except (np.linalg.LinAlgError, ValueError) as error:
            said.append(f"{method}: {error}")
            continue
        covariance = np.asarray(fitted.cov_params())[: design.shape[1], : design.shape[1]]
        if fitted.converged and np.isfinite(covariance).all():
            remarks = (f"fitted with {method}, after {len(said)} optimisers failed",) if said else ()
            between = max(float(np.asarray(fitted.cov_re)[0, 0]), 0.0)
            return _Fitted(np.asarray(fitted.fe_params), covariance, between, float(fitted.scale), remarks)
        said.append(f"{method}: no convergence")
    raise NoConvergence(f"mixed model: did not converge ({'; '.join(said)}); there is no estimate, not a null result")

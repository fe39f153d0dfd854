"""A linear mixed model with one random intercept, with intervals that hold for few groups.

statsmodels fits it (REML). Its normal intervals are too short for a dozen groups, so effects are compared with
Student's t, with the degrees of freedom of the level at which they vary ("inner-outer": Pinheiro and Bates 2000,
section 2.4.2).
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from stiltgrid.studies.effects import Effect
from stiltgrid.studies.errors import StudyError

EDGE = 1e-3  # of the residual variance: a variance between groups where the likelihood is compared with that at none
NO_VARIANCE = "no variance between groups was found beyond that within them"
OPTIMISERS = ("bfgs", "lbfgs", "cg", "powell")


class NoConvergence(StudyError):
    """No optimiser found the maximum, so there is no estimate."""


@dataclass(frozen=True)
class MixedFit:
    """A fitted model: effects by predictor, standard deviations between groups and of residuals, counts, remarks."""

    effects: Mapping[str, Effect]
    group_sd: float
    residual_sd: float
    rows: int
    groups: int
    remarks: tuple[str, ...] = field(default=())


def fit_mixed(
    outcome: Sequence[float],
    predictors: Mapping[str, np.ndarray],
    groups: Sequence[str],
) -> MixedFit:
    """REML fit of outcome = intercept + predictors + random intercept of the group + residual; predictors are (n,).

    Raises StudyError for a constant outcome or predictor, missing numbers, collinear predictors, fewer than
    three groups and no more rows than parameters; NoConvergence where no optimiser converges.
    """
    values = np.asarray(outcome, dtype=np.float64)
    names = list(predictors)
    columns = (np.asarray(column, dtype=np.float64) for column in predictors.values())
    design = np.column_stack([np.ones(len(values)), *columns])
    labels = np.asarray(groups)
    inner, outer = _check(values, design, names, labels)
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
    counts = (len(values), len(set(labels.tolist())))
    return MixedFit(effects, math.sqrt(fitted.between), math.sqrt(fitted.within), *counts, fitted.remarks)


def _check(values: np.ndarray, design: np.ndarray, names: Sequence[str], labels: np.ndarray) -> tuple[int, int]:
    """Degrees of freedom within and between groups; StudyError where the model cannot be fitted."""
    rows, parameters = design.shape
    if not np.isfinite(values).all() or not np.isfinite(design).all():
        raise StudyError(f"mixed model: expected finite numbers in all {rows} rows, some are missing")
    if rows <= parameters + 1:
        raise StudyError(f"mixed model: {rows} rows cannot estimate {parameters + 2} parameters; add seeds or draws")
    if np.ptp(values) == 0:
        raise StudyError(f"mixed model: the outcome is {values[0]:g} in all {rows} rows, so nothing explains it")
    if np.linalg.matrix_rank(design) < parameters:
        raise StudyError(f"mixed model: {', '.join(names)} are collinear in this design (or one is constant)")
    count = len(set(labels.tolist()))
    between = sum(_constant_within(design[:, 1 + place], labels) for place in range(len(names)))
    outer, inner = count - 1 - between, rows - count - (len(names) - between)
    if outer < 1 or count < 3:
        raise StudyError(f"mixed model: {count} groups cannot estimate {between} effects between groups; add draws")
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
    """Whether the restricted likelihood decreases from a variance of 0 between groups.

    Its maximum is then at 0, on the boundary of the parameter space, where optimisers fail.
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
    """The mixed model without a variance between groups."""
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
    failures: list[str] = []
    for method in OPTIMISERS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ModelWarning)
                warnings.simplefilter("ignore", RuntimeWarning)
                fitted = model.fit(reml=True, method=method)
        except (np.linalg.LinAlgError, ValueError) as error:
            failures.append(f"{method}: {error}")
            continue
        covariance = np.asarray(fitted.cov_params())[: design.shape[1], : design.shape[1]]
        if fitted.converged and np.isfinite(covariance).all():
            remarks = (f"fitted with {method}, after {len(failures)} optimisers failed",) if failures else ()
            between = max(float(np.asarray(fitted.cov_re)[0, 0]), 0.0)
            return _Fitted(np.asarray(fitted.fe_params), covariance, between, float(fitted.scale), remarks)
        failures.append(f"{method}: no convergence")
    raise NoConvergence(
        f"mixed model: did not converge ({'; '.join(failures)}); there is no estimate, not a null result"
    )

"""Quality of a ranking of rows: points lost, regret and NDCG, compared with chance, size and the other targets.

Scores are (rows, targets), higher is better; a prediction of the same shape ranks the rows of each target by its
falling values (equals in the order of the rows). Pure numpy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from stiltgrid.studies.association import standardised
from stiltgrid.studies.errors import refuse_few, refuse_gaps

TOPS = (1, 3)
Predict = Callable[[np.ndarray], np.ndarray]  # gains (rows, targets) -> predictions of the same shape


@dataclass(frozen=True)
class Quality:
    """A ranking on one target, or its mean over targets.

    `regret1` and `regret3` are percent of the best row's score that is lost by taking the best of the first 1 or 3
    (Poth et al. 2021); `lost1` the same in points for the first; `ndcg` from 0 to 100.
    """

    regret1: float
    regret3: float
    lost1: float
    ndcg: float


@dataclass(frozen=True)
class Choice:
    """The first row of a strategy for a target with its score, and the best row with its score."""

    strategy: str
    target: str
    first: str
    score: float
    best: str
    best_score: float
    quality: Quality


@dataclass(frozen=True)
class Verdict:
    """A strategy over all targets; the p-values are one-sided, for rows ranked at random doing as well.

    `drawn` are the points lost by the first row in all permutations, None for random ranking.
    """

    strategy: str
    quality: Quality
    p_lost1: float | None
    p_regret3: float | None
    p_ndcg: float | None
    drawn: np.ndarray | None = None


def falling(prediction: np.ndarray) -> np.ndarray:
    """Row numbers by falling prediction along the first axis; equals keep their order."""
    return np.argsort(-np.asarray(prediction, dtype=np.float64), axis=0, kind="stable")


def regret(scores: np.ndarray, order: np.ndarray, k: int) -> np.ndarray:
    """(targets,): percent of the best score that is missing in the best of the first k rows of `order`."""
    best = scores.max(axis=0)
    top = np.take_along_axis(scores, order[:k], axis=0).max(axis=0)
    return 100 * np.divide(best - top, best, out=np.zeros_like(best), where=best > 0)


def ndcg(scores: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(targets,): discounted gain of an order over that of the best order, 0 to 100 (Vu et al. 2020).

    The relevance of a row is its score as a share of 1, entering as 2 ** relevance - 1, discounted by log2(1 + rank).
    """
    worth = 2 ** (scores / 100) - 1
    ideal = (-np.sort(-worth, axis=0) * _discounts(len(scores))[:, None]).sum(axis=0)
    reached = (np.take_along_axis(worth, order, axis=0) * _discounts(len(scores))[:, None]).sum(axis=0)
    return 100 * np.divide(reached, ideal, out=np.ones_like(ideal), where=ideal > 0)


def qualities(scores: np.ndarray, prediction: np.ndarray) -> list[Quality]:
    """The quality of a prediction's ranking on each target."""
    order = falling(prediction)
    firsts = np.take_along_axis(scores, order[:1], axis=0)[0]
    columns = [*(regret(scores, order, k) for k in TOPS), scores.max(axis=0) - firsts, ndcg(scores, order)]
    return [Quality(*map(float, line)) for line in zip(*columns, strict=True)]


def at_random(scores: np.ndarray) -> list[Quality]:
    """What a random order is expected to reach on each target, exactly."""
    count = len(scores)
    rising, best = np.sort(scores, axis=0), scores.max(axis=0)
    worth = 2 ** (rising / 100) - 1
    ideal = (worth[::-1] * _discounts(count)[:, None]).sum(axis=0)
    expected = [_expected_best(rising, k) for k in TOPS]
    share = np.divide(worth.mean(axis=0) * _discounts(count).sum(), ideal, out=np.ones_like(ideal), where=ideal > 0)
    losses = [100 * np.divide(best - top, best, out=np.zeros_like(best), where=best > 0) for top in expected]
    columns = [*losses, best - scores.mean(axis=0), 100 * share]
    return [Quality(*map(float, line)) for line in zip(*columns, strict=True)]


def mean_quality(each: Sequence[Quality]) -> Quality:
    """The unweighted mean over targets."""
    names = ("regret1", "regret3", "lost1", "ndcg")
    return Quality(*(float(np.mean([getattr(item, name) for item in each])) for name in names))


def choices(
    strategy: str, scores: np.ndarray, prediction: np.ndarray, rows: Sequence[str], targets: Sequence[str]
) -> list[Choice]:
    """The row that a prediction puts first on each target, and what that costs."""
    first, best = falling(prediction)[0], scores.argmax(axis=0)
    return [
        Choice(
            strategy, target, rows[first[place]], float(scores[first[place], place]), rows[best[place]],
            float(scores[best[place], place]), quality,
        )
        for place, (target, quality) in enumerate(zip(targets, qualities(scores, prediction), strict=True))
    ]  # fmt: skip


def verdict(strategy: str, scores: np.ndarray, gains: np.ndarray, predict: Predict, order: np.ndarray) -> Verdict:
    """A strategy's mean quality, and whether it would be as good with rows exchanged; `order` is (permutations, rows).

    `predict` maps gains to predictions, so that a prediction that is fitted on the gains is fitted again in every
    permutation. Rows are permuted for all targets together, as in `association`.
    """
    found = mean_quality(qualities(scores, predict(gains)))
    drawn = np.zeros((len(order), 3))
    for line, rows in zip(drawn, order, strict=True):
        moved, ranked = scores[rows], falling(predict(gains[rows]))
        first = np.take_along_axis(moved, ranked[:1], axis=0)[0]
        line[:] = (moved.max(axis=0) - first).mean(), regret(moved, ranked, TOPS[1]).mean(), -ndcg(moved, ranked).mean()
    own = np.asarray([found.lost1, found.regret3, -found.ndcg])
    p = (1 + (drawn <= own + 1e-9).sum(axis=0)) / (1 + len(order))
    return Verdict(strategy, found, float(p[0]), float(p[1]), float(p[2]), drawn[:, 0])


def leave_one_out(gains: np.ndarray, predictors: Mapping[str, np.ndarray]) -> np.ndarray:
    """(rows, targets): each target's gains, standardised, as predicted by a regression on the other targets.

    Predictors (rows, targets) are standardised within targets. Raises StudyError for missing cells, one target and
    fewer rows than parameters.
    """
    rows, targets = gains.shape
    refuse_few("prediction of a left-out target", targets, 3, "targets", "one is left out, the others are fitted")
    refuse_few("prediction of a left-out target", rows, len(predictors) + 2, "rows", "one more than parameters")
    names, numbers = [f"row {n + 1}" for n in range(rows)], [f"target {n + 1}" for n in range(targets)]
    for what, matrix in {"gains": gains, **predictors}.items():
        refuse_gaps(what, matrix, names, numbers)
    x = np.stack([standardised(item) for item in predictors.values()], axis=-1)
    y = standardised(gains)
    predicted = np.zeros_like(y)
    for place in range(targets):
        others = np.arange(targets) != place
        weights = _fit(x[:, others], y[:, others])
        predicted[:, place] = x[:, place] @ weights
    return predicted


def fit_all(gains: np.ndarray, predictors: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The weights of standardised predictors fitted on all targets, for a target that is not in the grid."""
    x = np.stack([standardised(item) for item in predictors.values()], axis=-1)
    return dict(zip(predictors, map(float, _fit(x, standardised(gains))), strict=True))


def others_mean(gains: np.ndarray) -> np.ndarray:
    """(rows, targets): each row's mean standardised gain on the other targets."""
    y = standardised(gains)
    return (y.sum(axis=1, keepdims=True) - y) / (y.shape[1] - 1)


def _fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(x.reshape(-1, x.shape[-1]), y.reshape(-1), rcond=None)[0]


def _discounts(count: int) -> np.ndarray:
    return 1 / np.log2(np.arange(count) + 2)


def _expected_best(rising: np.ndarray, k: int) -> np.ndarray:
    """(targets,): the expected highest of k rows drawn without replacement; `rising` is sorted."""
    count = len(rising)
    k = min(k, count)
    weights = np.asarray([comb(place, k - 1) for place in range(count)]) / comb(count, k)
    return weights @ rising

"""What the columns of a model tell together: how far it agrees with earlier grids, and how large its effects are.

A column alone has too few cells to tell whether the new backbone is like the earlier ones. All columns together do:
each hypothesis, an agreement and a factor of all scales, and the noise of low fidelity where there is one, is weighted
by how probable it makes the cells of all columns. Beliefs are mixtures over the hypotheses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stiltgrid.selection.belief import (
    FULL,
    LOW,
    LOW_SHARE,
    Belief,
    Conditioned,
    Observations,
    condition,
    normalised,
    pooled_seed_variance,
)
from stiltgrid.selection.policy import Run, State
from stiltgrid.selection.prior import ColumnPrior, row_effects, sloping_columns

AGREEMENTS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # shifts of the log-odds of the shared variance
AGREEMENT_SPREAD = 1.0
FACTORS = tuple(float(value) for value in np.exp(np.linspace(-1.2, 1.2, 5)))
FACTOR_SPREAD = 0.6
LOW_SHARES = (0.125, 0.25, 0.5, 1.0, 2.0)
LOW_SPREAD = 1.0
LEAST_WEIGHT = 1e-3


@dataclass(frozen=True)
class Seen:
    """The cells of a column that have run: mean scores by row, and the scores of each row's seeds at full fidelity.

    `paired` (observations, observations) is the variance, of development examples in points², of the difference of two
    rows' scores; `allowed` marks the rows that exist.
    """

    observations: Observations
    groups: Sequence[np.ndarray]
    allowed: np.ndarray
    paired: np.ndarray

    @classmethod
    def none(cls, allowed: np.ndarray) -> "Seen":
        """No cell."""
        return cls(Observations.none(), (), allowed, np.empty((0, 0)))

    @property
    def full(self) -> np.ndarray:
        """Places of the observations at full fidelity."""
        return np.flatnonzero(self.observations.fidelity == FULL)


@dataclass(frozen=True)
class Hypothesis:
    """What all columns have in common; `low_share` as in `belief.condition`."""

    agreement: float = 0.0
    factor: float = 1.0
    low_share: float = LOW_SHARE

    @property
    def logarithm(self) -> float:
        """Logarithm of how probable it is at first."""
        shift = self.agreement / AGREEMENT_SPREAD
        factor = np.log(self.factor) / FACTOR_SPREAD
        low = np.log(self.low_share / LOW_SHARE) / LOW_SPREAD
        return float(-0.5 * (shift**2 + factor**2 + low**2))

    def column(self, prior: ColumnPrior, effect: np.ndarray) -> ColumnPrior:
        """A column under the hypothesis, `effect` (rows,) added to what is expected of its rows."""
        found = prior.agreeing(self.agreement)
        return replace(found, mean=found.mean + effect, scale=found.scale * self.factor)


@dataclass(frozen=True)
class Learned:
    """What the cells of a model have shown of all its columns: hypotheses with their weights, effects of whole rows."""

    columns: Sequence[ColumnPrior]
    effects: np.ndarray
    hypotheses: Sequence[Hypothesis]
    weights: np.ndarray

    def belief(self, number: int, seen: Seen) -> Belief:
        """The belief about a column after some of its cells."""
        column = self.columns[number]
        likely = self.weights >= LEAST_WEIGHT * self.weights.max()
        kept = [
            (item, weight) for item, weight, some in zip(self.hypotheses, self.weights, likely, strict=True) if some
        ]
        parts = [_under(item, column, self.effects[number], seen) for item, _ in kept]
        weights = np.concatenate(
            [weight * normalised(part.logarithms) for (_, weight), part in zip(kept, parts, strict=True)]
        )
        some = weights >= LEAST_WEIGHT * weights.max()
        means = np.concatenate([part.means for part in parts])[some]
        covariances = np.concatenate([part.covariances for part in parts])[some]
        return Belief(
            weights[some] / weights[some].sum(), means, covariances, _seed_variance(column, seen), seen.allowed
        )


def learn(columns: Sequence[ColumnPrior], seen: Sequence[Seen]) -> Learned:
    """What the cells of all columns show; one item of `seen` a column."""
    shown = [(each.observations.rows[each.full], each.observations.scores[each.full]) for each in seen]
    columns = sloping_columns(columns, shown)
    effects = row_effects(columns, shown)
    low = any((each.observations.fidelity == LOW).any() for each in seen)
    hypotheses = [
        Hypothesis(agreement, factor, share)
        for agreement in (AGREEMENTS if any(column.shared for column in columns) else (0.0,))
        for factor in FACTORS
        for share in (LOW_SHARES if low else (LOW_SHARE,))
    ]
    logarithms = np.array([item.logarithm for item in hypotheses])
    for column, effect, each in zip(columns, effects, seen, strict=True):
        if len(each.observations.rows) > 1:  # one row says nothing: the level of the scores is unknown
            logarithms += [_under(item, column, effect, each).evidence for item in hypotheses]
    return Learned(columns, effects, hypotheses, normalised(logarithms))


def state_after(learned: Learned, seen: Sequence[Seen], done: set[Run]) -> State:
    """Beliefs and dropped rows after some runs."""
    beliefs = [learned.belief(number, each) for number, each in enumerate(seen)]
    dropped = {number: excluded(each, beliefs[number]) for number, each in enumerate(seen)}
    return State(beliefs, done, dropped)


def excluded(seen: Seen, belief: Belief, width: float = 1.96) -> frozenset[int]:
    """Rows that a paired interval puts below the leading one of those that have run at full fidelity.

    The interval is over development examples and seeds.
    """
    at = seen.observations
    full = [int(place) for place in seen.full]
    if not full:
        return frozenset()
    best = max(full, key=lambda place: float(belief.mean[at.rows[place]]))
    out = set()
    for place in full:
        variance = seen.paired[best, place] + belief.seed_variance * (1 / at.seeds[best] + 1 / at.seeds[place])
        if place != best and at.scores[best] - at.scores[place] > width * np.sqrt(variance):
            out.add(int(at.rows[place]))
    return frozenset(out)


def _under(hypothesis: Hypothesis, column: ColumnPrior, effect: np.ndarray, seen: Seen) -> Conditioned:
    variance = _seed_variance(column, seen)
    return condition(hypothesis.column(column, effect), seen.observations, variance, hypothesis.low_share)


def _seed_variance(column: ColumnPrior, seen: Seen) -> float:
    return pooled_seed_variance(column.seed_variance, list(seen.groups))

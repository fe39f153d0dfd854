"""What is known of a column's rows after some of its cells have run: a mixture of normals over the column's scale.

The prior speaks of standardised effects z, so the effects in points are s · z with an unknown scale s. The scale is
integrated over a grid, each of its values weighted by how well it explains what was observed. Scores of one fidelity
have an unknown common level (flat prior), so only differences between rows count. A score of low fidelity is the
effect plus a deviation of its own, which further seeds do not average out.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from stiltgrid.selection.prior import SCALE_SPREAD, ColumnPrior

SCALES = np.exp(np.linspace(-1.5, 1.5, 9))
FULL, LOW = 0, 1
LOW_SHARE = 0.5  # expected variance of a low-fidelity deviation by that of the effects, before a cell shows it
SEED_FREEDOM = 3.0  # the prior's seed variance counts as much as so many degrees of freedom
DRAWS = 1000
JITTER = 1e-9
TIE = 1e-6  # points


@dataclass(frozen=True)
class Observations:
    """Mean scores of cells: row (position), fidelity (FULL or LOW), score in points, seeds, variance of its examples.

    `example_variance` in points² is that of the development examples in a difference of two rows, halved.
    """

    rows: np.ndarray
    fidelity: np.ndarray
    scores: np.ndarray
    seeds: np.ndarray
    example_variance: np.ndarray

    @classmethod
    def none(cls) -> "Observations":
        """No observation."""
        whole = np.empty(0, dtype=int)
        return cls(whole, whole, np.empty(0), whole, np.empty(0))


@dataclass(frozen=True)
class Belief:
    """Effects of rows in points around an arbitrary level: mixture `weights` (k,), `means` (k, rows), `covariances`.

    `seed_variance` (points²) is that of one training run, `allowed` marks the rows that may be chosen.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    seed_variance: float
    allowed: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """(rows,) expected effect."""
        found: np.ndarray = self.weights @ self.means
        return found

    @property
    def covariance(self) -> np.ndarray:
        """(rows, rows) covariance of the mixture."""
        apart = self.means - self.mean
        inside = np.einsum("k,kij->ij", self.weights, self.covariances)
        found: np.ndarray = inside + np.einsum("k,ki,kj->ij", self.weights, apart, apart)
        return found

    def draw(self, generator: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
        """(draws, rows) effects drawn from the mixture."""
        rows = self.means.shape[1]
        which = generator.choice(len(self.weights), size=draws, p=self.weights)
        roots = np.linalg.cholesky(self.covariances + JITTER * np.eye(rows))
        drawn: np.ndarray = self.means[which] + np.einsum(
            "dij,dj->di", roots[which], generator.standard_normal((draws, rows))
        )
        return drawn


@dataclass(frozen=True)
class Choice:
    """The row to choose (position), the probability that it is best, and the points that choosing it loses."""

    row: int
    probability: float
    regret: float
    probabilities: np.ndarray


@dataclass(frozen=True)
class Conditioned:
    """A column after some observations, for each value of its scale.

    `logarithms` (k,) of how probable the value and the observations are together, `means` (k, rows) and `covariances`
    (k, rows, rows) in points.
    """

    logarithms: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    @property
    def evidence(self) -> float:
        """Logarithm of how probable the observations are, up to a constant of the observations."""
        top = self.logarithms.max()
        return float(top + np.log(np.exp(self.logarithms - top).sum()))


def condition(prior: ColumnPrior, seen: Observations, seed_variance: float, low_share: float) -> Conditioned:
    """What is known of a column after some observations.

    `low_share` is the variance of a low-fidelity deviation by that of the effects.
    """
    scale = prior.scale * SCALES
    squared = scale**2
    spread = -0.5 * (np.log(SCALES) / SCALE_SPREAD) ** 2
    means = scale[:, None] * prior.mean
    covariances = squared[:, None, None] * prior.covariance
    if not len(seen.rows):
        return Conditioned(spread, means, covariances)
    own = np.diag(np.where(seen.fidelity == LOW, low_share, 0.0))
    noise = np.diag(seed_variance / seen.seeds + seen.example_variance)
    across = covariances[:, seen.rows]  # (k, observations, rows)
    variance = across[:, :, seen.rows] + squared[:, None, None] * own + noise
    levels = (seen.fidelity[:, None] == np.unique(seen.fidelity)).astype(float)
    error = seen.scores - means[:, seen.rows]
    known = np.broadcast_to(levels, (len(scale), *levels.shape))
    solved = np.linalg.solve(variance, np.concatenate([across, known, error[..., None]], axis=-1))
    rows = prior.mean.shape[0]
    gain, of_levels, of_error = solved[..., :rows], solved[..., rows:-1], solved[..., -1]
    information = np.einsum("ol,kom->klm", levels, of_levels)
    score = np.einsum("kol,ko->kl", of_levels, error)
    level = np.linalg.solve(information, score[..., None])[..., 0]
    means = means + np.einsum("kor,ko->kr", gain, error - level @ levels.T)
    lost = np.einsum("kor,ol->krl", gain, levels)
    covariances = covariances - gain.transpose(0, 2, 1) @ across
    covariances = covariances + lost @ np.linalg.solve(information, lost.transpose(0, 2, 1))
    fit = np.einsum("ko,ko->k", error, of_error) - np.einsum("kl,kl->k", score, level)
    evidence = -0.5 * (fit + np.linalg.slogdet(variance)[1] + np.linalg.slogdet(information)[1])
    covariances = (covariances + covariances.transpose(0, 2, 1)) / 2
    return Conditioned(spread + evidence, means, covariances)


def update(
    prior: ColumnPrior, seen: Observations, allowed: np.ndarray, seed_variance: float, low_share: float
) -> Belief:
    """The belief about a column alone after some observations."""
    found = condition(prior, seen, seed_variance, low_share)
    return Belief(normalised(found.logarithms), found.means, found.covariances, seed_variance, allowed)


def leading(belief: Belief, tried: Collection[int] = ()) -> int:
    """The allowed row with the highest expected effect, of equal ones one that was tried."""
    mean = np.where(belief.allowed, belief.mean, -np.inf)
    equal = [int(row) for row in np.flatnonzero(mean >= mean.max() - TIE)]
    return next((row for row in equal if row in tried), equal[0])


def choose(belief: Belief, generator: np.random.Generator, tried: Collection[int] = (), draws: int = DRAWS) -> Choice:
    """The leading row, with its probability of being best and its regret, computed by draws from the belief."""
    row = leading(belief, tried)
    drawn = np.where(belief.allowed, belief.draw(generator, draws), -np.inf)
    best = np.bincount(drawn.argmax(axis=1), minlength=len(belief.allowed)) / draws
    regret = float(np.mean(drawn.max(axis=1) - drawn[:, row]))
    return Choice(row, float(best[row]), regret, best)


def pooled_seed_variance(prior: float, groups: list[np.ndarray]) -> float:
    """The variance of one training run: the prior's, updated by the scores of cells that have several seeds."""
    several = [group for group in groups if len(group) > 1]
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in several)
    freedom = sum(len(group) - 1 for group in several)
    return (SEED_FREEDOM * prior + squares) / (SEED_FREEDOM + freedom)


def normalised(logarithms: np.ndarray) -> np.ndarray:
    """Weights that sum to one."""
    weights = np.exp(logarithms - logarithms.max())
    found: np.ndarray = weights / weights.sum()
    return found

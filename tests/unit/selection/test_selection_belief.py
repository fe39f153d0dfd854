"""Beliefs of a selection: against the formulas of the multivariate normal, and probabilities that are kept."""

import numpy as np
import pytest
from scipy.stats import norm
from stiltgrid.selection import belief as module
from stiltgrid.selection.belief import FULL, LOW, Belief, Observations, choose, pooled_seed_variance, update
from stiltgrid.selection.prior import ColumnPrior

ROWS = 5


def seen(rows: list[int], scores: list[float], fidelity: list[int] | None = None, seeds: int = 1) -> Observations:
    number = len(rows)
    return Observations(np.array(rows), np.array(fidelity or [FULL] * number), np.array(scores),
                        np.full(number, seeds), np.zeros(number))  # fmt: skip


@pytest.fixture()
def one_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scale that is known, so that the belief is one normal."""
    monkeypatch.setattr(module, "SCALES", np.ones(1))


def prior(covariance: np.ndarray | None = None, mean: np.ndarray | None = None, scale: float = 2.0) -> ColumnPrior:
    mean = np.zeros(ROWS) if mean is None else mean
    return ColumnPrior(mean, np.eye(ROWS) if covariance is None else covariance, scale, 1.0)


def test_the_belief_is_the_conditional_normal_with_an_unknown_level(one_scale: None) -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((ROWS, ROWS))
    covariance, mean = root @ root.T / ROWS + 0.1 * np.eye(ROWS), rng.standard_normal(ROWS)
    found = update(prior(covariance, mean), seen([0, 2, 3], [51.0, 53.0, 50.0]), np.ones(ROWS, bool), 1.5, 0.5)
    # The level as one more normal variable of very large variance, conditioned in the ordinary way.
    K = 4 * covariance
    pick = np.eye(ROWS)[[0, 2, 3]]
    V = pick @ K @ pick.T + 1.5 * np.eye(3) + 1e8
    error = np.array([51.0, 53.0, 50.0]) - pick @ (2 * mean)
    np.testing.assert_allclose(found.mean, 2 * mean + K @ pick.T @ np.linalg.solve(V, error), atol=1e-4)
    np.testing.assert_allclose(found.covariance, K - K @ pick.T @ np.linalg.solve(V, pick @ K), atol=1e-4)


def test_the_level_of_the_scores_says_nothing(one_scale: None) -> None:
    low, high = (update(prior(), seen([0, 1, 4], [level, level + 2, level + 1]), np.ones(ROWS, bool), 1.0, 0.5)
                 for level in (10.0, 80.0))  # fmt: skip
    np.testing.assert_allclose(low.mean, high.mean)


def test_low_fidelity_says_less_and_its_level_is_another(one_scale: None) -> None:
    full = update(prior(), seen([0, 1], [50.0, 56.0]), np.ones(ROWS, bool), 1.0, 0.5)
    low = update(prior(), seen([0, 1], [50.0, 56.0], [LOW, LOW]), np.ones(ROWS, bool), 1.0, 0.5)
    assert 0 < low.mean[1] - low.mean[0] < full.mean[1] - full.mean[0]
    both = update(prior(), seen([0, 1, 2], [30.0, 36.0, 70.0], [LOW, LOW, FULL]), np.ones(ROWS, bool), 1.0, 0.5)
    assert both.mean[2] == pytest.approx(0, abs=1e-9)


def test_more_seeds_move_the_belief_further(one_scale: None) -> None:
    few, many = (update(prior(), seen([0, 1], [50.0, 54.0], seeds=seeds), np.ones(ROWS, bool), 9.0, 0.5)
                 for seeds in (1, 8))  # fmt: skip
    assert many.mean[1] - many.mean[0] > few.mean[1] - few.mean[0]
    assert many.covariance[1, 1] < few.covariance[1, 1]


def test_scores_far_apart_make_the_scale_larger() -> None:
    near = update(prior(), seen([0, 1, 2], [50.0, 50.5, 49.5]), np.ones(ROWS, bool), 0.1, 0.5)
    far = update(prior(), seen([0, 1, 2], [50.0, 62.0, 38.0]), np.ones(ROWS, bool), 0.1, 0.5)
    assert far.covariance[4, 4] > 4 * near.covariance[4, 4]


def test_the_probability_of_the_better_of_two_is_that_of_the_normal() -> None:
    covariance = np.diag([4.0, 1.0, 1.0])
    belief = Belief(np.ones(1), np.array([[1.0, 0.0, 99.0]]), covariance[None], 1.0, np.array([True, True, False]))
    choice = choose(belief, np.random.default_rng(0), draws=200_000)
    spread = np.sqrt(5)
    assert choice.row == 0 and choice.probabilities[2] == 0
    assert choice.probability == pytest.approx(norm.cdf(1 / spread), abs=5e-3)
    assert choice.regret == pytest.approx(spread * norm.pdf(1 / spread) - norm.cdf(-1 / spread), abs=1e-2)


def test_of_equal_rows_one_that_was_tried_is_chosen() -> None:
    belief = Belief(np.ones(1), np.zeros((1, 3)), np.eye(3)[None], 1.0, np.ones(3, bool))
    assert choose(belief, np.random.default_rng(0)).row == 0
    assert choose(belief, np.random.default_rng(0), tried={2}).row == 2


def test_probabilities_are_kept_where_the_model_holds() -> None:
    rng, said, right = np.random.default_rng(5), [], []
    column = ColumnPrior(np.array([1.0, 0.5, 0.0, 0.0, -1.0]), np.eye(ROWS), 2.0, 1.0)
    for _ in range(1500):
        scale = 2 * np.exp(0.5 * rng.standard_normal())
        effects = scale * (column.mean + rng.standard_normal(ROWS))
        rows = rng.permutation(ROWS)[:3]
        scores = 50 + effects[rows] + rng.standard_normal(3)
        belief = update(column, seen(list(rows), list(scores)), np.ones(ROWS, bool), 1.0, 0.5)
        choice = choose(belief, rng, draws=300)
        said.append(choice.probability)
        right.append(choice.row == effects.argmax())
    said_, right_ = np.array(said), np.array(right)
    sure = (said_ >= 0.7) & (said_ < 0.9)
    assert sure.sum() > 200 and 0.7 <= right_[sure].mean() <= 0.9
    assert right_.mean() == pytest.approx(said_.mean(), abs=0.04)


def test_the_variance_of_seeds_is_learned_where_cells_have_several() -> None:
    assert pooled_seed_variance(2.0, [np.array([50.0])]) == 2.0
    assert pooled_seed_variance(2.0, [np.array([50.0, 54.0])]) == pytest.approx((3 * 2 + 8) / 4)

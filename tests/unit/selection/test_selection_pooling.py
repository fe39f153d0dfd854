"""Pooling of earlier grids: those that agree count more, copies count once, as least squares has it."""

import numpy as np
import pytest
from stiltgrid.selection.pooling import Pooling, fit_pooling

TARGETS, ROWS = 40, 12
Made = tuple[np.ndarray, np.ndarray]


def made(loadings: list[float], copies: int = 0, own: float = 0.5, seed: int = 0) -> Made:
    """Grids with loadings of a shared effect and effects of their own; copies of the last differ by noise alone."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((TARGETS, ROWS))
    grids = [loading * shared + np.sqrt(own) * rng.standard_normal(shared.shape) for loading in loadings]
    grids += [grids[-1] + 0.1 * rng.standard_normal(shared.shape) for _ in range(copies)]
    return np.stack(grids), shared


def fitted(z: np.ndarray) -> Pooling:
    return fit_pooling(z, np.full(z.shape, 0.01), 1.0, 0.5)


def test_the_pooled_effect_is_that_of_generalised_least_squares() -> None:
    own = np.array([[1.0, 0.4, 0.0], [0.4, 2.0, 0.1], [0.0, 0.1, 0.5]])
    loadings, noise = np.array([1.0, 0.5, 1.5]), np.array([[0.2], [0.3], [0.1]])
    z = np.array([[2.0], [1.0], [-1.0]])
    inverse = np.linalg.inv(own + np.diag(noise[:, 0]))
    precision = loadings @ inverse @ loadings
    found, known = Pooling(loadings, own).pooled(z, noise)
    assert known[0] == pytest.approx(precision)
    assert found[0] == pytest.approx(loadings @ inverse @ z[:, 0] / precision)


def test_a_missing_entry_does_not_count() -> None:
    own = np.array([[1.0, 0.4], [0.4, 2.0]])
    found, precision = Pooling(np.ones(2), own).pooled(np.array([[3.0, np.nan], [np.nan, np.nan]]), np.zeros((2, 2)))
    assert found[0] == pytest.approx(3.0, rel=1e-6) and precision[0] == pytest.approx(1.0, rel=1e-6)
    assert found[1] == 0.0 and precision[1] == 0.0


def test_a_grid_that_is_unlike_the_others_has_a_small_loading() -> None:
    z, _ = made([1.2, 1.2, 1.2, 0.0])
    loadings = fitted(z).loadings
    assert loadings[3] < 0.65 and loadings[:3].min() > 1.0


def test_copies_of_a_grid_are_seen_to_repeat_each_other() -> None:
    z, _ = made([1.0] * 6, copies=2)
    own = fitted(z).own
    alike = own / np.sqrt(np.outer(np.diag(own), np.diag(own)))
    others = alike[:5, :5][np.triu_indices(5, 1)]
    assert alike[5:, 5:][np.triu_indices(3, 1)].min() > max(0.1, others.max() + 0.1)


@pytest.mark.parametrize("copies", [0, 2])
def test_pooling_is_nearer_to_the_shared_effect_than_a_mean(copies: int) -> None:
    z, shared = made([1.2, 1.2, 1.2, 0.1], copies=copies, own=1.0)
    pooling, noise = fit_pooling(z, np.full(z.shape, 0.01), 1.0, 1.0), np.full(z.shape[::2], 0.01)
    pooled = np.stack([pooling.pooled(z[:, target], noise)[0] for target in range(TARGETS)])
    assert np.corrcoef(pooled.ravel(), shared.ravel())[0, 1] > np.corrcoef(z.mean(0).ravel(), shared.ravel())[0, 1]


@pytest.mark.parametrize("number", [1, 2])
def test_one_or_two_grids_count_alike(number: int) -> None:
    pooling = fitted(made([1.5, 0.2][:number])[0])
    np.testing.assert_array_equal(pooling.loadings, np.ones(number))
    np.testing.assert_allclose(pooling.own, 0.5 * np.eye(number))

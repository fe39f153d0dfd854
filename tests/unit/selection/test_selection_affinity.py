"""Affinity of rows and targets: what it is, that its coefficient is learned, and that a choice gains by it."""

from dataclasses import replace

import numpy as np
import pytest
from configurations import changed, load
from sklearn.linear_model import Ridge
from stiltgrid.grid.selection import Selection, kinds_of_tasks
from stiltgrid.selection.affinity import SLOPE, SLOPE_SPREAD, Slope, affinities, fit_slope, same_kind
from stiltgrid.selection.belief import FULL, Observations
from stiltgrid.selection.joint import Seen, learn
from stiltgrid.selection.prior import EarlierGrid, fit_prior

TARGETS, ROWS = 10, 8
KINDS = ("span", "tagging", "sequence", "choice")
ROW_KINDS = [[], ["span"], ["span"], ["tagging"], ["sequence"], ["sequence"], ["choice"], list(KINDS)]
TARGET_KINDS = [[KINDS[number % 4]] for number in range(TARGETS - 1)] + [[]]
AFFINITY = affinities(same_kind(ROW_KINDS, TARGET_KINDS))


def seen(scores: np.ndarray, rows: np.ndarray) -> Seen:
    """One seed of some rows."""
    whole = np.ones(len(rows), dtype=int)
    found = Observations(rows, np.full(len(rows), FULL), scores, whole, np.zeros(len(rows)))
    return Seen(found, [np.array([score]) for score in scores], np.ones(ROWS, bool), np.zeros((len(rows), len(rows))))


def effects(slope: float, seed: int = 0) -> np.ndarray:
    return slope * AFFINITY + 0.4 * np.random.default_rng(seed).standard_normal((TARGETS, ROWS))


def test_the_share_of_tasks_of_the_targets_kind() -> None:
    shares = same_kind([[], ["span"], ["span", "choice", "choice"]], [["span"], ["choice", "span"], []])
    np.testing.assert_allclose(shares, [[0, 1, 1 / 3], [0, 1, 1], [0, 0, 0]])
    np.testing.assert_allclose(affinities(shares)[0], [-4 / 9, 5 / 9, -1 / 9])


def test_kinds_are_the_families_of_tasks_over_all_steps_of_a_chain() -> None:
    names = ["none", "mnli", "squad_v1", "chain"]
    grid = load(changed(recipes={"chain": {"sequence": ["squad_v1", "mnli"]}}, intermediates=names))
    rows, targets = kinds_of_tasks(grid, Selection(("xcopa", "tatoeba")))
    assert rows == [[], ["sequence"], ["span"], ["span", "sequence"]]
    assert set(targets[0]) == {"choice"} and targets[1] == []


def test_the_coefficient_is_that_of_a_ridge_regression() -> None:
    y = effects(1.5)
    y -= y.mean(axis=1, keepdims=True)
    # Ridge shrinks to 0, so it fits what is left of the expected coefficient.
    model = Ridge(alpha=0.3 / SLOPE_SPREAD**2, fit_intercept=False)
    model.fit(AFFINITY.reshape(-1, 1), (y - SLOPE * AFFINITY).ravel())
    found = fit_slope(y, AFFINITY, 0.3)
    assert found.mean == pytest.approx(SLOPE + model.coef_[0])
    assert found.variance == pytest.approx(1 / (1 / SLOPE_SPREAD**2 + (AFFINITY**2).sum() / 0.3))


@pytest.mark.parametrize("slope", [-1.0, 2.0])
def test_cells_of_other_targets_teach_the_coefficient(slope: float) -> None:
    scores = 50 + 4 * effects(slope)
    columns = [fit_prior([], ROWS, AFFINITY).column(target) for target in range(TARGETS)]
    rows = np.array([0, 1, 3, 4, 6])
    cells = [seen(each[rows], rows) for each in scores[:-2]] + [Seen.none(np.ones(ROWS, bool))] * 2
    own = learn(columns, cells).columns[TARGETS - 2]
    assert own.slope is not None and 0.35 < (own.slope.mean - SLOPE) / (slope - SLOPE) < 1.0
    assert own.slope.variance < 0.6 * SLOPE_SPREAD**2
    np.testing.assert_allclose(own.mean, own.slope.mean * AFFINITY[TARGETS - 2])
    assert np.linalg.eigvalsh(own.covariance).min() > 0


def test_a_columns_own_cells_do_not_count_twice() -> None:
    columns = [fit_prior([], ROWS, AFFINITY).column(target) for target in range(3)]
    rows = np.arange(ROWS)
    cells = [seen(50 + 4 * effects(2.0)[0], rows), *[Seen.none(np.ones(ROWS, bool))] * 2]
    found = learn(columns, cells).columns
    assert found[0].slope == Slope() and found[1].slope != Slope()


def test_a_target_that_no_earlier_grid_has_is_expected_by_affinity() -> None:
    rng = np.random.default_rng(1)
    true = effects(2.0)
    grids = [
        EarlierGrid(str(k), 50 + 3 * (true + 0.2 * rng.standard_normal(true.shape))[..., None] + rng.standard_normal(
            (TARGETS, ROWS, 3))) for k in range(3)
    ]  # fmt: skip
    for grid in grids:
        grid.scores[0] = np.nan
    plain, related = fit_prior(grids, ROWS), fit_prior(grids, ROWS, AFFINITY)
    centred = true[0] - true[0].mean()
    errors = [float(((prior.column(0).mean - centred) ** 2).mean()) for prior in (plain, related)]
    assert errors[1] < errors[0] / 2
    # A target that earlier grids have is known better by its own columns.
    assert related.column(1).slope is None and related.column(0).slope == related.slope
    np.testing.assert_array_equal(related.column(1).mean, plain.column(1).mean)
    np.testing.assert_array_equal(related.column(1).covariance, plain.column(1).covariance)


def test_without_kinds_nothing_changes() -> None:
    plain, related = fit_prior([], ROWS), fit_prior([], ROWS, np.zeros((TARGETS, ROWS)))
    for target in range(TARGETS):
        one, other = plain.column(target), related.column(target)
        np.testing.assert_allclose(one.mean, other.mean)
        np.testing.assert_allclose(one.covariance, other.covariance)
    assert replace(one, slope=Slope()).sloping(Slope(5.0, 0.1)).affinity is None

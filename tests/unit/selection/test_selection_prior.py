"""The prior of a selection: what is planted in earlier grids is found, noise and missing parts do not pass for it."""

import numpy as np
import pytest
from stiltgrid.selection.prior import COLD_SCALE, EarlierGrid, Prior, fit_prior, row_effects, standardise

TARGETS, ROWS, SEEDS = 12, 9, 3


def planted(
    seed: int = 0, grids: int = 4, own: float = 1.0, backbone: float = 0.5, noise: float = 0.5, scale: float = 3.0
):
    """Effects (targets, rows) that all backbones share, and grids with effects of their own and noise of seeds."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal(ROWS) + own * rng.standard_normal((TARGETS, ROWS))
    made = []
    for number in range(grids):
        effects = shared + backbone * rng.standard_normal(shared.shape)
        scores = 50 + scale * (effects[..., None] + noise * rng.standard_normal((*shared.shape, SEEDS)))
        made.append(EarlierGrid(str(number), scores))
    return shared, made


def correlation(prior: Prior, effects: np.ndarray) -> float:
    expected = np.stack([prior.column(target).mean for target in range(TARGETS)])
    centred = effects - effects.mean(axis=1, keepdims=True)
    return float(np.corrcoef(expected.ravel(), centred.ravel())[0, 1])


def test_columns_are_standardised_by_the_effects_and_not_by_the_noise() -> None:
    rng = np.random.default_rng(1)
    effects, noise = 4 * rng.standard_normal((1, 4000)), 3 * rng.standard_normal((1, 4000, 2))
    found = standardise([EarlierGrid("a", 60 + effects[..., None] + noise)])
    assert found.scale[0, 0] == pytest.approx(4, rel=0.1)
    assert found.seed_variance[0, 0] == pytest.approx(9, rel=0.2)
    assert found.noise[0, 0, 0] == pytest.approx(9 / 2 / 16, rel=0.2)
    assert found.z.mean() == pytest.approx(0, abs=1e-12)


def test_what_backbones_share_is_expected_of_a_new_one() -> None:
    effects, grids = planted()
    assert correlation(fit_prior(grids, ROWS), effects) > 0.9


def test_backbones_that_disagree_widen_the_expectation() -> None:
    apart = [fit_prior(planted(backbone=backbone)[1], ROWS) for backbone in (0.2, 2.0)]
    variances = [float(np.diag(prior.column(0).covariance).mean()) for prior in apart]
    assert apart[0].between < apart[1].between and variances[0] < variances[1]


def test_noise_alone_gives_no_preference() -> None:
    rng = np.random.default_rng(3)
    grids = [EarlierGrid(str(k), 50 + rng.standard_normal((TARGETS, ROWS, SEEDS))) for k in range(4)]
    columns = [fit_prior(grids, ROWS).column(target) for target in range(TARGETS)]
    # Points; the mean of three seeds has a standard deviation of 0.58, and of 108 the largest is 1.5 or so.
    assert max(np.abs(column.scale * column.mean).max() for column in columns) < 0.58


def test_a_target_that_earlier_grids_lack_is_expected_to_be_like_the_others() -> None:
    effects, grids = planted(own=0.3)
    without = []
    for grid in grids:
        scores = grid.scores.copy()
        scores[0] = np.nan
        without.append(EarlierGrid(grid.name, scores))
    column = fit_prior(without, ROWS).column(0)
    known = fit_prior(grids, ROWS).column(0)
    assert np.corrcoef(column.mean, effects[0])[0, 1] > 0.7
    assert np.diag(column.covariance).sum() > np.diag(known.covariance).sum()
    assert np.isfinite(column.scale) and column.scale == pytest.approx(known.scale, rel=0.5)


def test_missing_cells_and_single_seeds_are_allowed() -> None:
    _, grids = planted()
    scores = grids[0].scores[..., :1].copy()
    scores[2:5, 3] = np.nan
    prior = fit_prior([EarlierGrid("one", scores)], ROWS)
    for target in range(TARGETS):
        column = prior.column(target)
        assert np.isfinite(column.mean).all() and column.seed_variance > 0
        assert np.linalg.eigvalsh(column.covariance).min() > 0


def test_a_cold_start_prefers_no_row() -> None:
    column = fit_prior([], ROWS).column(5)
    assert not column.mean.any() and column.scale == COLD_SCALE
    np.testing.assert_allclose(column.covariance, np.eye(ROWS))


def test_rows_that_help_other_targets_are_expected_to_help_here() -> None:
    columns = [fit_prior([], ROWS).column(number) for number in range(4)]
    rows = np.arange(ROWS)
    scores = np.where(rows == 2, 60.0, 50.0)
    nothing = (np.empty(0, dtype=int), np.empty(0))
    effects = row_effects(columns, [(rows, scores), (rows, scores), nothing, nothing])
    assert effects[3].argmax() == 2 and effects[3, 2] > 0
    # A column's own cells count in its belief, not in what it expects of them.
    alone = row_effects(columns, [(rows, scores), nothing, nothing, nothing])
    assert not alone[0].any() and alone[1].any()


def test_agreement_moves_variance_between_what_is_shared_and_what_is_new() -> None:
    column = fit_prior(planted(grids=1)[1], ROWS).column(0)
    more, less = column.agreeing(1.0), column.agreeing(-1.0)
    assert less.between > column.between > more.between
    assert np.abs(less.mean).sum() < np.abs(column.mean).sum() < np.abs(more.mean).sum()
    # Log-odds of the shared share, with the whole kept.
    whole = column.shared + column.between
    odds = [(whole - item.between) / item.between for item in (less, column, more)]
    np.testing.assert_allclose(np.diff(np.log(odds)), 1.0)
    np.testing.assert_allclose(column.agreeing(0.0).covariance, column.covariance)
    cold = fit_prior([], ROWS).column(0)
    assert cold.agreeing(2.0) is cold

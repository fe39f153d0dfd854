"""What all columns of a model tell together: agreement with earlier grids, size of effects, noise of low fidelity."""

import numpy as np
import pytest
from stiltgrid.selection.belief import FULL, LOW, LOW_SHARE, Belief, Observations, choose
from stiltgrid.selection.joint import Learned, Seen, excluded, learn
from stiltgrid.selection.prior import ColumnPrior, EarlierGrid, fit_prior

COLUMNS, ROWS = 20, 8
ALL = np.ones(ROWS, dtype=bool)


def seen(scores: np.ndarray, rows: np.ndarray | None = None, low: np.ndarray | None = None) -> Seen:
    """One seed of some rows at full fidelity (all by default), then those of `low`, (rows,) at low fidelity."""
    rows = np.arange(len(scores)) if rows is None else rows
    extra = np.empty(0) if low is None else low
    places = np.concatenate([rows, np.arange(len(extra))]).astype(int)
    level = np.array([FULL] * len(rows) + [LOW] * len(extra))
    number = len(places)
    found = Observations(places, level, np.concatenate([scores, extra]), np.ones(number, dtype=int), np.zeros(number))
    return Seen(found, [np.array([score]) for score in scores], ALL, np.zeros((number, number)))


def column(mean: np.ndarray) -> ColumnPrior:
    """Half of the variance is shared with earlier grids, which are known without noise; a scale of 2 points."""
    return ColumnPrior(np.sqrt(0.5) * mean, 0.5 * np.eye(ROWS), 2.0, 0.25, between=0.5, shared=0.5)


def expected(learned: Learned, name: str) -> float:
    values = np.array([getattr(item, name) for item in learned.hypotheses])
    return float(learned.weights @ values)


def learned(agreement: float, factor: float = 1.0, seed: int = 0) -> Learned:
    """From all rows of all columns, whose effects have a correlation of `agreement` with what earlier grids show."""
    rng = np.random.default_rng(seed)
    known = rng.standard_normal((COLUMNS, ROWS))
    fresh = rng.standard_normal((COLUMNS, ROWS))
    effects = 2 * factor * (agreement * known + np.sqrt(1 - agreement**2) * fresh)
    scores = 50 + effects + 0.5 * rng.standard_normal(effects.shape)
    return learn([column(each) for each in known], [seen(each) for each in scores])


def test_cells_that_contradict_the_earlier_grids_make_them_count_less() -> None:
    like, unlike = learned(0.95), learned(0.1)
    assert expected(like, "agreement") > 0.5 and expected(unlike, "agreement") < -0.5
    nothing = Seen.none(ALL)
    trusted, distrusted = (each.belief(0, nothing) for each in (like, unlike))
    # Without cells of its own a column still follows what the other columns have shown.
    assert np.abs(distrusted.mean).max() < 0.6 * np.abs(trusted.mean).max()
    assert np.diag(distrusted.covariance).mean() > 1.5 * np.diag(trusted.covariance).mean()


def test_the_size_of_effects_is_learned_from_all_columns() -> None:
    assert expected(learned(0.7, factor=3.0), "factor") > 2.0
    assert expected(learned(0.7, factor=0.33), "factor") < 0.5


def test_without_cells_nothing_is_learned() -> None:
    found = learn([column(np.zeros(ROWS))] * 3, [Seen.none(ALL)] * 3)
    assert expected(found, "agreement") == pytest.approx(0, abs=1e-12)
    assert not found.effects.any() and found.weights.sum() == pytest.approx(1)


def test_a_single_cell_of_a_column_says_nothing() -> None:
    one = seen(np.array([70.0]), np.array([2]))
    assert expected(learn([column(np.arange(ROWS) - 3.5)], [one]), "agreement") == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("noise", "low", "high"), [(0.2, 0.0, 0.3), (2.0, 1.0, 2.1)])
def test_how_far_low_fidelity_can_be_trusted_is_learned_where_both_have_run(
    noise: float, low: float, high: float
) -> None:
    rng = np.random.default_rng(4)
    effects = 2 * rng.standard_normal((COLUMNS, ROWS))
    cheap = 30 + effects + 2 * noise * rng.standard_normal(effects.shape)
    columns = [column(np.zeros(ROWS))] * COLUMNS
    found = learn(columns, [seen(50 + each, low=other) for each, other in zip(effects, cheap, strict=True)])
    assert low < expected(found, "low_share") < high
    alone = learn(columns, [seen(50 + each) for each in effects])
    assert {item.low_share for item in alone.hypotheses} == {LOW_SHARE}


def test_one_hypothesis_is_a_belief_about_the_column_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from stiltgrid.selection import belief, joint

    monkeypatch.setattr(joint, "AGREEMENTS", (0.0,))
    monkeypatch.setattr(joint, "FACTORS", (1.0,))
    monkeypatch.setattr(joint, "LEAST_WEIGHT", 0.0)
    one, cells = column(np.arange(ROWS) - 3.5), seen(np.array([50.0, 53.0, 49.0]))
    found = learn([one], [cells]).belief(0, cells)
    alone = belief.update(one, cells.observations, ALL, one.seed_variance, LOW_SHARE)
    np.testing.assert_allclose(found.mean, alone.mean)
    np.testing.assert_allclose(found.covariance, alone.covariance)


def test_probabilities_are_kept_though_a_small_model_is_unlike_and_its_effects_are_smaller() -> None:
    """One earlier grid with one seed and a third of the effects; how far the new model agrees with it varies."""
    rng, said, right = np.random.default_rng(7), [], []
    for trial in range(12):
        agreement = (0.2, 0.5, 0.9)[trial % 3]
        small = rng.standard_normal((COLUMNS, ROWS))
        effects = 3 * (agreement * small + np.sqrt(1 - agreement**2) * rng.standard_normal(small.shape))
        prior = fit_prior(
            [EarlierGrid("small", 40 + (small + 0.5 * rng.standard_normal(small.shape))[..., None])], ROWS
        )
        rows = [rng.permutation(ROWS)[:4] for _ in range(COLUMNS)]
        scores = 60 + effects + rng.standard_normal(effects.shape)
        cells = [seen(each[some], some) for each, some in zip(scores, rows, strict=True)]
        known = learn([prior.column(number) for number in range(COLUMNS)], cells)
        for number, each in enumerate(cells):
            choice = choose(known.belief(number, each), rng, draws=400)
            said.append(choice.probability)
            right.append(effects[number].argmax() == choice.row)
    said_, right_ = np.array(said), np.array(right)
    sure = said_ >= 0.6
    assert sure.sum() > 40 and right_[sure].mean() > said_[sure].mean() - 0.1
    assert right_.mean() == pytest.approx(said_.mean(), abs=0.08)


def test_a_row_is_dropped_where_the_paired_interval_excludes_it() -> None:
    belief = Belief(np.ones(1), np.array([[3.0, 2.0, 0.0, 9.0]]), np.eye(4)[None], 1.0, np.ones(4, bool))
    found = Observations(np.array([0, 1, 2, 2]), np.array([FULL, FULL, FULL, LOW]), np.array([60.0, 57.4, 57.0, 10.0]),
                         np.array([2, 2, 2, 1]), np.zeros(4))  # fmt: skip
    # Of two seeds each, a difference has a variance of 1 + 1; its examples add to that.
    paired = np.full((4, 4), 0.25)
    groups = [np.array([60.0, 60.0])] * 3
    limit = 1.96 * np.sqrt(1 / 2 + 1 / 2 + 0.25)
    assert 57.4 > 60 - limit - 1 and 60 - 57.0 > limit > 60 - 57.9
    assert excluded(Seen(found, groups, np.ones(4, bool), paired), belief) == {1, 2}
    assert excluded(Seen(found, groups, np.ones(4, bool), 4 * paired), belief) == {2}
    assert excluded(Seen(found, groups, np.ones(4, bool), 16 * paired), belief) == frozenset()
    # Row 3 is expected to be best, but has not run: rows are compared with the best of those that have.
    assert excluded(Seen.none(np.ones(4, bool)), belief) == frozenset()

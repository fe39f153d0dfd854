"""Studies 1, 2 and 5: statistics against scipy and hand computations, refusals, and simulations with known truth."""

import importlib
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from stiltgrid.analysis.bootstrap import LanguageCounts, gain, replicate
from stiltgrid.analysis.metric_counts import counted_metric
from stiltgrid.evaluation.task_vectors import cosine, shared_mass, similarity, write_vectors
from stiltgrid.studies import ranking
from stiltgrid.studies.association import by_target, draw_orders, max_t, pooled, ranks
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.interaction import interaction
from stiltgrid.studies.matrices import Names, family_orders, likeness, reliability
from stiltgrid.studies.paired import combined, contrast, difference

ROWS, TARGETS = [f"row{n}" for n in range(7)], ["xnli", "xquad", "panx", "tatoeba"]
NAMES = Names(ROWS, TARGETS, ROWS, TARGETS)


def generator() -> np.random.Generator:
    return np.random.default_rng(5)


def orders(rows: int, permutations: int) -> np.ndarray:
    return draw_orders(rows, permutations, generator())


@pytest.fixture
def table() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    draw = generator()
    measure, size = draw.normal(size=(7, 4)), np.repeat(draw.normal(size=(7, 1)), 4, axis=1)
    return 0.8 * measure + 0.5 * size + draw.normal(size=(7, 4)), measure, {"size": size}


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    return float(scipy.stats.spearmanr(x, y).statistic)


def test_ranks_are_scipys() -> None:
    x = np.asarray([3.0, 1, 2, 2, 5])
    assert ranks(x).tolist() == scipy.stats.rankdata(x).tolist()


def test_the_slope_is_that_of_a_regression_with_target_effects(table) -> None:
    gains, measure, controls = table
    found = pooled(gains, measure, controls, ROWS, TARGETS, orders(7, 999))
    z = [(item - item.mean(axis=0)) / item.std(axis=0) for item in (gains, measure)]
    dummies = np.tile(np.eye(4), (7, 1))
    design = np.column_stack([z[1].reshape(-1), controls["size"].reshape(-1), dummies])
    expected = np.linalg.lstsq(design, z[0].reshape(-1), rcond=None)[0][0]
    slope = found.slope
    assert slope.value == pytest.approx(expected)
    assert slope.low is not None and slope.high is not None and slope.low < slope.value < slope.high
    # The interval is the test's own: it contains 0 exactly where the test does not reject.
    assert (slope.low <= 0 <= slope.high) == (slope.p > 0.05)
    # Within rows and targets: a regression with effects of both.
    design = np.column_stack([z[1].reshape(-1), dummies, np.repeat(np.eye(7), 4, axis=0)])
    assert found.within_rows.value == pytest.approx(np.linalg.lstsq(design, z[0].reshape(-1), rcond=None)[0][0])
    assert found.rho == pytest.approx(np.mean([spearman(a, b) for a, b in zip(measure.T, gains.T, strict=True)]))


def test_permutation_p_is_near_the_exact_one() -> None:
    x, y = np.asarray([1.0, 2, 3, 4, 5]), np.asarray([1.0, 3, 2, 5, 4])
    exact = np.mean([abs(spearman(x, y[list(order)])) >= spearman(x, y) - 1e-9 for order in permutations(range(5))])
    told = by_target(y[:, None], x[:, None], ROWS[:5], ["xnli"], orders(5, 9999))[0]
    assert told.rho == pytest.approx(0.8)
    assert told.p == pytest.approx(exact, abs=0.015)


def test_a_row_that_dominates_does_not_enter_the_slope_within_rows(table) -> None:
    gains, measure, controls = table
    moved = gains.copy()
    moved[0] += 5 * gains.std(axis=0)
    found = pooled(moved, measure, controls, ROWS, TARGETS, orders(7, 999))
    assert found.within_rows.p < 0.1 < found.slope.p


def test_p_values_adjusted_over_tests_that_share_permutations() -> None:
    draw = generator()
    drawn = [np.abs(draw.normal(size=999)), 10 * np.abs(draw.normal(size=999))]
    adjusted = max_t([3.5, 1.0], drawn)
    largest = np.maximum(drawn[0] / drawn[0].std(), drawn[1] / drawn[1].std())
    assert adjusted[0] == pytest.approx((1 + (largest >= 3.5 / drawn[0].std()).sum()) / 1000)
    assert adjusted[1] > 0.9
    # The same test twice is no more evidence and no more correction than once.
    assert max_t([2.0, 2.0], [drawn[0], drawn[0]])[0] == max_t([2.0], drawn[:1])[0]


def test_a_prediction_that_is_fitted_on_gains_is_fitted_again_in_every_permutation(table) -> None:
    """A strategy that copies the gains is perfect in every permutation too, so it is no better than chance."""
    gains, measure, _ = table
    scores = 50 + gains
    copied = ranking.verdict("copy", scores, gains, lambda each: each, orders(7, 99))
    assert copied.quality.lost1 == 0 and copied.p_lost1 == 1
    fixed = ranking.verdict("fixed", scores, gains, lambda each: gains, orders(7, 99))
    assert fixed.quality.lost1 == 0 and fixed.p_lost1 is not None and fixed.p_lost1 < 0.1


def test_refusals_say_what_is_missing(table) -> None:
    gains, measure, controls = table
    holed, flat = gains.copy(), measure.copy()
    holed[2, 1], flat[:, 3] = np.nan, 1.0
    with pytest.raises(StudyError, match="1 of 28 missing .row2 / xquad."):
        pooled(holed, measure, controls, ROWS, TARGETS, orders(7, 99))
    with pytest.raises(StudyError, match="one value for all rows in tatoeba"):
        pooled(gains, flat, controls, ROWS, TARGETS, orders(7, 99))
    with pytest.raises(StudyError, match="at least 2 targets, found 1"):
        pooled(gains[:, :1], measure[:, :1], {}, ROWS, TARGETS[:1], orders(7, 99))
    with pytest.raises(StudyError, match="at least 4 rows, found 3"):
        pooled(gains[:3], measure[:3], {}, ROWS[:3], TARGETS, orders(3, 99))
    with pytest.raises(StudyError, match="the controls leave open"):
        pooled(gains, controls["size"], controls, ROWS, TARGETS, orders(7, 99))
    told = pooled(gains, measure, {"family": np.ones((7, 4))}, ROWS, TARGETS, orders(7, 99))
    assert (told.controls, told.uncontrolled) == ((), ("family",))


def test_regret_and_ndcg_by_hand() -> None:
    scores = np.asarray([[50.0], [80.0], [60.0], [20.0]])
    found = ranking.qualities(scores, np.asarray([[4.0], [1.0], [3.0], [2.0]]))[0]  # order: 50, 60, 20, 80
    assert found.regret1 == pytest.approx(100 * 30 / 80)
    assert found.regret3 == pytest.approx(100 * 20 / 80)
    assert found.lost1 == 30
    worth = [2 ** (score / 100) - 1 for score in (50, 60, 20, 80)]
    discounts = [1, 1 / np.log2(3), 0.5, 1 / np.log2(5)]
    reached = sum(a * b for a, b in zip(worth, discounts, strict=True))
    ideal = sum(a * b for a, b in zip(sorted(worth, reverse=True), discounts, strict=True))
    assert found.ndcg == pytest.approx(100 * reached / ideal)


def test_random_ranking_is_the_mean_over_all_orders() -> None:
    scores = np.asarray([[50.0], [80.0], [60.0], [20.0]])
    every = [np.asarray(order, dtype=float)[:, None] for order in permutations(range(4))]
    each = ranking.mean_quality([ranking.qualities(scores, order)[0] for order in every])
    told = ranking.at_random(scores)[0]
    for name in ("regret1", "regret3", "lost1", "ndcg"):
        assert getattr(told, name) == pytest.approx(getattr(each, name))


def test_a_left_out_target_is_not_looked_at(table) -> None:
    gains, measure, controls = table
    predictors = {"measure": measure, **controls}
    before = ranking.leave_one_out(gains, predictors)[:, 2]
    changed = gains.copy()
    changed[:, 2] = generator().normal(size=7)
    assert ranking.leave_one_out(changed, predictors)[:, 2] == pytest.approx(before)
    with pytest.raises(StudyError, match="at least 3 targets"):
        ranking.leave_one_out(gains[:, :2], {"measure": measure[:, :2]})


def test_likeness_of_equal_and_of_shifted_matrices() -> None:
    gains = generator().normal(size=(2, 7, 4))
    found = {item.reading: item for item in likeness(gains, gains, NAMES, generator(), 199)}
    assert found["within"].correlation == pytest.approx(1)
    assert found["pattern"].p <= 0.03
    moved = gains * np.asarray([1.0, 3, 0.5, 2]) + np.asarray([5.0, -9, 0, 2])  # other units and targets' own effects
    shifted = {item.reading: item for item in likeness(gains, moved, NAMES, generator(), 199)}
    assert shifted["within"].correlation == pytest.approx(1)
    assert reliability(gains[:1], "within") is None
    assert reliability(np.stack([gains[0]] * 3), "within") == pytest.approx(1)
    with pytest.raises(StudyError, match="at least 3 targets"):
        likeness(gains[:, :, :2], gains[:, :, :2], Names(ROWS, TARGETS[:2], ROWS, TARGETS[:2]), generator())


def test_families_are_permuted_as_blocks() -> None:
    families = ["qa", "qa", "nli", "tags", "nli", "nli"]
    for order in family_orders(families, 50, generator()):
        sources = [families[place] for place in order]
        assert all(len({sources[n] for n, name in enumerate(families) if name == kind}) == 1 for kind in set(families))
        assert set(sources) == set(families)


def test_the_interaction_is_that_of_an_analysis_of_variance() -> None:
    import pandas as pd
    import statsmodels.formula.api as smf

    first, second = generator().normal(size=(2, 3, 4, 3))
    found = interaction(first, second, ROWS[:4], TARGETS[:3])
    lines = [
        {"y": gains[s, i, j], "model": m, "seed": f"{m}{s}", "row": i, "target": j}
        for m, gains in enumerate((first, second))
        for s in range(3) for i in range(4) for j in range(3)
    ]  # fmt: skip
    runs = "y ~ C(seed) * C(row) + C(seed) * C(target)"
    apart, alike = (
        smf.ols(f"{runs} + {pattern}", pd.DataFrame(lines)).fit()
        for pattern in ("C(model):C(row):C(target)", "C(row):C(target)")
    )
    explained = (alike.ssr - apart.ssr) / (alike.df_resid - apart.df_resid)
    assert found.f == pytest.approx(explained / (apart.ssr / apart.df_resid))
    # Equal noise on all targets leaves the degrees of freedom as they are; unequal noise takes some.
    noisy = interaction(first * [1, 1, 20], second * [1, 1, 20], ROWS[:4], TARGETS[:3])
    assert 6 / 3 <= noisy.df1 < found.df1 <= 6
    with pytest.raises(StudyError, match="at least 2 seeds, found 1"):
        interaction(first[:1], second[:1], ROWS[:4], TARGETS[:3])


def counts(hits: np.ndarray, language: str) -> LanguageCounts:
    return LanguageCounts(language, np.arange(len(hits)), np.stack([hits, np.ones_like(hits)], axis=-1))


def test_a_contrast_of_two_rows_is_the_paired_gain_and_languages_widen_it() -> None:
    draw = generator()
    parts = [counts((draw.random((80, 3, 2)) < 0.3 + 0.1 * n).astype(float), str(n)) for n in range(4)]
    found = replicate(parts, counted_metric("dual", "recall@10").value, draw, 300)
    own, theirs = contrast(found, {1: 1.0, 0: -1.0}), gain(found.difference(1, 0, [0, 1]))
    assert (own.value, own.low, own.p) == pytest.approx((theirs.value, theirs.low, theirs.p))
    drawn = contrast(found, {1: 1.0, 0: -1.0}, drawn_languages=True)
    assert drawn.value == pytest.approx(own.value) and (drawn.se or 0) >= (own.se or 0)
    # A kind over none less the controls over none: the baseline falls out.
    twice = difference(found, {1: 1.0, 0: -1.0}).scores - difference(found, {2: 1.0, 0: -1.0}).scores
    assert difference(found, {1: 1.0, 2: -1.0}).scores == pytest.approx(twice)
    both = combined([own, own])
    assert both.se == pytest.approx((own.se or 0) / 2**0.5)
    with pytest.raises(StudyError, match="at least 2 languages"):
        contrast(found, {1: 1.0, 0: -1.0}, [0], drawn_languages=True)


def test_similarities_of_vectors(tmp_path: Path) -> None:
    assert cosine(np.asarray([1.0, 0]), np.asarray([1.0, 1])) == pytest.approx(2**-0.5)
    assert shared_mass(np.asarray([1.0, 1, 2]), np.asarray([10.0, 0, 0])) == pytest.approx(0.25)
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    write_vectors({"a": np.asarray([1.0, 0]), "b": np.asarray([3.0, 4])}, one)
    write_vectors({"a": np.asarray([0.0, 1]), "b": np.asarray([6.0, 8])}, two)
    assert similarity("fisher", one, two) == pytest.approx(0.5)  # the mean over components of 0 and 1


def load_simulations():
    return importlib.import_module("transfer_study_simulations")


def test_planted_effects_are_found_and_absent_ones_are_not() -> None:
    """A fast subset of the benchmark: 20 simulations of a strong and of no effect for each study."""
    simulations = load_simulations()
    for study in ("similarity", "architecture", "retrieval"):
        cases = [case for case in simulations.CASES if case.study == study]
        strong = next(case for case in cases if case.planted)
        assert simulations.simulate(strong, 20).positive >= 0.9
        absent = next(case for case in cases if not case.planted)
        assert simulations.simulate(absent, 20).significant <= 0.2


def test_cases_are_told_apart() -> None:
    names = [(case.study, case.name) for case in load_simulations().CASES]
    assert all(one != other for one, other in combinations(names, 2))

"""The hierarchical bootstrap: where it equals tests known from elsewhere, and its errors on simulated grids."""

import importlib
from types import ModuleType

import numpy as np
import pytest
from scipy import stats
from stiltgrid.analysis.bootstrap import Difference, LanguageCounts, Replicates, gain, replicate
from stiltgrid.analysis.metric_counts import counted_metric

MEAN = counted_metric("sequence", "accuracy").value
DRAWS = 4000


def means(scores: np.ndarray) -> np.ndarray:
    """Counts of a mean: scores (examples, rows, seeds) from 0 to 1."""
    return np.stack([scores, np.ones_like(scores)], axis=-1)


def replicates(*languages: np.ndarray, shared: bool = True, draws: int = DRAWS) -> Replicates:
    start, items = 0, []
    for number, scores in enumerate(languages):
        items.append(LanguageCounts(f"l{number}", start + np.arange(len(scores)), means(scores)))
        start += 0 if shared else len(scores)
    return replicate(items, MEAN, np.random.default_rng(0), draws)


def test_scores_are_those_of_the_counts() -> None:
    scores = np.random.default_rng(1).random((30, 2, 3))
    found = replicates(scores)
    assert found.scores[0] == pytest.approx(100 * scores.mean(axis=0))
    assert found.drawn.mean(axis=0)[0] == pytest.approx(100 * scores.mean(axis=0), abs=0.5)


def test_one_seed_is_the_paired_t_test_over_examples() -> None:
    generator = np.random.default_rng(2)
    baseline = generator.random((400, 1, 1))
    row = np.clip(baseline + 0.02 + 0.2 * generator.standard_normal(baseline.shape), 0, 1)
    found = gain(replicates(np.concatenate([baseline, row], axis=1)).difference(1, 0, [0]))
    expected = stats.ttest_rel(row[:, 0, 0], baseline[:, 0, 0])
    interval = expected.confidence_interval()
    assert found.value == pytest.approx(100 * (row - baseline).mean())
    assert found.df == 399
    assert found.p == pytest.approx(expected.pvalue, rel=0.15)
    assert (found.low, found.high) == pytest.approx((100 * interval.low, 100 * interval.high), abs=0.1)
    assert found.sd is None and not found.includes_training


def test_seeds_alone_are_the_paired_t_test_over_seeds() -> None:
    """Every example moves alike, so only training varies."""
    by_seed = np.asarray([0.3, 0.5, 0.45, 0.62])
    scores = np.zeros((50, 2, 4)) + np.stack([np.full(4, 0.4), by_seed])[None]
    found = gain(replicates(scores).difference(1, 0, range(4)))
    expected = stats.ttest_rel(by_seed, np.full(4, 0.4))
    interval = expected.confidence_interval()
    assert found.df == pytest.approx(3)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((100 * interval.low, 100 * interval.high))
    assert found.sd == pytest.approx(100 * by_seed.std(ddof=1))


def test_variances_of_both_levels_add_without_counting_chance_twice() -> None:
    """Against the crossed analysis of variance: (mean square of seeds + of examples - residual) / cells."""
    generator = np.random.default_rng(3)
    seeds, examples = 4, 300
    difference = 0.05 * generator.standard_normal((1, seeds)) + 0.3 * generator.standard_normal((examples, 1))
    difference = difference + 0.5 * generator.standard_normal((examples, seeds))
    scores = np.stack([np.zeros_like(difference), difference], axis=1)
    found = gain(replicates(scores, draws=20_000).difference(1, 0, range(seeds)))
    by_seed, by_example, mean = difference.mean(axis=0), difference.mean(axis=1), difference.mean()
    ms_seeds = examples * by_seed.var(ddof=1)
    ms_examples = seeds * by_example.var(ddof=1)
    residual = difference - by_seed[None] - by_example[:, None] + mean
    ms_residual = (residual**2).sum() / ((seeds - 1) * (examples - 1))
    expected = (ms_seeds + ms_examples - ms_residual) / (seeds * examples)
    assert found.se == pytest.approx(100 * np.sqrt(expected), rel=0.01)


def test_languages_of_a_parallel_set_are_drawn_together() -> None:
    """The same questions twice are no more evidence than once; other questions are."""
    generator = np.random.default_rng(4)
    scores = (generator.random((500, 2, 1)) < 0.5).astype(float)
    alone = gain(replicates(scores).difference(1, 0, [0])).se
    parallel = gain(replicates(scores, scores).difference(1, 0, [0])).se
    separate = gain(replicates(scores, scores, shared=False).difference(1, 0, [0])).se
    assert parallel == pytest.approx(alone)
    assert separate == pytest.approx(alone / np.sqrt(2), rel=0.05)


def test_pairing_takes_out_what_rows_share() -> None:
    generator = np.random.default_rng(5)
    baseline = (generator.random((300, 1, 1)) < 0.5).astype(float)
    row = baseline.copy()
    row[:6] = 1 - row[:6]
    found = gain(replicates(np.concatenate([baseline, row], axis=1)).difference(1, 0, [0]))
    assert found.se < 1  # unpaired, it would be 4 points


def test_some_seeds_and_languages_only() -> None:
    scores = np.random.default_rng(6).random((40, 2, 3))
    other = scores[:, ::-1]
    found = replicates(scores, other)
    assert gain(found.difference(1, 0, range(3))).value == pytest.approx(0, abs=1e-9)
    one = gain(found.difference(1, 0, [2], [1]))
    assert one.value == pytest.approx(100 * (scores[:, 0, 2] - scores[:, 1, 2]).mean())


def test_rows_that_answer_alike_differ_by_nothing() -> None:
    scores = np.repeat(np.random.default_rng(7).random((20, 1, 3)), 2, axis=1)
    found = gain(replicates(scores).difference(1, 0, range(3)))
    assert (found.value, found.se, found.low, found.high, found.p) == (0, 0, 0, 0, 1)


def test_without_spread_there_is_no_interval() -> None:
    one_example = gain(replicates(np.asarray([[[0.0], [1.0]]])).difference(1, 0, [0]))
    assert one_example.value == 100
    assert one_example.low is one_example.p is one_example.se is None
    all_alike = gain(replicates(np.stack([np.zeros((9, 1)), np.ones((9, 1))], axis=1)).difference(1, 0, [0]))
    assert all_alike.p is None and all_alike.low is None


def test_draws_in_pieces_are_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(8).random((50, 2, 2))
    whole = replicates(scores, draws=64)
    monkeypatch.setattr("stiltgrid.analysis.bootstrap.CHUNK_BYTES", 8 * 50 * 5)
    assert replicates(scores, draws=64).drawn == pytest.approx(whole.drawn)


def test_a_difference_needs_no_replicates_of_its_own() -> None:
    """`gain` reads plain arrays, so that differences of differences can be tested too."""
    drawn = np.random.default_rng(9).standard_normal((1000, 1, 2))
    found = gain(Difference(np.asarray([[1.0, 3.0]]), drawn, np.asarray([100]), 100))
    assert found.value == 2 and found.seeds == 2


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    return importlib.import_module("null_simulation")


@pytest.mark.parametrize("number", [0, 1, 3])
def test_error_rates_on_simulated_grids(simulation: ModuleType, number: int) -> None:
    """The benchmark on 125 grids (500 tests): 5 % within three standard errors."""
    found = simulation.simulate(simulation.SCENARIOS[number], grids=125, draws=120)
    assert found.tests == 500
    assert 0.02 <= found.rejected <= 0.08
    assert 0.92 <= found.covered <= 0.98
    assert found.any_holm <= 0.15

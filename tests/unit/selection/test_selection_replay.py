"""benchmarks/selection_replay.py: its arithmetic by hand, and that it replays the rounds of the workflow."""

import gzip
import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from grids import layout
from scipy.stats import norm
from stiltgrid.grid.selection import Selection
from stiltgrid.selection import rounds
from stiltgrid.selection.belief import FULL, Belief
from stiltgrid.selection.development import Developed
from stiltgrid.selection.policy import Costs, Rules, Run
from stiltgrid.selection.prior import EarlierGrid, fit_prior
from stiltgrid.selection.tables import ProposedCell


@pytest.fixture(scope="module")
def replay() -> ModuleType:
    return importlib.import_module("selection_replay")


def even(columns: int, rows: int, training: float = 0.0) -> Costs:
    return Costs(np.ones((2, columns, rows)), np.full((2, rows), training))


def test_the_cost_of_a_grid_is_that_of_its_cells_and_of_each_training_once(replay: ModuleType) -> None:
    scores = np.zeros((2, 3, 4))
    scores[1, 2] = np.nan
    grid = replay.Finished("a", scores, even(2, 3, training=10.0))
    assert replay.whole_cost(grid, 2) == 5 * 2 + 3 * 2 * 10
    tuned = replace(grid, costs=Costs(np.ones((2, 2, 3)), np.zeros((2, 3)), (), np.full((2, 2), 7.0), (0, 0)))
    assert replay.whole_cost(tuned, 1) == 5 + 3 * 7


def test_a_loss_is_against_the_row_of_the_whole_grid_and_against_the_best(replay: ModuleType) -> None:
    # Seeds 0 and 1 choose, 2 and 3 judge. Column 0: the grid chooses row 1 (52 > 51), judged 50; row 2 is judged best.
    scores = np.array([[[50, 52, 40, 44], [52, 52, 49, 51], [40, 40, 55, 53]], [[60, 60, 60, 60], [50, 50, 61, 63],
                      [np.nan] * 4]], dtype=float)  # fmt: skip
    grid = replay.Finished("a", scores, even(2, 3))
    lost = replay.judge(grid, replay.Outcome(np.array([0, 1]), 0.0), [0, 1], [2, 3])
    np.testing.assert_allclose(lost, [[50 - 42, 54 - 42], [60 - 62, 0]])
    # Other scores judge where a grid has them.
    other = replace(grid, reported=scores + np.array([0.0, 0.0, 10.0])[None, :, None])
    np.testing.assert_allclose(other.judged([2])[0], [40, 49, 65])
    assert replay.judge(other, replay.Outcome(np.array([2, 0]), 0.0), [0, 1], [2, 3])[0].tolist() == [-14, 0]


def test_random_cells_and_screened_rows_keep_the_budget(replay: ModuleType) -> None:
    scores = np.arange(4 * 5 * 3, dtype=float).reshape(4, 5, 3)
    scores[2, 4] = np.nan
    grid = replay.Finished("a", scores, even(4, 5, training=2.0))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        for policy in (replay.random_cells, replay.screened_rows):
            outcome = policy(grid, [0, 1, 2], 0.2, rng)
            assert 0 < outcome.spent <= 0.2
            assert grid.allowed[np.arange(4), outcome.rows].all()
    everything = replay.random_cells(grid, [0, 1, 2], 1.0, np.random.default_rng(0))
    assert everything.rows.tolist() == [4, 4, 3, 4] and everything.spent == pytest.approx(1 / 3)
    # 12 cells and 15 trainings of 2 for each of three seeds; two columns take 10 cells and 5 trainings.
    two = replay.screened_rows(grid, [0, 1, 2], 20 / replay.whole_cost(grid, 3), np.random.default_rng(1))
    assert two.spent in (pytest.approx(20 / 87), pytest.approx(19 / 87))


def test_the_average_row_is_the_one_that_is_high_in_units_of_its_columns(replay: ModuleType) -> None:
    scores = np.array([[50.0, 51.0, 49.0], [10.0, 30.0, 80.0], [60.0, 61.0, 59.0]])
    average = replay.average_rows(scores)
    assert average.shape == scores.shape and (average == average[0]).all()
    assert replay.best(average, np.ones_like(scores, bool)).tolist() == [1, 1, 1]
    assert replay.best(scores, np.array([[True, False, True]] * 3)).tolist() == [0, 2, 0]


def test_the_cost_of_a_setting_is_parameters_times_epochs(replay: ModuleType) -> None:
    assert replay.training_cost("t5s-e15") == 60 * 15 and replay.training_cost("t5b-lora-e20") == 220 * 20


def test_taskweb_is_read_in_points_with_the_rows_that_most_columns_have(replay: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "results.csv.gz"
    lines = ["config,target,source,seed,metric,value"]
    for row, value in (("a", 0.5), ("b", 0.75)):
        lines += [f"roberta-e3-lr1,rte,{row},{seed},eval_accuracy,{value + seed / 100}" for seed in (1, 2)]
        lines += [f"roberta-e3-lr1,stsb,{row},{seed},eval_pearson,{100 * value}" for seed in (1, 2)]
        lines += [f"roberta-e3-lr1,stsb,{row},{seed},eval_accuracy,1" for seed in (1, 2)]
    lines += ["roberta-e3-lr1,rte,rare,1,eval_accuracy,0.9"]
    # The same column with another learning rate and fewer rows: the fuller one counts.
    lines += ["roberta-e3-lr2,rte,a,1,eval_accuracy,0.1"]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines))
    grids, targets, rows = replay.read_taskweb(path)
    (name, scores), = grids.items()  # fmt: skip
    assert len(targets) == len(rows) == 2
    assert name == "roberta-e3" and scores.shape == (2, 2, 2)
    np.testing.assert_allclose(scores, [[[51, 52], [76, 77]], [[50, 50], [75, 75]]])


def test_a_claim_counts_the_noise_of_the_judging_seeds(replay: ModuleType) -> None:
    scores = np.array([[[0.0] * 4, [1.0] * 4]])
    grid = replay.Finished("a", scores, even(1, 2))
    belief = Belief(np.ones(1), np.array([[0.0, 1.0]]), 0.5 * np.eye(2)[None], 2.0, np.ones(2, bool))
    outcome = replay.Outcome(np.array([1]), 0.0, [belief])
    claims = np.array([next(iter(replay.claims(grid, outcome, [2, 3], np.random.default_rng(s)))) for s in range(60)])
    # The difference has a variance of 2 · 0.5, and as judged by two seeds 2 · 2 / 2 more.
    assert claims[:, 0].mean() == pytest.approx(norm.cdf(1 / np.sqrt(1 + 2)), abs=0.01)
    assert (claims[:, 1] == 1).all() and (claims[:, 3] == 0).all()
    assert claims[:, 2].mean() == pytest.approx(norm.pdf(1) - norm.cdf(-1), abs=0.01)


def test_one_column_of_a_prior_is_what_the_prior_says_of_it(replay: ModuleType) -> None:
    rng = np.random.default_rng(2)
    prior = fit_prior([EarlierGrid(str(k), 50 + rng.standard_normal((5, 4, 3))) for k in range(3)], 4)
    own, found = prior.column(3), replay.replace_columns(prior, 3).column(0)
    np.testing.assert_allclose(found.mean, own.mean)
    np.testing.assert_allclose(found.covariance, own.covariance)
    assert (found.scale, found.seed_variance) == (own.scale, own.seed_variance)


def test_the_replay_makes_the_choices_of_the_workflow(replay: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Round by round through the workflow's functions, whose development scores are those of the finished grid."""
    rng = np.random.default_rng(3)
    own = replace(layout((1, 2, 3)), intermediates=tuple("abcdefgh"))
    scores = 50 + 3 * rng.standard_normal((3, 8, 1)) + rng.standard_normal((3, 8, 3))
    prior = fit_prior([EarlierGrid("small", scores[..., :1] + 2 * rng.standard_normal((3, 8, 1)))], 8)
    costs = Costs(np.ones((2, 3, 8)), np.full((2, 8), 2.0), (), np.ones((2, 3)), (0, 0, 2))
    problem = rounds.Problem("tiny", own, {}, Selection(("xnli", "udpos", "tatoeba"), budget=0.4), prior, costs,
                             np.tile([0, 0, 1, 0.5, 0, 0, 0, 0], (3, 1)))  # fmt: skip

    def developed(problem: rounds.Problem, cells: list[ProposedCell]) -> list[Developed | None]:
        found: list[Developed | None] = []
        for number, column in enumerate(problem.layout.columns):
            mine = [cell for cell in cells if cell.target == column.target]
            runs = [problem.run(cell) for cell in mine]
            values = np.array([[scores[number, run.row, run.seed] for run in runs]])
            found.append(Developed(tuple(mine), ("en",), values, np.repeat(values[None], 5, axis=0)) if mine else None)
        return found

    monkeypatch.setattr(rounds, "developed_columns", developed)
    cells: list[ProposedCell] = []
    for round_ in range(4):
        cells += rounds.next_cells(problem, cells, round_)
    kinship = {"c": "; trains the target's kind of task", "d": "; 50 % its kind of task"}
    assert all(cell.reason.endswith(" in question" + kinship.get(cell.intermediate, "")) for cell in cells)
    seen = developed(problem, cells)
    state = rounds.state_of(problem, cells, seen, rounds.learned_from(problem, seen))

    grid = replay.Finished("tiny", scores, costs)
    outcome = replay.select(grid, prior, [0, 1, 2], 0.4, Rules(3))
    assert len(cells) > 10 and outcome.spent == pytest.approx(sum(cell.cost for cell in cells) / 100)
    assert outcome.spent == pytest.approx(costs.of([problem.run(cell) for cell in cells]) / replay.whole_cost(grid, 3))
    for mine, theirs in zip(outcome.beliefs, state.beliefs, strict=True):
        np.testing.assert_allclose(mine.mean, theirs.mean, atol=1e-9)
        np.testing.assert_allclose(mine.covariance, theirs.covariance, atol=1e-9)


def test_what_runs_show_of_a_column(replay: ModuleType) -> None:
    scores = np.arange(2 * 3 * 4, dtype=float).reshape(2, 3, 4)
    grid = replay.Finished("a", scores, even(2, 3))
    runs = [Run(1, 2, FULL, 1), Run(1, 2, FULL, 0), Run(0, 1, FULL, 0), Run(1, 0, FULL, 0)]
    seen = replay.seen_column(grid, 1, runs, [3, 0, 1])
    assert seen.observations.rows.tolist() == [0, 2] and seen.observations.seeds.tolist() == [1, 2]
    # Row 0 with seed 3; row 2 with seeds 3 and 0.
    np.testing.assert_allclose(seen.observations.scores, [15, (23 + 20) / 2])
    assert [group.tolist() for group in seen.groups] == [[15], [23, 20]]

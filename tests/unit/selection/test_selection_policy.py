"""What a selection runs next: the most expected gain for the cost, rows' training paid once, within the budget."""

import numpy as np
import pytest
from scipy.stats import norm
from stiltgrid.selection.belief import FULL, LOW, Belief
from stiltgrid.selection.policy import Costs, Rules, Run, State, in_question, knowledge_gradient, propose


def belief(mean: list[float], variance: float = 4.0, seed_variance: float = 1.0) -> Belief:
    rows = len(mean)
    return Belief(np.ones(1), np.array([mean]), variance * np.eye(rows)[None], seed_variance, np.ones(rows, bool))


def costs(columns: int, rows: int, training: float = 0.0, low: float = np.inf) -> Costs:
    return Costs(np.stack([np.ones((columns, rows)), np.full((columns, rows), low)]), np.full((2, rows), training))


def test_the_gain_of_a_look_is_the_expected_improvement_of_the_choice() -> None:
    rng = np.random.default_rng(0)
    apart, variance, noise = 1.0, 4.0, 2.0
    truth = -apart + np.sqrt(variance) * rng.standard_normal(400_000)  # the rival less the leader
    look = truth + np.sqrt(noise) * rng.standard_normal(len(truth))
    expected = -apart + variance / (variance + noise) * (look + apart)
    gained = np.where(expected > 0, truth, 0.0).mean()
    assert knowledge_gradient(apart, variance, noise) == pytest.approx(gained, abs=0.01)
    assert knowledge_gradient(0.0, 4.0, 0.0) == pytest.approx(2 * norm.pdf(0))
    assert knowledge_gradient(1.0, 0.0, 1.0) == 0.0


def test_rows_in_question_are_halved_and_two_remain() -> None:
    assert [in_question(8, round_) for round_ in range(5)] == [8, 4, 2, 2, 2]
    assert in_question(5, 1) == 3


def test_the_budget_is_kept_and_the_training_of_a_row_paid_once() -> None:
    state = State([belief([2.0, 1.5, 0.0]), belief([2.0, 1.5, 0.0])])
    price = costs(2, 3, training=3.0)
    found = propose(state, price, Rules(seeds=1), 0, 10.0)
    runs = [item.run for item in found]
    assert price.of(runs) == pytest.approx(sum(item.cost for item in found)) and price.of(runs) <= 10.0
    assert len({(run.row, run.seed) for run in runs}) == 2 and len(runs) == 4
    assert [item.cost for item in found].count(4.0) == 2 and [item.cost for item in found].count(1.0) == 2


def test_rows_that_serve_many_targets_are_preferred() -> None:
    # Row 1 is in question in three targets, row 2 in one, there a little more than row 1 elsewhere.
    means = [[0.0, 0.0, -9.0], [0.0, 0.0, -9.0], [0.0, 0.0, -9.0], [0.0, -9.0, 0.05]]
    price = Costs(np.stack([np.ones((4, 3)), np.full((4, 3), np.inf)]), np.array([[0.0, 5.0, 5.0]] * 2))
    done = {Run(column, 0, FULL, 0) for column in range(4)}
    found = propose(State([belief(mean, 1.0) for mean in means], done), price, Rules(seeds=1, rows=2), 0, 8.0)
    assert {item.run.row for item in found} == {1} and len(found) == 3


def test_a_target_where_more_is_at_stake_gets_more() -> None:
    state = State([belief([0.0, 0.0, 0.0], 100.0), belief([0.0, 0.0, 0.0], 0.01)])
    found = propose(state, costs(2, 3), Rules(seeds=3), 0, 3.0)
    assert {item.run.column for item in found} == {0}


def test_dropped_and_finished_rows_are_not_run_again() -> None:
    done = {Run(0, 0, FULL, 0), Run(0, 1, FULL, 0)}
    state = State([belief([2.0, 1.0, 0.0, -1.0])], done, {0: frozenset({2})})
    found = propose(state, costs(1, 4), Rules(seeds=1), 0, 100.0)
    assert [item.run for item in found] == [Run(0, 3, FULL, 0)]
    assert propose(State([belief([1.0, 0.0])], done), costs(1, 2), Rules(seeds=1), 0, 100.0) == []


def test_the_next_seed_is_the_first_that_has_not_run() -> None:
    state = State([belief([0.0, 0.0])], {Run(0, 0, FULL, 0), Run(0, 0, FULL, 1), Run(0, 1, LOW, 0)})
    found = {item.run for item in propose(state, costs(1, 2), Rules(seeds=3, low=True), 0, 100.0)}
    assert found == {Run(0, 0, FULL, 2), Run(0, 1, FULL, 0)}


def test_low_fidelity_is_for_the_first_look_where_it_is_cheaper() -> None:
    price = Costs(np.array([[[1.0, 1.0]], [[0.2, np.inf]]]), np.zeros((2, 2)))
    first = {item.run for item in propose(State([belief([0.0, 0.0])]), price, Rules(low=True), 0, 100.0)}
    assert first == {Run(0, 0, LOW, 0), Run(0, 1, FULL, 0)}
    later = {item.run for item in propose(State([belief([0.0, 0.0])]), price, Rules(low=True), 1, 100.0)}
    assert {run.fidelity for run in later} == {FULL}


def test_low_cells_start_from_checkpoints_of_their_own_where_rows_are_lowered() -> None:
    runs = [Run(0, 0, LOW, 0), Run(0, 0, FULL, 0)]
    rows = np.array([[10.0], [2.0]])
    cells = np.array([[[1.0]], [[0.5]]])
    assert Costs(cells, rows).of(runs) == pytest.approx(1.5 + 10)
    assert Costs(cells, rows, lowered=(True,)).of(runs) == pytest.approx(1.5 + 10 + 2)


def test_all_columns_do_not_try_the_same_rows_when_nothing_is_known() -> None:
    state = State([belief([0.0] * 20) for _ in range(12)])
    found = propose(state, costs(12, 20), Rules(seeds=1, rows=3), 0, 36.0)
    assert len({item.run.row for item in found}) > 8


def shared_costs() -> Costs:
    """Columns 0 and 1 read one tuned model, at 4; column 2 its own, at 1. Scoring costs 1, a row's training nothing."""
    cells = np.stack([np.ones((3, 3)), np.full((3, 3), np.inf)])
    return Costs(cells, np.zeros((2, 3)), (), np.array([[4.0, 4.0, 1.0]] * 2), (0, 0, 2))


def test_a_tuned_model_that_columns_share_is_paid_once() -> None:
    price = shared_costs()
    both = [Run(0, 1, FULL, 0), Run(1, 1, FULL, 0)]
    assert price.of(both[:1]) == 5 and price.of(both) == 6
    assert price.of([*both, Run(1, 1, FULL, 1)]) == 11  # another seed is another model
    assert price.of([*both, Run(0, 2, FULL, 0)]) == 11  # and so is another row
    assert price.of([*both, Run(2, 1, FULL, 0)]) == 8
    assert price.added(both[1], price.needed(both[:1])) == 1
    assert price.of_column(1).of([Run(0, 1, FULL, 0)]) == 5


def test_columns_that_share_a_tuned_model_are_bought_together() -> None:
    # A cell of the pair is worth less than one of column 2 for its price alone, together they are worth more.
    price = shared_costs()
    state = State([belief([0.0, 0.0, -99.0], 9.0), belief([0.0, 0.0, -99.0], 9.0), belief([0.0, 0.0, -99.0], 1.0)])
    found = propose(state, price, Rules(seeds=1, rows=2), 0, 12.0)
    assert {item.run.column for item in found} == {0, 1} and len(found) == 4
    assert sorted(item.cost for item in found) == [1, 1, 5, 5]
    assert sum(item.cost for item in found) == price.of([item.run for item in found]) == 12

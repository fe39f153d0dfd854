"""The rounds of a selection: from the development scores of the cells so far to the cells of the next round.

One model at a time: its columns are the targets, its budget a share of what its part of the grid costs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stiltgrid.grid.layout import Layout
from stiltgrid.grid.selection import FULL, LOW, ROUNDS, Selection
from stiltgrid.selection import belief, policy
from stiltgrid.selection.development import Developed, develop, seen_cells
from stiltgrid.selection.joint import Learned, learn, state_after
from stiltgrid.selection.policy import FIRST_ROWS, Costs, Proposal, Rules, Run, State, next_round, propose
from stiltgrid.selection.prior import Prior
from stiltgrid.selection.tables import ProposedCell
from stiltgrid.utils.errors import StiltgridError


@dataclass(frozen=True)
class Problem:
    """What is chosen for one model: the layout of the selected targets, what is expected of them, what cells cost.

    `families[target]` holds `family` and `options` of its card, `same_kind` what `affinity.same_kind` gives.
    """

    model: str
    layout: Layout
    families: Mapping[str, Mapping[str, Any]]
    selection: Selection
    prior: Prior
    costs: Costs
    same_kind: np.ndarray

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows to choose from."""
        return self.layout.intermediates

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets to choose for."""
        return tuple(column.target for column in self.layout.columns)

    @property
    def whole(self) -> float:
        """Cost of the model's part of the grid, with all seeds."""
        places = [(column, row) for column in range(len(self.targets)) for row in range(len(self.rows))]
        return self.costs.of([Run(*place, belief.FULL, seed) for place in places for seed in range(self.seeds)])

    @property
    def seeds(self) -> int:
        """Seeds of a cell in the grid."""
        return len(self.layout.seeds)

    @property
    def rules(self) -> Rules:
        """What the policy may run."""
        rows = min(FIRST_ROWS, len(self.rows))
        return Rules(self.seeds, rows, self.selection.has_low)

    def run(self, cell: ProposedCell) -> Run:
        """A cell by the policy's positions."""
        level = belief.LOW if cell.fidelity == LOW else belief.FULL
        return Run(self.targets.index(cell.target), self.rows.index(cell.intermediate), level,
                   self.layout.seeds.index(cell.seed))  # fmt: skip


def developed_columns(problem: Problem, cells: Sequence[ProposedCell]) -> list[Developed | None]:
    """Development scores of each target's cells; None where none has run."""
    found: list[Developed | None] = []
    for column in problem.layout.columns:
        mine = [cell for cell in cells if (cell.model, cell.target) == (problem.model, column.target)]
        found.append(develop(mine, column, problem.families[column.target]) if mine else None)
    return found


def learned_from(problem: Problem, developed: Sequence[Developed | None]) -> Learned:
    """What the cells of all targets have shown of the model."""
    columns = [problem.prior.column(number) for number in range(len(problem.targets))]
    return learn(columns, [seen_cells(each, problem.rows) for each in developed])


def state_of(
    problem: Problem, cells: Sequence[ProposedCell], developed: Sequence[Developed | None], learned: Learned
) -> State:
    """Beliefs, runs and dropped rows after some cells of the model."""
    seen = [seen_cells(each, problem.rows) for each in developed]
    return state_after(learned, seen, {problem.run(cell) for cell in cells})


def next_cells(problem: Problem, cells: Sequence[ProposedCell], round_: int) -> list[ProposedCell]:
    """The cells of a round. Raises StiltgridError before anything has run where the budget cannot compare two rows."""
    mine = [cell for cell in cells if cell.model == problem.model]
    if round_ == 0:
        _refuse_too_little(problem)
    developed = developed_columns(problem, mine)
    state = state_of(problem, mine, developed, learned_from(problem, developed))
    total = problem.selection.budget * problem.whole
    found = next_round(state, problem.costs, problem.rules, round_, total)
    return [_cell(problem, state, item, round_) for item in found]


def least_budgets(problem: Problem) -> tuple[float, float]:
    """Shares of the grid's cost that compare two rows in one target, and in every target; one seed, lowest fidelity."""
    columns, rows = range(len(problem.targets)), range(len(problem.rows))
    one = min(
        sum(sorted(problem.costs.of([_cheapest(problem, column, row)]) for row in rows)[:2]) for column in columns
    )
    every = sorted(problem.costs.of([_cheapest(problem, column, row) for column in columns]) for row in rows)
    return one / problem.whole, sum(every[:2]) / problem.whole


def _cheapest(problem: Problem, column: int, row: int) -> Run:
    low = problem.selection.has_low and bool(np.isfinite(problem.costs.cells[belief.LOW, column, row]))
    return Run(column, row, belief.LOW if low else belief.FULL, 0)


def _refuse_too_little(problem: Problem) -> None:
    (one, every), budget = least_budgets(problem), problem.selection.budget
    if budget < one:
        raise StiltgridError(
            f"selection.budget: {budget:g} of the cost of {problem.model}'s grid does not pay for two rows of any "
            f"target; the least that makes sense is {_up(every):g}, two rows in each target"
        )


def _up(share: float) -> float:
    """A share rounded up to two significant digits."""
    step = 10.0 ** (np.floor(np.log10(share)) - 1)
    return float(f"{np.ceil(share / step - 1e-9) * step:.6g}")


def _cell(problem: Problem, state: State, item: Proposal, round_: int) -> ProposedCell:
    run, mean = item.run, state.beliefs[item.run.column].mean
    order = np.argsort(-mean)
    rank = int(np.flatnonzero(order == run.row)[0]) + 1
    rival = problem.rows[order[1] if rank == 1 else order[0]]
    apart = abs(float(mean[run.row] - mean[order[1] if rank == 1 else order[0]]))
    what = "ahead of" if rank == 1 else "behind"
    number = policy.in_question(problem.rules.rows, round_)
    reason = f"expected {rank} of {len(problem.rows)}, {apart:.1f} points {what} {rival}; {number} in question"
    reason += _kinship(problem.same_kind[run.column, run.row])
    return ProposedCell(
        problem.model, problem.rows[run.row], problem.targets[run.column], LOW if run.fidelity == belief.LOW else FULL,
        problem.layout.seeds[run.seed], 100 * item.cost / problem.whole, item.gain, reason,
    )  # fmt: skip


def _kinship(share: float) -> str:
    """What a reason says of a row with some share of tasks of the target's kind."""
    if not share:
        return ""
    return "; trains the target's kind of task" if share == 1 else f"; {100 * share:.0f} % its kind of task"


def would_be_next(problem: Problem, state: State, column: int) -> ProposedCell | None:
    """The cell of a target that more budget would try first; None where all of its rows in question are finished."""
    alone = State([state.beliefs[column]], {replace(run, column=0) for run in state.done if run.column == column},
                  {0: state.dropped.get(column, frozenset())})  # fmt: skip
    costs = problem.costs.of_column(column)
    rules = replace(problem.rules, low=False)
    items = propose(alone, costs, rules, ROUNDS - 1, np.inf)
    if not items:
        return None
    best = max(items, key=lambda item: item.gain)
    run = replace(best.run, column=column)
    # What other targets have paid for is there.
    price = problem.costs.added(run, problem.costs.needed(state.done))
    return _cell(problem, state, Proposal(run, price, best.gain), ROUNDS - 1)

"""Which cells to run next: the most expected gain for the cost, among the rows that are still in question.

The value of another run of a cell is the knowledge gradient (Frazier, Powell and Dayanik 2008) of its comparison with
the leading row, the leader's with the second: how much better the choice is expected to be after it. A row's
intermediate training is paid once for each seed, so cells are bought in bundles of a row: the row's training and as
many of its cells as make the best value for the price. Rounds halve the number of rows that are in question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr

from stiltgrid.selection.belief import FULL, LOW, Belief

SHARES = (0.35, 0.65, 0.85, 1.0)  # of the budget, spent by the end of each round
LEAST_ROWS = 2


@dataclass(frozen=True)
class Run:
    """One run: column and row (positions), fidelity (FULL or LOW), number of the seed (position)."""

    column: int
    row: int
    fidelity: int
    seed: int


@dataclass(frozen=True)
class Costs:
    """Costs in one unit: of cells (fidelities, columns, rows) and of rows' intermediate training (fidelities, rows).

    `lowered` says of each row whether its training has a low fidelity too; by default none has, so that low-fidelity
    cells start from the ordinary checkpoints of their rows. A cell that low fidelity does not make cheaper has no cost
    there (infinity).
    """

    cells: np.ndarray
    rows: np.ndarray
    lowered: tuple[bool, ...] = ()

    def training(self, run: Run) -> tuple[int, int, int]:
        """The intermediate training that a run needs: fidelity, row, seed."""
        own = bool(self.lowered) and self.lowered[run.row]
        return (run.fidelity if own else FULL, run.row, run.seed)

    def of_training(self, training: tuple[int, int, int]) -> float:
        """Cost of an intermediate training."""
        return float(self.rows[training[0], training[1]])

    def of(self, runs: Sequence[Run]) -> float:
        """Cost of some runs together, each intermediate training counted once."""
        cells = sum(float(self.cells[run.fidelity, run.column, run.row]) for run in runs)
        return cells + sum(self.of_training(item) for item in {self.training(run) for run in runs})


@dataclass
class State:
    """A selection under way: what each column is believed to be, and which runs have been made."""

    beliefs: Sequence[Belief]
    done: set[Run] = field(default_factory=set)
    dropped: Mapping[int, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    """What a selection may run: seeds of a cell, rows in question in the first round, whether low fidelity is used."""

    seeds: int = 3
    rows: int = 8
    low: bool = False
    low_share: float = 0.5


@dataclass(frozen=True)
class Proposal:
    """A run that is proposed, what it adds to the cost, and its expected gain in points."""

    run: Run
    cost: float
    gain: float


def in_question(rows: int, round_: int) -> int:
    """Rows of a column that are in question in a round: halved each time, two at least."""
    return max(LEAST_ROWS, -(-rows // 2**round_))


def propose(state: State, costs: Costs, rules: Rules, round_: int, budget: float) -> list[Proposal]:
    """The runs of a round within a budget (in the unit of the costs), best value first."""
    candidates = [
        item for column in range(len(state.beliefs)) for item in _candidates(state, costs, rules, column, round_)
    ]
    paid = {costs.training(run) for run in state.done}
    return _bundles(candidates, costs, paid, budget)


def _candidates(state: State, costs: Costs, rules: Rules, column: int, round_: int) -> list[tuple[Run, float]]:
    """The next run of each row of a column that is in question, with its expected gain; finished rows make room."""
    belief = state.beliefs[column]
    mean, covariance = belief.mean, belief.covariance
    out = state.dropped.get(column, frozenset())
    alive = [int(row) for row in np.flatnonzero(belief.allowed) if int(row) not in out]
    # Rows of which nothing is known tie; the same few for all columns would leave the others untried.
    ties = np.random.default_rng(column).permutation(len(mean))
    order = sorted(alive, key=lambda row: (-round(float(mean[row]), 9), ties[row]))
    if len(order) < 2:
        return []
    found: list[tuple[Run, float]] = []
    effects = float(np.mean(np.diag(covariance)))
    for place, row in enumerate(order):
        if len(found) == in_question(rules.rows, round_):
            break
        rival = order[1] if place == 0 else order[0]
        known = [run for run in state.done if (run.column, run.row) == (column, row)]
        full = sum(run.fidelity == FULL for run in known)
        low = rules.low and not known and round_ == 0 and np.isfinite(costs.cells[LOW, column, row])
        if not low and full >= rules.seeds:
            continue
        run = Run(column, row, LOW if low else FULL, 0 if low else full)
        noise = belief.seed_variance + (rules.low_share * effects if low else 0.0)
        between = covariance[row, row] + covariance[rival, rival] - 2 * covariance[row, rival]
        found.append((run, knowledge_gradient(abs(float(mean[row] - mean[rival])), float(between), noise)))
    return found


def knowledge_gradient(apart: float, variance: float, noise: float) -> float:
    """Expected gain of the better of two rows by one noisy look at their difference.

    `apart` is the expected difference, `variance` its variance, `noise` that of the look, all of points.
    """
    spread = variance / np.sqrt(max(variance + noise, 1e-12))
    if spread <= 0:
        return 0.0
    ratio = apart / spread
    density = np.exp(-0.5 * ratio**2) / np.sqrt(2 * np.pi)
    return float(spread * density - apart * ndtr(-ratio))


def _bundles(
    candidates: Sequence[tuple[Run, float]], costs: Costs, paid: set[tuple[int, int, int]], budget: float
) -> list[Proposal]:
    """Bundles of a row's training and some of its cells, by gain per cost, until the budget is spent."""
    left, paid, chosen = list(candidates), set(paid), []
    while left:
        groups: dict[tuple[int, int, int], list[tuple[Run, float]]] = {}
        for run, gain in left:
            groups.setdefault(costs.training(run), []).append((run, gain))
        options = [
            option
            for training, group in groups.items()
            if (option := _best_bundle(group, 0.0 if training in paid else costs.of_training(training), costs, budget))
        ]
        if not options:
            break
        _, bundle = max(options, key=lambda option: option[0])
        for run, gain in bundle:
            training = costs.training(run)
            cost = float(costs.cells[run.fidelity, run.column, run.row])
            cost += 0.0 if training in paid else costs.of_training(training)
            paid.add(training)
            budget -= cost
            chosen.append(Proposal(run, cost, gain))
        taken = {run for run, _ in bundle}
        left = [item for item in left if item[0] not in taken]
    return chosen


def _best_bundle(
    group: Sequence[tuple[Run, float]], training: float, costs: Costs, budget: float
) -> tuple[float, list[tuple[Run, float]]] | None:
    """The best gain per cost of a row's first cells, with those cells; None where nothing fits the budget."""
    priced = [(run, gain, float(costs.cells[run.fidelity, run.column, run.row])) for run, gain in group if gain > 0]
    priced.sort(key=lambda item: -item[1] / max(item[2], 1e-12))
    best, gains, cost, bundle = None, 0.0, training, []
    for run, gain, price in priced:
        if cost + price > budget * (1 + 1e-9):
            continue
        gains, cost = gains + gain, cost + price
        bundle.append((run, gain))
        value = gains / max(cost, 1e-12)
        if best is None or value > best[0]:
            best = (value, list(bundle))
        if not training:  # nothing is shared, so one cell at a time
            break
    return best

"""Which cells to run next: the most expected gain for the cost, among the rows that are still in question.

The value of another run of a cell is the knowledge gradient (Frazier, Powell and Dayanik 2008) of its comparison with
the leading row, the leader's with the second: how much better the choice is expected to be after it. A row's
intermediate training is paid once for each seed, and so is a tuned model that several columns read. So cells are bought
in bundles: a row's training and as many of its cells as make the best value for the price. Rounds halve the number of
rows that are in question.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import ndtr

from stiltgrid.selection.belief import FULL, LOW, LOW_SHARE, Belief

SHARES = (0.35, 0.65, 0.85, 1.0)  # of the budget, spent by the end of each round
FIRST_ROWS, LEAST_ROWS = 8, 2  # of a column that are in question, in the first round and in the last ones

DIGITS = (
    9  # of a gain in points: the leading row and its rival gain the same, and rounding errors are to choose nothing
)


@dataclass(frozen=True)
class Run:
    """One run: column and row (positions), fidelity (FULL or LOW), number of the seed (position)."""

    column: int
    row: int
    fidelity: int
    seed: int


@dataclass(frozen=True)
class Job:
    """A training that several runs may share: a row's intermediate training, or the tuned model of some columns.

    `tuned` is the first of these columns, -1 for an intermediate training.
    """

    tuned: int
    row: int
    fidelity: int
    seed: int


@dataclass(frozen=True)
class Costs:
    """Costs in one unit: of cells (fidelities, columns, rows) and of rows' intermediate training (fidelities, rows).

    `lowered` says of each row whether its training has a low fidelity too; by default none has, so that low-fidelity
    cells start from the ordinary checkpoints of their rows. A cell that low fidelity does not make cheaper has no cost
    there (infinity). `tunings` (fidelities, columns) is the cost of a tuned model that columns share, in addition to
    that of their cells; `tuned` gives for each column the first one with the same tuned model.
    """

    cells: np.ndarray
    rows: np.ndarray
    lowered: tuple[bool, ...] = ()
    tunings: np.ndarray | None = None
    tuned: tuple[int, ...] = ()

    def training(self, run: Run) -> Job:
        """The intermediate training that a run needs."""
        own = bool(self.lowered) and self.lowered[run.row]
        return Job(-1, run.row, run.fidelity if own else FULL, run.seed)

    def tuning(self, run: Run) -> Job | None:
        """The tuned model that a run needs, where models are shared."""
        return Job(self.tuned[run.column], run.row, run.fidelity, run.seed) if self.tuned else None

    def needed(self, runs: Iterable[Run]) -> set[Job]:
        """The trainings that some runs need."""
        return {job for run in runs for job in (self.training(run), self.tuning(run)) if job is not None}

    def of_job(self, job: Job) -> float:
        """Cost of a training."""
        if job.tuned < 0:
            return float(self.rows[job.fidelity, job.row])
        assert self.tunings is not None
        return float(self.tunings[job.fidelity, job.tuned])

    def of_cell(self, run: Run) -> float:
        """Cost of what no other run shares."""
        return float(self.cells[run.fidelity, run.column, run.row])

    def added(self, run: Run, paid: Collection[Job]) -> float:
        """What a run costs where some trainings are paid."""
        return self.of_cell(run) + sum(self.of_job(job) for job in self.needed([run]) if job not in paid)

    def of(self, runs: Collection[Run]) -> float:
        """Cost of some runs together, each training counted once."""
        return sum(self.of_cell(run) for run in runs) + sum(self.of_job(job) for job in self.needed(runs))

    def of_column(self, column: int) -> "Costs":
        """Costs of one column alone."""
        tunings = None if self.tunings is None else self.tunings[:, [self.tuned[column]]]
        return replace(self, cells=self.cells[:, [column]], tunings=tunings, tuned=(0,) if self.tuned else ())


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
    rows: int = FIRST_ROWS
    low: bool = False


@dataclass(frozen=True)
class Proposal:
    """A run that is proposed, what it adds to the cost, and its expected gain in points."""

    run: Run
    cost: float
    gain: float


def in_question(rows: int, round_: int) -> int:
    """Rows of a column that are in question in a round: halved each time, two at least."""
    return max(LEAST_ROWS, -(-rows // 2**round_))


def next_round(state: State, costs: Costs, rules: Rules, round_: int, total: float) -> list[Proposal]:
    """The runs of a round, within the share of the `total` budget (in the unit of the costs) that it may have spent."""
    return propose(state, costs, rules, round_, SHARES[round_] * total - costs.of(list(state.done)))


def propose(state: State, costs: Costs, rules: Rules, round_: int, budget: float) -> list[Proposal]:
    """The runs of a round within a budget (in the unit of the costs), best value first."""
    candidates = [
        item for column in range(len(state.beliefs)) for item in _candidates(state, costs, rules, column, round_)
    ]
    return _bundles(candidates, costs, costs.needed(state.done), budget)


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
        noise = belief.seed_variance + (LOW_SHARE * effects if low else 0.0)
        between = covariance[row, row] + covariance[rival, rival] - 2 * covariance[row, rival]
        gain = knowledge_gradient(abs(float(mean[row] - mean[rival])), float(between), noise)
        found.append((run, round(gain, DIGITS)))
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


Candidate = tuple[Run, float]  # with its expected gain


def _bundles(candidates: Sequence[Candidate], costs: Costs, paid: set[Job], budget: float) -> list[Proposal]:
    """Bundles of a row's training and some of its cells, by gain per cost, until the budget is spent."""
    left, paid, chosen = list(candidates), set(paid), []
    while left:
        groups: dict[Job, list[Candidate]] = {}
        for run, gain in left:
            groups.setdefault(costs.training(run), []).append((run, gain))
        options = [option for group in groups.values() if (option := _best_bundle(group, costs, paid, budget))]
        if not options:
            break
        _, bundle = max(options, key=lambda option: option[0])
        for run, gain in bundle:
            cost = costs.added(run, paid)
            paid |= costs.needed([run])
            budget -= cost
            chosen.append(Proposal(run, cost, gain))
        taken = {run for run, _ in bundle}
        left = [item for item in left if item[0] not in taken]
    return chosen


def _best_bundle(
    group: Sequence[Candidate], costs: Costs, paid: set[Job], budget: float
) -> tuple[float, list[Candidate]] | None:
    """The best gain per cost of some of a row's cells, with those cells; None where nothing fits the budget."""
    job = costs.training(group[0][0])
    cost = training = 0.0 if job in paid else costs.of_job(job)
    paid, left = paid | {job}, [item for item in group if item[1] > 0]
    best, gains, bundle = None, 0.0, list[Candidate]()
    while unit := _best_unit(left, costs, paid, budget * (1 + 1e-9) - cost):
        gains += sum(gain for _, gain in unit)
        for run, _ in unit:
            cost += costs.added(run, paid)
            paid = paid | costs.needed([run])
        bundle += unit
        left = [item for item in left if item not in unit]
        value = gains / max(cost, 1e-12)
        if best is None or value > best[0]:
            best = (value, list(bundle))
        if not training:  # nothing is shared with other tuned models, so one of them at a time
            break
    return best


def _best_unit(left: Sequence[Candidate], costs: Costs, paid: set[Job], budget: float) -> list[Candidate]:
    """The cells of one tuned model with the best gain per cost; none where nothing fits the budget."""
    groups: dict[Job | Run, list[Candidate]] = {}
    for run, gain in left:
        groups.setdefault(costs.tuning(run) or run, []).append((run, gain))
    best, found = -1.0, list[Candidate]()
    for group in groups.values():
        group.sort(key=lambda item: -item[1] / max(costs.of_cell(item[0]), 1e-12))
        gains, cost, unit, known = 0.0, 0.0, list[Candidate](), set(paid)
        for run, gain in group:
            price = costs.added(run, known)
            if cost + price > budget:
                continue
            gains, cost = gains + gain, cost + price
            known |= costs.needed([run])
            unit.append((run, gain))
            if (value := gains / max(cost, 1e-12)) > best:
                best, found = value, list(unit)
    return found

"""Replays the choice of rows within a budget on finished grids, and prints what it loses against running everything.

    python benchmarks/selection_replay.py taskweb results.csv.gz    # TaskWeb's results (Kim et al. 2023)
    python benchmarks/selection_replay.py pooling results.csv.gz    # does pooling help a backbone that is left out?
    python benchmarks/selection_replay.py grid results/tables/scores.parquet
    python benchmarks/selection_replay.py cells . --config presets/local_mirror.yaml presets/real_encoder.yaml

`cells` reads results/scores of a folder, whose grid may have any part of its cells, with the seeds `--read-seeds`.
Loss: points by which the row that a policy chooses is worse than the row that the whole grid (with `--seeds` seeds)
chooses, judged by seeds that no policy sees; `best` is the loss against the row that these judge best. A loss against
the whole grid can be negative: the grid chooses with noise too. Costs are shares of the whole grid's cost. In TaskWeb
every cell costs the same and rows' intermediate training is not known, so it is left out; in a grid of ours, costs are
the seconds of its jobs, the row's training counted once. Where no seed is held out, the examples that chose nothing
judge: one training run of each cell then chooses and judges, so losses say nothing of other seeds. In `cells` ± is the
standard error over these examples.

Of TaskWeb's backbones (five, in nine ways of tuning) one is left out with all its ways of tuning, the others are the
prior, with as many seeds as the policy may use. With `small`, the prior is T5-small alone, with one seed; its cost is
parameters times epochs of training, relative to the backbone that is selected for. With a target unknown to the prior,
its columns are left out there too. ± is the standard error over backbones and draws of the seeds.

A row is said to be best with a probability. Calibration asks how often the row said so has the highest mean over the
judging seeds, whose own noise is part of the probability that is compared.
"""

import argparse
import csv
import gzip
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from stiltgrid.selection.affinity import affinities, same_kind  # noqa: E402
from stiltgrid.selection.belief import FULL, Belief, Observations, choose, leading  # noqa: E402
from stiltgrid.selection.joint import Seen, learn, state_after  # noqa: E402
from stiltgrid.selection.policy import SHARES, Costs, Rules, Run, next_round  # noqa: E402
from stiltgrid.selection.pooling import LEAST_VARIANCE, Pooling  # noqa: E402
from stiltgrid.selection.prior import EarlierGrid, Prior, fit_prior, standardise  # noqa: E402

# Kinds of TaskWeb's tasks, by what they ask; those that a family of ours holds together are named after it.
KINDS = {
    "inference": ("anli_r3", "cb", "qnli", "rte", "scitail", "snli"),
    "paraphrases": ("mrpc", "qqp", "stsb"),
    "sentiment": ("imdb", "rotten_tomatoes", "sst2"),
    "choice": ("copa", "cosmosqa", "hellaswag", "piqa", "quartz", "socialiqa", "winogrande"),
    "questions": ("boolq",),
    "span": ("squad_v2",),
    "words": ("wic", "wsc"),
}
METRICS = {"stsb": "eval_pearson"}
# Millions of parameters and epochs: Raffel et al. 2020, Liu et al. 2019, Radford et al. 2019; epochs from the settings.
SIZES = {"t5s": 60, "t5b": 220, "t5l": 770, "roberta": 125, "gpt2m": 355}
SMALL = "t5s-e15"
BINS = (0.0, 0.3, 0.5, 0.7, 0.9, 1.01)


@dataclass(frozen=True)
class Finished:
    """A finished grid: scores (targets, rows, seeds) in points, NaN where a row does not exist for a target.

    `scores` choose; `reported` judge, where they are others. `chosen` and `judging` (draws, targets, rows, seeds) are
    both under resamples of their examples, where these are known.
    """

    name: str
    scores: np.ndarray
    costs: Costs
    reported: np.ndarray | None = None
    order: tuple[int, ...] = ()
    chosen: np.ndarray | None = None
    judging: np.ndarray | None = None

    def judged(self, seeds: Sequence[int]) -> np.ndarray:
        """(targets, rows) mean score over judging seeds."""
        found: np.ndarray = (self.scores if self.reported is None else self.reported)[..., list(seeds)].mean(axis=-1)
        return found

    @property
    def allowed(self) -> np.ndarray:
        """(targets, rows) whether a cell exists with all seeds."""
        found: np.ndarray = ~np.isnan(self.scores).any(axis=-1)
        return found


@dataclass(frozen=True)
class Outcome:
    """What a policy chose for each target: row, and where it says so the probability and the regret it expects."""

    rows: np.ndarray
    spent: float
    beliefs: Sequence[Belief] = ()


def whole_cost(grid: Finished, seeds: int) -> float:
    """Cost of all cells with some seeds."""
    runs = [Run(int(column), int(row), 0, seed) for column, row in np.argwhere(grid.allowed) for seed in range(seeds)]
    return grid.costs.of(runs)


def best(scores: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(targets,) row with the highest score among those allowed."""
    found: np.ndarray = np.where(allowed & ~np.isnan(scores), scores, -np.inf).argmax(axis=1)
    return found


def select(grid: Finished, prior: Prior, seeds: Sequence[int], budget: float, rules: Rules) -> Outcome:
    """The library's policy: rounds within a share of the whole grid's cost; a budget of 0 is the prior alone."""
    total, done = budget * whole_cost(grid, len(seeds)), set[Run]()
    columns = [prior.column(column) for column in range(len(grid.allowed))]
    seen = [Seen.none(allowed) for allowed in grid.allowed]
    state = state_after(learn(columns, seen), seen, done)
    for round_ in range(len(SHARES) if budget else 0):
        done = done | {item.run for item in next_round(state, grid.costs, rules, round_, total)}
        seen = [seen_column(grid, column, done, seeds) for column in range(len(grid.allowed))]
        state = state_after(learn(columns, seen), seen, done)
    tried = [{run.row for run in done if run.column == column} for column in range(len(columns))]
    rows = np.array([leading(belief, some) for belief, some in zip(state.beliefs, tried, strict=True)])
    return Outcome(rows, grid.costs.of(done) / whole_cost(grid, len(seeds)), state.beliefs)


def seen_column(grid: Finished, column: int, done: Iterable[Run], seeds: Sequence[int]) -> Seen:
    """What some runs show of a column: scores of a finished grid, with the noise of its examples where it is known."""
    runs: dict[int, list[int]] = {}
    for run in sorted(done, key=lambda run: (run.row, run.seed)):
        if run.column == column:
            runs.setdefault(run.row, []).append(seeds[run.seed])
    groups = [grid.scores[column, row, some] for row, some in runs.items()]
    number = len(groups)
    drawn = np.zeros((2, number))
    if grid.chosen is not None and number:
        drawn = np.stack([grid.chosen[:, column, row, some].mean(axis=1) for row, some in runs.items()], axis=1)
    # As `development.observations` has it: half the variance of a difference from the mean of the others.
    others = (drawn.sum(axis=1, keepdims=True) - drawn) / max(number - 1, 1)
    variance = (drawn - others).var(axis=0, ddof=1) / 2 if number > 1 else np.zeros(number)
    found = Observations(
        np.array(list(runs), dtype=int), np.full(number, FULL), np.array([group.mean() for group in groups]),
        np.array([len(group) for group in groups], dtype=int), variance,
    )  # fmt: skip
    paired = (drawn[:, :, None] - drawn[:, None]).var(axis=0, ddof=1)
    return Seen(found, groups, grid.allowed[column], paired)


def random_cells(grid: Finished, seeds: Sequence[int], budget: float, generator: np.random.Generator) -> Outcome:
    """Random cells of one seed until the budget is spent, the best of them for each target."""
    allowed, whole = grid.allowed, whole_cost(grid, len(seeds))
    order = generator.permutation(np.argwhere(allowed))
    runs: list[Run] = []
    spent = 0.0
    for column, row in order:
        run = Run(int(column), int(row), FULL, 0)
        cost = grid.costs.added(run, grid.costs.needed(runs))
        if spent + cost <= budget * whole:
            spent, runs = spent + cost, [*runs, run]
    seen = np.full(allowed.shape, np.nan)
    for run in runs:
        seen[run.column, run.row] = grid.scores[run.column, run.row, seeds[0]]
    rows = best(seen, allowed)
    empty = np.isnan(seen).all(axis=1)
    for column in np.flatnonzero(empty):
        rows[column] = generator.choice(np.flatnonzero(allowed[column]))
    return Outcome(rows, spent / whole)


def screened_rows(grid: Finished, seeds: Sequence[int], budget: float, generator: np.random.Generator) -> Outcome:
    """All rows with one seed on as many random targets as the budget allows; other targets get the best mean row."""
    allowed, whole = grid.allowed, whole_cost(grid, len(seeds))
    runs: list[Run] = []
    for column in generator.permutation(len(allowed)):
        more = [*runs, *(Run(int(column), int(row), 0, 0) for row in np.flatnonzero(allowed[column]))]
        if grid.costs.of(more) > budget * whole:
            break
        runs = more
    seen = np.full(allowed.shape, np.nan)
    for run in runs:
        seen[run.column, run.row] = grid.scores[run.column, run.row, seeds[0]]
    if not runs:
        return random_cells(grid, seeds, budget, generator)
    rows = np.where(np.isnan(seen).all(axis=1), best(average_rows(seen), allowed), best(seen, allowed))
    return Outcome(rows, grid.costs.of(runs) / whole)


def average_rows(scores: np.ndarray) -> np.ndarray:
    """(targets, rows) mean standardised score of each row over targets, the same for all targets."""
    z = standardise([EarlierGrid("", scores[..., None])]).z[0]
    number = (~np.isnan(z)).sum(axis=0)
    mean = np.where(number, np.nansum(z, axis=0) / np.maximum(number, 1), -np.inf)
    return np.broadcast_to(mean, scores.shape)


def judge(grid: Finished, outcome: Outcome, seeds: Sequence[int], held: Sequence[int]) -> np.ndarray:
    """(targets, 2) points lost: against the whole grid's row, and against the row that held-out seeds judge best."""
    judged = grid.judged(held)
    places = np.arange(len(judged))
    chosen = judged[places, outcome.rows]
    whole = judged[places, best(grid.scores[..., list(seeds)].mean(axis=-1), grid.allowed)]
    top = judged[places, best(judged, grid.allowed)]
    return np.stack([whole - chosen, top - chosen], axis=1)


def claims(
    grid: Finished, outcome: Outcome, held: Sequence[int], generator: np.random.Generator
) -> Iterator[list[float]]:
    """For each target: probability that the chosen row is judged best, whether it was, expected and found regret."""
    judged = grid.judged(held)
    top = best(judged, grid.allowed)
    for column, belief in enumerate(outcome.beliefs):
        drawn = belief.draw(generator, 500)
        noisy = drawn + generator.standard_normal(drawn.shape) * np.sqrt(belief.seed_variance / len(held))
        row = outcome.rows[column]
        said = np.mean(np.where(belief.allowed, noisy, -np.inf).argmax(axis=1) == row)
        expected = choose(belief, generator, draws=500)
        yield [
            float(said),
            float(top[column] == row),
            expected.regret,
            float(judged[column, top[column]] - judged[column, row]),
        ]


# ---- TaskWeb --------------------------------------------------------------------------------------------------------


def read_taskweb(path: Path) -> tuple[dict[str, np.ndarray], list[str], list[str]]:
    """Backbone and way of tuning -> scores (targets, rows, seeds) in points, of rows that most settings have.

    Also the names of the targets and rows.
    """
    values: dict[tuple[str, str, str, str], dict[int, float]] = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["metric"] == METRICS.get(line["target"], "eval_accuracy"):
                key = (line["config"], line["target"], line["source"], line["config"].partition("-lr")[0])
                values.setdefault(key, {})[int(line["seed"])] = float(line["value"])
    columns: dict[tuple[str, str], dict[str, dict[str, dict[int, float]]]] = {}
    for (config, target, source, base), seeds in values.items():
        columns.setdefault((base, target), {}).setdefault(config, {})[source] = seeds
    # A column that was run with two settings counts with the one that has more rows.
    kept = {key: max(options.values(), key=len) for key, options in columns.items()}
    bases, targets = sorted({base for base, _ in kept}), sorted({target for _, target in kept})
    counts = {
        source: sum(source in column for column in kept.values()) for column in kept.values() for source in column
    }
    rows = sorted(source for source, count in counts.items() if count > len(kept) / 2)
    seeds = sorted({seed for column in kept.values() for scores in column.values() for seed in scores})
    found = {base: np.full((len(targets), len(rows), len(seeds)), np.nan) for base in bases}
    for (base, target), column in kept.items():
        for source, scores in column.items():
            if source in rows:
                for seed, value in scores.items():
                    found[base][targets.index(target), rows.index(source), seeds.index(seed)] = value
    for scores in found.values():  # some settings give shares, not percentages
        shares = np.nanmax(np.where(np.isnan(scores), -np.inf, scores), axis=(1, 2)) <= 1
        scores[shares] *= 100
    return found, targets, rows


def taskweb_affinity(targets: Sequence[str], rows: Sequence[str], coarse: bool) -> np.ndarray:
    """(targets, rows) affinity by kinds of tasks; `coarse` by the families that tasks would have here."""
    kinds = {task: kind for kind, tasks in KINDS.items() for task in tasks}
    if coarse:
        kinds = {task: kind if kind in ("choice", "span") else "sequence" for task, kind in kinds.items()}
    return affinities(same_kind([[kinds[row]] for row in rows], [[kinds[target]] for target in targets]))


def training_cost(setting: str) -> float:
    """Parameters times epochs of a setting such as t5b-lora-e20."""
    epochs = next(part for part in setting.split("-") if part[0] == "e" and part[1:].isdecimal())
    return SIZES[setting.partition("-")[0]] * float(epochs[1:])


def even_costs(shape: tuple[int, ...]) -> Costs:
    """Costs of cells alone, all the same."""
    return Costs(np.ones((2, *shape[:2])), np.zeros((2, shape[1])))


# ---- a grid of ours -------------------------------------------------------------------------------------------------


def read_grid(table: Path, model: str | None) -> tuple[Finished, list[str], list[str], list[str]]:
    """A finished grid of ours, its targets, its rows, and the targets that lack development scores."""
    from stiltgrid.config.loading import load_grid
    from stiltgrid.grid.layout import grid_layout
    from stiltgrid.utils.parquet import read_frame
    from stiltgrid.utils.strict_yaml import read_yaml

    loaded = load_grid(read_yaml(ROOT / "config.yaml"), ROOT)
    layout = grid_layout(loaded)
    frame = read_frame(table)
    models = sorted(set(frame["model"]))
    name = model or models[0]
    frame = frame[frame["model"] == name]
    columns = [column for column in layout.columns if column.target in set(frame["target"])]
    rows, seeds = list(dict.fromkeys(frame["intermediate"])), sorted(set(frame["seed"]))
    shape, undeveloped = (len(columns), len(rows), len(seeds)), []
    developed, reported = np.full(shape, np.nan), np.full(shape, np.nan)
    for place, column in enumerate(columns):
        mine = frame[(frame["target"] == column.target) & (frame["metric"] == column.metric)]
        splits = {split: part for split, part in mine.groupby("split")}
        if "dev" not in splits:
            undeveloped.append(column.target)
        for values, split in ((developed, "dev" if "dev" in splits else column.split), (reported, column.split)):
            for (row, seed), value in splits[split].groupby(["intermediate", "seed"])["value"].mean().items():
                values[place, rows.index(row), seeds.index(seed)] = value
    targets = [column.target for column in columns]
    costs = measured_costs(table.resolve().parents[1], loaded.cards, name, targets, rows)
    return Finished(name, developed, costs, reported), targets, rows, undeveloped


def measured_costs(
    results: Path, cards: Mapping[str, Any], model: str, targets: Sequence[str], rows: Sequence[str], unit: str = "s"
) -> Costs:
    """Seconds of the grid's jobs, from the column `unit` of Snakemake's benchmark files; a mean over rows for a target.

    A target's tuned model that no file tells of costs the mean of those that some do.
    """
    folder = results / "benchmarks"

    def seconds(pattern: str) -> dict[tuple[str, ...], float]:
        found: dict[tuple[str, ...], list[float]] = {}
        for path in folder.glob(pattern):
            with path.open(encoding="utf-8", newline="") as file:
                parts = path.relative_to(folder).parts[2:-1]
                found.setdefault(parts, []).extend(float(line[unit]) for line in csv.DictReader(file, delimiter="\t"))
        return {parts: float(np.mean(values)) for parts, values in found.items()}

    trained = seconds(f"train_intermediate/{model}/*/seed*.tsv")
    tuned, scored = seconds(f"train_target/{model}/*/*/seed*.tsv"), seconds(f"score_target/{model}/*/*/seed*.tsv")
    if not scored:
        raise SystemExit(f"{folder}: expected the benchmark files of the grid's jobs, found none for {model}")
    cells, tunings = np.zeros((2, len(targets), len(rows))), np.zeros((2, len(targets)))
    usual = float(np.mean([*tuned.values()])) if tuned else 0.0
    names = [cards[target].tuned or target for target in targets]
    for place, (target, name) in enumerate(zip(targets, names, strict=True)):
        cells[:, place] = np.mean([value for parts, value in scored.items() if parts[1] == target])
        if cards[target].tuned:
            own = [value for parts, value in tuned.items() if parts[1] == name]
            tunings[:, place] = np.mean(own) if own else usual
    training = np.array([[trained.get((row,), 0.0) for row in rows]] * 2)
    return Costs(cells, training, (), tunings, tuple(names.index(name) for name in names))


def read_partial(asked: argparse.Namespace) -> tuple[Finished, list[str], list[str], np.ndarray]:
    """A grid of ours as far as it is there, its targets, its rows, and their shares of tasks of the target's kind."""
    from configured_grid import configured_grid
    from selection_cells import read_cells, shares_of
    from stiltgrid.grid.layout import grid_layout
    from stiltgrid.workflow.table_params import counted_families

    grid = configured_grid(asked.config)
    model = asked.model or grid.own_models[0]
    found = read_cells(asked.table, grid_layout(grid), counted_families(grid), model, asked.read_seeds)
    targets, rows = list(found.targets), list(found.rows)
    costs = measured_costs(asked.table / "results", grid.cards, model, targets, rows, asked.unit)
    partial = Finished(model, found.choosing, costs, found.judging, (), found.chosen, found.judged)
    return partial, targets, rows, shares_of(grid, targets, rows)


def replay_partial(asked: argparse.Namespace, show: Callable[[str], object]) -> None:
    """The table of a grid that may be unfinished; what stands there is its whole."""
    grid, targets, rows, shares = read_partial(asked)
    cells = grid.allowed.sum()
    show(f"{cells} of {grid.allowed.size} cells of {len(rows)} rows and {len(targets)} targets, "
         f"seeds {', '.join(map(str, asked.read_seeds))}.\n")  # fmt: skip
    replay_policies(asked, grid, (targets, rows), shares, show)


def replay_grid(asked: argparse.Namespace, show: Callable[[str], object]) -> None:
    """The table of a grid of ours. Held-out seeds judge, or test scores where there are no more than `--seeds`."""
    from configured_grid import configured_grid
    from selection_cells import shares_of

    grid, targets, rows, undeveloped = read_grid(asked.table, asked.model)
    if undeveloped:
        show(f"Without development scores, so that the judging scores choose too: {', '.join(undeveloped)}.\n")
    replay_policies(asked, grid, (targets, rows), shares_of(configured_grid([]), targets, rows), show)


def replay_policies(
    asked: argparse.Namespace,
    grid: Finished,
    names: tuple[Sequence[str], Sequence[str]],
    shares: np.ndarray,
    show: Callable[[str], object],
) -> None:
    """A line for each policy and budget; `names` of targets and rows."""
    number = grid.scores.shape[-1]
    seeds = min(asked.seeds, number)
    prior = [EarlierGrid(str(path), earlier_scores(path, *names)) for path in asked.prior]
    if number <= seeds:
        show(f"{number} seeds and none held out: other examples of the same runs judge.\n")

    def known(grid: Finished, kinds: bool = True) -> Prior:
        earlier = [EarlierGrid(item.name, item.scores[:, list(grid.order)]) for item in prior]
        return fit_prior(earlier, len(names[1]), affinities(shares[:, list(grid.order)]) if kinds else None)

    policies: dict[str, Callable[[Finished, float, Sequence[int], np.random.Generator], Outcome]] = {
        "nothing run": lambda grid, budget, some, rng: select(grid, known(grid), some, 0.0, Rules(seeds)),
        "this policy": lambda grid, budget, some, rng: select(grid, known(grid), some, budget, Rules(seeds)),
        "without kinds of tasks": lambda grid, budget, some, rng: select(
            grid, known(grid, False), some, budget, Rules(seeds)),
        "random cells": lambda grid, budget, some, rng: random_cells(grid, some, budget, rng),
        "screened rows": lambda grid, budget, some, rng: screened_rows(grid, some, budget, rng),
        "the grid with one seed": lambda grid, budget, some, rng: Outcome(
            best(grid.scores[..., some[0]], grid.allowed), whole_cost(grid, 1) / whole_cost(grid, seeds)),
        "always the best average row": lambda grid, budget, some, rng: Outcome(
            best(average_rows(grid.scores[..., list(some)].mean(axis=-1)), grid.allowed), 1.0),
    }  # fmt: skip
    show("\n| policy | allowed | cost | points lost | against the best |\n| --- | ---: | ---: | ---: | ---: |\n")
    for budget in asked.budgets:
        for name, policy in policies.items():
            losses, costs, drawn = [], [], []
            for draw in range(asked.draws):
                order = np.random.default_rng(draw).permutation(number)
                some, held = order[:seeds], order[seeds:] if number > seeds else order[:seeds]
                rng = np.random.default_rng([draw, 1])
                # Among rows of which nothing is known, the first win.
                mixed = permuted(grid, rng.permutation(len(names[1])))
                outcome = policy(mixed, budget, some, rng)
                losses.append(judge(mixed, outcome, some, held).mean(axis=0))
                drawn.append(resampled(mixed, outcome, some, held))
                costs.append(outcome.spent)
            mean, error = np.mean(losses, axis=0), np.std(losses, axis=0, ddof=1) / np.sqrt(len(losses))
            of_examples = float(np.mean(drawn, axis=0).std(ddof=1))
            lost = f"{mean[0]:.2f} ± {of_examples if grid.judging is not None else error[0]:.2f}"
            top = f"{mean[1]:.2f}" if grid.judging is not None else f"{mean[1]:.2f} ± {error[1]:.2f}"
            show(f"| {name} | {100 * budget:g} % | {100 * np.mean(costs):.1f} % | {lost} | {top} |\n")


def resampled(grid: Finished, outcome: Outcome, seeds: Sequence[int], held: Sequence[int]) -> np.ndarray:
    """(draws,) mean points lost against the whole grid's row under resamples of the judging examples, 0 without."""
    if grid.judging is None:
        return np.zeros(2)
    judged = grid.judging[..., list(held)].mean(axis=-1)
    whole = best(grid.scores[..., list(seeds)].mean(axis=-1), grid.allowed)
    places = np.arange(len(whole))
    lost: np.ndarray = (judged[:, places, whole] - judged[:, places, outcome.rows]).mean(axis=1)
    return lost


def permuted(grid: Finished, order: np.ndarray) -> Finished:
    """The grid with its rows in another order, which is kept as `order`."""
    costs = replace(grid.costs, cells=grid.costs.cells[..., order], rows=grid.costs.rows[:, order])
    assert grid.reported is not None
    chosen, judging = (None if part is None else part[:, :, order] for part in (grid.chosen, grid.judging))
    return Finished(
        grid.name, grid.scores[:, order], costs, grid.reported[:, order], tuple(map(int, order)), chosen, judging
    )


def earlier_scores(path: Path, targets: Sequence[str], rows: Sequence[str]) -> np.ndarray:
    """The test scores of another grid of ours as (targets, rows, seeds)."""
    other, other_targets, other_rows, _ = read_grid(path, None)
    assert other.reported is not None
    found = np.full((len(targets), len(rows), other.reported.shape[-1]), np.nan)
    for place, target in enumerate(targets):
        for column, row in enumerate(rows):
            if target in other_targets and row in other_rows:
                found[place, column] = other.reported[other_targets.index(target), other_rows.index(row)]
    return found


Policy = Callable[[Finished, Sequence[str], np.ndarray, np.random.Generator], Outcome]


def taskweb(path: Path, seeds: int, draws: int, only: Sequence[str], show: Callable[[str], object]) -> None:
    """The tables of TaskWeb; `only` the policies whose names begin so, all by default."""
    grids, targets, sources = read_taskweb(path)
    kinds, families = (taskweb_affinity(targets, sources, coarse) for coarse in (False, True))

    def earlier(
        names: Sequence[str], some: np.ndarray, without: int | None = None, affinity: np.ndarray | None = None
    ) -> Prior:
        parts = []
        for name in names:
            scores = grids[name][..., some].copy()
            if without is not None:
                scores[without] = np.nan
            parts.append(EarlierGrid(name, scores))
        return fit_prior(parts, len(sources), affinity)

    def ours(budget: float) -> Policy:
        return lambda grid, others, some, rng: select(grid, earlier(others, some), some, budget, Rules(seeds))

    def unseen_target(budget: float, affinity: np.ndarray | None = None) -> Policy:
        return lambda grid, others, some, rng: by_target(grid, others, some, budget, affinity)

    def by_target(
        grid: Finished, others: Sequence[str], some: np.ndarray, budget: float, affinity: np.ndarray | None
    ) -> Outcome:
        outcomes = []
        for column in range(len(grid.allowed)):
            one = Finished(grid.name, grid.scores[[column]], even_costs((1, grid.scores.shape[1])))
            known = earlier(others, some, column, affinity)
            outcomes.append(select(one, replace_columns(known, column), some, budget, Rules(seeds)))
        rows = np.array([item.rows[0] for item in outcomes])
        return Outcome(rows, float(np.mean([item.spent for item in outcomes])), [item.beliefs[0] for item in outcomes])

    def small(total: float) -> Policy:
        def policy(grid: Finished, others: Sequence[str], some: np.ndarray, rng: np.random.Generator) -> Outcome:
            share = training_cost(SMALL) / training_cost(grid.name) / len(some)
            found = select(grid, earlier([SMALL], some[:1]), some, max(total - share, 1e-9), Rules(seeds))
            return Outcome(found.rows, found.spent + share, found.beliefs)

        return policy

    def cold(budget: float, affinity: np.ndarray | None = None) -> Policy:
        return lambda grid, others, some, rng: select(
            grid, fit_prior([], len(sources), affinity), some, budget, Rules(seeds)
        )

    policies: dict[str, Policy] = {
        "the grid with one seed": lambda grid, others, some, rng: Outcome(
            best(grid.scores[..., some[0]], grid.allowed), 1 / seeds),
        "random cells": lambda grid, others, some, rng: random_cells(grid, some, 0.1, rng),
        "screened rows": lambda grid, others, some, rng: screened_rows(grid, some, 0.1, rng),
        "always the best average row": lambda grid, others, some, rng: Outcome(
            best(average_rows(grid.scores[..., some].mean(axis=-1)), grid.allowed), 1.0),
        "prior alone": ours(0.0),
        "no prior": cold(0.1),
        "no prior, families of tasks": cold(0.1, families),
        "no prior, kinds of tasks": cold(0.1, kinds),
        "prior of other backbones": ours(0.05),
        "prior of other backbones ": ours(0.1),
        "prior of other backbones  ": ours(0.2),
        "random cells ": lambda grid, others, some, rng: random_cells(grid, some, 0.2, rng),
        "target unknown to the prior": unseen_target(0.1),
        "target unknown to the prior, families of tasks": unseen_target(0.1, families),
        "target unknown to the prior, kinds of tasks": unseen_target(0.1, kinds),
        "T5-small's grid as prior, cost counted": small(0.2),
    }  # fmt: skip
    show("| policy | cost | points lost | against the best | said best at 70 to 90 % |\n")
    show("| --- | ---: | ---: | ---: | ---: |\n")
    wanted = {name: policy for name, policy in policies.items() if not only or name.startswith(tuple(only))}
    for name, policy in wanted.items():
        small_alone = name.startswith("T5-small")
        losses, costs, said = [], [], []
        for setting, scores in grids.items():
            others = [other for other in grids if other.partition("-")[0] != setting.partition("-")[0]]
            # The small model must be small, and its grid must leave something of a fifth.
            if small_alone and training_cost(SMALL) / training_cost(setting) / seeds > 0.15:
                continue
            grid = Finished(setting, scores, even_costs(scores.shape))
            for draw in range(draws):
                rng = np.random.default_rng([draw, sorted(grids).index(setting)])
                order = np.random.default_rng(draw).permutation(scores.shape[-1])
                some, held = order[:seeds], order[seeds:]
                outcome = policy(grid, others, some, rng)
                losses.append(judge(grid, outcome, some, held).mean(axis=0))
                costs.append(outcome.spent)
                said += list(claims(grid, outcome, held, rng))
        show(_line(name, np.array(losses), costs, np.array(said).reshape(-1, 4)))
        if said:
            show_calibration(np.array(said), lambda text: sys.stderr.write(text))


def pooling_check(path: Path, seeds: int, budget: float, show: Callable[[str], object]) -> None:
    """Whether pooling earlier grids by how they agree helps a backbone that had no part in the decision to pool.

    For each backbone: points lost with earlier grids that count alike, and pooled, by the other backbones (each of them
    left out in turn, the backbone itself nowhere), and by the backbone's own settings. One draw of the seeds.
    """
    grids, _, sources = read_taskweb(path)
    backbones = sorted({name.partition("-")[0] for name in grids})
    some, held = np.arange(seeds), np.arange(seeds, next(iter(grids.values())).shape[-1])

    def lost(setting: str, others: Sequence[str], pooled: bool) -> float:
        prior = fit_prior([EarlierGrid(name, grids[name][..., some]) for name in others], len(sources))
        if not pooled:
            own = max(prior.between, LEAST_VARIANCE) * np.eye(len(others))
            prior = replace(prior, pooling=Pooling(np.ones(len(others)), own))
        grid = Finished(setting, grids[setting], even_costs(grids[setting].shape))
        outcome = select(grid, prior, some, budget, Rules(seeds))
        return float(judge(grid, outcome, some, held)[:, 0].mean())

    show(
        "| backbone | others: alike | others: pooled | it: alike | it: pooled |\n| --- | ---: | ---: | ---: | ---: |\n"
    )
    for backbone in backbones:
        rest = [name for name in grids if name.partition("-")[0] != backbone]
        own = [name for name in grids if name not in rest]
        values = [
            float(np.mean([
                lost(name, [other for other in rest if other.partition("-")[0] != name.partition("-")[0]], pooled)
                for name in group
            ]))
            for group in (rest, own) for pooled in (False, True)
        ]  # fmt: skip
        show(f"| {backbone} | {' | '.join(f'{value:.2f}' for value in values)} |\n")


def replace_columns(prior: Prior, column: int) -> Prior:
    """A prior whose only column is one of another's."""
    assert prior.columns is not None
    own = prior.columns
    # Scales of all targets stay: they say what is usual.
    expected = [np.where(np.isnan(part), np.nan, part) for part in (own.scale, own.seed_variance)]
    order = [column, *(k for k in range(own.z.shape[1]) if k != column)]
    columns = replace(own, z=own.z[:, order], noise=own.noise[:, order], scale=expected[0][:, order],
                      seed_variance=expected[1][:, order])  # fmt: skip
    affinity = None if prior.affinity is None else prior.affinity[order]
    return replace(prior, columns=columns, affinity=affinity)


def _line(name: str, losses: np.ndarray, costs: Sequence[float], said: np.ndarray) -> str:
    error = losses.std(axis=0, ddof=1) / np.sqrt(len(losses))
    mean = losses.mean(axis=0)
    some = said[(said[:, 0] >= 0.7) & (said[:, 0] < 0.9)]
    hit = f"{100 * some[:, 1].mean():.0f} % of {len(some)}" if len(some) >= 20 else "–"
    return (
        f"| {name.strip()} | {100 * np.mean(costs):.1f} % | {mean[0]:.2f} ± {error[0]:.2f} | "
        f"{mean[1]:.2f} ± {error[1]:.2f} | {hit} |\n"
    )


def show_calibration(said: np.ndarray, show: Callable[[str], object]) -> None:
    """How often rows were judged best, by the probability that was said; expected and found regret."""
    for low, high in zip(BINS, BINS[1:], strict=False):
        part = said[(said[:, 0] >= low) & (said[:, 0] < high)]
        if len(part):
            show(f"said {100 * part[:, 0].mean():.0f} %: judged best {100 * part[:, 1].mean():.0f} % of {len(part)}\n")
    show(f"regret expected {said[:, 2].mean():.2f}, found {said[:, 3].mean():.2f}\n")


def main() -> None:
    """Print the tables of one replay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["taskweb", "pooling", "grid", "cells"])
    parser.add_argument("table", type=Path)
    parser.add_argument("--prior", type=Path, nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the whole grid, which policies may use")
    parser.add_argument("--draws", type=int, default=8, help="draws of the seeds that the policies see")
    parser.add_argument("--only", nargs="*", default=[], help="TaskWeb: policies by the beginnings of their names")
    parser.add_argument("--model", help="of a grid with several")
    parser.add_argument("--config", type=Path, nargs="*", default=[], help="cells: files laid over config.yaml")
    parser.add_argument("--read-seeds", type=int, nargs="*", default=[1], help="cells: seeds that a cell must have")
    parser.add_argument("--unit", default="s", help="cells: column of the jobs' benchmark files that is the cost")
    parser.add_argument("--budgets", type=float, nargs="*", default=[0.1, 0.2, 0.3])
    asked = parser.parse_args()
    started = time.monotonic()

    def show(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    if asked.what == "taskweb":
        taskweb(asked.table, asked.seeds, asked.draws, asked.only, show)
    elif asked.what == "pooling":
        pooling_check(asked.table, asked.seeds, asked.budgets[0], show)
    elif asked.what == "cells":
        replay_partial(asked, show)
    else:
        replay_grid(asked, show)
    sys.stderr.write(f"{time.monotonic() - started:.0f} seconds\n")


if __name__ == "__main__":
    main()

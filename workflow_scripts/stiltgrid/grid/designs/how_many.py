"""Study 4, how many tasks: the best k of the ranked tasks against the first k of random orders.

Independent random sets are drawn as those of study 3, so with the same tasks, examples and seed they are its rows.
The ranking is known only after each task has been trained alone, so the rows of the best tasks are not in the plan:
a Snakemake checkpoint adds them when the ranking has been computed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.designs import Design
from stiltgrid.grid.designs.checks import chosen, sample_problems, target_problems, unknown
from stiltgrid.grid.designs.draws import draw_orders, draw_sets
from stiltgrid.grid.grid import Grid, Plan, mixture_name
from stiltgrid.grid.target_caps import capped

DRAWS = 3
GUESSED = ("sequence", "choice")  # families in which guessing is right once in as many times as there are labels


def counts(section: Mapping[str, Any]) -> list[int]:
    """Sizes of the mixtures of the best tasks."""
    return sorted(section.get("counts") or range(1, len(section["tasks"]) + 1))


def random_counts(section: Mapping[str, Any]) -> list[int]:
    """Sizes of the random sets, without the set of all tasks, which is not random."""
    everything = len(section["tasks"])
    return sorted(count for count in section.get("random_counts") or counts(section) if count < everything)


def random_rows(section: Mapping[str, Any]) -> list[dict[int, str]]:
    """For each random order of the tasks: size -> the row that mixes the first tasks of the order."""
    orders = draw_orders(section["tasks"], section.get("draws", DRAWS), section.get("draw_seed", 0))
    return [{size: _row(order[:size], section) for size in random_counts(section)} for order in orders]


def set_rows(section: Mapping[str, Any]) -> dict[int, list[str]]:
    """Size -> the rows of the independent random sets of this size; empty without `sets`."""
    sets, seed = section.get("sets", 0), section.get("draw_seed", 0)
    sizes = random_counts(section) if sets else ()
    return {size: [_row(names, section) for names in draw_sets(section["tasks"], size, sets, seed)] for size in sizes}


def alone_rows(section: Mapping[str, Any]) -> dict[str, str]:
    """Task -> the row that trains on it alone, with as many examples as a mixture."""
    return {task: _row([task], section) for task in section["tasks"]}


def best_rows(section: Mapping[str, Any], ranking: Sequence[str]) -> dict[int, str]:
    """Size -> the row that mixes the best tasks of `ranking`, which is sorted best first."""
    return {size: _row(ranking[:size], section) for size in counts(section)}


def _row(tasks: Sequence[str], section: Mapping[str, Any]) -> str:
    return capped(mixture_name(tasks, section.get("examples")), section.get("target_examples"))


def scale(card: TaskCard, section: Mapping[str, Any]) -> tuple[float, float]:
    """Development scores of guessing and of perfect answers on a task, in points."""
    labels = len(card.labels)
    guess = 100 / labels if card.family in GUESSED and labels else 0.0
    return section.get("chance", {}).get(card.name, guess), section.get("best", {}).get(card.name, 100.0)


def problems(section: Mapping[str, Any], grid: Grid, names: Sequence[str]) -> Iterator[str]:
    """What a schema cannot say of the section."""
    tasks = section["tasks"]
    yield from unknown("tasks", tasks, names, "task")
    yield from unknown("models", section.get("models", ()), grid.models, "model")
    yield from target_problems(section.get("targets", ()), grid, names)
    yield from sample_problems(section, grid)
    for key in ("chance", "best"):
        yield from unknown(key, section.get(key, ()), tasks, "task of the study")
    for key in ("counts", "random_counts"):
        for count in section.get(key, ()):
            if count > len(tasks):
                yield f"{key}: {count} of {len(tasks)} tasks cannot be taken"
    if not random_counts(section):
        yield "random_counts: expected a size below the number of tasks, found none"
    strange = [count for count in random_counts(section) if count not in counts(section)]
    if strange:
        yield f"random_counts: {', '.join(map(str, strange))} not among counts, so there is nothing to compare with"
    if section.get("sets") and len(random_counts(section)) < 2:
        yield "sets: a trend over sets needs two sizes below the number of tasks at least; add some to random_counts"
    if section.get("examples") and section["examples"] < len(tasks):
        yield f"examples: {section['examples']} cannot be shared by {len(tasks)} tasks"
    for name in tasks:
        if name in grid.cards:
            low, high = scale(grid.cards[name], section)
            if low >= high:
                yield f"chance: that of '{name}', {low:g}, is not below its best, {high:g}"


def plan(section: Mapping[str, Any], grid: Grid) -> Plan:
    """Each task alone and the random sets. The mixtures of the best tasks follow from the ranking.

    The ranking uses the tasks' own rows with all their examples; the rows of one task here are as large as a mixture.
    """
    rows = [
        *alone_rows(section).values(),
        *(row for order in random_rows(section) for row in order.values()),
        *(row for rows in set_rows(section).values() for row in rows),
    ]
    return Plan(
        models=chosen(section, "models", grid.models),
        intermediates=tuple(dict.fromkeys(rows)),
        targets=chosen(section, "targets", grid.targets),
        seeds=chosen(section, "seeds", grid.seeds),
        trained=tuple(section["tasks"]),
        mixed=tuple(section["tasks"]),
    )


DESIGN = Design(problems, plan)

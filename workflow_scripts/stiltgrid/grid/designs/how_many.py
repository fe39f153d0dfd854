"""Study 4, how many tasks: the best k of the ranked tasks against the first k of random orders.

The ranking is known only after each task has been trained alone, so the rows of the best tasks are not in the plan:
a Snakemake checkpoint adds them when the ranking has been computed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.designs import Design
from stiltgrid.grid.designs.checks import chosen, sample_problems, target_problems, unknown
from stiltgrid.grid.designs.draws import draw_orders
from stiltgrid.grid.grid import Grid, Plan, mixture_name

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
    sizes, examples = random_counts(section), section.get("examples")
    return [{size: mixture_name(order[:size], examples) for size in sizes} for order in orders]


def alone_rows(section: Mapping[str, Any]) -> dict[str, str]:
    """Task -> the row that trains on it alone, with as many examples as a mixture."""
    return {task: mixture_name([task], section.get("examples")) for task in section["tasks"]}


def best_rows(section: Mapping[str, Any], ranking: Sequence[str]) -> dict[int, str]:
    """Size -> the row that mixes the best tasks of `ranking`, which is sorted best first."""
    return {size: mixture_name(ranking[:size], section.get("examples")) for size in counts(section)}


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
    rows = [*alone_rows(section).values(), *(row for order in random_rows(section) for row in order.values())]
    return Plan(
        models=chosen(section, "models", grid.models),
        intermediates=tuple(dict.fromkeys(rows)),
        targets=chosen(section, "targets", grid.targets),
        seeds=chosen(section, "seeds", grid.seeds),
        trained=tuple(section["tasks"]),
        mixed=tuple(section["tasks"]),
    )


DESIGN = Design(problems, plan)

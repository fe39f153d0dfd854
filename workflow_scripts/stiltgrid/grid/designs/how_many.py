"""Study 4, how many tasks: the best k of the ranked tasks against the first k of random orders.

The ranking is known only when each task has been trained alone, so the rows of the best tasks are not part of the plan:
a checkpoint of the workflow asks for them by their content's name once the ranking is there.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.designs import Design
from stiltgrid.grid.designs.checks import chosen, few_problems, target_problems, unknown
from stiltgrid.grid.designs.draws import draw_orders
from stiltgrid.grid.grid import Grid, Plan, mixture_name

DRAWS = 3
GUESSED = ("sequence", "choice")  # families in which one of a few answers is right


def counts(section: Mapping[str, Any]) -> list[int]:
    """Sizes of the mixtures of the best tasks."""
    return sorted(section.get("counts") or range(1, len(section["tasks"]) + 1))


def random_counts(section: Mapping[str, Any]) -> list[int]:
    """Sizes of the random sets: a set of all tasks is no random one."""
    everything = len(section["tasks"])
    return sorted(count for count in section.get("random_counts") or counts(section) if count < everything)


def random_rows(section: Mapping[str, Any]) -> list[dict[int, str]]:
    """Of each random order of the tasks: size -> the row that mixes its first ones."""
    orders = draw_orders(section["tasks"], section.get("draws", DRAWS), section.get("draw_seed", 0))
    sizes, examples = random_counts(section), section.get("examples")
    return [{size: mixture_name(order[:size], examples) for size in sizes} for order in orders]


def alone_rows(section: Mapping[str, Any]) -> dict[str, str]:
    """Task -> the row that holds it alone, of a mixture's size."""
    return {task: mixture_name([task], section.get("examples")) for task in section["tasks"]}


def best_rows(section: Mapping[str, Any], ranking: Sequence[str]) -> dict[int, str]:
    """Size -> the row that mixes the best tasks of a ranking, best first."""
    return {size: mixture_name(ranking[:size], section.get("examples")) for size in counts(section)}


def scale(card: TaskCard, section: Mapping[str, Any]) -> tuple[float, float]:
    """Chance and best development score of a task, in points."""
    labels = len(card.labels)
    guess = 100 / labels if card.family in GUESSED and labels else 0.0
    return section.get("chance", {}).get(card.name, guess), section.get("best", {}).get(card.name, 100.0)


def problems(section: Mapping[str, Any], grid: Grid, names: Sequence[str]) -> Iterator[str]:
    """What a schema cannot say of the section."""
    tasks = section["tasks"]
    yield from unknown("tasks", tasks, names, "task")
    yield from unknown("models", section.get("models", ()), grid.models, "model")
    yield from target_problems(section.get("targets", ()), grid, names)
    yield from few_problems(section, grid)
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
    """The random sets and each task alone; the best tasks' mixtures follow from the ranking.

    The ranking reads the tasks' own rows, of their full size; those alone here are of the mixtures' size.
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

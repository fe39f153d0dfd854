"""Study 3, diversity against volume: random sets of d tasks with v examples in total."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stiltgrid.grid.designs import Design
from stiltgrid.grid.designs.checks import chosen, sample_problems, target_problems, unknown
from stiltgrid.grid.designs.draws import draw_sets
from stiltgrid.grid.grid import Grid, Plan, mixture_name
from stiltgrid.grid.target_caps import capped

DRAWS = 4


def task_sets(section: Mapping[str, Any]) -> dict[int, list[tuple[str, ...]]]:
    """Size of a set -> the random sets of that size, all different and the same for every volume.

    Where fewer sets of a size exist than `draws`, all of them are used.
    """
    draws, seed = section.get("draws", DRAWS), section.get("draw_seed", 0)
    return {count: draw_sets(section["tasks"], count, draws, seed) for count in sorted(section["counts"])}


def rows(section: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every row of the design: its name (`intermediate`), its `set`, number of `tasks` (d) and of `examples` (v)."""
    return [
        {
            "intermediate": capped(mixture_name(names, examples), section.get("target_examples")),
            "set": "+".join(names),
            "tasks": count,
            "examples": examples,
        }
        for count, sets in task_sets(section).items()
        for names in sets
        for examples in sorted(section["examples"])
    ]


def problems(section: Mapping[str, Any], grid: Grid, names: Sequence[str]) -> Iterator[str]:
    """What a schema cannot say of the section."""
    yield from unknown("tasks", section["tasks"], names, "task")
    yield from unknown("models", section.get("models", ()), grid.models, "model")
    yield from target_problems(section.get("targets", ()), grid, names)
    yield from sample_problems(section, grid)
    pool = len(section["tasks"])
    for count in section["counts"]:
        if count > pool:
            yield f"counts: a set of {count} cannot be drawn from {pool} tasks"
    sizes = [count for count in section["counts"] if math.comb(pool, min(count, pool)) > 1]
    if section.get("draws", DRAWS) < 2 or not sizes:
        yield "draws: expected two sets of some size at least; one set of each shows no variance between sets"
    for examples in section["examples"]:
        if examples < max(section["counts"]):
            yield f"examples: {examples} cannot be shared by {max(section['counts'])} tasks"


def plan(section: Mapping[str, Any], grid: Grid) -> Plan:
    """Every set with every volume."""
    return Plan(
        models=chosen(section, "models", grid.models),
        intermediates=tuple(row["intermediate"] for row in rows(section)),
        targets=chosen(section, "targets", grid.targets),
        seeds=chosen(section, "seeds", grid.seeds),
    )


DESIGN = Design(problems, plan)

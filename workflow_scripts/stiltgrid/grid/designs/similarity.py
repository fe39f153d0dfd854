"""Study 1, similarity: the grid's own cells, rows of one task each; only task vectors are made for it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stiltgrid.grid.designs import Design
from stiltgrid.grid.designs.checks import chosen, row_problems, target_problems, unknown
from stiltgrid.grid.grid import NONE, Grid, Plan

FEWEST = 4
MEASURES = ("text", "sentence", "fisher", "words")


def rows(section: Mapping[str, Any], grid: Grid) -> tuple[str, ...]:
    """The rows that have a vector: those of one task."""
    asked = chosen(section, "intermediates", grid.intermediates)
    return tuple(name for name in asked if len(grid.recipe(name).tasks) == 1)


def problems(section: Mapping[str, Any], grid: Grid, names: Sequence[str]) -> Iterator[str]:
    """What a schema cannot say of the section."""
    yield from unknown("models", section.get("models", ()), grid.models, "model")
    yield from unknown("encoder", [section["encoder"]] if "encoder" in section else [], grid.models, "model")
    yield from target_problems(section.get("targets", ()), grid, names)
    wrong = list(row_problems("intermediates", section.get("intermediates", ()), grid, names))
    yield from wrong
    mixed = [name for name in section.get("intermediates", ()) if not wrong and len(grid.recipe(name).tasks) > 1]
    if mixed:
        yield f"intermediates: '{mixed[0]}' mixes several tasks, and a mixture has no task vector"


def plan(section: Mapping[str, Any], grid: Grid) -> Plan:
    """The grid's rows of one task and `none`, on the grid's targets."""
    return Plan(
        models=chosen(section, "models", grid.own_models),
        intermediates=(NONE, *rows(section, grid)),
        targets=chosen(section, "targets", grid.targets),
        seeds=chosen(section, "seeds", grid.seeds),
    )


DESIGN = Design(problems, plan)

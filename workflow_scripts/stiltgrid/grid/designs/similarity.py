"""Study 1, similarity: uses the grid's own cells in rows of one task; only task vectors are computed for it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stiltgrid.grid.designs import Design
from stiltgrid.grid.designs.checks import (
    chosen,
    new_models,
    own_model_problems,
    own_models,
    row_problems,
    target_problems,
    unknown,
)
from stiltgrid.grid.grid import NONE, Grid, Plan

MEASURES = ("text", "sentence", "fisher", "words")


def rows(section: Mapping[str, Any], grid: Grid) -> tuple[str, ...]:
    """The rows that have a task vector: those of a single task."""
    asked = chosen(section, "intermediates", grid.intermediates)
    return tuple(name for name in asked if len(grid.recipe(name).tasks) == 1)


def problems(section: Mapping[str, Any], grid: Grid, names: Sequence[str]) -> Iterator[str]:
    """What a schema cannot say of the section."""
    yield from unknown("models", section.get("models", ()), grid.models, "model")
    encoder = [section["encoder"]] if "encoder" in section else []
    yield from unknown("encoder", encoder, (*grid.models, *own_models(section)), "model")
    yield from own_model_problems(section, grid)
    for name in own_models(section):
        if name not in encoder:
            yield f"own_models.{name}: nothing uses it; expected the name of `encoder`"
    yield from target_problems(section.get("targets", ()), grid, names)
    wrong = list(row_problems("intermediates", section.get("intermediates", ()), grid, names))
    yield from wrong
    mixed = [name for name in section.get("intermediates", ()) if not wrong and len(grid.recipe(name).tasks) > 1]
    if mixed:
        yield f"intermediates: '{mixed[0]}' mixes several tasks, and a mixture has no task vector"


def plan(section: Mapping[str, Any], grid: Grid) -> Plan:
    """`none` and the rows of a single task, on the study's targets; a model of the study's own only embeds."""
    return Plan(
        models=chosen(section, "models", grid.own_models),
        intermediates=(NONE, *rows(section, grid)),
        targets=chosen(section, "targets", grid.targets),
        seeds=chosen(section, "seeds", grid.seeds),
        own_models=new_models(section, grid),
    )


DESIGN = Design(problems, plan)

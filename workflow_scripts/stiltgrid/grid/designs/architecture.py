"""Study 2, architecture: the same grid on two models or more, some of which may belong to this study only."""

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


def problems(section: Mapping[str, Any], grid: Grid, names: Sequence[str]) -> Iterator[str]:
    """What a schema cannot say of the section."""
    yield from unknown("models", section.get("models", ()), (*grid.models, *own_models(section)), "model")
    yield from own_model_problems(section, grid)
    yield from target_problems(section.get("targets", ()), grid, names)
    yield from row_problems("intermediates", section.get("intermediates", ()), grid, names)


def plan(section: Mapping[str, Any], grid: Grid) -> Plan:
    """`none` and the rows, on the targets, for every model."""
    asked = chosen(section, "intermediates", grid.intermediates)
    own = new_models(section, grid)
    return Plan(
        models=chosen(section, "models", (*grid.own_models, *own)),
        intermediates=(NONE, *(name for name in asked if name != NONE)),
        targets=chosen(section, "targets", grid.targets),
        seeds=chosen(section, "seeds", grid.seeds),
        own_models=own,
    )


DESIGN = Design(problems, plan)

"""Study 2, architecture: the same grid on two models or more, some of which may belong to this study only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stiltgrid.grid.designs import Design
from stiltgrid.grid.designs.checks import chosen, row_problems, target_problems, unknown
from stiltgrid.grid.grid import NONE, Grid, Model, Plan


def problems(section: Mapping[str, Any], grid: Grid, names: Sequence[str]) -> Iterator[str]:
    """What a schema cannot say of the section."""
    own = own_models(section)
    yield from unknown("models", section.get("models", ()), (*grid.models, *own), "model")
    for name, model in own.items():
        if grid.models.get(name, model) != model:
            yield f"own_models.{name}: `models` has another model of this name; rename one"
    yield from target_problems(section.get("targets", ()), grid, names)
    yield from row_problems("intermediates", section.get("intermediates", ()), grid, names)


def own_models(section: Mapping[str, Any]) -> dict[str, Model]:
    """The models that belong to this study only."""
    return {name: Model(name=name, **model) for name, model in section.get("own_models", {}).items()}


def plan(section: Mapping[str, Any], grid: Grid) -> Plan:
    """`none` and the rows, on the targets, for every model."""
    asked = chosen(section, "intermediates", grid.intermediates)
    own = {name: model for name, model in own_models(section).items() if name not in grid.models}
    return Plan(
        models=chosen(section, "models", (*grid.own_models, *own)),
        intermediates=(NONE, *(name for name in asked if name != NONE)),
        targets=chosen(section, "targets", grid.targets),
        seeds=chosen(section, "seeds", grid.seeds),
        own_models=own,
    )


DESIGN = Design(problems, plan)

"""Study 2, architecture: the same grid on two models or more, some of which only this study may have."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stiltgrid.cards import NONE, Grid, Plan
from stiltgrid.studies.checks import chosen, row_problems, target_problems, unknown
from stiltgrid.studies.designs import Design


def problems(section: Mapping[str, Any], grid: Grid, names: Sequence[str]) -> Iterator[str]:
    """What a schema cannot say of the section."""
    yield from unknown("models", section.get("models", ()), grid.models, "model")
    yield from target_problems(section.get("targets", ()), grid, names)
    yield from row_problems("intermediates", section.get("intermediates", ()), grid, names)


def plan(section: Mapping[str, Any], grid: Grid) -> Plan:
    """Rows, `none` among them, on the targets, for every model."""
    asked = chosen(section, "intermediates", grid.intermediates)
    return Plan(
        models=chosen(section, "models", grid.own_models),
        intermediates=(NONE, *(name for name in asked if name != NONE)),
        targets=chosen(section, "targets", grid.targets),
        seeds=chosen(section, "seeds", grid.seeds),
    )


DESIGN = Design(problems, plan)

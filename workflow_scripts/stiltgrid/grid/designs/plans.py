"""Adds the plans of the studies to the grid, with which they share jobs."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stiltgrid.grid.designs import design
from stiltgrid.grid.grid import Grid, Model, Plan, Recipe, mixture_pattern


def add_plans(grid: Grid, names: Sequence[str]) -> tuple[Grid, list[str]]:
    """The grid with the plans, recipes and models of its studies, and their problems. `names` are all tasks."""
    plans: dict[str, Plan] = {}
    problems = [f"config: recipes.{name}: {problem}" for name, problem in _mixture_names(grid, names)]
    for study, section in grid.studies.items():
        found = [f"config: studies.{study}.{problem}" for problem in design(study).problems(section, grid, names)]
        if not found:
            plans[study] = design(study).plan(section, grid)
            found = [f"config: studies.{study}: {problem}" for problem in _clashes(plans[study], grid, plans)]
        problems += found
    recipes: dict[str, Recipe] = dict(grid.recipes)
    models: dict[str, Model] = dict(grid.models)
    for plan in plans.values():
        recipes.update(plan.recipes)
        models.update(plan.own_models)
    return replace(grid, plans=plans, recipes=recipes, models=models), problems


def _mixture_names(grid: Grid, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Recipes of the configuration whose name is reserved for a mixture of a study."""
    of_mixtures = re.compile(mixture_pattern(names))
    for name in grid.recipes:
        if of_mixtures.fullmatch(name):
            yield name, "studies use names of this form for their mixtures; give it another name"


def _clashes(plan: Plan, grid: Grid, plans: Mapping[str, Plan]) -> Iterator[str]:
    """Names with one meaning in a study and another in the configuration or in another study."""
    others = [other for other in plans.values() if other is not plan]
    for name, recipe in plan.recipes.items():
        if any(known != recipe for known in _given(name, [grid.recipes, *(other.recipes for other in others)])):
            yield f"its row '{name}' is the name of another recipe; rename that"
    for name, model in plan.own_models.items():
        if any(known != model for known in _given(name, [grid.models, *(other.own_models for other in others)])):
            yield f"models.{name}: another model has this name"


def _given(name: str, places: Iterable[Mapping[str, Any]]) -> list[Any]:
    return [place[name] for place in places if name in place]

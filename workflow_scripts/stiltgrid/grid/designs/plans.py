"""Adds the plans of the studies to the grid, with which they share jobs."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stiltgrid.grid.designs import design
from stiltgrid.grid.grid import Grid, Model, Plan, Recipe, mixture_pattern


def add_plans(grid: Grid, names: Sequence[str]) -> Grid:
    """The grid with the plans, recipes and models of its studies. `names` are all tasks.

    A study with problems has no plan; its problems are added to `study_problems`.
    """
    plans: dict[str, Plan] = {}
    problems = {study: tuple(found) for study, found in grid.study_problems.items()}
    for study, section in grid.studies.items():
        if study in problems:
            continue
        found = [f"studies.{study}.{problem}" for problem in design(study).problems(section, grid, names)]
        if not found:
            plan = design(study).plan(section, grid)
            found = [f"studies.{study}: {problem}" for problem in _clashes(plan, grid, plans)]
        if found:
            problems[study] = tuple(found)
        else:
            plans[study] = plan
    return _with_plans(replace(grid, study_problems=problems), plans)


def _with_plans(grid: Grid, plans: Mapping[str, Plan]) -> Grid:
    recipes: dict[str, Recipe] = dict(grid.recipes)
    models: dict[str, Model] = dict(grid.models)
    for plan in plans.values():
        recipes.update(plan.recipes)
        models.update(plan.own_models)
    return replace(grid, plans=plans, recipes=recipes, models=models)


def reserved_names(grid: Grid, names: Sequence[str]) -> Iterator[str]:
    """Recipes of the configuration whose name is reserved for a mixture of a study."""
    of_mixtures = re.compile(mixture_pattern(names))
    for name in grid.recipes:
        if of_mixtures.fullmatch(name):
            yield f"recipes.{name}: studies use names of this form for their mixtures; give it another name"


def _clashes(plan: Plan, grid: Grid, plans: Mapping[str, Plan]) -> Iterator[str]:
    """Names with one meaning in a study and another in the configuration or in another study."""
    others = plans.values()
    for name, recipe in plan.recipes.items():
        if any(known != recipe for known in _given(name, [grid.recipes, *(other.recipes for other in others)])):
            yield f"its row '{name}' is the name of another recipe; rename that"
    for name, model in plan.own_models.items():
        if any(known != model for known in _given(name, [grid.models, *(other.own_models for other in others)])):
            yield f"models.{name}: another model has this name"


def _given(name: str, places: Iterable[Mapping[str, Any]]) -> list[Any]:
    return [place[name] for place in places if name in place]

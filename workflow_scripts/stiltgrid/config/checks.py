"""Checks of the configuration beyond its schema: names that must exist elsewhere, settings that conflict."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from stiltgrid.config.model_checks import model_problems
from stiltgrid.config.recipe_checks import model_recipe_problems, recipe_problems
from stiltgrid.grid import recipes
from stiltgrid.grid.grid import NONE, Grid
from stiltgrid.utils.errors import nearest

LONGEST_NAME = 200


def grid_problems(grid: Grid, names: Sequence[str], root: Path) -> list[str]:
    """Contradictions within the configuration or with the catalogue. `names` are all tasks, valid or not."""
    return [f"config: {problem}" for check in _GRID_CHECKS for problem in check(grid, names, root)]


def study_problems(view: Grid, names: Sequence[str], root: Path) -> list[str]:
    """Everything that is wrong with the models and rows of a study, beyond what its design checks."""
    return [
        *_lengths(view, names, root),
        *_models(view, names, root),
        *model_recipe_problems(view, root),
        *_trained(view, names, root),
    ]


def _intermediates(grid: Grid, names: Sequence[str], root: Path) -> Iterator[str]:
    valid = (NONE, *grid.recipes, *names)
    for name in grid.intermediates:
        if name not in valid:
            yield f"intermediates: no task or recipe '{name}', {nearest(name, valid)}"


def _recipes(grid: Grid, names: Sequence[str], root: Path) -> Iterator[str]:
    for recipe in grid.recipes.values():
        for problem in recipe_problems(recipe, names):
            yield f"recipes.{recipe.name}: {problem}"
    yield from model_recipe_problems(grid, root)


def _targets(grid: Grid, names: Sequence[str], root: Path) -> Iterator[str]:
    for name in grid.targets:
        if name not in names:
            yield f"targets: no such task '{name}', {nearest(name, names)}"
        elif name in grid.cards and not grid.cards[name].train and grid.cards[name].family != "embedding":
            yield f"targets: '{name}' has an empty `train`, and a {grid.cards[name].family} task needs a trained head"


def _settings(grid: Grid, names: Sequence[str], root: Path) -> Iterator[str]:
    for section, tasks in (("training", grid.training), ("evaluation", grid.evaluation)):
        for name in tasks.get("tasks", {}):
            valid = (*names, *grid.recipes) if section == "training" else names
            if name not in valid:
                yield f"{section}.tasks: no such task '{name}', {nearest(name, valid)}"


def _models(grid: Grid, names: Sequence[str], root: Path) -> Iterator[str]:
    for model in grid.models.values():
        for problem in model_problems(model, root, grid.data_dir):
            yield f"models.{model.name}: {problem}"


def _trained(grid: Grid, names: Sequence[str], root: Path) -> Iterator[str]:
    """Training settings that cancel each other."""
    rows = {(task, "intermediate") for name in grid.intermediates for task in (name, *grid.recipe(name).tasks)}
    columns = {(task, "target") for name in grid.targets if name in grid.cards for task in grid.cards[name].train}
    for task, stage in sorted(rows | columns):
        settings = grid.training_for(stage, task)
        if settings.lora and settings.optimizer != "adamw":
            yield f"training: {stage} stage of '{task}': lora: expected optimizer adamw, found {settings.optimizer}"
        if settings.lora and settings.freeze:
            yield f"training: {stage} stage of '{task}': freeze: has no effect beside lora, which trains adapters only"


def _lengths(grid: Grid, names: Sequence[str], root: Path) -> Iterator[str]:
    """Names that become folders and are made of several names; file systems hold 255 bytes."""
    tuned = [tuned for name in grid.targets if name in grid.cards and (tuned := grid.cards[name].tuned)]
    variants = recipes.variants(grid)
    for kind, made in (("row", grid.all_intermediates), ("training", tuned), ("training rows", variants)):
        for name in made:
            if len(name.encode()) > LONGEST_NAME:
                yield f"the {kind} '{name[:60]}…' has {len(name.encode())} bytes; expected at most {LONGEST_NAME}"


_GRID_CHECKS = (_lengths, _models, _intermediates, _recipes, _targets, _settings, _trained)


def remarks(grid: Grid) -> list[str]:
    """Warnings about what is valid but may be unintended."""
    if NONE in grid.intermediates:
        return []
    return ["intermediates: 'none' is absent, so the tables show scores but no gains"]

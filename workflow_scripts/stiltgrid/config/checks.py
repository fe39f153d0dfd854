"""Checks of the configuration beyond its schema: names that must exist elsewhere, settings that conflict."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from stiltgrid.config.model_checks import model_config, model_problems
from stiltgrid.config.recipe_checks import model_recipe_problems, recipe_problems
from stiltgrid.grid import recipes
from stiltgrid.grid.architectures import position_limit
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


def remarks(grid: Grid, root: Path) -> list[str]:
    """Warnings about what is valid but may be unintended."""
    found = [*_length_remarks(grid, root), *_batch_remarks(grid)]
    if NONE not in grid.intermediates:
        found.append("intermediates: 'none' is absent, so the tables show scores but no gains")
    return found


def _stages(grid: Grid) -> list[tuple[str, str]]:
    """(task, stage) of everything that the grid's own rows and columns train on."""
    rows = {(task, "intermediate") for name in grid.intermediates for task in grid.recipe(name).tasks}
    columns = {(task, "target") for name in grid.targets for task in grid.cards[name].train}
    return sorted(rows | columns)


def _length_remarks(grid: Grid, root: Path) -> Iterator[str]:
    """Sequences that are longer than a model reads, and are cut."""
    stages = [(task, grid.training_for(stage, task).max_length) for task, stage in _stages(grid)]
    asked = {task: length or grid.cards[task].max_length for task, length in stages}
    for name in grid.own_models:
        limit = position_limit(model_config(grid.models[name], root, grid.data_dir))
        longer = sorted(task for task, length in asked.items() if limit and length > limit)
        if longer:
            most, few = max(asked[task] for task in longer), ", ".join(longer[:5])
            more = f" and {len(longer) - 5} more" if len(longer) > 5 else ""
            asks = f"max_length is up to {most} ({few}{more})"
            yield f"models.{name}: reads {limit} tokens at most; {asks}, so longer texts are cut"


def _batch_remarks(grid: Grid) -> Iterator[str]:
    """Batches that are larger than the examples to draw them from."""
    for task, stage in _stages(grid):
        settings = grid.training_for(stage, task)
        if settings.examples is not None and settings.batch_size > settings.examples:
            size, examples = settings.batch_size, settings.examples
            yield f"training: {stage} stage of '{task}': batch_size {size} is larger than its {examples} examples"

"""Checks beyond the schemas: names that must exist elsewhere, lists of equal length, settings that conflict."""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.config.model_checks import model_problems
from stiltgrid.config.recipe_checks import model_recipe_problems, recipe_problems
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import NONE, Grid
from stiltgrid.utils.errors import nearest


def card_problems(card: TaskCard, cards: Mapping[str, TaskCard], names: Sequence[str]) -> list[str]:
    """Contradictions within a card or with the rest of the catalogue. `names` are all tasks."""
    return [f"tasks/{card.name}.yaml: {problem}" for problem in _card_problems(card, cards, names)]


def _card_problems(card: TaskCard, cards: Mapping[str, TaskCard], names: Sequence[str]) -> Iterator[str]:
    for key, references in (("train", card.train), *((f"rows.{split}", names_) for split, names_ in card.rows.items())):
        for name in references:
            if name not in names:
                yield f"{key}: no such task '{name}', {nearest(name, names)}"
    if card.label_values and len(card.label_values) != len(card.labels):
        yield f"label_values: expected one for each of the {len(card.labels)} labels, found {len(card.label_values)}"
    if card.family == "tagging" and not card.labels and not card.options.get("labels_from_data"):
        yield "labels: must not be empty unless options.labels_from_data collects them"
    positive = card.options.get("positive")
    if positive is not None and positive not in card.labels:
        yield f"options.positive: no such label '{positive}', {nearest(positive, card.labels)}"
    for name in (origin for origins in card.rows.values() for origin in origins if origin in cards):
        origin = cards[name]
        if not card.adapter and (origin.family != card.family or origin.labels != card.labels):
            yield f"rows: the rows of '{name}' need an adapter, because its family or labels differ from this card's"
    if card.adapter and importlib.util.find_spec(f"stiltgrid.data.adapters.{card.adapter}") is None:
        there = [path.stem for path in (Path(__file__).parents[1] / "data" / "adapters").glob("[a-z]*.py")]
        yield f"adapter: no such module '{card.adapter}' in stiltgrid/data/adapters, {nearest(card.adapter, there)}"
    yield from _stage_problems(card, cards)


def hub_problems(card: TaskCard) -> list[str]:
    """Languages of a card for which the templates of its hub section have no value."""
    return [f"tasks/{card.name}.yaml: {problem}" for problem in _hub_problems(card)]


def _hub_problems(card: TaskCard) -> Iterator[str]:
    hub = card.hub or {}
    elsewhere = {language for part in hub.get("overrides", ()) for language in part["languages"]}
    parts = [("hub", hub, [language for language in card.languages if language not in elsewhere])]
    for number, part in enumerate(hub.get("overrides", ())):
        parts.append((f"hub.overrides[{number}]", part, part["languages"]))
    for place, part, languages in parts:
        templates = " ".join([str(part.get("config", "")), *part.get("data_files", {}).values()])
        without = [language for language in languages if language not in hub.get("codes", {})]
        if "{code}" in templates and without:
            yield f"{place}: uses {{code}}, but hub.codes has none for {', '.join(without)}"
        splits = part.get("splits", hub.get("splits", {}))
        lacking = [split for split in splits if split not in part["config"]] if _by_split(part) else []
        if lacking:
            yield f"{place}.config: expected configurations for every split, found none for {', '.join(lacking)}"
    without = [language for language in card.languages if language not in hub.get("prefix", {}).get("values", {})]
    if "prefix" in hub and without:
        yield f"hub.prefix.values: expected one for every language, found none for {', '.join(without)}"


def _by_split(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("config"), Mapping)


def _stage_problems(card: TaskCard, cards: Mapping[str, TaskCard]) -> Iterator[str]:
    """A target is scored by the head of its last training stage, so the family and labels must be the same."""
    last = cards.get(card.train[-1]) if card.train else None
    if last and last.family != card.family:
        yield f"train: '{last.name}' is of family {last.family}, so its head cannot score a {card.family} task"
    elif last and last.family in ("sequence", "tagging") and last.labels != card.labels:
        theirs, ours = ", ".join(last.labels), ", ".join(card.labels)
        yield f"train: the labels of '{last.name}' ({theirs}) are not this card's ({ours})"
    # Choices are scored one by one, so their number may differ.


def grid_problems(grid: Grid, names: Sequence[str], root: Path) -> list[str]:
    """Contradictions within the configuration or with the catalogue. `names` are all tasks, valid or not."""
    return [f"config: {problem}" for check in _GRID_CHECKS for problem in check(grid, names, root)]


def study_problems(view: Grid, names: Sequence[str], root: Path) -> list[str]:
    """Everything that is wrong with the models and rows of a study, beyond what its design checks."""
    return [*_models(view, names, root), *model_recipe_problems(view, root), *_trained(view, names, root)]


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


_GRID_CHECKS = (_models, _intermediates, _recipes, _targets, _settings, _trained)


def remarks(grid: Grid) -> list[str]:
    """Warnings about what is valid but may be unintended."""
    if NONE in grid.intermediates:
        return []
    return ["intermediates: 'none' is absent, so the tables show scores but no gains"]

"""What a row of the grid trains on: variants of a task's training rows, raw text, settings, numbers of examples.

The recipes of the configuration are expanded in `config.recipe_expansion`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Grid, Recipe, TrainingSettings
from stiltgrid.grid.target_caps import target_cap

ORIGINAL = "original"
THEN = ".then."  # joins the steps of a chain without a name of its own; names in the configuration have no dot
PLACE = "{row}"  # in the name of a recipe template: stands for the name of a row
TEXT = "raw"
CODES_IN_NAME = 12  # more languages than this are written as a number and a digest
# Settings that a recipe may set for each of its tasks. The other settings belong to the stage as a whole.
OF_TASKS = ("learning_rate", "batch_size", "epochs", "dev_examples", "micro_batch_tokens", "max_grad_norm")


@dataclass(frozen=True)
class Variant:
    """A task's training rows in some languages and of one version; no languages stand for the card's own rows.

    A language that the version lacks (usually English) is read from the original.
    """

    task: str
    languages: tuple[str, ...] = ()
    version: str = ORIGINAL

    @property
    def name(self) -> str:
        """Name of the folders of prepared and encoded rows: `mnli`, `mnli+translate_train+de-ru`."""
        return "+".join([self.task, self.version, codes(self.languages)]) if self.languages else self.task


def codes(languages: Sequence[str]) -> str:
    """Language codes for a file's name; a number and a digest where there are many."""
    if len(languages) <= CODES_IN_NAME:
        return "-".join(languages)
    return f"{len(languages)}-{hashlib.sha256('-'.join(languages).encode()).hexdigest()[:8]}"


def variant_of(grid: Grid, row: str, task: str) -> Variant:
    """The rows of a task that a row of the grid trains on."""
    recipe = grid.recipe(row)
    languages = tuple((recipe.languages or {}).get(task, ()))
    version = (recipe.data or {}).get(task, ORIGINAL)
    # The mini-lab renders every task in every language itself, so it has one version only.
    version = ORIGINAL if grid.source == "minilab" else version
    return variant(grid.cards[task], languages, version)


def variant(card: TaskCard, languages: tuple[str, ...], version: str) -> Variant:
    """The variant of a card for some languages and a version; the plain task where these are the card's own."""
    if not languages or (version == ORIGINAL and languages == tuple(card.train_languages)):
        return Variant(card.name)
    return Variant(card.name, tuple(sorted(languages)), version)


def variants(grid: Grid) -> dict[str, Variant]:
    """Every variant that rows of the grid train on, by name, without the plain tasks."""
    found = {}
    for row in grid.all_intermediates:
        for task in grid.recipe(row).tasks:
            if task in grid.cards and (item := variant_of(grid, row, task)).languages:
                found[item.name] = item
    return found


def native_languages(card: TaskCard, kind: str) -> tuple[str, ...] | None:
    """Languages in which a card has original training rows; None where the files decide."""
    if kind == "minilab":
        return tuple(card.languages)
    section = card.versions.get(ORIGINAL)
    if section is None:
        return tuple(card.train_languages)
    return tuple(section["languages"]) if "languages" in section else None


def version_languages(card: TaskCard, version: str) -> tuple[str, ...] | None:
    """Languages of a version other than the original; () without such a version, None where the files decide."""
    section = card.versions.get(version)
    if section is None:
        return ()
    return tuple(section["languages"]) if "languages" in section else None


def of_version(card: TaskCard, version: str) -> TaskCard:
    """The card with the location and languages of one version of its rows."""
    section = card.versions.get(version)
    if version == ORIGINAL or section is None:
        return card
    languages = tuple(dict.fromkeys((*card.languages, *section.get("languages", ()))))
    card = replace(card, obtain=section.get("obtain", card.obtain), languages=languages)
    if "hub" not in section and "local" not in section:
        return card
    return replace(card, hub=section.get("hub"), local=section.get("local"))


def by_version(card: TaskCard, item: Variant, kind: str) -> dict[str, tuple[str, ...]]:
    """Version -> the languages of a variant that are read from it."""
    if item.version == ORIGINAL or kind == "minilab":
        return {ORIGINAL: item.languages}
    has = version_languages(card, item.version)
    original = native_languages(card, kind) or ()
    there = tuple(code for code in item.languages if (code in has if has is not None else code not in original))
    rest = tuple(code for code in item.languages if code not in there)
    return {version: found for version, found in ((ORIGINAL, rest), (item.version, there)) if found}


def text_name(mlm: Mapping[str, Any]) -> str:
    """Name of a recipe's raw text; rows with the same text share its files."""
    limit = f"+{mlm['characters']}" if mlm.get("characters") else ""
    return f"{TEXT}+{codes(sorted(mlm['languages']))}{limit}"


def texts(grid: Grid) -> dict[str, Mapping[str, Any]]:
    """The raw texts of the grid's rows, by name."""
    found = {}
    for row in grid.all_intermediates:
        if (mlm := grid.recipe(row).mlm) is not None:
            found[text_name(mlm)] = mlm
    return found


def row_layers(grid: Grid, row: str) -> dict[str, Any]:
    """Settings that the configuration gives to a row by its name; a step of a chain has its base's, then its own."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys((grid.recipe(row).base or row, row)):
        if name not in grid.cards:
            own = grid.training.get("tasks", {}).get(name, {})
            found |= {**own.get("all", {}), **own.get("intermediate", {})}
    return found


def row_settings(grid: Grid, row: str) -> TrainingSettings:
    """Settings of a row's stage: those of the intermediate stage, of its task if it has one only, then its own."""
    tasks = grid.recipe(row).tasks
    below = tasks[0] if len(tasks) == 1 else ""
    return grid.training_for("intermediate", below).override(row_layers(grid, row))


def task_settings(grid: Grid, row: str, task: str) -> TrainingSettings:
    """Settings of one task of a row; a recipe's `examples` replace the task's."""
    own = row_layers(grid, row)
    settings = grid.training_for("intermediate", task).override({key: own[key] for key in OF_TASKS if key in own})
    budget = grid.recipe(row).examples
    mine = budget.get(task) if isinstance(budget, Mapping) else budget
    return settings if mine is None or grid.recipe(row).upsample is None else settings.override({"examples": None})


def target_settings(grid: Grid, row: str, task: str) -> TrainingSettings:
    """Settings of a target's training task; a capped row limits its examples."""
    settings, cap = grid.training_for("target", task), target_cap(row)
    if cap is None:
        return settings
    return settings.override({"examples": min(cap, settings.examples or cap)})


def budget_problems(recipe: Recipe, counts: Mapping[str, int]) -> list[str]:
    """Sentences for requests of more examples than exist, by the known counts; none where examples may repeat."""
    if recipe.examples is None or recipe.upsample is not False:
        return []
    asked: dict[str, tuple[int, int]] = {}
    if isinstance(recipe.examples, Mapping):
        asked = {f"'{task}'": (number, counts[task]) for task, number in recipe.examples.items() if task in counts}
    elif set(counts) == set(recipe.tasks):
        what = "its tasks" if len(recipe.tasks) > 1 else f"'{recipe.tasks[0]}'"
        asked = {what: (recipe.examples, sum(counts.values()))}
    return [
        f"examples: {number} asked of {what}, {count} exist; lower it, or repeat some with `upsample: true`"
        for what, (number, count) in asked.items()
        if number > count
    ]

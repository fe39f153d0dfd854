"""Checks of recipes against models and data: languages, numbers of examples, language modelling."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stiltgrid.config.model_checks import known_folder, model_config
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.architectures import MASKED, objective, text_part
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import NONE, Grid, Model, Recipe
from stiltgrid.grid.recipes import (
    ORIGINAL,
    Variant,
    budget_problems,
    native_languages,
    of_version,
    variant_of,
    version_languages,
)
from stiltgrid.modeling.architecture_keys import has_language_model


def steps(grid: Grid) -> list[tuple[str, str]]:
    """(row, step) for every row of the grid and every step of its chain, the row itself among them."""
    return [(row, step) for row in grid.intermediates if row != NONE for step in grid.chain(row)]


def recipe_problems(recipe: Recipe, names: Sequence[str]) -> Iterator[str]:
    """Keys of a recipe that cancel each other."""
    if recipe.name in names:
        yield "this is a task's name; a recipe needs one of its own"
    if recipe.after is not None:
        return  # its steps are checked on their own
    if recipe.temperature != 1 and recipe.sampling != "temperature":
        yield f"temperature: has no effect with sampling '{recipe.sampling}'"
    if recipe.cap is not None and recipe.sampling == "uniform":
        yield "cap: has no effect with sampling 'uniform'"
    if recipe.upsample and recipe.examples is None:
        yield "upsample: has no effect without `examples`"
    for task in recipe.data or {}:
        if not (recipe.languages or {}).get(task):
            yield f"data: has no effect without `languages`, and '{task}' has none"
    if not recipe.tasks and recipe.mlm is None:
        yield "expected tasks, mlm, like or sequence, found none of them"
    yield from _mlm_problems(recipe)


def _mlm_problems(recipe: Recipe) -> Iterator[str]:
    mlm = recipe.mlm
    if mlm is None:
        return
    if ("rate" in mlm) == ("steps" in mlm):
        yield f"mlm: expected one of rate and steps, found {'both' if 'rate' in mlm else 'neither'}"
    elif "rate" in mlm and not recipe.tasks:
        yield "mlm.rate: is a share of steps beside tasks, and there are none; give `steps`"


def model_recipe_problems(grid: Grid, root: Path) -> Iterator[str]:
    """Rows with language modelling for models that have none, as far as that is known."""
    rows = dict.fromkeys(step for _, step in steps(grid) if grid.recipe(step).mlm is not None)
    for name in grid.own_models if rows else ():
        model = grid.models[name]
        problem = _cannot_model(model, root, grid.data_dir)
        if problem:
            yield f"recipes.{next(iter(rows))}.mlm: model '{name}' {problem}"


def _cannot_model(model: Model, root: Path, data_dir: str | None) -> str | None:
    config = model_config(model, root, data_dir)
    if not config:
        return None
    goal = objective(config)
    if goal is None:
        return "is the encoder of an encoder-decoder, which has no language modelling of its own"
    model_type = str(text_part(config).get("model_type"))
    if not has_language_model(model_type) and not has_language_model(str(config.get("model_type"))):
        return f"is of type '{model_type}', which has no language model in transformers"
    folder = known_folder(model, root, data_dir)
    if goal == MASKED and folder and _has_no_mask(folder):
        return "has a tokenizer without a mask token, which masked language modelling needs"
    return None


def _has_no_mask(folder: Path) -> bool:
    """Whether a model's folder has tokenizer files that name no mask token."""
    import json

    names = ("tokenizer_config.json", "special_tokens_map.json", "tokenizer.json")
    try:
        texts = [path.read_text(encoding="utf-8") for name in names if (path := folder / name).is_file()]
        if not texts:
            return False
        contents = [json.loads(text) for text in texts]
    except ValueError:
        return False
    named = any(content.get("mask_token") for content in contents if isinstance(content, Mapping))
    return not named and not any('"<mask>"' in text or '"[MASK]"' in text for text in texts)


# ---- data ------------------------------------------------------------------------------------------------------


def recipe_data_problems(grid: Grid, source: Source) -> list[str]:
    """Languages that tasks lack, and requests of more examples than exist."""
    found = [problem for item, place in _varied(grid).items() for problem in _lacking(item, place, grid, source)]
    found += [problem for row, step in steps(grid) for problem in _count_problems(row, step, grid, source)]
    return list(dict.fromkeys(found))


def _varied(grid: Grid) -> dict[Variant, str]:
    """Variants of training rows, with the first row of the grid that needs each."""
    found: dict[Variant, str] = {}
    for row, step in steps(grid):
        for task in grid.recipe(step).tasks:
            if task in grid.cards and (item := variant_of(grid, step, task)).languages:
                found.setdefault(item, f"intermediate '{row}'")
    return found


def _lacking(item: Variant, place: str, grid: Grid, source: Source) -> Iterator[str]:
    """Languages in which a task has no training rows, with those in which it has."""
    card = grid.cards[item.task]
    for name in (name for name in card.origins("train") if name in grid.cards):
        origin = grid.cards[name]
        had = _had(origin, item.version, grid, source)
        lacks = [code for code in item.languages if code not in had]
        if lacks:
            of = f"'{card.name}'" + ("" if origin is card else f" (rows of '{name}')")
            asked = "" if item.version == ORIGINAL else f" (data: {item.version})"
            there = "; ".join(
                f"{version}: {', '.join(sorted(code for code in had if had[code] == version))}"
                for version in sorted(set(had.values()))
            )
            hint = of_version(origin, item.version).obtain
            yield (
                f"{place}: {of} has no training data in {', '.join(lacks)}{asked} in source '{grid.source}'; "
                f"it has {there or 'none'}{'. ' + hint if hint else ''}"
            )


def _had(card: TaskCard, version: str, grid: Grid, source: Source) -> dict[str, str]:
    """Language -> version of the card's training rows at the source."""
    if grid.source == "minilab":
        return {code: ORIGINAL for code in card.languages if source.has(card, "train", code)}
    found: dict[str, str] = {}
    for name in dict.fromkeys((version, ORIGINAL)):
        languages = native_languages(card, grid.source) if name == ORIGINAL else version_languages(card, name)
        there = of_version(card, name)
        if languages is None:
            languages = _asked(card, grid)
        known = replace(there, languages=(*there.languages, *languages))
        for code in languages:
            if source.has(known, "train", code) and not source.missing(known, "train", code):
                found.setdefault(code, name)
    return found


def _asked(card: TaskCard, grid: Grid) -> tuple[str, ...]:
    """Languages that rows of the grid read of a card, or of a card that uses its rows."""
    found: dict[str, None] = {}
    for row in grid.all_intermediates:
        for task, languages in (grid.recipe(row).languages or {}).items():
            if task in grid.cards and card.name in grid.cards[task].origins("train"):
                found |= dict.fromkeys(languages)
    return tuple(found)


def _count_problems(row: str, step: str, grid: Grid, source: Source) -> Iterator[str]:
    """Requests of more examples than exist, where the source knows its numbers without reading rows."""
    recipe = grid.recipe(step)
    if recipe.examples is None or recipe.upsample is not False:
        return
    known: dict[str, int] = {}
    for task in recipe.tasks:
        count = _count(step, task, grid, source) if task in grid.cards else None
        if count is not None:
            known[task] = count
    for sentence in budget_problems(recipe, known):
        yield f"intermediate '{row}': {sentence}"


def _count(row: str, task: str, grid: Grid, source: Source) -> int | None:
    """Training examples of a task in a row's languages; None where the source would have to read rows."""
    card, item = grid.cards[task], variant_of(grid, row, task)
    languages = item.languages or card.train_languages
    origins = [grid.cards[name] for name in card.origins("train") if name in grid.cards]
    counts: list[Any] = [source.count(origin, "train", code) for origin in origins for code in languages]
    if card.adapter or any(count is None for count in counts):
        return None
    held = card.dev_from_train if "dev" not in card.splits(grid.source) else None
    return int(sum(counts)) - (held or 0)

"""Loads a configuration and the task cards into a Grid, or raises one ConfigError with all problems.

Called while Snakemake parses, so nothing here imports torch, transformers or pyarrow.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from stiltgrid.config.checks import card_problems, grid_problems, hub_problems, remarks
from stiltgrid.config.data_checks import data_problems, world_languages
from stiltgrid.config.overlays import merge, resolve_like, resolve_like_in_studies, standalone, without_null_entries
from stiltgrid.config.recipe_expansion import expand_recipes
from stiltgrid.config.schema import Schemas, place_of, prune, schemas_of
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.designs.plans import add_plans
from stiltgrid.grid.grid import Grid, Model, Recipe
from stiltgrid.utils.errors import ConfigError, nearest
from stiltgrid.utils.strict_yaml import read_yaml, scan_yaml

__all__ = ["load_grid", "merge", "read_yaml"]

log = logging.getLogger(__name__)
CONFIG, DEFAULT = "config", "config.yaml"


def load_grid(config: Mapping[str, Any], root: Path, files: Iterable[str | Path] = ()) -> Grid:
    """The checked grid that a configuration describes.

    `config` is Snakemake's merged mapping. `root` is the folder of tasks/ and schemas/, where relative paths start.
    `files` are the configuration files behind `config`: they are read again strictly, because Snakemake's reader
    silently keeps the last of two equal keys. Raises ConfigError with all problems in one list.
    """
    root, files = Path(root), list(files)
    schemas = schemas_of(root / "schemas")
    scanned = [_scan_config_file(Path(file), root) for file in files]
    problems = [problem for _, found in scanned for problem in found]
    if any(content is None and found for content, found in scanned):  # unreadable, so the rest is not known
        raise ConfigError(problems)
    contents = [content for content, _ in scanned]
    if files and Path(files[-1]).name != DEFAULT:  # a run in a folder without config.yaml reads overlays only
        contents.append({})
    checked, found = _checked_config(standalone(config, contents), schemas)
    # Values that YAML misreads are reported with the line of their file, so the same report without a line is dropped.
    problems += [problem for problem in found if not problems or not _is_misread(problem)]
    cards, names, found = _read_cards(checked, root, schemas)
    problems += found
    section = checked.get("recipes", {})
    valid = {name: recipe for name, recipe in section.items() if not _reported(f"recipes.{name}", problems)}
    recipes, found = expand_recipes(valid, checked.get("intermediates", ()), names)
    problems += [f"{CONFIG}: {problem}" for problem in found]
    # The row of an invalid recipe is left out, so that one mistake is reported once.
    rows = [name for name in checked.get("intermediates", ()) if name not in section or name in recipes]
    grid = _grid({**checked, "intermediates": rows}, cards, recipes)
    if not any(problem.startswith(f"{CONFIG}: studies") for problem in problems):
        grid, found = add_plans(grid, names)
        problems += found
    problems += [problem for card in grid.cards.values() for problem in card_problems(card, grid.cards, names)]
    if grid.source == "hub":
        problems += [problem for card in grid.cards.values() for problem in hub_problems(card)]
    problems += [*grid_problems(grid, names, root), *data_problems(grid, root)]
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    for remark in remarks(grid):
        log.warning(remark)
    return grid


def _reported(place: str, problems: Iterable[str]) -> bool:
    return any(problem.startswith((f"{CONFIG}: {place}:", f"{CONFIG}: {place}.")) for problem in problems)


def _scan_config_file(path: Path, root: Path) -> tuple[Any, list[str]]:
    path = path if path.is_absolute() or path.exists() else root / path
    inside = path.resolve().is_relative_to(root.resolve())
    return scan_yaml(path, path.resolve().relative_to(root.resolve()).as_posix() if inside else str(path))


def _is_misread(problem: str) -> bool:
    return " is read as " in problem or "YAML reads an unquoted" in problem


def _checked_config(config: Mapping[str, Any], schemas: Schemas) -> tuple[dict[str, Any], list[str]]:
    """The configuration without its invalid parts, and what is wrong with those."""
    plain, problems = _text_keys(config, ())
    plain = without_null_entries(plain)
    plain = schemas.coerce("config.schema.yaml", plain)
    # Overlays are parts of cards, so texts from `--config` in them are converted by the schema of cards.
    if isinstance(plain.get("tasks"), Mapping):
        plain["tasks"] = {name: schemas.coerce("card.schema.yaml", part) for name, part in plain["tasks"].items()}
    if "models" in plain:
        plain["models"], found = resolve_like(plain["models"])
        problems += [f"{CONFIG}: {problem}" for problem in found]
    if "studies" in plain:
        models = plain.get("models")
        plain["studies"], found = resolve_like_in_studies(
            plain["studies"], models if isinstance(models, Mapping) else {}
        )
        problems += [f"{CONFIG}: {problem}" for problem in found]
    errors = schemas.errors("config.schema.yaml", plain)
    problems += [f"{CONFIG}: {error.sentence}" for error in errors]
    return prune(plain, [path for error in errors for path in error.invalid_paths]), problems


def _text_keys(value: Any, path: tuple[Any, ...]) -> tuple[Any, list[str]]:
    """The value with all keys as text, and the keys that were not (YAML reads an unquoted `no:` as False)."""
    if isinstance(value, Mapping):
        result, problems = {}, []
        for key, item in value.items():
            if not isinstance(key, str):
                word = {False: "no", True: "yes"}[key] if isinstance(key, bool) else str(key)
                place = place_of(path) or "top level"
                problems.append(f'{CONFIG}: {place}: a key is {key!r}, not text; write "{word}" in quotes')
            result[str(key)], found = _text_keys(item, (*path, str(key)))
            problems += found
        return result, problems
    if isinstance(value, Sequence) and not isinstance(value, str):
        pairs = [_text_keys(item, (*path, number)) for number, item in enumerate(value)]
        return [item for item, _ in pairs], [problem for _, found in pairs for problem in found]
    return value, []


def _read_cards(
    config: Mapping[str, Any], root: Path, schemas: Schemas
) -> tuple[dict[str, TaskCard], tuple[str, ...], list[str]]:
    """The valid cards, the names of all cards, and what is wrong with the invalid ones."""
    overlays = config.get("tasks", {})
    languages = world_languages(config.get("world", {})) if config.get("source") == "minilab" else None
    cards: dict[str, TaskCard] = {}
    paths = sorted((root / "tasks").glob("*.yaml"))
    names = tuple(path.stem for path in paths)
    unknown = [name for name in overlays if name not in names]
    problems = [f"{CONFIG}: tasks.{name}: no such task, {nearest(name, names)}" for name in unknown]
    if not paths:
        problems.append(f"{root / 'tasks'}: expected a card for every task, found none")
    for path in paths:
        shown = f"tasks/{path.name}"
        content, found = scan_yaml(path, shown)
        problems += found
        if found or not isinstance(content, Mapping):
            problems += [] if found else [f"{shown}: expected a card, a mapping of keys; found nothing of that kind"]
            continue
        if languages is not None:
            content = {**content, "languages": _world_languages_of(content, languages)}
        if path.stem in overlays:
            problems += _foreign_languages(path.stem, overlays[path.stem], content, config.get("source"))
            content, shown = merge(content, overlays[path.stem]), f"{shown} with the config's tasks.{path.stem}"
        errors = schemas.errors("card.schema.yaml", content)
        problems += dict.fromkeys(f"{shown}: {error.sentence}" for error in errors)
        if not errors:
            cards[path.stem] = card_from(path.stem, content)
    return cards, names, problems


def _foreign_languages(name: str, overlay: Mapping[str, Any], card: Mapping[str, Any], source: str | None) -> list[str]:
    """Languages of an overlay that the data set lacks. In a mirror, the files decide, so nothing is checked here."""
    asked, known = overlay.get("languages"), card.get("languages", ())
    if source == "local" or (source == "hub" and "hub" in overlay) or not isinstance(asked, list):
        return []
    place = f"{CONFIG}: tasks.{name}.languages"
    return [f"{place}: the task has no '{code}', {nearest(code, known)}" for code in asked if code not in known]


def _world_languages_of(content: Mapping[str, Any], languages: Sequence[str]) -> list[str]:
    """The mini-lab's languages; without English for the retrieval of translations, where English is the other side."""
    bilingual = content.get("family") == "embedding"
    return [language for language in languages if not (bilingual and language == "en")]


def card_from(name: str, content: Mapping[str, Any]) -> TaskCard:
    """A card from a mapping that is valid by the schema."""
    known = {item.name for item in fields(TaskCard)}
    values: dict[str, Any] = {"fields": {}}
    for key in known & content.keys():
        values[key] = tuple(content[key]) if isinstance(content[key], list) else content[key]
    for key in ("rows", "benchmarks"):
        values[key] = {part: tuple(items) for part, items in content.get(key, {}).items()}
    return TaskCard(name=name, **values)


def _grid(config: Mapping[str, Any], cards: Mapping[str, TaskCard], recipes: Mapping[str, Recipe]) -> Grid:
    return Grid(
        source=config.get("source", ""),
        data_dir=config.get("data_dir"),
        world=config.get("world", {}),
        models={name: Model(name=name, **model) for name, model in config.get("models", {}).items()},
        intermediates=tuple(dict.fromkeys(config.get("intermediates", ()))),
        targets=tuple(dict.fromkeys(config.get("targets", ()))),
        seeds=tuple(config.get("seeds", ())),
        recipes=recipes,
        cards=cards,
        training=config.get("training", {}),
        evaluation=config.get("evaluation", {}),
        keep_tuned=config.get("keep_tuned", True),
        estimate=config.get("estimate", {}),
        studies=config.get("studies", {}),
    )

"""Loads a configuration and the task cards into a Grid, or raises one ConfigError with all problems.

Called while Snakemake parses, so nothing here imports torch, transformers or pyarrow.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stiltgrid.config.benchmark_checks import benchmark_problems
from stiltgrid.config.card_checks import card_problems, hub_problems
from stiltgrid.config.card_loading import CONFIG, read_cards
from stiltgrid.config.checks import grid_problems, remarks, study_problems
from stiltgrid.config.data_checks import data_problems
from stiltgrid.config.display_names import Titles, all_titles, grid_display, title_problems, without_titles
from stiltgrid.config.exclusions import exclude_tasks
from stiltgrid.config.overlays import resolve_like, resolve_like_in_studies, standalone, without_null_entries
from stiltgrid.config.recipe_expansion import expand_recipes
from stiltgrid.config.schema import Schemas, place_of, prune, schemas_of
from stiltgrid.config.tracker_checks import tracker_problems
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.designs.plans import add_plans, reserved_names
from stiltgrid.grid.grid import Grid, Model, Recipe
from stiltgrid.utils.errors import ConfigError
from stiltgrid.utils.strict_yaml import scan_yaml

log = logging.getLogger(__name__)
DEFAULT = "config.yaml"


def load_grid(config: Mapping[str, Any], root: Path, files: Iterable[str | Path] = ()) -> Grid:
    """The checked grid that a configuration describes.

    `config` is Snakemake's merged mapping. `root` is the folder of tasks/ and schemas/, where relative paths start.
    `files` are the configuration files behind `config`: they are read again strictly, because Snakemake's reader
    silently keeps the last of two equal keys. Raises ConfigError with all problems in one list. Problems of studies
    and of the selection are kept in the grid instead, since it can run without them.
    """
    root = Path(root)
    schemas = schemas_of(root / "schemas")
    checked, problems = _checked_files(config, root, files, schemas)
    # Values that YAML misreads are reported with the line of their file, so the same report without a line is dropped.
    problems += [problem for problem in checked.problems if not problems or not _is_misread(problem)]
    cards, names, found, display = read_cards(checked.config, root, schemas)
    problems += [*found, *benchmark_problems(root, cards, names, schemas)]
    grid, found, notes = _grid_of(checked, cards, names, problems)
    problems += found
    problems += [problem for card in grid.cards.values() for problem in card_problems(card, grid.cards, names)]
    if grid.source == "hub":
        problems += [problem for card in grid.cards.values() for problem in hub_problems(card)]
    problems += [*grid_problems(grid, names, root), *data_problems(grid, root)]
    problems += [f"{CONFIG}: {problem}" for problem in tracker_problems(grid.tracker)]
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    for remark in (*notes, *remarks(grid, root)):
        log.warning(remark)
    grid = _with_studies(grid, names, root)
    return replace(grid, display=grid_display(grid, display, checked.titles, checked.config.get("figures", {})))


def checked_sections(config: Mapping[str, Any], root: Path, files: Iterable[str | Path] = ()) -> dict[str, Any]:
    """The valid sections of a configuration, as `load_grid` reads them with the same arguments."""
    return _checked_files(config, root, files, schemas_of(root / "schemas"))[0].config


def _checked_files(
    config: Mapping[str, Any], root: Path, files: Iterable[str | Path], schemas: Schemas
) -> tuple["_Checked", list[str]]:
    """The checked configuration, and the problems of its files alone."""
    contents, problems = _read_files(list(files), root)
    return _checked_config(standalone(config, contents), schemas), problems


def _read_files(files: Sequence[str | Path], root: Path) -> tuple[list[Any], list[str]]:
    """The contents of the configuration files, and their problems; raises ConfigError where one cannot be read."""
    scanned = [_scan_config_file(Path(file), root) for file in files]
    problems = [problem for _, found in scanned for problem in found]
    if any(content is None and found for content, found in scanned):
        raise ConfigError(problems)
    contents = [content for content, _ in scanned]
    if files and Path(files[-1]).name != DEFAULT:  # a run in a folder without config.yaml reads overlays only
        contents.append({})
    return contents, problems


def _grid_of(
    checked: "_Checked", cards: Mapping[str, TaskCard], names: Sequence[str], known: Sequence[str]
) -> tuple[Grid, list[str], list[str]]:
    """The grid without its studies' plans, new problems and remarks. `known` are the problems found so far."""
    config = checked.config
    section = config.get("recipes", {})
    valid = {name: recipe for name, recipe in section.items() if not _reported(f"recipes.{name}", known)}
    recipes, found = expand_recipes(valid, config.get("intermediates", ()), names)
    problems = [f"{CONFIG}: {problem}" for problem in found]
    # The row of an invalid recipe is left out, so that one mistake is reported once.
    rows = [name for name in config.get("intermediates", ()) if name not in section or name in recipes]
    grid = _grid({**config, "intermediates": rows}, cards, recipes)
    grid = replace(grid, study_problems=checked.study_problems, selection_problems=checked.selection_problems)
    grid, found, notes = exclude_tasks(grid, config.get("without", ()), names)
    problems += [f"{CONFIG}: {problem}" for problem in (*found, *reserved_names(grid, names))]
    return grid, problems, notes


def _with_studies(grid: Grid, names: Sequence[str], root: Path) -> Grid:
    """The grid with the plans of its studies. A study whose models or rows have problems gets those instead."""
    planned = add_plans(grid, names)
    wrong = {
        study: tuple(found)
        for study in planned.plans
        if (found := study_problems(_with_encoders(planned, study), names, root))
    }
    return add_plans(replace(grid, study_problems={**grid.study_problems, **wrong}), names) if wrong else planned


def _with_encoders(grid: Grid, study: str) -> Grid:
    """The cells of a study as a grid, with the models that it only embeds with."""
    view = grid.view(study)
    return replace(view, models={**view.models, **grid.plans[study].own_models})


def _reported(place: str, problems: Iterable[str]) -> bool:
    return any(problem.startswith((f"{CONFIG}: {place}:", f"{CONFIG}: {place}.")) for problem in problems)


def _scan_config_file(path: Path, root: Path) -> tuple[Any, list[str]]:
    path = path if path.is_absolute() or path.exists() else root / path
    inside = path.resolve().is_relative_to(root.resolve())
    return scan_yaml(path, path.resolve().relative_to(root.resolve()).as_posix() if inside else str(path))


def _is_misread(problem: str) -> bool:
    return " is read as " in problem or "YAML reads an unquoted" in problem


@dataclass(frozen=True)
class _Checked:
    """A configuration without its invalid parts, and what is wrong with those: in general, by study, in `selection`."""

    config: dict[str, Any]
    problems: list[str]
    study_problems: dict[str, tuple[str, ...]] = field(default_factory=dict)
    selection_problems: tuple[str, ...] = ()
    titles: Titles = field(default_factory=Titles)


def _checked_config(config: Mapping[str, Any], schemas: Schemas) -> _Checked:
    plain, problems = _text_keys(config, ())
    plain = without_null_entries(plain)
    plain = schemas.coerce("config.schema.yaml", plain)
    titles = all_titles(plain)
    problems += [f"{CONFIG}: {problem}" for problem in title_problems(titles)]
    # Overlays are parts of cards, so texts from `--config` in them are converted by the schema of cards.
    if isinstance(plain.get("tasks"), Mapping):
        plain["tasks"] = {name: schemas.coerce("card.schema.yaml", part) for name, part in plain["tasks"].items()}
    if "models" in plain:
        plain["models"], found = resolve_like(plain["models"])
        problems += [f"{CONFIG}: {problem}" for problem in found]
    of_studies: dict[str, list[str]] = {}
    of_selection: list[str] = []
    if "studies" in plain:
        models = plain.get("models")
        models = models if isinstance(models, Mapping) else {}
        plain["studies"], of_studies = resolve_like_in_studies(plain["studies"], models)
    errors = schemas.errors("config.schema.yaml", plain)
    for error in errors:
        if len(error.path) > 1 and error.path[0] == "studies":
            of_studies.setdefault(str(error.path[1]), []).append(error.sentence)
        elif error.path[:1] == ("selection",):
            of_selection.append(error.sentence)
        else:
            problems.append(f"{CONFIG}: {error.sentence}")
    valid = prune(plain, [path for error in errors for path in error.invalid_paths])
    return _Checked(
        without_titles(valid),
        problems,
        {study: tuple(found) for study, found in of_studies.items()},
        tuple(of_selection),
        titles,
    )


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
        tracker=config.get("tracker"),
        push=config.get("push", {}),
        studies=config.get("studies", {}),
        selection=config.get("selection"),
    )

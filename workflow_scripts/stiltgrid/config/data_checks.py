"""Checks that the source has all rows and raw text that a grid needs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stiltgrid.config.model_checks import expanded
from stiltgrid.config.recipe_checks import recipe_data_problems, steps
from stiltgrid.data import adapters
from stiltgrid.data.sources import open_source
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Grid
from stiltgrid.utils.errors import ConfigError, SourceError, StiltgridError, nearest


def world_languages(world: Mapping[str, Any]) -> tuple[str, ...]:
    """Languages of the mini-lab."""
    from stiltgrid.data.sources.minilab import world_languages as of_world

    return tuple(of_world(dict(world)))


def data_problems(grid: Grid, root: Path) -> list[str]:
    """Every file, configuration or language that training or scoring would need and not find.

    A file that is missing in several languages is reported once, with `{language}` in its name.
    """
    if not grid.source:  # the schema has reported it
        return []
    try:
        source = _open(grid, root)
    except ConfigError as error:
        return [f"config: {problem}" for problem in error.problems]
    found: list[Problem] = [problem for task in trained(grid) for problem in _training_problems(task, grid, source)]
    for name in grid.targets:
        found += _scoring(grid.cards[name], grid, source) if name in grid.cards else ()
    return [*_grouped(found), *recipe_data_problems(grid, source), *_text_problems(grid, source)]


@dataclass(frozen=True)
class Problem:
    """Missing data. `language` is given where the same problem may occur in other languages."""

    where: str
    sentence: str
    language: str | None = None

    @property
    def template(self) -> str:
        """The sentence with `{language}` for the language, without a hint that fits one language only."""
        if self.language is None:
            return self.sentence
        general = self.sentence.replace(f".{self.language}.", ".{language}.")
        general = general.replace(f"'{self.language}'", "'{language}'")
        return general.partition("; ")[0] if general != self.sentence else self.sentence


def _grouped(problems: Iterable[Problem]) -> list[str]:
    groups: dict[tuple[str, str], dict[str | None, Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.where, problem.template), {}).setdefault(problem.language, problem)
    return [
        f"{where}: {next(iter(group.values())).sentence}"
        if len(group) == 1
        else f"{where}: {template}, for {', '.join(str(language) for language in group)}"
        for (where, template), group in groups.items()
    ]


def _open(grid: Grid, root: Path) -> Source:
    """The grid's source, as jobs will open it; raises ConfigError."""
    try:
        folder = expanded(grid.data_dir) if grid.data_dir else None
    except SourceError as error:
        raise ConfigError([f"data_dir: {error}"]) from error
    if folder is not None and root.resolve() != Path.cwd():
        folder = root / folder
    if grid.source == "local" and folder is not None and not folder.is_dir():
        raise ConfigError([f"data_dir: expected the folder that holds the mirror, found no folder '{grid.data_dir}'"])
    return open_source(grid.source, str(folder) if folder else None, grid.world)


def trained(grid: Grid) -> list[tuple[TaskCard, str]]:
    """Every valid card that some stage trains on, with the first row or target that needs it."""
    wanted: dict[str, str] = {}
    for row, step in steps(grid):
        for task in grid.recipe(step).tasks:
            wanted.setdefault(task, f"intermediate '{row}'")
    for target in grid.targets:
        for task in grid.cards[target].train if target in grid.cards else ():
            wanted.setdefault(task, f"target '{target}'")
    return [(grid.cards[task], place) for task, place in wanted.items() if task in grid.cards]


def _training_problems(wanted: tuple[TaskCard, str], grid: Grid, source: Source) -> Iterator[Problem]:
    card, place = wanted
    where = place if f"'{card.name}'" in place else f"{place} (trained on '{card.name}')"
    for split in ("train", "dev"):
        origins = [grid.cards[name] for name in card.origins(split) if name in grid.cards]
        lacking = [origin for origin in origins if not _offers(grid, origin, split)]
        if split == "dev" and card.dev_from_train and lacking:
            continue
        for origin in lacking:
            of = "" if origin is card else f" of '{origin.name}'"
            yield Problem(where, f"has no {_KIND[split]}{of} in source '{grid.source}'{_obtain(origin, grid)}")
        if lacking and split == "train":
            return  # missing development data would be the same problem
        if not lacking and len(origins) == len(card.origins(split)):
            for language in card.train_languages:
                yield from _language_problems(card, origins, split, language, grid, source, where)


def _language_problems(
    card: TaskCard, origins: list[TaskCard], split: str, language: str, grid: Grid, source: Source, where: str
) -> Iterator[Problem]:
    unknown = [origin for origin in origins if language not in origin.languages]
    for origin in unknown:
        hint = nearest(language, origin.languages)
        yield Problem(where, f"train_languages: '{origin.name}' has no language '{language}'; {hint}")
    if not unknown:
        yield from _missing(card, split, language, grid, source, where, training=True)


_KIND = {"train": "training data", "dev": "development data"}


def _offers(grid: Grid, card: TaskCard, split: str) -> bool:
    """Whether a card has a split in this source at all."""
    return not _needs_folder(grid, card) and split in card.splits(grid.source)


def _needs_folder(grid: Grid, card: TaskCard) -> bool:
    """Whether a card is not on the hub, and the configuration names no folder of the user's own."""
    return grid.source == "hub" and card.hub is None and not card.rows and not grid.data_dir


def _obtain(card: TaskCard, grid: Grid) -> str:
    if not card.obtain:
        return ""
    return f": {card.obtain}" + ("" if grid.data_dir else "; then set data_dir to that folder") + _or_without(card)


def _or_without(card: TaskCard) -> str:
    """How to run without a task whose data cannot be downloaded."""
    return f"; or leave the task out everywhere with `--config 'without=[{card.name}]'`" if card.obtain else ""


def _scoring(card: TaskCard, grid: Grid, source: Source) -> Iterator[Problem]:
    where = f"target '{card.name}'"
    splits, headline = card.scored_splits(grid.source), card.headline(grid.source)
    if not splits or _needs_folder(grid, card):
        yield Problem(where, f"has no evaluation data in source '{grid.source}'{_obtain(card, grid)}")
    elif headline not in splits:
        scored = ", ".join(splits)
        yield Problem(where, f"headline_split: expected one of the scored splits ({scored}), found '{headline}'")
    else:
        for language in card.languages:
            if language in (card.source(grid.source) or {}).get("missing", {}).get(headline, ()):
                yield Problem(where, f"no {headline} rows of '{language}'; take it out of `languages`", language)
            for split in splits:
                yield from _missing(card, split, language, grid, source, where, training=False)


def _missing(
    card: TaskCard, split: str, language: str, grid: Grid, source: Source, where: str, training: bool
) -> Iterator[Problem]:
    origins = {name: grid.cards[name] for name in card.origins(split) if name in grid.cards}
    try:
        hint = next((_or_without(origin) for origin in (card, *origins.values()) if origin.obtain), "")
        for sentence in adapters.missing_rows(card, split, language, source, training, origins):
            yield Problem(where, f"{sentence}{hint}", language)
    except StiltgridError as error:
        yield Problem(where, str(error), language)


def _text_problems(grid: Grid, source: Source) -> Iterator[str]:
    """Languages without raw text, of models that are pretrained here and of rows with language modelling."""
    wanted = {
        f"models.{name}.pretrain.languages": (grid.models[name].pretrain or {}).get("languages", ())
        for name in grid.own_models
    }
    wanted |= {
        f"recipes.{step}.mlm.languages": mlm["languages"]
        for _, step in steps(grid)
        if (mlm := grid.recipe(step).mlm) is not None
    }
    for where, languages in wanted.items():
        absent = [language for language in languages if not source.has_text(language)]
        if absent:
            obstacles = [obstacle for language in absent if (obstacle := source.text_obstacle(language))]
            hint = ", ".join([_text_hint(grid), *obstacles])
            yield f"config: {where}: no raw text of {', '.join(absent)} in source '{grid.source}'{hint}"


def _text_hint(grid: Grid) -> str:
    if grid.source == "minilab":
        return f"; it has {', '.join(world_languages(grid.world))}"
    return f"; expected {grid.data_dir or '{data_dir}'}/text/{{language}}.txt.gz"

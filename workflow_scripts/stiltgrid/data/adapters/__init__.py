"""Adapters: how the rows of one card are found and reshaped, where `fields` cannot say it.

A module adapters/<name>.py may define any of
    rows(card, split, language, source, training) -> Iterator[RawRow]     instead of source.read
    tables(card, split, language, source, training) -> list[tuple]        (language, part) of all that `rows` reads
    has(card, split, language, source, training) -> bool                  instead of source.has
    missing(card, split, language, source, training) -> list[str]         instead of source.missing
    files(card, split, language, source, training) -> list[str]           instead of source.files
    example(card, row, language, split) -> RawRow | None                  one row in the columns that `fields` describe
    mirrored(card, split, language, source) -> dict[str, Iterator[dict]]  rows by part, where a mirror has other parts
    note(card, source) -> str | None                                      a note for readers of the scores
The functions below call the adapter, or the source where the adapter lacks the function. An adapter with `tables`
has rows where the first of them exists; `missing` and `files` then cover all of them. `training` is true for rows
of training and early stopping and false for evaluation; those of a retrieval task differ (pairs, or queries and
candidates). A card with an adapter reshapes other cards' rows (`rows:`) for training only. Adapters are imported by
name, so that a job's code digest covers only its own. Called while the workflow is parsed: imports nothing heavy.
"""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from stiltgrid.data.rows import RawRow
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import ConfigError, nearest


def adapter_of(card: TaskCard) -> ModuleType | None:
    """The card's adapter module, or None. Raises ConfigError for an unknown name."""
    if not card.adapter:
        return None
    names = [path.stem for path in Path(__file__).parent.glob("[!_]*.py")]
    if card.adapter not in names:
        raise ConfigError([f"task '{card.name}': adapter '{card.adapter}' is unknown, {nearest(card.adapter, names)}"])
    return importlib.import_module(f"stiltgrid.data.adapters.{card.adapter}")


def _hook(card: TaskCard, name: str) -> Any:
    return getattr(adapter_of(card), name, None)


def source_rows(card: TaskCard, split: str, language: str, source: Source, training: bool) -> Iterator[RawRow]:
    """A card's own rows as the source has them, not reshaped."""
    hook = _hook(card, "rows")
    if hook is None:
        return source.read(card, split, language)
    rows: Iterator[RawRow] = hook(card, split, language, source, training)
    return rows


def reshaped_rows(card: TaskCard, rows: Iterator[RawRow], language: str, split: str) -> Iterator[RawRow]:
    """Rows with the columns that the card's `fields` describe, without those that its adapter rejects."""
    hook = _hook(card, "example")
    if hook is None:
        return rows
    return (row for raw in rows if (row := hook(card, raw, language, split)) is not None)


def has_rows(
    card: TaskCard, split: str, language: str, source: Source, training: bool, origins: Mapping[str, TaskCard]
) -> bool:
    """Whether there are rows of a split in a language, of the card or of those that `rows:` names."""
    for origin in origin_cards(card, split, training, origins):
        if _has_own_rows(origin, split, language, source, training):
            return True
    return False


def _has_own_rows(card: TaskCard, split: str, language: str, source: Source, training: bool) -> bool:
    hook, tables = _hook(card, "has"), _hook(card, "tables")
    if hook is not None:
        return bool(hook(card, split, language, source, training))
    first = tables(card, split, language, source, training)[0] if tables else (language,)
    return source.has(card, split, *first)


def missing_rows(
    card: TaskCard, split: str, language: str, source: Source, training: bool, origins: Mapping[str, TaskCard]
) -> list[str]:
    """One sentence for each table of a split that is missing at its source."""
    problems: list[str] = []
    for origin in origin_cards(card, split, training, origins):
        problems += _of_tables("missing", origin, split, language, source, training)
    return list(dict.fromkeys(problems))


def row_files(
    card: TaskCard, split: str, language: str, source: Source, training: bool, origins: Mapping[str, TaskCard]
) -> list[str]:
    """Paths of the files that the rows of a split in a language are read from."""
    paths: list[str] = []
    for origin in origin_cards(card, split, training, origins):
        paths += _of_tables("files", origin, split, language, source, training)
    return list(dict.fromkeys(paths))


def _of_tables(name: str, card: TaskCard, split: str, language: str, source: Source, training: bool) -> list[str]:
    """The adapter's `files` or `missing`, or the source's for the tables that the adapter reads."""
    hook, tables = _hook(card, name), _hook(card, "tables")
    if hook is not None:
        found: list[str] = hook(card, split, language, source, training)
        return found
    read = tables(card, split, language, source, training) if tables else [(language,)]
    return [item for table in read for item in getattr(source, name)(card, split, *table)]


def tables_of(card: TaskCard, split: str, language: str, source: Source, training: bool) -> list[tuple[str, ...]]:
    """(language, part) of every table that is read for a split; (language,) for a split of one table."""
    hook = _hook(card, "tables")
    if hook is not None:
        found: list[tuple[str, ...]] = hook(card, split, language, source, training)
        return found
    parts = source.parts(card, split)
    return [(language, part) for part in parts] if parts else [(language,)]


def origin_cards(card: TaskCard, split: str, training: bool, origins: Mapping[str, TaskCard]) -> list[TaskCard]:
    """The cards whose own rows form a split; `origins` may be the whole catalogue."""
    if not training and card.adapter:
        return [card]
    return [card if name == card.name else origins[name] for name in card.origins(split)]

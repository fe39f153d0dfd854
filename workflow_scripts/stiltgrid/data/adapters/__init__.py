"""How the rows of one card are found and reshaped, where `fields` cannot say it.

A module adapters/<name>.py may define any of
    rows(card, split, language, source, training) -> Iterator[RawRow]     instead of source.read
    has(card, split, language, source, training) -> bool                  instead of source.has
    missing(card, split, language, source, training) -> list[str]         instead of source.missing
    files(card, split, language, source, training) -> list[str]           instead of source.files
    example(card, row, language, split) -> RawRow | None                  one row in the columns that `fields` describe
    tables(card, split, language, source, training) -> list[tuple]        (language, part) of all that `rows` reads
    mirrored(card, split, language, source) -> dict[str, Iterator[dict]]  rows by part, where a mirror has other parts
    note(card, source) -> str | None                                      what a reader of the scores must know
The functions below ask the adapter first and the source otherwise. `training` says what for: rows of training
and early stopping, or rows to be scored; a retrieval task's are different (pairs, or queries and candidates).
A card with an adapter reshapes other cards' rows (`rows:`) for training only. Adapters are imported by name, so a
job's code digest covers only its own task's. Nothing here is heavy: the parse of the workflow calls it.
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
    """The card's adapter module, or None; ConfigError for a name that is none of ours."""
    if not card.adapter:
        return None
    names = [path.stem for path in Path(__file__).parent.glob("[!_]*.py")]
    if card.adapter not in names:
        raise ConfigError([f"task '{card.name}': adapter '{card.adapter}' is unknown, {nearest(card.adapter, names)}"])
    return importlib.import_module(f"stiltgrid.data.adapters.{card.adapter}")


def _hook(card: TaskCard, name: str) -> Any:
    return getattr(adapter_of(card), name, None)


def source_rows(card: TaskCard, split: str, language: str, source: Source, training: bool) -> Iterator[RawRow]:
    """A card's own rows, before any reshaping."""
    hook = _hook(card, "rows")
    if hook is None:
        return source.read(card, split, language)
    rows: Iterator[RawRow] = hook(card, split, language, source, training)
    return rows


def reshaped_rows(card: TaskCard, rows: Iterator[RawRow], language: str, split: str) -> Iterator[RawRow]:
    """Rows in the columns that the card's `fields` describe; those its adapter turns down are left out."""
    hook = _hook(card, "example")
    if hook is None:
        return rows
    return (row for raw in rows if (row := hook(card, raw, language, split)) is not None)


def has_rows(
    card: TaskCard, split: str, language: str, source: Source, training: bool, origins: Mapping[str, TaskCard]
) -> bool:
    """Whether a card has rows of a split in a language, in itself or in the cards that `rows:` names."""
    for origin in origin_cards(card, split, training, origins):
        hook = _hook(origin, "has")
        if hook(origin, split, language, source, training) if hook else source.has(origin, split, language):
            return True
    return False


def missing_rows(
    card: TaskCard, split: str, language: str, source: Source, training: bool, origins: Mapping[str, TaskCard]
) -> list[str]:
    """A sentence for everything that a split lacks at its source."""
    problems: list[str] = []
    for origin in origin_cards(card, split, training, origins):
        hook = _hook(origin, "missing")
        found = hook(origin, split, language, source, training) if hook else source.missing(origin, split, language)
        problems += found
    return list(dict.fromkeys(problems))


def row_files(
    card: TaskCard, split: str, language: str, source: Source, training: bool, origins: Mapping[str, TaskCard]
) -> list[str]:
    """Paths whose change must rerun the preparation of a split in a language."""
    paths: list[str] = []
    for origin in origin_cards(card, split, training, origins):
        hook = _hook(origin, "files")
        paths += hook(origin, split, language, source, training) if hook else source.files(origin, split, language)
    return list(dict.fromkeys(paths))


def tables_of(card: TaskCard, split: str, language: str, source: Source, training: bool) -> list[tuple[str, ...]]:
    """(language, part) of every table that is read for a split; (language,) where it is one plain table."""
    hook = _hook(card, "tables")
    if hook is not None:
        found: list[tuple[str, ...]] = hook(card, split, language, source, training)
        return found
    parts = source.parts(card, split)
    return [(language, part) for part in parts] if parts else [(language,)]


def origin_cards(card: TaskCard, split: str, training: bool, origins: Mapping[str, TaskCard]) -> list[TaskCard]:
    """The cards whose own rows make up a split; `origins` may be the whole catalogue."""
    if not training and card.adapter:
        return [card]
    return [card if name == card.name else origins[name] for name in card.origins(split)]

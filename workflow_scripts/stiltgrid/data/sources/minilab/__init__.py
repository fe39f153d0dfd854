"""The embedded mini-lab: a synthetic world as a source of rows and text, offline and the same on every machine.

It needs only the standard library; opening the source generates nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stiltgrid.data.rows import RawRow
from stiltgrid.data.sources.base import Source
from stiltgrid.data.sources.minilab.languages import LANGUAGES, Language, world_languages
from stiltgrid.data.sources.minilab.registry import BUILDERS, planted_relations
from stiltgrid.data.sources.minilab.settings import WorldSettings, world_settings
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import SourceError, nearest

__all__ = [
    "LANGUAGES",
    "Language",
    "MiniLabSource",
    "WorldSettings",
    "planted_relations",
    "world_languages",
    "world_settings",
]


class MiniLabSource(Source):
    """Rows of every task of the catalogue, by the card's name, generated from one seed."""

    kind = "minilab"

    def __init__(self, world: Mapping[str, Any] | None = None) -> None:
        self.settings = world_settings(world)

    def parts(self, card: TaskCard, split: str) -> tuple[str, ...]:
        """See `Source.parts`."""
        builder = BUILDERS.get(card.name)
        return builder.parts.get(split, ()) if builder else ()

    def has(self, card: TaskCard, split: str, language: str, part: str | None = None) -> bool:
        """See `Source.has`."""
        builder = BUILDERS.get(card.name)
        if builder is None or split not in builder.parts:
            return False
        if part is not None and part not in builder.parts[split]:
            return False
        return language in builder.languages(self.settings.languages)

    def missing(self, card: TaskCard, split: str, language: str, part: str | None = None) -> list[str]:
        """See `Source.missing`."""
        if self.has(card, split, language, part):
            return []
        if card.name not in BUILDERS:
            return [f"minilab: no task '{card.name}'; {nearest(card.name, BUILDERS)}"]
        rows = f"{split} {part or 'rows'}"
        return [f"minilab: task '{card.name}' has no {rows} in '{language}'"]

    def read(self, card: TaskCard, split: str, language: str, part: str | None = None) -> Iterator[RawRow]:
        """See `Source.read`."""
        from stiltgrid.data.sources.minilab.realise import grammars
        from stiltgrid.data.sources.minilab.registry import items_of

        problems = self.missing(card, split, language, part)
        if problems:
            raise SourceError(problems[0])
        builder = BUILDERS[card.name]
        items = items_of(self.settings, card.name, split, "" if builder.parallel else language)
        place = f"minilab {card.name}/{split}.{language}{'/' + part if part else ''}"
        rows = builder.rows(grammars(self.settings)[language], items, split, part)
        for number, row in enumerate(rows, 1):
            yield RawRow(row, f"{place} row {number}")

    def has_text(self, language: str) -> bool:
        """See `Source.has_text`."""
        return language in self.settings.languages

    def count(self, card: TaskCard, split: str, language: str) -> int | None:
        """See `Source.count`. Known for training rows only, whose number is a setting."""
        if split != "train" or not self.has(card, split, language) or self.parts(card, split):
            return None
        return self.settings.count(self.settings.train_examples, BUILDERS[card.name].share)

    def text(self, language: str) -> Iterator[str]:
        """See `Source.text`."""
        from stiltgrid.data.sources.minilab.corpus import documents
        from stiltgrid.data.sources.minilab.realise import grammars
        from stiltgrid.data.sources.minilab.world import world_of

        if language not in self.settings.languages:
            raise SourceError(f"minilab: no text in '{language}'; {nearest(language, self.settings.languages)}")
        yield from documents(world_of(self.settings), grammars(self.settings)[language])

    def provenance(self) -> dict[str, Any]:
        """The world's settings, and a mark that its data are synthetic."""
        from dataclasses import asdict

        return {"source": self.kind, "synthetic": True, "world": asdict(self.settings)}

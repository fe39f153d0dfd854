"""Where rows come from: one interface for the hub, a local mirror and the embedded mini-lab."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stiltgrid.data.rows import RawRow
from stiltgrid.grid.cards import TaskCard


class Source(ABC):
    """Reads the rows of a card's section for this kind of source, in the data set's own columns.

    A section's `splits` maps our split names (train, dev, test) to what the source calls them: a name, a
    list of names (concatenated), or a mapping of part names to names, for data that comes in several
    tables (a pool of sentences and a list of gold pairs). A name may end in a slice, `[:800]`.
    """

    kind: str

    @abstractmethod
    def read(self, card: TaskCard, split: str, language: str, part: str | None = None) -> Iterator[RawRow]:
        """Rows in the source's order; SourceError names the file or repository that cannot be read."""

    @abstractmethod
    def has(self, card: TaskCard, split: str, language: str, part: str | None = None) -> bool:
        """Whether `read` would find rows, told without network or heavy work (used at parse)."""

    def parts(self, card: TaskCard, split: str) -> tuple[str, ...]:
        """Names of the tables that make up a split which comes in several; () for one plain table."""
        value = ((card.source(self.kind) or {}).get("splits") or {}).get(split)
        return tuple(value) if isinstance(value, Mapping) else ()

    def folder(self, card: TaskCard) -> Path | None:
        """The user's own folder for a card, for adapters of licensed data in another form; None without one."""
        return None

    def missing(self, card: TaskCard, split: str, language: str, part: str | None = None) -> list[str]:
        """What `read` would look for and not find, one sentence each, told as cheaply as `has`."""
        return []

    @abstractmethod
    def text(self, language: str) -> Iterator[str]:
        """Raw documents for language modelling, one string each, in a fixed order."""

    def has_text(self, language: str) -> bool:
        """Whether `text` would find documents, told as cheaply as `has`."""
        return False

    def count(self, card: TaskCard, split: str, language: str) -> int | None:
        """How many rows `read` would find; None where that is not known without reading."""
        return None

    def files(self, card: TaskCard, split: str, language: str, part: str | None = None) -> list[str]:
        """Paths whose change must rerun what reads them; empty where the source has none."""
        return []

    def provenance(self) -> dict[str, Any]:
        """What was read, after reading: resolved commits, file digests, world settings."""
        return {"source": self.kind}

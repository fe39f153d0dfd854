"""Where rows come from: one interface for the hub, a local mirror and the embedded mini-lab."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stiltgrid.data.rows import RawRow
from stiltgrid.grid.cards import TaskCard


class Source(ABC):
    """Reads the rows of a card's section for this kind of source, in the data set's own columns.

    A section's `splits` maps our split names (train, dev, test) to the source's: a name, a list of names
    (concatenated), or a mapping of part names to names, for data that comes in several tables (a pool of
    sentences and a list of gold pairs). A name may end in a slice, `[:800]`.
    """

    kind: str

    @abstractmethod
    def read(self, card: TaskCard, split: str, language: str, part: str | None = None) -> Iterator[RawRow]:
        """Rows in the source's order. Raises SourceError naming the file or repository that cannot be read."""

    @abstractmethod
    def has(self, card: TaskCard, split: str, language: str, part: str | None = None) -> bool:
        """Whether `read` would find rows. Called while the workflow is parsed: no network, nothing slow."""

    def parts(self, card: TaskCard, split: str) -> tuple[str, ...]:
        """Names of the tables of a split that comes in several; () for a split of one table."""
        value = ((card.source(self.kind) or {}).get("splits") or {}).get(split)
        return tuple(value) if isinstance(value, Mapping) else ()

    def folder(self, card: TaskCard) -> Path | None:
        """The card's folder in `data_dir`, for adapters that read files of another form; None without `data_dir`."""
        return None

    def missing(self, card: TaskCard, split: str, language: str, part: str | None = None) -> list[str]:
        """One sentence for each thing that `read` would not find. As fast as `has`."""
        return []

    @abstractmethod
    def text(self, language: str) -> Iterator[str]:
        """Documents for language modelling, one string each, in a fixed order."""

    def has_text(self, language: str) -> bool:
        """Whether `text` would find documents. As fast as `has`."""
        return False

    def text_obstacle(self, language: str) -> str:
        """What is in the place of the file that `text` would read, where that is not a file; else empty."""
        return ""

    def count(self, card: TaskCard, split: str, language: str) -> int | None:
        """Number of rows that `read` would find; None where it is not known without reading."""
        return None

    def files(self, card: TaskCard, split: str, language: str, part: str | None = None) -> list[str]:
        """Paths of the files that `read` reads, as inputs of jobs; empty where the source has no files."""
        return []

    def provenance(self) -> dict[str, Any]:
        """What has been read so far: resolved commits, file digests, world settings."""
        return {"source": self.kind}

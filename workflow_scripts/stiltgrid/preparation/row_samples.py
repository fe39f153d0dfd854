"""Samples of a source's rows, spread evenly over them, in canonical form: what estimates are made from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from stiltgrid.data import adapters
from stiltgrid.data.rows import RawRow
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.preparation.canonical_rows import TaskRows
from stiltgrid.tasks.families import family

Item = TypeVar("Item")


@dataclass(frozen=True)
class Sample:
    """`count` rows of a task, of which `rows` (canonical) are a sample; `card` describes them."""

    card: TaskCard
    count: float
    rows: pa.Table


@dataclass(frozen=True)
class RowSampler:
    """Samples the rows of one card; `most` (up to twice as many) of each language and split.

    `origins` is the whole catalogue. `training` is true for rows of training and development.
    """

    card: TaskCard
    origins: Mapping[str, TaskCard]
    source: Source
    training: bool
    most: int

    def has(self, split: str, language: str) -> bool:
        """Whether there are rows of a split in a language."""
        return adapters.has_rows(self.card, split, language, self.source, self.training, self.origins)

    def samples(self, split: str, language: str, limit: int | None = None) -> list[Sample]:
        """Samples of the origins of one split in one language, at most `limit` rows of which count.

        Raises StiltgridError for rows that cannot be read.
        """
        found = []
        for origin in adapters.origin_cards(self.card, split, self.training, self.origins):
            reader = self._reader(origin, language)
            total, rows = spread(self._raw_rows(reader, origin, split, language), self.most)
            table = self._canonical(reader, rows, split, language)
            count = total * table.num_rows / max(1, len(rows))
            found.append(Sample(reader, count if limit is None else min(count, limit), table))
        return found

    def pool(self, splits: Iterable[str], languages: Iterable[str], limit: int | None) -> Sample:
        """All rows of a retrieval task, which only together say which are kept: at most `limit` queries a language."""
        kind = family(self.card.family)
        tables = [
            self._canonical(self.card, list(self._raw_rows(self.card, origin, split, code)), split, code)
            for code in languages
            for split in splits
            if self.has(split, code)
            for origin in adapters.origin_cards(self.card, split, self.training, self.origins)
        ]
        table = pa.concat_tables(tables) if tables else kind.schema.empty_table()
        table = table if limit is None else kind.subsample(table, limit)
        return Sample(self.card, table.num_rows, table)

    def _reader(self, origin: TaskCard, language: str) -> TaskCard:
        """The card that describes the rows of an origin, with its labels where they are collected from the data."""
        reader = self.card if self.card.name == origin.name or self.card.adapter else origin
        if not reader.options.get("labels_from_data"):
            return reader
        return TaskRows(reader, self.origins, self.source, self.training).with_labels_from_data([language]).card

    def _raw_rows(self, reader: TaskCard, origin: TaskCard, split: str, language: str) -> Iterable[RawRow]:
        rows = adapters.source_rows(origin, split, language, self.source, self.training)
        return adapters.reshaped_rows(reader, rows, language, split)

    def _canonical(self, reader: TaskCard, rows: list[RawRow], split: str, language: str) -> pa.Table:
        kind = family(reader.family)
        return pa.Table.from_pylist(kind.examples(reader, rows, language, split), schema=kind.schema)


def spread(items: Iterable[Item], most: int) -> tuple[int, list[Item]]:
    """The number of items, and `most` to twice as many of them at even distances (all where there are fewer)."""
    kept: list[Item] = []
    total, step = 0, 1
    for item in items:
        if total % step == 0:
            kept.append(item)
            if len(kept) > 2 * most:
                kept, step = kept[::2], 2 * step
        total += 1
    return total, kept

"""Canonical rows of a task: read from a source, reshaped by the card's adapter and family, and checked."""

import hashlib
import heapq
import logging
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stiltgrid.data import adapters, values
from stiltgrid.data.rows import GuardedRows, RawRow
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.preparation.row_spool import RowSpool
from stiltgrid.tasks import fields
from stiltgrid.tasks.families import family
from stiltgrid.utils.errors import RowError, SourceError, nearest

logger = logging.getLogger(__name__)
BATCH = 8192  # rows held as Python objects at a time
UNSEEN = "[unseen]"  # no blanks: predictions join tags by blanks


@dataclass(frozen=True)
class TaskRows:
    """The rows of one card at one source, either for training and early stopping or for evaluation.

    `origins` holds the cards that the card's `rows:` names; other cards in it are ignored.
    """

    card: TaskCard
    origins: Mapping[str, TaskCard]
    source: Source
    training: bool

    def has(self, split: str, language: str) -> bool:
        """Whether there are rows of a split in a language."""
        return adapters.has_rows(self.card, split, language, self.source, self.training, self.origins)

    def absent(self, splits: Sequence[str], languages: Sequence[str]) -> str:
        """The error message for rows that are not there: what is missing at the source."""
        missing = [
            problem
            for language in languages
            for split in splits
            for problem in adapters.missing_rows(self.card, split, language, self.source, self.training, self.origins)
        ]
        names = " or ".join(splits)
        where = f"task '{self.card.name}': no {names} rows in {', '.join(languages)} (source {self.source.kind})"
        return f"{where}: {'; '.join(dict.fromkeys(missing))}" if missing else where

    def tables(self, keys: Sequence[tuple[str, str]]) -> Iterator[pa.Table]:
        """Canonical rows of some (language, split), in that order, in tables of at most BATCH rows.

        Raises SourceError where a split has no rows and RowError for a row that the card does not describe or an
        id that is not unique; the last only after all rows of the split.
        """
        self.require_origins(keys)
        for language, split in keys:
            seen = _Identities()
            for table in self._split_tables(language, split):
                seen.add(table)
                yield table
            if not seen.count:
                problem = "every row was left out (see drop_labels and the adapter)"
                raise SourceError(f"task '{self.card.name}': no {split} rows in {language}: {problem}")
            if seen.may_repeat():
                self._refuse_repeated_ids(language, split)
            logger.info("%s: %d %s rows in %s", self.card.name, seen.count, split, language)

    def with_labels_from_data(self, languages: Sequence[str]) -> "TaskRows":
        """The same rows with the card's labels set to all tags of the training rows, sorted, and UNSEEN."""
        return replace(self, card=replace(self.card, labels=(*sorted(self.tags(languages)), UNSEEN)))

    def tags(self, languages: Sequence[str]) -> set[str]:
        """Every tag of the training rows in some languages."""
        rows = chain.from_iterable(
            self._raw_rows(self.card, origin, language, "train")
            for language in languages
            for origin in self._origin_cards("train")
        )
        tags: set[str] = set()
        guarded = GuardedRows(rows)
        with guarded.errors():
            for row in guarded:
                tags.update(_tags(self.card, row))
        return tags

    def _of(self, card: TaskCard) -> "TaskRows":
        return replace(self, card=card)

    def _origin_cards(self, split: str) -> list[TaskCard]:
        return adapters.origin_cards(self.card, split, self.training, self.origins)

    def _raw_rows(self, reader: TaskCard, origin: TaskCard, language: str, split: str) -> Iterator[RawRow]:
        rows = adapters.source_rows(origin, split, language, self.source, self.training)
        return adapters.reshaped_rows(reader, rows, language, split)

    def require_origins(self, keys: Sequence[tuple[str, str]]) -> None:
        """Raise SourceError for a split that combines several cards' rows where one of them has none."""
        for split in dict.fromkeys(split for _, split in keys):
            languages = [language for language, its_split in keys if its_split == split]
            for origin in self._origin_cards(split):
                rows = self._of(origin)
                if not any(rows.has(split, code) for code in languages):
                    problem = rows.absent([split], languages)
                    raise SourceError(f"task '{self.card.name}' takes its {split} rows from '{origin.name}': {problem}")

    def _split_tables(self, language: str, split: str) -> Iterator[pa.Table]:
        for origin in self._origin_cards(split):
            if self._of(origin).has(split, language):
                yield from self._origin_tables(origin, language, split)

    def _origin_tables(self, origin: TaskCard, language: str, split: str) -> Iterator[pa.Table]:
        """Canonical rows from one card; ids get its name as a prefix where the split combines several."""
        card = self.card
        reader = card if card.name == origin.name or card.adapter else _same_family(card, origin)
        rows = self._raw_rows(reader, origin, language, split)
        if card.options.get("labels_from_data"):
            rows = _with_unseen(card, rows)
        kind, guarded = family(card.family), GuardedRows(rows)
        with guarded.errors():
            examples = iter(kind.iterate(reader, guarded, language, split))
            while batch := list(islice(examples, BATCH)):
                table = pa.Table.from_pylist(batch, schema=kind.schema)
                if reader.labels != card.labels:
                    table = _relabelled(table, reader, card)
                if len(card.origins(split)) > 1:
                    ids = pc.binary_join_element_wise(origin.name, table.column("id"), "/")
                    table = table.set_column(table.schema.get_field_index("id"), kind.schema.field("id"), ids)
                yield table

    def _refuse_repeated_ids(self, language: str, split: str) -> None:
        """Read a split again and raise RowError if any id is repeated: equal hashes alone prove nothing."""
        counts = Counter(key for table in self._split_tables(language, split) for key in _identity(table))
        repeated = [key[0] for key, count in counts.items() if count > 1]
        if repeated:
            raise RowError(
                f"task '{self.card.name}', {split} rows in {language}",
                f"expected unique ids, found {len(repeated)} that are repeated, among them '{repeated[0]}'",
            )


class _Identities:
    """Finds repeated ids by their 64-bit hashes: eight bytes a row."""

    def __init__(self) -> None:
        self._hashes = array("q")

    @property
    def count(self) -> int:
        return len(self._hashes)

    def add(self, table: pa.Table) -> None:
        self._hashes.extend(map(hash, _identity(table)))

    def may_repeat(self) -> bool:
        """Whether two rows have the same hash: the same id, or very rarely two different ones."""
        hashes = np.frombuffer(self._hashes, dtype=np.int64)
        hashes.sort()
        return bool((hashes[1:] == hashes[:-1]).any())


def _identity(table: pa.Table) -> Iterator[tuple[str, ...]]:
    """What must be unique: the id, or the id within its role."""
    columns = [table.column(name).to_pylist() for name in ("id", "role") if name in table.column_names]
    return zip(*columns, strict=True)


def held_out(card: TaskCard, train: RowSpool, examples: int) -> frozenset[int]:
    """Positions of the `examples` training rows with the smallest hash of their id, which become development rows.

    Raises SourceError where no training row would be left.
    """
    if examples >= train.num_rows:
        raise SourceError(
            f"task '{card.name}': dev_from_train takes {examples} of {train.num_rows} training rows; none would be left"
        )
    keys = (
        key
        for table in train.tables()
        for key in zip(table.column("language").to_pylist(), table.column("id").to_pylist(), strict=True)
    )
    digests = ((hashlib.sha256("/".join(key).encode()).digest(), position) for position, key in enumerate(keys))
    return frozenset(position for _, position in heapq.nsmallest(examples, digests))


def parted(rows: RowSpool, positions: frozenset[int], inside: bool) -> Iterator[pa.Table]:
    """The rows at some positions, as development rows, or all others."""
    start = 0
    for table in rows.tables():
        mask = pa.array([(start + index in positions) == inside for index in range(table.num_rows)])
        start += table.num_rows
        kept = table.filter(mask)
        if inside:
            split = pa.array(["dev"] * kept.num_rows, type=pa.string())
            kept = kept.set_column(kept.schema.get_field_index("split"), "split", split)
        yield kept


def _same_family(card: TaskCard, origin: TaskCard) -> TaskCard:
    if origin.family != card.family:
        raise SourceError(
            f"task '{card.name}': takes rows of '{origin.name}', whose family is {origin.family}, not {card.family}; "
            "an adapter must reshape them"
        )
    return origin


def _relabelled(table: pa.Table, origin: TaskCard, card: TaskCard) -> pa.Table:
    """The table with label numbers of the origin's order replaced by the card's, by name."""
    unknown = [name for name in origin.labels if name not in card.labels]
    if unknown:
        raise SourceError(
            f"task '{card.name}': rows of '{origin.name}' have label '{unknown[0]}', found in its card; "
            f"{nearest(unknown[0], card.labels)}"
        )
    order = pa.array([card.labels.index(name) for name in origin.labels], type=pa.int32())
    index = table.schema.get_field_index("label")
    return table.set_column(index, table.schema.field(index), order.take(table.column("label").combine_chunks()))


def _with_unseen(card: TaskCard, rows: Iterator[RawRow]) -> Iterator[RawRow]:
    """Rows with tags outside the card's labels replaced by UNSEEN, which no model predicts: they count as errors."""
    known, column = frozenset(card.labels), card.fields["tags"]
    for row in rows:
        tags = _tags(card, row)
        if not known.issuperset(tags):
            tags = [tag if tag in known else UNSEEN for tag in tags]
        yield RawRow({**row.values, column: tags}, row.place)


def _tags(card: TaskCard, row: RawRow) -> list[str]:
    """The tags of a row as text, for a card whose labels come from the data."""
    name = f"field 'tags' ({card.fields['tags']})"
    found = values.items(fields.resolve(row, card.fields["tags"], "tags"), row.place, name, "a list of tags")
    return [values.label(tag, row.place, name) for tag in found]

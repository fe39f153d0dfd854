"""Canonical rows of a task: read from a source, reshaped by the card's adapter and family, and checked."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from stiltgrid.data import adapters, values
from stiltgrid.data.rows import GuardedRows, RawRow
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.tasks import fields
from stiltgrid.tasks.families import family
from stiltgrid.utils.errors import RowError, SourceError, nearest

logger = logging.getLogger(__name__)
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

    def collect(self, keys: Sequence[tuple[str, str]]) -> pa.Table:
        """Canonical rows of some (language, split), in that order.

        Raises SourceError where a split has no rows and RowError for a row that the card does not describe or an
        id that is not unique.
        """
        self._refuse_absent_origins(keys)
        tables = []
        for language, split in keys:
            there = [origin for origin in self._origin_cards(split) if self._of(origin).has(split, language)]
            table = pa.concat_tables(self._origin_rows(origin, language, split) for origin in there)
            if table.num_rows == 0:
                problem = "every row was left out (see drop_labels and the adapter)"
                raise SourceError(f"task '{self.card.name}': no {split} rows in {language}: {problem}")
            self._refuse_repeated_ids(table, language, split)
            logger.info("%s: %d %s rows in %s", self.card.name, table.num_rows, split, language)
            tables.append(table)
        return pa.concat_tables(tables).cast(family(self.card.family).schema)

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

    def _refuse_absent_origins(self, keys: Sequence[tuple[str, str]]) -> None:
        """Refuse a split that combines several cards' rows where one of them has none."""
        for split in dict.fromkeys(split for _, split in keys):
            languages = [language for language, its_split in keys if its_split == split]
            for origin in self._origin_cards(split):
                rows = self._of(origin)
                if not any(rows.has(split, code) for code in languages):
                    problem = rows.absent([split], languages)
                    raise SourceError(f"task '{self.card.name}' takes its {split} rows from '{origin.name}': {problem}")

    def _origin_rows(self, origin: TaskCard, language: str, split: str) -> pa.Table:
        """Canonical rows from one card; ids get its name as a prefix where the split combines several."""
        card = self.card
        reader = card if card.name == origin.name or card.adapter else _same_family(card, origin)
        rows = self._raw_rows(reader, origin, language, split)
        if card.options.get("labels_from_data"):
            rows = _with_unseen(card, rows)
        kind, guarded = family(card.family), GuardedRows(rows)
        with guarded.errors():
            table = pa.Table.from_pylist(kind.examples(reader, guarded, language, split), schema=kind.schema)
        if reader.labels != card.labels:
            table = _relabelled(table, reader, card)
        if len(card.origins(split)) > 1:
            ids = pc.binary_join_element_wise(origin.name, table.column("id"), "/")
            table = table.set_column(table.schema.get_field_index("id"), kind.schema.field("id"), ids)
        return table

    def _refuse_repeated_ids(self, table: pa.Table, language: str, split: str) -> None:
        columns = [name for name in ("id", "role") if name in table.column_names]
        counts = table.group_by(columns).aggregate([([], "count_all")])
        if counts.num_rows == table.num_rows:
            return
        repeated = counts.filter(pc.greater(counts.column("count_all"), 1))
        first = repeated.column("id")[0].as_py()
        raise RowError(
            f"task '{self.card.name}', {split} rows in {language}",
            f"expected unique ids, found {repeated.num_rows} that are repeated, among them '{first}'",
        )


def hold_out(card: TaskCard, train: pa.Table, examples: int) -> tuple[pa.Table, pa.Table]:
    """Training rows split in two: the `examples` with the smallest hash of their id become development rows.

    Raises SourceError where no training row would be left.
    """
    if examples >= train.num_rows:
        raise SourceError(
            f"task '{card.name}': dev_from_train takes {examples} of {train.num_rows} training rows; none would be left"
        )
    keys = zip(train.column("language").to_pylist(), train.column("id").to_pylist(), strict=True)
    digests = [hashlib.sha256("/".join(key).encode()).digest() for key in keys]
    held = set(sorted(range(len(digests)), key=digests.__getitem__)[:examples])
    mask = pa.array([index in held for index in range(len(digests))])
    dev = train.filter(mask)
    split = pa.array(["dev"] * dev.num_rows, type=pa.string())
    return train.filter(pc.invert(mask)), dev.set_column(dev.schema.get_field_index("split"), "split", split)


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

"""Writes canonical rows, one parquet file for each task and purpose, independent of any model.

The schema's metadata has provenance under the key `stiltgrid`: source, resolved commits or file digests, number of
rows by language and split, notes. Where the card's `labels_from_data` takes the labels from the training rows, they
are stored under `labels` (read by `tasks.families.common.with_labels`).
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stiltgrid.data import adapters
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Evaluation
from stiltgrid.preparation.canonical_rows import UNSEEN, TaskRows, held_out, parted
from stiltgrid.preparation.row_spool import RowSpool
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.common import put_labels
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path

logger = logging.getLogger(__name__)
METADATA = b"stiltgrid"  # key of provenance and row counts in the parquet schema's metadata
FilePath = str | os.PathLike[str]


def prepare_train(
    card: TaskCard,
    origins: Mapping[str, TaskCard],
    languages: Sequence[str],
    source: Source,
    train_path: FilePath,
    dev_path: FilePath,
) -> None:
    """Write the training and development rows of a task in its training languages.

    `origins` holds the cards that `rows:` names (it may hold others). Raises SourceError where a split has no rows
    and RowError for a row that the card does not describe or an id that is not unique.
    """
    rows = TaskRows(card, origins, source, training=True)
    train_languages = [code for code in languages if rows.has("train", code)]
    if not train_languages:
        raise SourceError(rows.absent(["train"], languages))
    if card.options.get("labels_from_data"):
        rows = rows.with_labels_from_data(train_languages)
    keys = [(code, "train") for code in train_languages]
    rows.require_origins(keys)
    dev_keys = [(code, "dev") for code in languages if rows.has("dev", code)]
    if not dev_keys and card.dev_from_train is None:
        raise SourceError(
            f"{rows.absent(['dev'], languages)}; training needs development rows (or `dev_from_train` in the card)"
        )
    with _outputs(rows.card, train_path, dev_path) as (train, dev):
        if dev_keys:
            train.rows.fill(rows.tables(keys))
            dev.rows.fill(rows.tables(dev_keys))
        else:
            with train.another() as all_rows:
                all_rows.fill(rows.tables(keys))
                positions = held_out(card, all_rows, card.dev_from_train or 0)
                train.rows.fill(parted(all_rows, positions, inside=False))
                dev.rows.fill(parted(all_rows, positions, inside=True))
        train.write(source.provenance())
        dev.write(source.provenance())


def prepare_variant(
    parts: Sequence[tuple[TaskCard, Mapping[str, TaskCard], Sequence[str]]],
    dev_languages: Sequence[str],
    source: Source,
    train_path: FilePath,
    dev_path: FilePath,
) -> None:
    """Write training rows of a task in several languages and versions, and the task's usual development rows.

    `parts` are (the version's card, its origins, the languages to read from that version); the first part is the
    original version, with or without languages. Held-out development rows are of `dev_languages`; training rows
    with the same ids are removed, so that no translation of a development row is trained on. Raises as
    `prepare_train` does.
    """
    versions = [(TaskRows(card, origins, source, training=True), codes) for card, origins, codes in parts]
    if parts[0][0].options.get("labels_from_data"):
        tags = {tag for rows, codes in versions if codes for tag in rows.tags(codes)}
        labels = (*sorted(tags), UNSEEN)
        versions = [(replace(rows, card=replace(rows.card, labels=labels)), codes) for rows, codes in versions]
    original, card = versions[0][0], versions[0][0].card
    keys = [(code, "dev") for code in dev_languages if original.has("dev", code)]
    if not keys and card.dev_from_train is None:
        raise SourceError(original.absent(["dev"], dev_languages))
    with _outputs(card, train_path, dev_path) as (train, dev):
        if keys:
            dev.rows.fill(original.tables(keys))
        else:
            with dev.another() as own:
                own.fill(original.tables([(code, "train") for code in dev_languages]))
                dev.rows.fill(parted(own, held_out(card, own, card.dev_from_train or 0), inside=True))
        translated = dev.rows.read().column("id") if not keys else None
        for rows, codes in versions:
            for table in rows.tables([(code, "train") for code in codes]) if codes else ():
                keep = None if translated is None else pc.invert(pc.is_in(table.column("id"), translated))
                train.rows.fill([table if keep is None else table.filter(keep)])
        train.write(source.provenance())
        dev.write(source.provenance())


def prepare_eval(
    card: TaskCard,
    origins: Mapping[str, TaskCard],
    languages: Sequence[str],
    splits: Sequence[str],
    source: Source,
    evaluation: Evaluation,
    path: FilePath,
) -> None:
    """Write the evaluation rows of a target in every language, of those `splits` that a language has.

    With `evaluation.examples` the family draws that many rows of each language and split. Raises as
    `prepare_train` does.
    """
    rows = TaskRows(replace(card, languages=tuple(languages)), origins, source, training=False)
    keys: list[tuple[str, str]] = []
    for language in languages:
        present = [split for split in splits if rows.has(split, language)]
        if not present:
            raise SourceError(rows.absent(splits, [language]))
        keys += [(language, split) for split in present]
    note = getattr(adapters.adapter_of(card), "note", None)
    with _output(rows.card, path) as out:
        if evaluation.examples is None:
            out.rows.fill(rows.tables(keys))
        else:
            table = pa.concat_tables(rows.tables(keys))
            out.rows.fill([family(card.family).subsample(table, evaluation.examples)])
        out.write(source.provenance(), note(rows.card, source) if note is not None else None)


@dataclass(frozen=True)
class _Output:
    """A file under construction: its card, the rows for it, and its temporary path."""

    card: TaskCard
    rows: RowSpool
    path: Path

    def another(self) -> RowSpool:
        """A second spool of the same form, for rows that are not written as they come."""
        return RowSpool(self.path.parent, self.rows.schema)

    def write(self, provenance: Mapping[str, Any], note: str | None = None) -> None:
        """Write the rows as parquet, with the facts that readers of the file need."""
        facts: dict[str, Any] = {
            "task": self.card.name,
            "rows": {f"{language}/{split}": count for (language, split), count in self.rows.counts.items()},
            "provenance": dict(provenance),
        }
        if note is not None:
            facts["note"] = note
            logger.warning("%s: %s", self.card.name, note)
        schema = self.rows.schema.with_metadata(
            {METADATA: json.dumps(facts, ensure_ascii=False, sort_keys=True).encode()}
        )
        if self.card.options.get("labels_from_data"):
            schema = put_labels(schema, self.card.labels)
        self.rows.write(self.path, schema.metadata)


@contextmanager
def _output(card: TaskCard, path: FilePath) -> Iterator[_Output]:
    """An output that appears at `path` if the block succeeds."""
    with atomic_path(path) as temporary, RowSpool(temporary.parent, family(card.family).schema) as rows:
        yield _Output(card, rows, temporary)


@contextmanager
def _outputs(card: TaskCard, train_path: FilePath, dev_path: FilePath) -> Iterator[tuple[_Output, _Output]]:
    """The two outputs of training data; both appear if the block succeeds."""
    with _output(card, train_path) as train, _output(card, dev_path) as dev:
        yield train, dev

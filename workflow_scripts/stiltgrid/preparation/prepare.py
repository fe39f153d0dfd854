"""Writes canonical rows, one parquet file for each task and purpose, independent of any model.

The schema's metadata has provenance under the key `stiltgrid`: source, resolved commits or file digests, number of
rows by language and split, notes. Where the card's `labels_from_data` takes the labels from the training rows, they
are stored under `labels` (read by `tasks.families.common.with_labels`).
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stiltgrid.data import adapters
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Evaluation
from stiltgrid.preparation.canonical_rows import UNSEEN, TaskRows, hold_out
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.common import put_labels
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path
from stiltgrid.utils.parquet import write_parquet

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
    train = rows.collect([(code, "train") for code in train_languages])
    dev_keys = [(code, "dev") for code in languages if rows.has("dev", code)]
    if dev_keys:
        dev = rows.collect(dev_keys)
    elif (held_out := getattr(card, "dev_from_train", None)) is not None:
        train, dev = hold_out(card, train, held_out)
    else:
        raise SourceError(
            f"{rows.absent(['dev'], languages)}; training needs development rows (or `dev_from_train` in the card)"
        )
    provenance = source.provenance()
    _write(rows.card, train, provenance, train_path)
    _write(rows.card, dev, provenance, dev_path)


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
    train = pa.concat_tables(rows.collect([(code, "train") for code in codes]) for rows, codes in versions if codes)
    keys = [(code, "dev") for code in dev_languages if original.has("dev", code)]
    if keys:
        dev = original.collect(keys)
    elif card.dev_from_train is not None:
        _, dev = hold_out(card, original.collect([(code, "train") for code in dev_languages]), card.dev_from_train)
        train = train.filter(pc.invert(pc.is_in(train.column("id"), dev.column("id").combine_chunks())))
    else:
        raise SourceError(original.absent(["dev"], dev_languages))
    for table, path in ((train, train_path), (dev, dev_path)):
        _write(card, table, source.provenance(), path)


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
    table = rows.collect(keys)
    if evaluation.examples is not None:
        table = family(card.family).subsample(table, evaluation.examples)
    note = getattr(adapters.adapter_of(card), "note", None)
    _write(rows.card, table, source.provenance(), path, note(rows.card, source) if note is not None else None)


def _write(
    card: TaskCard, table: pa.Table, provenance: Mapping[str, Any], path: FilePath, note: str | None = None
) -> None:
    counts = table.group_by(["language", "split"], use_threads=False).aggregate([([], "count_all")]).to_pylist()
    facts: dict[str, Any] = {
        "task": card.name,
        "rows": {f"{row['language']}/{row['split']}": row["count_all"] for row in counts},
        "provenance": dict(provenance),
    }
    if note is not None:
        facts["note"] = note
        logger.warning("%s: %s", card.name, note)
    schema = table.schema.with_metadata({METADATA: json.dumps(facts, ensure_ascii=False, sort_keys=True).encode()})
    if card.options.get("labels_from_data"):
        schema = put_labels(schema, card.labels)
    with atomic_path(path) as temporary:
        write_parquet(table.cast(schema), temporary, compression="zstd")

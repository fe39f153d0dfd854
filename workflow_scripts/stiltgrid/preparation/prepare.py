"""Canonical rows: what a task is trained and scored on, free of any model, one parquet file a purpose.

The schema's metadata carries provenance under the key `stiltgrid`: source, resolved commits or file digests,
row counts by language and split, notes. Where `labels_from_data` leaves the tag inventory to the data, it stands
beside it under `labels` (read back by `tasks.families.common.with_labels`).
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stiltgrid.data import adapters
from stiltgrid.data.rows import METADATA, RawRow
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Evaluation
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.common import put_labels
from stiltgrid.utils.errors import RowError, SourceError, nearest
from stiltgrid.utils.files import atomic_path

logger = logging.getLogger(__name__)
UNSEEN = "[unseen]"  # without blanks: predictions join tags by them
FilePath = str | os.PathLike[str]


def prepare_train(
    card: TaskCard,
    origins: Mapping[str, TaskCard],
    languages: Sequence[str],
    source: Source,
    train_path: FilePath,
    dev_path: FilePath,
) -> None:
    """Write the training and development rows of a task in the languages it is trained in.

    `origins` holds the cards that `rows:` names (more do no harm). Raises SourceError where a split has no rows
    left and RowError for a row that the card does not describe or an id that comes twice.
    """
    train_languages = [code for code in languages if adapters.has_rows(card, "train", code, source, True, origins)]
    if not train_languages:
        raise SourceError(_nothing(card, "train", languages, source, True, origins))
    if card.options.get("labels_from_data"):
        card = replace(card, labels=_inventory(card, origins, train_languages, source))
    train = _collect(card, origins, [(code, "train") for code in train_languages], source, training=True)
    dev_keys = [(code, "dev") for code in languages if adapters.has_rows(card, "dev", code, source, True, origins)]
    if dev_keys:
        dev = _collect(card, origins, dev_keys, source, training=True)
    elif (held_out := getattr(card, "dev_from_train", None)) is not None:
        train, dev = _hold_out(card, train, held_out)
    else:
        raise SourceError(
            f"{_nothing(card, 'dev', languages, source, True, origins)}; training needs development rows "
            "(or `dev_from_train` in the card)"
        )
    provenance = source.provenance()
    _write(card, train, provenance, train_path)
    _write(card, dev, provenance, dev_path)


def prepare_variant(
    parts: Sequence[tuple[TaskCard, Mapping[str, TaskCard], Sequence[str]]],
    dev_languages: Sequence[str],
    source: Source,
    train_path: FilePath,
    dev_path: FilePath,
) -> None:
    """Write training rows of a task in several languages and versions, and the development rows that it always has.

    `parts` are the card as a version has it, its origins, and the languages that are read from that version; the
    first is the original's, whatever its languages. Held-out development rows are of `dev_languages`, and no
    training row bears their ids, so that no translation of them is trained on. Raises as `prepare_train` does.
    """
    card, origins, _ = parts[0]
    if card.options.get("labels_from_data"):
        found = (_inventory(each, its_origins, codes, source) for each, its_origins, codes in parts if codes)
        labels = (*sorted({tag for tags in found for tag in tags} - {UNSEEN}), UNSEEN)
        parts = [(replace(each, labels=labels), its_origins, codes) for each, its_origins, codes in parts]
        card = parts[0][0]
    train = pa.concat_tables(
        _collect(each, its_origins, [(code, "train") for code in codes], source, training=True)
        for each, its_origins, codes in parts
        if codes
    )
    keys = [(code, "dev") for code in dev_languages if adapters.has_rows(card, "dev", code, source, True, origins)]
    if keys:
        dev = _collect(card, origins, keys, source, training=True)
    elif card.dev_from_train is not None:
        own = _collect(card, origins, [(code, "train") for code in dev_languages], source, training=True)
        _, dev = _hold_out(card, own, card.dev_from_train)
        train = train.filter(pc.invert(pc.is_in(train.column("id"), dev.column("id").combine_chunks())))
    else:
        raise SourceError(_nothing(card, "dev", dev_languages, source, True, origins))
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
    """Write the rows that a target is scored on: every language, and of `splits` those that a language has.

    With `evaluation.examples` each language and split is cut to that many, as the family sees fit.
    """
    card = replace(card, languages=tuple(languages))
    keys: list[tuple[str, str]] = []
    for language in languages:
        present = [split for split in splits if adapters.has_rows(card, split, language, source, False, origins)]
        if not present:
            raise SourceError(_nothing(card, " or ".join(splits), [language], source, False, origins))
        keys += [(language, split) for split in present]
    table = _collect(card, origins, keys, source, training=False)
    if evaluation.examples is not None:
        table = family(card.family).subsample(table, evaluation.examples)
    note = getattr(adapters.adapter_of(card), "note", None)
    _write(card, table, source.provenance(), path, note(card, source) if note is not None else None)


def _nothing(
    card: TaskCard,
    split: str,
    languages: Sequence[str],
    source: Source,
    training: bool,
    origins: Mapping[str, TaskCard],
) -> str:
    names = split.split(" or ")
    missing = [
        problem
        for language in languages
        for name in names
        for problem in adapters.missing_rows(card, name, language, source, training, origins)
    ]
    where = f"task '{card.name}': no {split} rows in {', '.join(languages)} (source {source.kind})"
    return f"{where}: {'; '.join(dict.fromkeys(missing))}" if missing else where


def _collect(
    card: TaskCard,
    origins: Mapping[str, TaskCard],
    keys: Sequence[tuple[str, str]],
    source: Source,
    training: bool,
) -> pa.Table:
    """Canonical rows of several languages and splits, checked; groups stay together."""
    kind = family(card.family)
    _refuse_absent_origins(card, origins, keys, source, training)
    tables = []
    for language, split in keys:
        there = [
            origin
            for origin in adapters.origin_cards(card, split, training, origins)
            if adapters.has_rows(origin, split, language, source, training, origins)
        ]
        table = pa.concat_tables(_origin_rows(card, origin, language, split, source, training) for origin in there)
        if table.num_rows == 0:
            problem = "every row was left out (see drop_labels and the adapter)"
            raise SourceError(f"task '{card.name}': no {split} rows in {language}: {problem}")
        _refuse_twins(card, table, language, split)
        logger.info("%s: %d %s rows in %s", card.name, table.num_rows, split, language)
        tables.append(table)
    return pa.concat_tables(tables).cast(kind.schema)


def _refuse_absent_origins(
    card: TaskCard,
    origins: Mapping[str, TaskCard],
    keys: Sequence[tuple[str, str]],
    source: Source,
    training: bool,
) -> None:
    """A split made of several cards' rows must have some of each: a silent third would be another task."""
    for split in dict.fromkeys(split for _, split in keys):
        languages = [language for language, its_split in keys if its_split == split]
        for origin in adapters.origin_cards(card, split, training, origins):
            if not any(adapters.has_rows(origin, split, code, source, training, origins) for code in languages):
                problem = _nothing(origin, split, languages, source, training, origins)
                raise SourceError(f"task '{card.name}' takes its {split} rows from '{origin.name}': {problem}")


def _origin_rows(
    card: TaskCard, origin: TaskCard, language: str, split: str, source: Source, training: bool
) -> pa.Table:
    """Canonical rows that one card contributes; ids carry its name when it is one of several."""
    rows = adapters.source_rows(origin, split, language, source, training)
    reader = card if card.name == origin.name or card.adapter else _as_origin(card, origin)
    rows = adapters.reshaped_rows(reader, rows, language, split)
    if card.options.get("labels_from_data"):
        rows = _unseen_named(card, rows)
    kind = family(card.family)
    table = pa.Table.from_pylist(kind.examples(reader, rows, language, split), schema=kind.schema)
    if reader.labels != card.labels:
        table = _relabelled(table, reader, card)
    if len(card.origins(split)) > 1:
        ids = pc.binary_join_element_wise(origin.name, table.column("id"), "/")
        table = table.set_column(table.schema.get_field_index("id"), kind.schema.field("id"), ids)
    return table


def _as_origin(card: TaskCard, origin: TaskCard) -> TaskCard:
    if origin.family != card.family:
        raise SourceError(
            f"task '{card.name}': takes rows of '{origin.name}', whose family is {origin.family}, not {card.family}; "
            "an adapter must reshape them"
        )
    return origin


def _relabelled(table: pa.Table, origin: TaskCard, card: TaskCard) -> pa.Table:
    """Label numbers of the origin's order turned into the card's, by name."""
    unknown = [name for name in origin.labels if name not in card.labels]
    if unknown:
        raise SourceError(
            f"task '{card.name}': rows of '{origin.name}' have label '{unknown[0]}', found in its card; "
            f"{nearest(unknown[0], card.labels)}"
        )
    order = pa.array([card.labels.index(name) for name in origin.labels], type=pa.int32())
    index = table.schema.get_field_index("label")
    return table.set_column(index, table.schema.field(index), order.take(table.column("label").combine_chunks()))


def _refuse_twins(card: TaskCard, table: pa.Table, language: str, split: str) -> None:
    columns = [name for name in ("id", "role") if name in table.column_names]
    counts = table.group_by(columns).aggregate([([], "count_all")])
    if counts.num_rows == table.num_rows:
        return
    twins = counts.filter(pc.greater(counts.column("count_all"), 1))
    first = twins.column("id")[0].as_py()
    raise RowError(
        f"task '{card.name}', {split} rows in {language}",
        f"expected ids that come once, found {twins.num_rows} that come more often, among them '{first}'",
    )


def _hold_out(card: TaskCard, train: pa.Table, examples: int) -> tuple[pa.Table, pa.Table]:
    """Training rows split in two: the `examples` with the smallest hash of their id become development rows."""
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


def _inventory(
    card: TaskCard, origins: Mapping[str, TaskCard], languages: Sequence[str], source: Source
) -> tuple[str, ...]:
    """Every tag of the training rows, sorted, and one more that stands for tags they do not have."""
    column = card.fields["tags"]
    rows = chain.from_iterable(
        adapters.reshaped_rows(card, adapters.source_rows(origin, "train", language, source, True), language, "train")
        for language in languages
        for origin in adapters.origin_cards(card, "train", True, origins)
    )
    tags: set[str] = set()
    for row in rows:
        if not isinstance(row.values.get(column), list):
            raise RowError(row.place, f"expected a list of tags in column '{column}', found {', '.join(row.values)}")
        tags.update(row.values[column])
    return (*sorted(tags), UNSEEN)


def _unseen_named(card: TaskCard, rows: Iterator[RawRow]) -> Iterator[RawRow]:
    """Rows whose tags outside the inventory are UNSEEN: nothing is trained to predict it, so they count as wrong."""
    known, column = frozenset(card.labels), card.fields["tags"]
    for row in rows:
        tags = row.values.get(column)
        if isinstance(tags, list) and not known.issuperset(tags):
            tags = [tag if tag in known else UNSEEN for tag in tags]
            row = RawRow({**row.values, column: tags}, row.place)
        yield row


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
        pq.write_table(table.cast(schema), temporary, compression="zstd")

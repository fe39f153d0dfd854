"""Helpers of several families: tokenising in chunks, label lists, predictions by language and split."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks.families.base import predictions_schema
from stiltgrid.utils.errors import RowError

CHUNK = 10_000  # texts per call: enough to use all of the tokenizer's threads, few enough to save memory
_LABELS = b"labels"

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_chunks(function: Callable[[list[Item]], list[Result]], items: Sequence[Item]) -> Iterator[Result]:
    """Apply `function` to all items in order, CHUNK at a time."""
    for start in range(0, len(items), CHUNK):
        yield from function(list(items[start : start + CHUNK]))


def distinct(items: Sequence[str]) -> tuple[list[str], list[int]]:
    """The distinct items in order of appearance, and each item's index among them."""
    numbers: dict[str, int] = {}
    positions = [numbers.setdefault(item, len(numbers)) for item in items]
    return list(numbers), positions


def pair_ids(
    tokenizer: SubwordTokenizer, first: Sequence[str], second: Sequence[str | None], max_length: int
) -> Iterator[list[int]]:
    """Sequences of single texts (null in `second`) or pairs, of at most `max_length` tokens."""
    texts, numbers = distinct(first)
    ids = list(in_chunks(tokenizer.ids, texts))
    others = in_chunks(tokenizer.ids, [text or "" for text in second])
    for number, text, other in zip(numbers, second, others, strict=True):
        yield tokenizer.join_truncated(ids[number], None if text is None else other, max_length)


def keep_texts(card: TaskCard, place: str, texts: Mapping[str, str | None]) -> bool:
    """Whether a row is kept: `options.empty_texts` says what to do about empty texts (default: RowError)."""
    empty = [field for field, text in texts.items() if text is not None and not text.strip()]
    rule = card.options.get("empty_texts", "error")
    if not empty or rule == "keep":
        return True
    if rule == "drop":
        return False
    raise RowError(
        place,
        f"field '{empty[0]}' is empty; set `options: {{empty_texts: drop}}` (or keep) in card "
        f"'{card.name}' if the data set has such rows",
    )


def put_labels(schema: pa.Schema, labels: Sequence[str]) -> pa.Schema:
    """The schema with a label list in its metadata, for cards whose labels are read from the data."""
    return schema.with_metadata({**(schema.metadata or {}), _LABELS: json.dumps(list(labels)).encode()})


def with_labels(card: TaskCard, schema: pa.Schema) -> TaskCard:
    """The card, with the labels of a parquet file's metadata if it has none of its own."""
    found = (schema.metadata or {}).get(_LABELS)
    return card if card.labels or found is None else replace(card, labels=tuple(json.loads(found)))


def example_groups(examples: Sequence[int] | np.ndarray) -> Iterator[tuple[int, slice]]:
    """(row index, slice of its sequences) for an encoded `example` column, in order."""
    numbers = np.asarray(examples)
    if not len(numbers):
        return
    edges = np.concatenate([[0], np.flatnonzero(np.diff(numbers)) + 1, [len(numbers)]])
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        yield int(numbers[start]), slice(int(start), int(stop))


def predictions_table(
    rows: pa.Table, indices: Sequence[int], columns: Mapping[str, list[Any]], answer: pa.DataType
) -> pa.Table:
    """Predictions of the rows at `indices`: id, language and split, then the given columns.

    `answer` is the type of `prediction` and `gold`.
    """
    keys = rows.select(["id", "language", "split"]).take(pa.array(indices, type=pa.int64()))
    known = {field.name: field.type for field in predictions_schema(answer)}
    table = keys
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, type=known.get(name)))
    return table


def by_language_and_split(predictions: pa.Table) -> Iterator[tuple[str, str, pa.Table]]:
    """(language, split, its predictions), in order of first appearance."""
    languages, splits = predictions.column("language").to_pylist(), predictions.column("split").to_pylist()
    members: dict[tuple[str, str], list[int]] = {}
    for index, key in enumerate(zip(languages, splits, strict=True)):
        members.setdefault(key, []).append(index)
    for (language, split), indices in members.items():
        yield language, split, predictions.take(pa.array(indices, type=pa.int64()))

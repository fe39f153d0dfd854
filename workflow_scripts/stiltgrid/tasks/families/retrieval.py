"""Rows of retrieval tasks: queries, candidates, training pairs. Used by the embedding and the dual family."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from stiltgrid.data.rows import RawRow
from stiltgrid.tasks.families.base import KEYS
from stiltgrid.utils.errors import RowError

RETRIEVAL = [
    *KEYS,
    ("role", pa.string()),
    ("text", pa.string()),
    ("text_pair", pa.string()),
    ("gold", pa.list_(pa.string())),
]
QUERY, CANDIDATE, PAIR = "query", "candidate", "pair"


@dataclass(frozen=True)
class PoolRow:
    """A valid source row of a pool of queries and candidates; `gold` holds ids as in the source."""

    id: str
    role: str
    text: str
    text_pair: str | None
    gold: tuple[str, ...]
    language: str


def pool_row(row: RawRow, language: str) -> PoolRow:
    """Read the columns id, role, text, text_pair, gold (and language, where a row has its own).

    Raises:
        RowError: for a missing column, another role, an empty id or text, or gold on a candidate.
    """
    role = row.text("role")
    if role not in (QUERY, CANDIDATE):
        raise RowError(row.place, f"role '{role}': expected '{QUERY}' or '{CANDIDATE}'")
    gold = tuple(row.identifiers("gold"))
    if gold and role == CANDIDATE:
        raise RowError(row.place, "a candidate has no gold; only a query names its candidates")
    name = row.identifier("id")
    pair, own_language = row.optional_text("text_pair"), row.optional_text("language")
    text = filled(row, "text", row.text("text"))
    return PoolRow(name, role, text, (pair or "").strip() or None, gold, own_language or language)


def filled(row: RawRow, name: str, text: str) -> str:
    """A text without surrounding white space; raises RowError if nothing is left."""
    if not text.strip():
        raise RowError(row.place, f"{name}: expected text, found {text!r}")
    return text.strip()


def refuse_repeats(rows: Iterable[tuple[Mapping[str, Any], str]]) -> None:
    """Raise RowError for a repeated id, which gold could not identify. Takes (row, place) pairs."""
    seen: dict[str, str] = {}
    for row, place in rows:
        if row["id"] in seen:
            raise RowError(place, f"id '{row['id']}' is also that of {seen[row['id']]}; expected one row an id")
        seen[row["id"]] = place


def by_language_and_split(rows: pa.Table) -> dict[tuple[str, str], np.ndarray]:
    """Row positions of each (language, split), in the table's order."""
    members: dict[tuple[str, str], list[int]] = {}
    keys = zip(rows.column("language").to_pylist(), rows.column("split").to_pylist(), strict=True)
    for position, key in enumerate(keys):
        members.setdefault(key, []).append(position)
    return {key: np.asarray(positions, dtype=np.int64) for key, positions in members.items()}


def draw(names: Sequence[str], count: int, seed: int) -> set[str]:
    """The `count` names of the lowest digests: similar sets of names give similar draws."""
    unique = dict.fromkeys(names)
    return set(sorted(unique, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())[: max(0, count)])

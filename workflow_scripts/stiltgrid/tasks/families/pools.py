"""Decoding of `families.dual`: the candidates that a query is ranked among, and which of them are relevant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from stiltgrid.grid.cards import TaskCard
from stiltgrid.tasks.families.retrieval import CANDIDATE, QUERY

KEPT_RANKS = 100


@dataclass
class Pool:
    """Queries (id, language, split, group, relevant ids) and candidates (ids), with the positions of their vectors."""

    id: list[str] = field(default_factory=list)
    language: list[str] = field(default_factory=list)
    split: list[str] = field(default_factory=list)
    group: list[str] = field(default_factory=list)
    gold: list[set[str]] = field(default_factory=list)
    query_vectors: list[int] = field(default_factory=list)
    candidates: list[str] = field(default_factory=list)
    candidate_vectors: list[int] = field(default_factory=list)


def row_pools(card: TaskCard, columns: Mapping[str, Any], rows: pa.Table) -> list[Pool]:
    """One pool per split (option `pool`: multilingual), or per split and language (per_language).

    Queries of the same group are parallel: the relevant set of each is the union over all languages present (LAReQA).
    A repeated candidate counts once.
    """
    multilingual = card.options.get("pool", "multilingual") == "multilingual"
    pools: dict[tuple[str, str], Pool] = {}
    seen: set[tuple[tuple[str, str], str]] = set()
    union: dict[tuple[str, str], set[str]] = {}
    names = ("id", "language", "split", "role", "group", "gold")
    lists = [rows.column(name).to_pylist() for name in names]
    vector_of = {example: vector for vector, example in enumerate(np.asarray(columns["example"]).tolist())}
    for row, (name, language, split, role, group, gold) in enumerate(zip(*lists, strict=True)):
        key = (split, "" if multilingual else language)
        pool = pools.setdefault(key, Pool())
        if role == CANDIDATE and (key, name) not in seen:
            seen.add((key, name))
            pool.candidates.append(name)
            pool.candidate_vectors.append(vector_of[row])
        elif role == QUERY:
            relevant = union.setdefault((split, group), set())
            relevant.update(gold)
            _add_query(pool, name, language, split, group, relevant, vector_of[row])
    return [pool for pool in pools.values() if pool.id]


def pair_pools(card: TaskCard, columns: Mapping[str, Any], rows: pa.Table) -> list[Pool]:
    """Pools of a development set of pairs: all distinct candidates of a split.

    A candidate has the id of the first pair that contains it.
    """
    pools: dict[str, Pool] = {}
    first: dict[tuple[str, str, str | None], str] = {}
    names = ("id", "language", "split", "candidate", "candidate_pair")
    lists = [rows.column(name).to_pylist() for name in names]
    sides = zip(np.asarray(columns["example"]).tolist(), np.asarray(columns["side"]).tolist(), strict=True)
    vector_of = {key: vector for vector, key in enumerate(sides)}
    for row, (name, language, split, candidate, context) in enumerate(zip(*lists, strict=True)):
        if (row, 0) not in vector_of:
            continue
        pool = pools.setdefault(split, Pool())
        text = (split, candidate, context)
        if text not in first:
            first[text] = name
            pool.candidates.append(name)
            pool.candidate_vectors.append(vector_of[row, 1])
        _add_query(pool, name, language, split, name, {first[text]}, vector_of[row, 0])
    return list(pools.values())


def _add_query(pool: Pool, name: str, language: str, split: str, group: str, gold: set[str], vector: int) -> None:
    pool.id.append(name)
    pool.language.append(language)
    pool.split.append(split)
    pool.group.append(group)
    pool.gold.append(gold)
    pool.query_vectors.append(vector)

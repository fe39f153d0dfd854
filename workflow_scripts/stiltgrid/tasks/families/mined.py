"""Decoding of `families.embedding`: from one layer's sentence vectors to retrieved sentences."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from stiltgrid.tasks import nearest_neighbours

log = logging.getLogger(__name__)

Key = tuple[str, str]


@dataclass(frozen=True)
class Side:
    """The queries and candidates of one language and split: row positions, and their ids, texts and gold."""

    queries: np.ndarray
    candidates: np.ndarray
    names: Mapping[int, str]
    texts: Mapping[int, str]
    gold: Mapping[int, list[str]]

    @classmethod
    def of(cls, rows: pa.Table, members: np.ndarray) -> Side:
        """The side of the rows at positions `members`."""
        some = rows.select(["id", "role", "text", "gold"]).take(pa.array(members))
        numbers = members.tolist()
        is_query = np.asarray([role == "query" for role in some.column("role").to_pylist()], dtype=bool)
        return cls(
            members[is_query],
            members[~is_query],
            dict(zip(numbers, some.column("id").to_pylist(), strict=True)),
            dict(zip(numbers, some.column("text").to_pylist(), strict=True)),
            dict(zip(numbers, some.column("gold").to_pylist(), strict=True)),
        )


@dataclass
class Decoded:
    """Prediction rows under construction, one list per column."""

    id: list[str] = field(default_factory=list)
    language: list[str] = field(default_factory=list)
    split: list[str] = field(default_factory=list)
    prediction: list[str | None] = field(default_factory=list)
    gold: list[list[str]] = field(default_factory=list)
    score: list[float | None] = field(default_factory=list)
    threshold: list[float | None] = field(default_factory=list)

    def add(
        self,
        key: Key,
        name: str,
        prediction: str | None,
        gold: list[str],
        score: float | None,
        threshold: float | None = None,
    ) -> None:
        """Append one row; `prediction` is None for a query without a mined pair."""
        self.id.append(name)
        self.language.append(key[0])
        self.split.append(key[1])
        self.prediction.append(prediction)
        self.gold.append(gold)
        self.score.append(score)
        self.threshold.append(threshold)

    def columns(self) -> dict[str, list[Any]]:
        """The columns by name."""
        return dict(vars(self))


def centred(sides: Iterable[Side], vectors: np.ndarray) -> np.ndarray:
    """`vectors` (rows, hidden) minus the mean of the queries, or of the candidates, of their language and split.

    Cosines of vectors with a large common component hardly differ, and a few candidates near the mean are everyone's
    nearest neighbour. Subtracting each language's mean corrects both (Libovický et al. 2020, "On the Language
    Neutrality of Pre-trained Multilingual Representations"). No pairs are used.
    """
    moved = vectors.copy()
    for side in sides:
        for members in (side.queries, side.candidates):
            if len(members):
                moved[members] -= vectors[members].mean(axis=0)
    return moved


def nearest_rows(sides: Mapping[Key, Side], vectors: np.ndarray) -> Decoded:
    """Each query's nearest candidate by cosine; `vectors` (rows, hidden) of unit length."""
    decoded = Decoded()
    for key, side in sides.items():
        if not len(side.candidates):
            continue
        found = nearest_neighbours.nearest(vectors[side.queries], vectors[side.candidates], 1)
        best, scores = side.candidates[found.indices[:, 0]].tolist(), found.scores[:, 0].tolist()
        for query, candidate, score in zip(side.queries.tolist(), best, scores, strict=True):
            decoded.add(key, side.names[query], side.names[candidate], side.gold[query], score)
    return decoded


def mined_rows(sides: Mapping[Key, Side], vectors: np.ndarray, neighbours: int) -> Decoded:
    """Pairs mined by ratio margin, with the threshold of the best F1 on the language's dev split.

    The dev split uses its own threshold, as XTREME reports it. So does a language without a dev split, which makes its
    score too high; a warning is logged.
    """
    mined = {key: _mine(side, vectors, neighbours) for key, side in sides.items()}
    decoded = Decoded()
    for key, side in sides.items():
        language, split = key
        tuned_on = (language, "dev") if (language, "dev") in sides else key
        if tuned_on == key and split != "dev":
            log.warning(
                "%s: no dev split to choose the threshold on; %s is scored at its own best threshold",
                language,
                split,
            )
        threshold = _threshold(sides[tuned_on], mined[tuned_on])
        _add_pairs(decoded, key, side, mined[key], threshold)
    return decoded


def _mine(side: Side, vectors: np.ndarray, neighbours: int) -> list[tuple[int, int, float]]:
    """(query row, candidate row, margin). A repeated sentence is mined once, and its pairs are dropped.

    This follows XTREME, where a text that occurs twice does not identify a sentence.
    """
    queries, repeated_queries = _unique(side, side.queries)
    candidates, repeated_candidates = _unique(side, side.candidates)
    pairs = nearest_neighbours.mine_pairs(vectors[queries], vectors[candidates], neighbours)
    found = zip(queries[pairs.sources].tolist(), candidates[pairs.targets].tolist(), pairs.scores.tolist(), strict=True)
    return [item for item in found if item[0] not in repeated_queries and item[1] not in repeated_candidates]


def _unique(side: Side, members: np.ndarray) -> tuple[np.ndarray, set[int]]:
    """The first row of each text, and those among them whose text is repeated."""
    first: dict[str, int] = {}
    repeated: set[int] = set()
    for row in members.tolist():
        if first.setdefault(side.texts[row], row) != row:
            repeated.add(first[side.texts[row]])
    return np.asarray(list(first.values()), dtype=np.int64), repeated


def _threshold(side: Side, pairs: list[tuple[int, int, float]]) -> float:
    scores = np.asarray([score for _, _, score in pairs])
    correct = np.asarray([side.names[candidate] in side.gold[query] for query, candidate, _ in pairs], dtype=bool)
    return nearest_neighbours.best_threshold(scores, correct, sum(map(len, side.gold.values())))


def _add_pairs(decoded: Decoded, key: Key, side: Side, pairs: list[tuple[int, int, float]], threshold: float) -> None:
    kept = {query: (candidate, score) for query, candidate, score in pairs if score >= threshold}
    for query in side.queries.tolist():
        if query in kept:
            candidate, score = kept[query]
            decoded.add(key, side.names[query], side.names[candidate], side.gold[query], score, threshold)
        elif side.gold[query]:
            decoded.add(key, side.names[query], None, side.gold[query], None, threshold)

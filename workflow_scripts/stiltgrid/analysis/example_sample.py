"""A small sample of a target's examples that shows, for every cell, what was right and wrong and what `none` did there.

Examples are taken greedily: each adds the most cells for which one of four outcomes was not shown yet (both right, only
the row right, only `none` right, both wrong). The sample is for looking at, not for estimating a score.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.parquet import read_parquet, read_schema

# Columns of predictions.parquet, besides the keys, that say whether an example is right.
READS: Mapping[str, tuple[str, ...]] = {
    "sequence": ("score",),
    "choice": ("score",),
    "tagging": ("score",),
    "span": ("exact_match", "f1"),
    "embedding": ("gold",),
    "dual": ("ranks", "relevant"),
}
KEYS = ("id", "language", "split", "prediction")
AnyPath = str | os.PathLike[str]
Cell = tuple[str, str]  # model, intermediate


@dataclass(frozen=True)
class Answer:
    """What one cell predicted for an example: `value` in the family's type, and `facts`, the columns of READS."""

    value: Any
    right: bool
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Sampled:
    """One example of a sample, with the answers of the cells that have a prediction for it."""

    id: str
    answers: Mapping[Cell, Answer]


@dataclass(frozen=True)
class Sample:
    """A language's sample, the most telling example first, out of `total` examples."""

    total: int
    examples: tuple[Sampled, ...]


def sample_examples(
    paths: Mapping[Cell, AnyPath], family: str, split: str, languages: Sequence[str], size: int, baseline: str
) -> dict[str, Sample]:
    """At most `size` examples of each language, from the predictions of a target's cells at one seed.

    `baseline` is the intermediate that every cell of a model is compared with. A language without predictions is left
    out. Raises SourceError, naming the file, where columns are missing.
    """
    tables = {cell: _read(path, family, split) for cell, path in paths.items()}
    found = {}
    for language in languages:
        parts = {cell: table.filter(pc.equal(table.column("language"), language)) for cell, table in tables.items()}
        sample = _sample(parts, family, f"{split}/{language}", size, baseline)
        if sample.total:
            found[language] = sample
    return found


def _read(path: AnyPath, family: str, split: str) -> pa.Table:
    present = read_schema(path).names
    names = [*KEYS, *READS[family]]
    lacking = [name for name in names if name not in present]
    if lacking:
        raise SourceError(f"{path}: expected columns {', '.join(lacking)}, found {', '.join(present)}")
    return read_parquet(path, columns=names, filters=[("split", "==", split)])


def _sample(parts: Mapping[Cell, pa.Table], family: str, name: str, size: int, baseline: str) -> Sample:
    ids = list(dict.fromkeys(each for part in parts.values() for each in part.column("id").to_pylist()))
    places = {cell: _places(part.column("id").to_pylist(), ids) for cell, part in parts.items()}
    right = {cell: _right(part, family) for cell, part in parts.items()}
    cells = [cell for cell in parts if len(right[cell])]
    if not ids or not cells:
        return Sample(0, ())
    outcomes = np.stack([_outcomes(cell, right, places, baseline) for cell in cells])
    chosen = choose(outcomes, size, name)
    return Sample(len(ids), tuple(_sampled(ids[index], index, cells, parts, places, right, family) for index in chosen))


def _places(names: Sequence[str], ids: Sequence[str]) -> np.ndarray:
    """(ids,) the row of each id in a cell's file, -1 where it has none (mining writes claimed pairs only)."""
    if len(names) == len(ids) and list(names) == list(ids):
        return np.arange(len(ids))
    place = {name: row for row, name in enumerate(names)}
    return np.asarray([place.get(name, -1) for name in ids])


def _right(part: pa.Table, family: str) -> np.ndarray:
    """(rows,) whether each example is right: exactly, for spans and tags; the first rank, for retrieval."""
    if family == "span":
        return np.asarray(part.column("exact_match").to_numpy() == 1)
    if family == "embedding":
        pairs = zip(part.column("prediction").to_pylist(), part.column("gold").to_pylist(), strict=True)
        return np.asarray([prediction in gold for prediction, gold in pairs], dtype=bool)
    if family == "dual":
        return np.asarray([1 in ranks for ranks in part.column("ranks").to_pylist()], dtype=bool)
    return np.asarray(part.column("score").to_numpy() == 1)


def _outcomes(
    cell: Cell, right: Mapping[Cell, np.ndarray], places: Mapping[Cell, np.ndarray], baseline: str
) -> np.ndarray:
    """(examples,) two bits: the cell is right, and `baseline` is right; an example without a row is not claimed."""
    none = (cell[0], baseline)
    own = _spread(right[cell], places[cell])
    beside = _spread(right[none], places[none]) if none in right and len(right[none]) else own
    found: np.ndarray = 2 * own.astype(np.int64) + beside
    return found


def _spread(right: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(examples,) `right` in the order of the ids; without a row, a query without gold has no claimed pair: right."""
    return np.where(places < 0, True, right[np.maximum(places, 0)])


def choose(outcomes: np.ndarray, size: int, name: str) -> list[int]:
    """Indices of at most `size` examples, given `outcomes` (cells, examples) from 0 to 3; `name` seeds the order.

    Fewer where all outcomes that occur are shown already, but at least four where there are as many.
    """
    cells, count = outcomes.shape
    digest = hashlib.sha256(name.encode()).digest()
    order = np.random.default_rng(int.from_bytes(digest[:8], "big")).permutation(count)
    shuffled, rows = outcomes[:, order], np.arange(cells)
    lacking = np.ones((cells, 4), dtype=bool)
    taken: list[int] = []
    free = np.ones(count, dtype=bool)
    while len(taken) < min(size, count):
        worth = np.where(free, lacking[rows[:, None], shuffled].sum(axis=0), -1)
        best = int(worth.argmax())
        if worth[best] == 0 and len(taken) >= 4:
            break
        taken.append(best)
        free[best] = False
        lacking[rows, shuffled[:, best]] = False
    return [int(order[place]) for place in taken]


def _sampled(
    name: str,
    index: int,
    cells: Sequence[Cell],
    parts: Mapping[Cell, pa.Table],
    places: Mapping[Cell, np.ndarray],
    right: Mapping[Cell, np.ndarray],
    family: str,
) -> Sampled:
    answers = {}
    for cell in cells:
        row = int(places[cell][index])
        if row < 0:
            answers[cell] = Answer(None, True, {})
            continue
        values = {column: parts[cell].column(column)[row].as_py() for column in ("prediction", *READS[family])}
        answers[cell] = Answer(values.pop("prediction"), bool(right[cell][row]), values)
    return Sampled(name, answers)

"""Nearest neighbours and bitext mining in bounded memory: exact, deterministic, numpy only.

Vectors are float32 of unit length, so a dot product is a cosine. Scores are computed block by block, and each block is
read in both directions while it is in the cache; the whole matrix is never in memory.
"""

import logging
from dataclasses import dataclass

import numpy as np

log = logging.getLogger(__name__)

ROW_BLOCK = 4096
COLUMN_BLOCK = 4096
SMALLEST_MEAN = 1e-6
_MANTISSA = np.int32(0x7FFFFFFF)


@dataclass(frozen=True)
class Neighbours:
    """The k nearest vectors: `scores` (n, k) descending and `indices` (n, k); ties go to the lowest index."""

    scores: np.ndarray
    indices: np.ndarray


@dataclass(frozen=True)
class MinedPairs:
    """One-to-one pairs by descending `scores`: row numbers `sources` of x and `targets` of y, each (pairs,)."""

    sources: np.ndarray
    targets: np.ndarray
    scores: np.ndarray


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """(n, hidden) float32 copies of unit length; zero and non-finite vectors become zero (cosine 0 to all)."""
    result = np.array(vectors, dtype=np.float32)
    broken = ~np.isfinite(result).all(axis=1)
    if broken.any():
        log.warning("%d of %d sentence vectors are not finite and retrieve nothing", broken.sum(), len(result))
        result[broken] = 0.0
    lengths = np.sqrt(np.einsum("ij,ij->i", result, result, dtype=np.float64))
    lengths[lengths == 0] = 1.0
    result /= lengths[:, None].astype(np.float32)
    return result


def nearest(queries: np.ndarray, candidates: np.ndarray, k: int) -> Neighbours:
    """The k candidates of highest dot product for each query (fewer than k where there are fewer)."""
    return _search(queries, candidates, k, both=False)[0]


def nearest_both(x: np.ndarray, y: np.ndarray, k: int) -> tuple[Neighbours, Neighbours]:
    """`nearest` of x among y and of y among x, from one pass over the scores."""
    forward, backward = _search(x, y, k, both=True)
    assert backward is not None
    return forward, backward


def mine_pairs(x: np.ndarray, y: np.ndarray, k: int = 4) -> MinedPairs:
    """Parallel sentences by ratio margin, "max" retrieval (Artetxe and Schwenk 2019; XTREME's BUCC).

    margin(x, y) = cos(x, y) / ((mean of x's k best cosines + mean of y's k best) / 2). Every x proposes the neighbour
    of the best margin among its k, and so does every y. Proposals are accepted greedily by margin, each sentence at
    most once. Pairs of margin 0 or less are left out; means are at least 1e-6.
    """
    if not len(x) or not len(y):
        empty = np.zeros(0, dtype=np.int64)
        return MinedPairs(empty, empty, np.zeros(0))
    forward, backward = nearest_both(x, y, k)
    x_mean, y_mean = forward.scores.mean(axis=1), backward.scores.mean(axis=1)
    x_best, x_margin = _best_by_margin(forward, x_mean, y_mean)
    y_best, y_margin = _best_by_margin(backward, y_mean, x_mean)
    sources = np.concatenate([np.arange(len(x)), y_best])
    targets = np.concatenate([x_best, np.arange(len(y))])
    margins = np.concatenate([x_margin, y_margin])
    kept = _greedy(sources, targets, margins)
    return MinedPairs(sources[kept], targets[kept], margins[kept])


def best_threshold(scores: np.ndarray, correct: np.ndarray, gold: int) -> float:
    """The minimum score of the highest F1, halfway to the next lower score (XTREME's BUCC).

    `scores` (pairs,) and `correct` (pairs,) bool describe mined pairs, `gold` is the number of true ones. Pairs of
    equal scores are kept or dropped together. 0.0, which keeps everything, if no pair is correct.
    """
    order = np.argsort(-scores, kind="stable")
    falling, hits = scores[order], np.cumsum(correct[order])
    if not len(falling) or not hits[-1]:
        return 0.0
    f1 = 2.0 * hits / (np.arange(1, len(falling) + 1) + gold)
    following = np.append(falling[1:], falling[-1])
    f1[:-1][falling[:-1] == following[:-1]] = -1.0  # no threshold separates equal scores
    best = int(np.argmax(f1))
    return float((falling[best] + following[best]) / 2)


def _best_by_margin(found: Neighbours, own: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index and ratio margin (float64) of each row's best neighbour."""
    mean = (own[:, None].astype(np.float64) + other[found.indices]) / 2
    margins = found.scores / np.maximum(mean, SMALLEST_MEAN)
    best = margins.argmax(axis=1)
    rows = np.arange(len(best))
    return found.indices[rows, best], margins[rows, best]


def _greedy(sources: np.ndarray, targets: np.ndarray, margins: np.ndarray) -> np.ndarray:
    """Numbers of the proposals accepted by descending margin, no source or target twice."""
    seen_sources: set[int] = set()
    seen_targets: set[int] = set()
    kept = []
    order = np.argsort(-margins, kind="stable")
    for number, source, target in zip(order.tolist(), sources[order].tolist(), targets[order].tolist(), strict=True):
        if margins[number] <= 0:
            break
        if source not in seen_sources and target not in seen_targets:
            seen_sources.add(source)
            seen_targets.add(target)
            kept.append(number)
    return np.asarray(kept, dtype=np.int64)


def _keys(scores: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """One int64 per (score, column) that sorts by descending score, then ascending column."""
    bits = (0.0 - scores).astype(np.float32, copy=False).view(np.int32)
    return ((bits ^ ((bits >> 31) & _MANTISSA)).astype(np.int64) << 32) | columns


def _from_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scores (float32) and columns (int64) of `_keys`."""
    bits = (keys >> 32).astype(np.int32)
    return 0.0 - (bits ^ ((bits >> 31) & _MANTISSA)).view(np.float32), keys & 0xFFFFFFFF


def _first(keys: np.ndarray, k: int) -> np.ndarray:
    """The k smallest keys of each row, sorted."""
    if keys.shape[1] > k:
        keys = np.partition(keys, k - 1, axis=1)[:, :k]
    return np.sort(keys, axis=1)


class _Running:
    """The k best columns so far of n rows, updated with blocks of columns in ascending order."""

    def __init__(self, n: int, k: int) -> None:
        self.keys = np.full((n, k), np.iinfo(np.int64).max, dtype=np.int64)
        self.worst = np.full(n, -np.inf, dtype=np.float32)

    def update(self, start: int, block: np.ndarray, first_column: int) -> None:
        """Read scores (rows, columns) of rows [start, start + rows) and columns from `first_column` on."""
        k = self.keys.shape[1]
        maxima, groups = _group_maxima(block, k)
        # Only strictly better columns: among equals the earlier one stays.
        rows = np.flatnonzero(maxima.max(axis=1) > self.worst[start : start + len(block)])
        if not len(rows):
            return
        found = _block_best(block, np.ascontiguousarray(maxima[rows]), groups, rows, min(k, block.shape[1]))
        at = start + rows
        self.keys[at] = _first(np.concatenate([self.keys[at], found + first_column], axis=1), k)
        filled = self.keys[at, -1] != np.iinfo(np.int64).max
        self.worst[at[filled]] = _from_keys(self.keys[at[filled], -1])[0]

    def neighbours(self) -> Neighbours:
        return Neighbours(*_from_keys(self.keys))


def _search(x: np.ndarray, y: np.ndarray, k: int, both: bool) -> tuple[Neighbours, Neighbours | None]:
    forward = _Running(len(x), min(k, len(y)))
    backward = _Running(len(y), min(k, len(x)))
    buffer = np.empty((min(ROW_BLOCK, len(x)), min(COLUMN_BLOCK, len(y))), dtype=np.float32)
    for row in range(0, len(x), ROW_BLOCK):
        some_x = np.asarray(x[row : row + ROW_BLOCK], dtype=np.float32)
        for column in range(0, len(y), COLUMN_BLOCK):
            some_y = np.asarray(y[column : column + COLUMN_BLOCK], dtype=np.float32)
            block = buffer.reshape(-1)[: len(some_x) * len(some_y)].reshape(len(some_x), len(some_y))
            np.matmul(some_x, some_y.T, out=block)
            forward.update(row, block, column)
            if both:
                backward.update(column, block.T, row)
    return forward.neighbours(), backward.neighbours() if both else None


def _group_maxima(block: np.ndarray, k: int) -> tuple[np.ndarray, int]:
    """(rows, width) maxima over the columns j, j + width, j + 2 width, …; and the number of columns in a group.

    The k best columns are in the k groups of the highest maxima, so one fast pass replaces most of the sorting.
    """
    columns = block.shape[1]
    groups = max(1, min(16, columns // (4 * k)))
    width = -(-columns // groups)
    maxima = block[:, :width].copy(order="K")
    for start in range(width, columns, width):
        part = block[:, start : start + width]
        np.maximum(maxima[:, : part.shape[1]], part, out=maxima[:, : part.shape[1]])
    return maxima, groups


def _block_best(block: np.ndarray, maxima: np.ndarray, groups: int, rows: np.ndarray, k: int) -> np.ndarray:
    """Keys (len(rows), k) of the best columns of some rows of a block, sorted; `maxima` are those rows'."""
    width = maxima.shape[1]
    chosen = np.argpartition(maxima, width - k, axis=1)[:, width - k :]
    columns = (chosen[:, :, None] + width * np.arange(groups)).reshape(len(rows), -1)
    scores = block[rows[:, None], np.minimum(columns, block.shape[1] - 1)]
    scores[columns >= block.shape[1]] = -np.inf
    keys = _first(_keys(scores, columns), k)
    # Another group may hold an equal of the worst one kept, at a lower column: such rows are sorted in full.
    worst, _ = _from_keys(keys[:, -1:])
    for number in np.flatnonzero((maxima >= worst).sum(axis=1) > k):
        line = block[rows[number]]
        equal = np.flatnonzero(line == worst[number, 0])[:k]
        above = np.flatnonzero(line > worst[number, 0])
        keys[number] = _first(_keys(line, np.arange(len(line)))[None, np.concatenate([above, equal])], k)[0]
    return keys

"""The plan of an optimizer step: which examples it takes, and how they are split into micro-batches. Numpy only."""

from dataclasses import dataclass

import numpy as np

from stiltgrid.modeling.encoded import Encoded

TIE = 1e-6  # of a token's cost: among plans of equal cost the one with the least padding wins


class ExampleOrder:
    """An endless seeded stream of example numbers: a new shuffle each epoch, no example twice in a step.

    A step that crosses the end of an epoch takes from the next shuffle only examples that it does not hold yet, as
    in-batch negatives require, unless the step is larger than the pool.
    """

    def __init__(self, pool: np.ndarray, seed: int) -> None:
        self.pool = np.asarray(pool, dtype=np.int64)
        if not len(self.pool):
            raise ValueError("no examples to draw from")
        self.seed = seed
        self.distinct = len(np.unique(self.pool))
        self.epoch = 0
        self.order = self._shuffle()
        self.used = 0

    def _shuffle(self) -> np.ndarray:
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.pool)

    def take(self, count: int) -> np.ndarray:
        """The next `count` example numbers."""
        taken = self.order[self.used : self.used + count]
        self.used += len(taken)
        while len(taken) < count:
            self.epoch += 1
            fresh = self._shuffle()
            repeats = np.isin(fresh, taken) if self.distinct >= count else np.zeros(len(fresh), dtype=bool)
            drawn = np.flatnonzero(~repeats)[: count - len(taken)]
            taken = np.concatenate([taken, fresh[drawn]])
            self.order, self.used = np.delete(fresh, drawn), 0
        return taken


@dataclass(frozen=True)
class PassCost:
    """Cost of a forward and backward pass, in tokens: the computed tokens, at least `floor`, plus `overhead`."""

    overhead: float = 0.0
    floor: float = 0.0


# Seconds per layer that a pass takes before any token, and floating-point operations per second. On a CPU the former
# are added to the computation; on a GPU they overlap with it if there is enough of it.
CPU_SECONDS, CPU_RATE = 2e-3, 1e10
GPU_SECONDS, GPU_RATE = 6e-4, 3e14


def pass_cost(device: str, layers: int, parameters: int) -> PassCost:
    """Cost of a pass through a backbone of `layers` layers with `parameters` parameters in their matrices.

    A token takes six operations per parameter (Kaplan et al. 2020), which converts seconds to tokens.
    """
    if device == "cpu":
        return PassCost(overhead=layers * CPU_SECONDS * CPU_RATE / (6 * parameters))
    return PassCost(floor=layers * GPU_SECONDS * GPU_RATE / (6 * parameters))


def cut_by_length(lengths: np.ndarray, counts: np.ndarray, max_tokens: int, cost: PassCost) -> list[np.ndarray]:
    """Partition units into padded micro-batches of the least total cost, and among equals the least padding.

    `lengths` is each unit's longest sequence in tokens, `counts` its number of sequences. A micro-batch computes its
    number of sequences times its longest. Units are sorted by length, so dynamic programming over the boundaries is
    exact. No micro-batch exceeds `max_tokens`, unless a single unit does. Returns one array of unit numbers per
    micro-batch, longest first, so that a step's peak of memory comes first.
    """
    order = np.lexsort((np.arange(len(lengths)), -lengths))
    longest = lengths[order].astype(np.int64)
    before = np.concatenate([[0], np.cumsum(counts[order])]).astype(np.int64)
    best = np.zeros(len(order) + 1)
    cut = np.zeros(len(order) + 1, dtype=np.int64)
    for end in range(1, len(order) + 1):
        tokens = longest[:end] * (before[end] - before[:end])
        fits = tokens <= max_tokens
        fits[end - 1] = True
        price = np.maximum(tokens, cost.floor) + cost.overhead + TIE * tokens
        costs = np.where(fits, best[:end] + price, np.inf)
        cut[end] = int(costs.argmin())
        best[end] = costs[cut[end]]
    pieces = []
    end = len(order)
    while end:
        pieces.append(order[cut[end] : end])
        end = int(cut[end])
    return pieces[::-1]


def fill(longest: np.ndarray, sizes: np.ndarray, max_tokens: int) -> list[np.ndarray]:
    """Fill packed micro-batches with units of `sizes` tokens, longest first, up to `max_tokens` each.

    A unit of more than `max_tokens` forms a micro-batch of its own.
    """
    order = np.lexsort((np.arange(len(longest)), -longest))
    pieces: list[list[int]] = []
    left = 0
    for unit in order:
        if not pieces or sizes[unit] > left:
            pieces.append([])
            left = max_tokens
        pieces[-1].append(int(unit))
        left -= int(sizes[unit])
    return [np.asarray(piece, dtype=np.int64) for piece in pieces]


def plan_step(
    encoded: Encoded,
    example_offsets: np.ndarray,
    examples: np.ndarray,
    max_tokens: int,
    cost: PassCost,
    splits_batches: bool = True,
    splits_examples: bool = False,
    packed: bool = False,
) -> list[np.ndarray]:
    """Micro-batches of an optimizer step: arrays of the sequence numbers of all its `examples`.

    With `splits_batches` false, the step is one forward pass. With `splits_examples` true, sequences of one example
    may go to different micro-batches, which saves padding where the loss is a sum over sequences. Packed micro-batches
    have no padding, so they are as large as `max_tokens` allows, whatever the `cost` of a pass.
    """
    starts, stops = example_offsets[examples], example_offsets[examples + 1]
    counts = stops - starts
    rows = np.arange(int(counts.sum())) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
    if not splits_batches:
        return [rows]
    lengths = encoded.lengths[rows]
    if splits_examples:
        ones = np.ones_like(lengths)
        pieces = fill(lengths, lengths, max_tokens) if packed else cut_by_length(lengths, ones, max_tokens, cost)
        return [rows[piece] for piece in pieces]
    first = np.cumsum(counts) - counts
    longest = np.maximum.reduceat(lengths, first)
    groups = np.split(rows, first[1:])
    sizes = np.add.reduceat(lengths, first)
    pieces = fill(longest, sizes, max_tokens) if packed else cut_by_length(longest, counts, max_tokens, cost)
    return [np.concatenate([groups[unit] for unit in piece]) for piece in pieces]


def length_sorted(lengths: np.ndarray, max_tokens: int) -> list[np.ndarray]:
    """Batches of all sequences, longest first, each of at most `max_tokens` computed tokens or one sequence."""
    order = np.lexsort((np.arange(len(lengths)), -lengths))
    batches = []
    start = 0
    while start < len(order):
        size = max(1, int(max_tokens // max(1, int(lengths[order[start]]))))
        batches.append(order[start : start + size])
        start += size
    return batches


def least_padded(lengths: np.ndarray, max_tokens: int, overhead: float) -> list[np.ndarray]:
    """Batches of all sequences as in `length_sorted`, cut where a shorter padding is worth the `overhead` of a pass.

    `overhead` is the cost of one more batch, in tokens. The cuts lie between distinct lengths and are the best by
    dynamic programming; what is larger than `max_tokens` is then cut as in `length_sorted`. Longest first.
    """
    order = np.lexsort((np.arange(len(lengths)), -lengths))
    if not len(order):
        return []
    distinct, firsts = np.unique(-lengths[order], return_index=True)
    longest, edges = -distinct.astype(np.int64), np.append(firsts, len(order))
    best, cut = np.zeros(len(edges)), np.zeros(len(edges), dtype=np.int64)
    for end in range(1, len(edges)):
        tokens = longest[:end] * (edges[end] - edges[:end])
        costs = best[:end] + tokens + overhead * np.ceil(tokens / max_tokens)
        cut[end] = int(costs.argmin())
        best[end] = costs[cut[end]]
    pieces, end = [], len(edges) - 1
    while end:
        members = order[edges[cut[end]] : edges[end]]
        pieces.append([members[part] for part in length_sorted(lengths[members], max_tokens)])
        end = int(cut[end])
    return [batch for piece in pieces[::-1] for batch in piece]

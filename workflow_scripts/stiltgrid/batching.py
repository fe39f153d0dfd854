"""Batches of encoded sequences: the one place that knows how tokens lie in memory.

Heads see hidden states through `Batch.pool`, `Batch.flat` and `Batch.padded`, so a change of layout
(padding, packing) touches this module alone. The plan of a step (which examples, cut into which
micro-batches) is numpy only; the tensors are made at the end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from stiltgrid.comparing import side_by_side, text_means
from stiltgrid.encoded import Encoded
from stiltgrid.packing import Packing, pack

POOLINGS = ("cls", "mean", "mean_all", "last")
TIE = 1e-6  # of a token's price, for the padding of micro-batches that cost the same


@dataclass
class Batch:
    """Sequences for one forward pass, padded on the right to the longest of them.

    `scalars` are (sequences,) tensors and `tokens` (total tokens,) tensors in sequence order, one a
    column of the encoded file; `input_ids` and `attention_mask` are (sequences, longest).
    `places` are the positions of the real tokens in the flattened (sequences * longest) layout.
    `causal` says that the model reads from left to right; `separator` is the id that ends the first of two
    segments, where the model tells them apart.
    With a `packing` nothing is padded: `input_ids` and hidden states are (1, total tokens), in sequence order.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    content_mask: torch.Tensor
    lengths: torch.Tensor
    scalars: dict[str, torch.Tensor]
    tokens: dict[str, torch.Tensor]
    indices: np.ndarray
    pooling: str
    places: torch.Tensor
    causal: bool = False
    separator: int | None = None
    packing: Packing | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def real_tokens(self) -> int:
        """Tokens that are not padding."""
        return len(self.places)

    @property
    def computed_tokens(self) -> int:
        """Tokens that the backbone computes, padding included."""
        return self.input_ids.numel()

    @property
    def model_mask(self) -> torch.Tensor | None:
        """The attention mask, or None where nothing is padded: attention then takes its faster kernel."""
        return None if self.real_tokens == self.computed_tokens else self.attention_mask

    @property
    def summary(self) -> torch.Tensor:
        """(sequences,): the position that has read the whole sequence: the first, or the last from left to right."""
        return self.lengths - 1 if self.causal else torch.zeros_like(self.lengths)

    @property
    def segments(self) -> torch.Tensor | None:
        """Like `input_ids`, of 0 and 1: the segment of each token (BERT's token types); None where none are told."""
        if self.separator is None:
            return None
        ends = (self.input_ids == self.separator).long()
        if self.packing is not None:
            ends = self.padded(ends[0], 0)
        found = ((ends.cumsum(1) - ends > 0) & self.attention_mask).long()
        return found if self.packing is None else found.reshape(1, -1)[:, self.places]

    def pool(self, hidden: torch.Tensor, how: str | None = None) -> torch.Tensor:
        """(sequences, hidden): first token, mean of non-special tokens, mean of all, or last token.

        `compared` is (sequences, 4 * hidden): the means of the two texts, side by side.
        """
        how = how or self.pooling
        if self.packing is not None:
            if how in ("cls", "last"):
                places = self.packing.starts if how == "cls" else self.packing.starts + self.lengths - 1
                return hidden[0].index_select(0, places)
            hidden = self.padded(hidden[0], 0.0)
        if how == "compared":
            return side_by_side(*text_means(hidden, self.attention_mask, self.content_mask))
        if how == "cls":
            return hidden[:, 0]
        if how == "last":
            return hidden[torch.arange(len(hidden), device=hidden.device), self.lengths - 1]
        mask = (self.content_mask if how == "mean" else self.attention_mask).to(hidden.dtype).unsqueeze(-1)
        return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)

    def flat(self, hidden: torch.Tensor) -> torch.Tensor:
        """(total tokens, …): the states of real tokens, in sequence order."""
        tokens = hidden.reshape(-1, *hidden.shape[2:])
        return tokens[self.places] if self.packing is None else tokens

    def compared(self, hidden: torch.Tensor) -> torch.Tensor:
        """(total tokens, 4 * hidden): the mean of the first text and each token, side by side.

        The plain states where the pooling is another.
        """
        tokens = self.flat(hidden)
        if self.pooling != "compared":
            return tokens
        first, _ = text_means(self.padded(tokens, 0.0), self.attention_mask, self.content_mask)
        return side_by_side(first.repeat_interleave(self.lengths, dim=0), tokens)

    def padded(self, values: torch.Tensor, fill: float) -> torch.Tensor:
        """(sequences, longest, …) from (total tokens, …); `fill` stands beyond each sequence's end."""
        result = values.new_full((self.attention_mask.numel(), *values.shape[1:]), fill)
        result = result.index_copy(0, self.places, values)
        return result.reshape(*self.attention_mask.shape, *values.shape[1:])

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device (asynchronously, from pinned memory, where that is a GPU)."""
        if device.type == "cpu":
            return self

        def move(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.pin_memory().to(device, non_blocking=True)

        return Batch(
            move(self.input_ids),
            move(self.attention_mask),
            move(self.content_mask),
            move(self.lengths),
            {name: move(value) for name, value in self.scalars.items()},
            {name: move(value) for name, value in self.tokens.items()},
            self.indices,
            self.pooling,
            move(self.places),
            self.causal,
            self.separator,
            None if self.packing is None else self.packing.moved(move),
        )


def token_positions(encoded: Encoded, rows: np.ndarray) -> np.ndarray:
    """Positions in the encoded token columns of all tokens of some sequences, in sequence order."""
    lengths = encoded.lengths[rows]
    before = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(encoded.offsets[rows] - before, lengths)


def make_batch(
    encoded: Encoded,
    indices: Sequence[int] | np.ndarray,
    pad: int,
    special: Sequence[int] = (),
    pooling: str = "cls",
    causal: bool = False,
    separator: int | None = None,
    packed: bool = False,
) -> Batch:
    """Gather sequences by index. `special` are the ids that mean-pooling leaves out; the rest as in `Batch`."""
    rows = np.asarray(indices, dtype=np.int64)
    lengths = encoded.lengths[rows]
    mask = np.arange(int(lengths.max()))[None, :] < lengths[:, None]
    positions = token_positions(encoded, rows)
    input_ids = np.full(mask.shape, pad, dtype=np.int64)
    tokens = encoded.tokens["input_ids"][positions]
    input_ids[mask] = tokens
    content = mask & ~np.isin(input_ids, np.asarray([*special], dtype=np.int64))
    return Batch(
        torch.from_numpy(tokens.astype(np.int64)[None] if packed else input_ids),
        torch.from_numpy(mask),
        torch.from_numpy(content),
        torch.from_numpy(lengths.astype(np.int64)),
        _tensors(encoded.scalars, rows, skip=""),
        _tensors(encoded.tokens, positions, skip="input_ids"),
        rows,
        pooling,
        torch.from_numpy(np.flatnonzero(mask)),
        causal,
        separator,
        pack(lengths) if packed else None,
    )


def _tensors(columns: Mapping[str, Any], at: np.ndarray, skip: str) -> dict[str, torch.Tensor]:
    return {
        name: torch.from_numpy(np.asarray(column)[at].astype(np.int64))
        for name, column in columns.items()
        if name != skip
    }


class ExampleOrder:
    """An endless seeded stream of example numbers: a fresh shuffle each epoch, none twice in a step.

    A step that reaches over the end of an epoch takes from the next shuffle only examples that it does
    not hold yet (in-batch negatives need that), except where the step is larger than the pool.
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
    """What a forward and backward pass costs, in tokens: its computed tokens, at least `floor`, plus `overhead`."""

    overhead: float = 0.0
    floor: float = 0.0


# Seconds a layer that a pass takes before any token, and floating-point operations a second. On a CPU the
# first come on top; on a GPU they pass in the shadow of the computing, where there is enough of it.
CPU_SECONDS, CPU_RATE = 2e-3, 1e10
GPU_SECONDS, GPU_RATE = 6e-4, 3e14


def pass_cost(device: str, layers: int, parameters: int) -> PassCost:
    """The cost of passes through a backbone with so many layers and parameters in their matrices.

    A token takes six operations a parameter (Kaplan et al. 2020), which turns seconds into tokens.
    """
    if device == "cpu":
        return PassCost(overhead=layers * CPU_SECONDS * CPU_RATE / (6 * parameters))
    return PassCost(floor=layers * GPU_SECONDS * GPU_RATE / (6 * parameters))


def cut_by_length(lengths: np.ndarray, counts: np.ndarray, max_tokens: int, cost: PassCost) -> list[np.ndarray]:
    """Cut units into micro-batches that cost least together, and among equals pad least.

    `lengths` is each unit's longest sequence, `counts` its number of sequences. Units are sorted by
    length, so a dynamic programme over cut points is exact: a micro-batch computes its sequences times
    its longest. None exceeds `max_tokens`, unless one unit alone does. Longest first, so that a step's
    peak of memory comes at once. Returns unit numbers, one array a micro-batch.
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
    """Units of `sizes` tokens in as few micro-batches of at most `max_tokens` as their order by length allows.

    Longest first. A unit that alone is larger stands alone.
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
    """Micro-batches (sequence numbers each) of one optimiser step's examples, all their sequences.

    `splits_batches` False keeps the step in one forward pass; `splits_examples` True lets sequences of
    one example part, which saves padding where the loss is a sum over sequences. `packed` ones have no
    padding to save, so they are as large as `max_tokens` allows, whatever the `cost` of a pass.
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
    """All sequences, longest first, in batches of at most `max_tokens` computed tokens (at least one sequence)."""
    order = np.lexsort((np.arange(len(lengths)), -lengths))
    batches = []
    start = 0
    while start < len(order):
        size = max(1, int(max_tokens // max(1, int(lengths[order[start]]))))
        batches.append(order[start : start + size])
        start += size
    return batches

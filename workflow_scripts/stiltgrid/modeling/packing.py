"""Packing: the sequences of a batch are concatenated without padding; attention stays within each sequence.

All layers except attention see one row of real tokens. Attention either groups the sequences by length, pads each
group to its longest sequence and computes one group at a time (all devices), or calls a kernel for sequences of
unequal lengths (GPUs; see `varlen`). Both are registered as attention functions of transformers, so every model that
looks its attention up there can be packed. `Backbone.enable_packing` first verifies a model on short sequences.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

from stiltgrid.modeling.rearranging import take_rows
from stiltgrid.modeling.varlen import Attended, varlen_attention

GROUPED, VARLEN = "stiltgrid_grouped", "stiltgrid_varlen"  # names of attention functions in transformers
# Cost of one more group, in pairs of tokens that attention compares; 1000 and 6000 are 1 % slower on a CPU.
GROUP_PRICE = 3000
# Arguments that packed attention does not support; models that use them stay padded.
UNSUPPORTED = ("position_bias", "sliding_window", "softcap", "s_aux")


@dataclass(frozen=True)
class LengthGroups:
    """Sequences of like lengths, which `grouped_attention` pads and computes together.

    Attributes:
        shapes: (sequences, longest) of each group.
        masks: of each group (sequences, 1, 1, longest), 0 for tokens and minus infinity for padding; None where all
            sequences of the group have one length.
        gather: positions in the row, group after group; padding repeats its sequence's first token.
        slots: (tokens,), the place of each token of the row in `gather`.
    """

    shapes: tuple[tuple[int, int], ...]
    masks: tuple[torch.Tensor | None, ...]
    gather: torch.Tensor
    slots: torch.Tensor


@dataclass(frozen=True)
class Packing:
    """Positions of the sequences in a packed row.

    Attributes:
        positions: (1, tokens), counted from 0 in each sequence.
        offsets: (sequences + 1,) int32, the boundaries of the sequences in the row.
        lengths: (sequences,), in tokens; on the CPU.
    """

    positions: torch.Tensor
    offsets: torch.Tensor
    lengths: np.ndarray

    @cached_property
    def longest(self) -> int:
        """Length of the longest sequence, in tokens."""
        return int(self.lengths.max())

    @cached_property
    def groups(self) -> LengthGroups:
        """What grouped attention reads, made when it first asks; kernels for unequal lengths never do."""
        return _groups(self.lengths, self.offsets.device)

    @property
    def attended(self) -> int:
        """Number of tokens that grouped attention computes, padding included."""
        return len(self.groups.gather)

    @property
    def starts(self) -> torch.Tensor:
        """(sequences,): position of each sequence's first token."""
        return self.offsets[:-1]

    def to(self, move: Callable[[torch.Tensor], torch.Tensor]) -> "Packing":
        """A copy with `move` applied to every tensor."""
        return Packing(move(self.positions), move(self.offsets), self.lengths)


def pack(lengths: np.ndarray) -> Packing:
    """The packing of sequences of these lengths (tokens), in this order."""
    lengths = np.asarray(lengths, dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    positions = np.arange(int(lengths.sum())) - np.repeat(starts, lengths)
    offsets = np.append(starts, lengths.sum()).astype(np.int32)  # as the kernels ask for them
    return Packing(torch.from_numpy(positions)[None], torch.from_numpy(offsets), lengths)


def _groups(lengths: np.ndarray, device: torch.device) -> LengthGroups:
    starts = np.cumsum(lengths) - lengths
    shapes, masks, gather = [], [], []
    slots, base = np.empty(int(lengths.sum()), dtype=np.int64), 0
    for members in length_groups(lengths):
        longest = int(lengths[members].max())
        columns = np.arange(longest)[None, :]
        real = columns < lengths[members][:, None]
        places = starts[members][:, None] + np.where(real, columns, 0)
        slots[places[real]] = base + np.flatnonzero(real)
        gather.append(places.reshape(-1))
        shapes.append((len(members), longest))
        seen = np.where(real, np.float32(0), -np.float32(np.inf))
        masks.append(None if real.all() else torch.from_numpy(seen)[:, None, None, :].to(device))
        base += real.size
    tables = (torch.from_numpy(table).to(device) for table in (np.concatenate(gather), slots))
    return LengthGroups(tuple(shapes), tuple(masks), *tables)


def length_groups(lengths: np.ndarray, price: float = GROUP_PRICE) -> list[np.ndarray]:
    """Partition sequences by length into groups that minimise the padded squared lengths plus `price` per group.

    Returns arrays of sequence numbers, longest first. Exact: dynamic programming over the distinct lengths.
    """
    order = np.argsort(-lengths, kind="stable")
    distinct, firsts = np.unique(-lengths[order], return_index=True)
    squares, edges = distinct.astype(np.float64) ** 2, np.append(firsts, len(order))
    best, cut = np.zeros(len(edges)), np.zeros(len(edges), dtype=np.int64)
    for end in range(1, len(edges)):
        costs = best[:end] + squares[:end] * (edges[end] - edges[:end]) + price
        cut[end] = int(costs.argmin())
        best[end] = costs[cut[end]]
    pieces, end = [], len(edges) - 1
    while end:
        pieces.append(order[edges[cut[end]] : edges[end]])
        end = int(cut[end])
    return pieces[::-1]


def _group_mask(mask: torch.Tensor | None, attended: Attended, dtype: torch.dtype) -> torch.Tensor | None:
    """A group's additive mask; none for causal attention, whose real tokens never see the padding on the right."""
    return None if mask is None or attended.causal else mask.to(dtype)


def grouped_attention(rows: Sequence[torch.Tensor], packing: Packing, attended: Attended) -> torch.Tensor:
    """(tokens, heads, size) from query, key and value (tokens, heads, size): one attention call a group of lengths."""
    groups = packing.groups
    gathered = [take_rows(row, groups.gather, groups.slots) for row in rows]
    sizes = [sequences * longest for sequences, longest in groups.shapes]
    found = []
    for shape, mask, *parts in zip(groups.shapes, groups.masks, *(row.split(sizes) for row in gathered), strict=True):
        query, key, value = (part.view(*shape, *part.shape[1:]).transpose(1, 2) for part in parts)
        added = _group_mask(mask, attended, query.dtype)
        states = scaled_dot_product_attention(
            query, key, value, added, attended.dropout, attended.causal, scale=attended.scale
        )
        found.append(states.transpose(1, 2).flatten(0, 1))
    return torch.cat(found).index_select(0, groups.slots)


def ungrouped_attention(rows: Sequence[torch.Tensor], packing: Packing, attended: Attended) -> torch.Tensor:
    """Like `grouped_attention`, by one kernel for sequences of unequal lengths; GPUs only."""
    return varlen_attention(rows, packing.offsets, packing.longest, attended)


Kernel = Callable[[Sequence[torch.Tensor], Packing, Attended], torch.Tensor]


def _attention(kernel: Kernel) -> Callable[..., Any]:
    """Wrap a kernel in the signature of transformers' attention functions: tensors (1, heads, tokens, size)."""

    def attend(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        dropout: float = 0.0,
        scaling: float | None = None,
        is_causal: bool | None = None,
        **others: Any,
    ) -> tuple[torch.Tensor, None]:
        packing: Packing | None = others.get("packing")
        unsupported = [name for name in UNSUPPORTED if others.get(name) is not None]
        if packing is None or attention_mask is not None or unsupported:
            raise NotImplementedError(f"packed attention does not support {', '.join(unsupported) or 'a mask'}")
        groups = query.shape[1] // key.shape[1]
        if groups > 1:
            key, value = (item.repeat_interleave(groups, dim=1) for item in (key, value))
        rows = [item[0].transpose(0, 1) for item in (query, key, value)]
        causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
        return kernel(rows, packing, Attended(dropout, bool(causal), scaling))[None], None

    return attend


def register_attention() -> None:
    """Register GROUPED and VARLEN with transformers, whose modelling code is imported only where it is needed."""
    from transformers import AttentionInterface

    AttentionInterface.register(GROUPED, _attention(grouped_attention))
    AttentionInterface.register(VARLEN, _attention(ungrouped_attention))

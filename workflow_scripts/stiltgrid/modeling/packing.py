"""Packing: the sequences of a batch end to end, without padding, attention kept inside each of them.

All layers but attention see one row of real tokens. Attention gathers the sequences by length into a few groups, each
padded to its longest, and computes these one by one (anywhere), or takes a kernel for sequences of unequal lengths
(GPUs). It stands in transformers' registry of attention functions, so every model that looks its attention up there
can be packed; `Backbone.learn_packing` tries a model out on short sequences before it is trusted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

GROUPED, JAGGED = "stiltgrid_grouped", "stiltgrid_jagged"  # names of attention functions in transformers
GROUP_PRICE = 3000  # of one more group, in pairs of tokens that attention compares; 1000 and 6000 cost a CPU 1 % more
# What a model may hand to attention that this one does not do; such models stay padded.
REFUSED = ("position_bias", "sliding_window", "softcap", "s_aux")
# The two halves of `scaled_dot_product_attention` on a CPU; a version of PyTorch that lacks them does without.
FORWARD: Any = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
BACKWARD: Any = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu_backward", None)


@dataclass(frozen=True)
class Packing:
    """Where each sequence lies in a packed row, and how attention groups them.

    `positions` (1, tokens) count from 0 in each sequence; `offsets` (sequences + 1,) are their edges. Group g holds
    `groups[g]` = (sequences, longest) and `masks[g]` (sequences, 1, 1, longest), 0 and minus infinity for padding, or
    None where all are of one length. `gather` are the row's places, group after group, padding included; `slots`
    (tokens,) where each token went.
    """

    positions: torch.Tensor
    offsets: torch.Tensor
    shortest: int
    longest: int
    groups: tuple[tuple[int, int], ...]
    masks: tuple[torch.Tensor | None, ...]
    gather: torch.Tensor
    slots: torch.Tensor

    @property
    def attended(self) -> int:
        """Tokens that grouped attention computes, its padding included."""
        return len(self.gather)

    @property
    def starts(self) -> torch.Tensor:
        """(sequences,): place of each first token."""
        return self.offsets[:-1]

    def moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> "Packing":
        """The same with every tensor moved."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("positions", "offsets", "gather", "slots"):
            values[name] = move(values[name])
        values["masks"] = tuple(None if mask is None else move(mask) for mask in self.masks)
        return Packing(**values)


def pack(lengths: np.ndarray) -> Packing:
    """The packing of sequences of these lengths, in this order."""
    lengths = np.asarray(lengths, dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    positions = np.arange(int(lengths.sum())) - np.repeat(starts, lengths)
    groups, masks, gather = [], [], []
    slots, base = np.empty_like(positions), 0
    for members in length_groups(lengths):
        longest = int(lengths[members].max())
        columns = np.arange(longest)[None, :]
        real = columns < lengths[members][:, None]
        places = starts[members][:, None] + np.where(real, columns, 0)
        slots[places[real]] = base + np.flatnonzero(real)
        gather.append(places.reshape(-1))
        groups.append((len(members), longest))
        seen = np.where(real, np.float32(0), -np.float32(np.inf))
        masks.append(None if real.all() else torch.from_numpy(seen)[:, None, None, :])
        base += real.size
    return Packing(
        torch.from_numpy(positions)[None],
        torch.from_numpy(np.append(starts, lengths.sum())),
        int(lengths.min()),
        int(lengths.max()),
        tuple(groups),
        tuple(masks),
        torch.from_numpy(np.concatenate(gather)),
        torch.from_numpy(slots),
    )


def length_groups(lengths: np.ndarray, price: float = GROUP_PRICE) -> list[np.ndarray]:
    """Sequence numbers, cut by length into the groups whose padded squares, and `price` a group, sum to least.

    Longest first. Exact: a dynamic programme over the distinct lengths.
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


@dataclass(frozen=True)
class _How:
    """What attention is told beside its inputs."""

    dropout: float
    causal: bool
    scale: float | None

    def masks(self, packing: Packing, dtype: torch.dtype) -> list[torch.Tensor | None]:
        """The groups' masks, to be added. From left to right no real token sees the padding, which is on the right."""
        return [None if mask is None or self.causal else mask.to(dtype) for mask in packing.masks]


class _Grouped(torch.autograd.Function):
    """Attention group by group on a CPU, by the two kernels that PyTorch's own attention has there.

    One node, where autograd's own way takes dozens a group.
    """

    @staticmethod
    def forward(context: Any, packing: Packing, how: _How, *rows: torch.Tensor) -> torch.Tensor:
        """(tokens, heads, size) from query, key and value of that shape."""
        rows = tuple(row.index_select(0, packing.gather) for row in rows)
        found, sums = [], []
        for mask, parts in zip(how.masks(packing, rows[0].dtype), _parts(rows, packing), strict=True):
            states, logsumexp = FORWARD(*parts, 0.0, how.causal, attn_mask=mask, scale=how.scale)
            found.append(states)
            sums.append(logsumexp)
        result = _joined(found)
        context.packing, context.how = packing, how
        context.save_for_backward(*rows, result, *sums)
        return result.index_select(0, packing.slots)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: torch.Tensor) -> Any:
        """Padding has no gradient above and gives none below, so all that is gathered on the way back is real."""
        packing, how = context.packing, context.how
        query, key, value, result, *sums = context.saved_tensors
        above = torch.zeros_like(result).index_copy_(0, packing.slots, gradient)
        masks = how.masks(packing, query.dtype)
        found = [
            BACKWARD(*parts, logsumexp, 0.0, how.causal, attn_mask=mask, scale=how.scale)
            for mask, logsumexp, parts in zip(
                masks, sums, _parts((above, query, key, value, result), packing), strict=True
            )
        ]
        below = (_joined(states) for states in zip(*found, strict=True))
        return None, None, *(row.index_select(0, packing.slots) for row in below)


def _parts(rows: Sequence[torch.Tensor], packing: Packing) -> Iterator[list[torch.Tensor]]:
    """Views (sequences, heads, longest, size) of rows (attended, heads, size), group after group."""
    sizes = [sequences * longest for sequences, longest in packing.groups]
    for group, parts in zip(packing.groups, zip(*(row.split(sizes) for row in rows), strict=True), strict=True):
        yield [part.view(*group, *part.shape[1:]).transpose(1, 2) for part in parts]


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """(attended, heads, size) from the groups' (sequences, heads, longest, size)."""
    return torch.cat([part.transpose(1, 2).flatten(0, 1) for part in parts])


def _grouped(rows: list[torch.Tensor], packing: Packing, how: _How) -> torch.Tensor:
    """(tokens, heads, size) from query, key and value (tokens, heads, size), group by group."""
    kinds = {(row.dtype, row.shape[-1], row.stride(-1), row.device.type) for row in rows}
    if FORWARD and len(kinds) == 1 and not how.dropout and rows[0].stride(-1) == 1 and rows[0].device.type == "cpu":
        result: torch.Tensor = _Grouped.apply(packing, how, *rows)
        return result
    rows = [row.index_select(0, packing.gather) for row in rows]
    found = [
        scaled_dot_product_attention(query, key, value, mask, how.dropout, how.causal, scale=how.scale)
        for mask, (query, key, value) in zip(how.masks(packing, rows[0].dtype), _parts(rows, packing), strict=True)
    ]
    return _joined(found).index_select(0, packing.slots)


def _jagged(rows: list[torch.Tensor], packing: Packing, how: _How) -> torch.Tensor:
    """The same by one kernel for sequences of unequal lengths (PyTorch's nested tensors; GPUs only)."""
    query, key, value = (
        torch.nested.nested_tensor_from_jagged(
            row, packing.offsets, min_seqlen=packing.shortest, max_seqlen=packing.longest
        ).transpose(1, 2)
        for row in rows
    )
    states = scaled_dot_product_attention(query, key, value, None, how.dropout, how.causal, scale=how.scale)
    return states.transpose(1, 2).values()


def _attention(kernel: Callable[[list[torch.Tensor], Packing, _How], torch.Tensor]) -> Callable[..., Any]:
    """An attention function as transformers' models call it, on (1, heads, tokens, size)."""

    def attend(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        dropout: float = 0.0,
        scaling: float | None = None,
        is_causal: bool | None = None,
        packing: Packing | None = None,
        **others: Any,
    ) -> tuple[torch.Tensor, None]:
        refused = [name for name in REFUSED if others.get(name) is not None]
        if packing is None or attention_mask is not None or refused:
            raise NotImplementedError(f"packed attention has no {', '.join(refused) or 'mask'}")
        groups = query.shape[1] // key.shape[1]
        if groups > 1:
            key, value = (item.repeat_interleave(groups, dim=1) for item in (key, value))
        rows = [item[0].transpose(0, 1) for item in (query, key, value)]
        causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
        return kernel(rows, packing, _How(dropout, bool(causal), scaling))[None], None

    return attend


def register_attention() -> None:
    """Make GROUPED and JAGGED known to transformers, whose modelling code is only imported where it is needed."""
    from transformers import AttentionInterface

    AttentionInterface.register(GROUPED, _attention(_grouped))
    AttentionInterface.register(JAGGED, _attention(_jagged))

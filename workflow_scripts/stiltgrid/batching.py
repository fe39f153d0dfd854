"""Batches of encoded sequences: the one place that knows how tokens lie in memory.

Heads see hidden states through `Batch.pool`, `Batch.flat` and `Batch.padded`, so a change of layout
(padding, packing) touches this module alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from stiltgrid.encoded import Encoded

POOLINGS = ("cls", "mean", "mean_all", "last")


@dataclass
class Batch:
    """Sequences for one forward pass, padded on the right to the longest of them.

    `scalars` are (sequences,) tensors and `tokens` (total tokens,) tensors in sequence order, one a
    column of the encoded file; `input_ids` and `attention_mask` are (sequences, longest).
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    content_mask: torch.Tensor
    lengths: torch.Tensor
    scalars: dict[str, torch.Tensor]
    tokens: dict[str, torch.Tensor]
    indices: np.ndarray
    pooling: str = "cls"

    def __len__(self) -> int:
        return len(self.indices)

    def pool(self, hidden: torch.Tensor, how: str | None = None) -> torch.Tensor:
        """(sequences, hidden): first token, mean of non-special tokens, mean of all, or last token."""
        how = how or self.pooling
        if how == "cls":
            return hidden[:, 0]
        if how == "last":
            return hidden[torch.arange(len(hidden), device=hidden.device), self.lengths - 1]
        mask = (self.content_mask if how == "mean" else self.attention_mask).to(hidden.dtype).unsqueeze(-1)
        return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)

    def flat(self, hidden: torch.Tensor) -> torch.Tensor:
        """(total tokens, …): the states of real tokens, in sequence order."""
        return hidden[self.attention_mask.bool()]

    def padded(self, values: torch.Tensor, fill: float) -> torch.Tensor:
        """(sequences, longest, …) from (total tokens, …); `fill` stands beyond each sequence's end."""
        shape = (*self.attention_mask.shape, *values.shape[1:])
        result = values.new_full(shape, fill)
        result[self.attention_mask.bool()] = values
        return result

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device (asynchronously where memory is pinned)."""

        def move(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(device, non_blocking=True)

        return Batch(
            move(self.input_ids), move(self.attention_mask), move(self.content_mask), move(self.lengths),
            {name: move(value) for name, value in self.scalars.items()},
            {name: move(value) for name, value in self.tokens.items()},
            self.indices, self.pooling,
        )


def make_batch(
    encoded: Encoded, indices: Sequence[int], pad: int, special: Sequence[int] = (), pooling: str = "cls"
) -> Batch:
    """Gather sequences by index. `special` are the ids that mean-pooling leaves out."""
    rows = np.asarray(indices, dtype=np.int64)
    lengths = encoded.lengths[rows]
    mask = np.arange(int(lengths.max()))[None, :] < lengths[:, None]
    positions = np.concatenate([np.arange(encoded.offsets[row], encoded.offsets[row + 1]) for row in rows])
    input_ids = np.full(mask.shape, pad, dtype=np.int64)
    input_ids[mask] = encoded.tokens["input_ids"][positions]
    content = mask & ~np.isin(input_ids, np.asarray([*special], dtype=np.int64))
    return Batch(
        torch.from_numpy(input_ids), torch.from_numpy(mask), torch.from_numpy(content),
        torch.from_numpy(lengths.astype(np.int64)),
        _tensors(encoded.scalars, rows, skip=""), _tensors(encoded.tokens, positions, skip="input_ids"),
        rows, pooling,
    )


def _tensors(columns: Mapping[str, Any], at: np.ndarray, skip: str) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.asarray(column)[at].astype(np.int64)) for name, column in columns.items() if name != skip}

"""Batches of encoded sequences, and all knowledge of their layout in memory (padded or packed).

Heads read hidden states through `Batch.pool`, `Batch.flat` and `Batch.padded`, so only this module depends on the
layout. `planning` decides which sequences form a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from stiltgrid.modeling.encoded import Encoded
from stiltgrid.modeling.packing import Packing, pack
from stiltgrid.modeling.rearranging import pad_rows, real_rows


@dataclass
class Batch:
    """Sequences for one forward pass, padded on the right to the longest of them, or packed.

    Attributes:
        input_ids: (sequences, longest); with `packing` (1, total tokens), in sequence order, like hidden states.
        attention_mask: (sequences, longest), true for tokens that are not padding.
        content_mask: (sequences, longest), true for tokens that are neither padding nor special.
        lengths: (sequences,), in tokens.
        scalars: the encoded file's columns of one number per sequence, (sequences,) each.
        tokens: the encoded file's columns of one number per token, (total tokens,) each, in sequence order.
        indices: the sequences' numbers in the encoded file.
        pooling: how `pool` pools by default.
        places: positions of the real tokens in the flattened (sequences * longest) layout.
        causal: whether the model is causal.
        separator: id that ends the first of two segments, for models with token types.
        packing: the layout of a packed batch; None for a padded one.
        numbers: the columns on the CPU, which a loss may read without waiting for a GPU.
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
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)

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
        """The attention mask; None where nothing is padded, which lets attention use a faster kernel."""
        return None if self.real_tokens == self.computed_tokens else self.attention_mask

    @property
    def summary(self) -> torch.Tensor:
        """(sequences,): the position that attends to the whole sequence: the first, or in a causal model the last."""
        return self.lengths - 1 if self.causal else torch.zeros_like(self.lengths)

    @property
    def segments(self) -> torch.Tensor | None:
        """BERT's token types, 0 or 1, in the shape of `input_ids`; None without a `separator`."""
        if self.separator is None:
            return None
        ends = (self.input_ids == self.separator).long()
        if self.packing is not None:
            ends = self.padded(ends[0], 0)
        found = ((ends.cumsum(1) - ends > 0) & self.attention_mask).long()
        return found if self.packing is None else found.reshape(1, -1)[:, self.places]

    def pool(self, hidden: torch.Tensor, how: str | None = None) -> torch.Tensor:
        """(sequences, hidden): the first token, the mean of non-special tokens, the mean of all, or the last token.

        With `compared`, (sequences, 4 * hidden): the means of both texts and how they differ (see `side_by_side`).
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
        return real_rows(tokens, self.places, self.attention_mask) if self.packing is None else tokens

    def compared(self, hidden: torch.Tensor) -> torch.Tensor:
        """(total tokens, 4 * hidden): the mean of the first text compared with each token (see `side_by_side`).

        With any other pooling the plain states, (total tokens, hidden).
        """
        tokens = self.flat(hidden)
        if self.pooling != "compared":
            return tokens
        first, _ = text_means(self.padded(tokens, 0.0), self.attention_mask, self.content_mask)
        return side_by_side(first.repeat_interleave(self.lengths, dim=0, output_size=self.real_tokens), tokens)

    def padded(self, values: torch.Tensor, fill: float) -> torch.Tensor:
        """(sequences, longest, …) from (total tokens, …), with `fill` beyond each sequence's end."""
        result = pad_rows(values, self.places, self.attention_mask, fill)
        return result.reshape(*self.attention_mask.shape, *values.shape[1:])

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; copied to a GPU asynchronously, from pinned memory."""
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
            None if self.packing is None else self.packing.to(move),
            self.numbers,
        )

    def places_on_device(self, places: np.ndarray) -> torch.Tensor:
        """Indices computed from `numbers`, on the device of this batch."""
        return torch.from_numpy(places).to(self.input_ids.device, non_blocking=True)


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
    """Gather sequences by number. `special` are ids that mean pooling leaves out; the other arguments as in `Batch`."""
    rows = np.asarray(indices, dtype=np.int64)
    lengths = encoded.lengths[rows]
    mask = np.arange(int(lengths.max()))[None, :] < lengths[:, None]
    positions = token_positions(encoded, rows)
    input_ids = np.full(mask.shape, pad, dtype=np.int64)
    tokens = encoded.tokens["input_ids"][positions]
    input_ids[mask] = tokens
    scalars = {name: np.asarray(column)[rows] for name, column in encoded.scalars.items()}
    columns = {name: np.asarray(column)[positions] for name, column in encoded.tokens.items() if name != "input_ids"}
    content = mask & ~np.isin(input_ids, np.asarray([*special], dtype=np.int64))
    return Batch(
        torch.from_numpy(tokens.astype(np.int64)[None] if packed else input_ids),
        torch.from_numpy(mask),
        torch.from_numpy(content),
        torch.from_numpy(lengths.astype(np.int64)),
        _tensors(scalars),
        _tensors(columns),
        rows,
        pooling,
        torch.from_numpy(np.flatnonzero(mask)),
        causal,
        separator,
        pack(lengths) if packed else None,
        scalars | columns,
    )


def _tensors(columns: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(column.astype(np.int64)) for name, column in columns.items()}


def text_means(hidden: torch.Tensor, real: torch.Tensor, content: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean states of the first and the second text of each sequence, (sequences, hidden) each.

    `hidden` is (sequences, longest, hidden). `real` marks tokens that are not padding, `content` those that are not
    special either; special tokens separate the texts. For a single text both means are the same.
    """
    marks = (real & ~content).cumsum(1)
    before = torch.where(content, marks, marks.max() + 1).amin(1, keepdim=True)
    first, second = content & (marks <= before), content & (marks > before)
    second = torch.where(second.any(1, keepdim=True), second, first)
    weights = (mask.to(hidden.dtype).unsqueeze(-1) for mask in (first, second))
    first_mean, second_mean = ((hidden * weight).sum(1) / weight.sum(1).clamp(min=1) for weight in weights)
    return first_mean, second_mean


def side_by_side(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Concatenate u, v, |u - v| and u * v: (…, 4 * hidden) (Conneau et al. 2017, InferSent)."""
    return torch.cat([first, second, (first - second).abs(), first * second], dim=-1)

"""Outputs of a head (or of the bare backbone) for a whole encoded file, in large length-sorted batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from stiltgrid.backbone import Backbone
from stiltgrid.batching import Batch, length_sorted, make_batch
from stiltgrid.cards import Model, TaskCard
from stiltgrid.device import Compute
from stiltgrid.encoded import Encoded
from stiltgrid.families.base import Family
from stiltgrid.tokenization import SpecialTokens


@dataclass(frozen=True)
class Reader:
    """How a model's batches are made: its special tokens and its poolings."""

    special: SpecialTokens
    model: Model

    def batch(self, family: Family, encoded: Encoded, rows: np.ndarray) -> Batch:
        """A padded batch of sequences by number, pooled as the model's settings say for the family."""
        pooling = getattr(self.model, family.pooling_setting)
        return make_batch(encoded, rows, self.special.pad, self.special.around, pooling)


@dataclass
class TokenCount:
    """Tokens that carry text, and tokens computed, padding included."""

    real: int = 0
    computed: int = 0

    def add(self, batch: Batch) -> None:
        """Count one batch."""
        self.real += batch.real_tokens
        self.computed += batch.computed_tokens

    @property
    def padding_share(self) -> float:
        """Share of computed tokens that is padding."""
        return 1 - self.real / self.computed if self.computed else 0.0


@torch.inference_mode()
def predict_all(
    backbone: Backbone, family: Family, card: TaskCard, head: torch.nn.Module | None, encoded: Encoded,
    reader: Reader, compute: Compute, batch_tokens: int, count: TokenCount, layers: Sequence[int] = (),
) -> list[Any]:
    """One output a sequence, in the file's order; tokens are added to `count`.

    A family that reads all layers gets those numbered in `layers` (0 is the embeddings' output).
    """
    modules = [module for module in (backbone, head) if module is not None]
    were_training = [module.training for module in modules]
    for module in modules:
        module.eval()
    outputs: list[Any] = [None] * len(encoded)
    for rows in length_sorted(encoded.lengths, batch_tokens):
        batch = reader.batch(family, encoded, rows)
        count.add(batch)
        batch = batch.to(compute.device)
        with compute.autocast():
            if family.reads_all_layers:
                states = backbone.all_layers(batch)
                found = family.predict(card, head, tuple(states[number] for number in layers), batch)
            else:
                found = family.predict(card, head, backbone(batch), batch)
        for row, output in zip(rows, found, strict=True):
            outputs[row] = output
    for module, mode in zip(modules, were_training, strict=True):
        module.train(mode)
    return outputs

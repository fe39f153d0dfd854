"""Outputs of a head (or of the bare backbone) for a whole encoded file, in large length-sorted batches."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.backbone import Backbone
from stiltgrid.modeling.batching import Batch, make_batch
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.encoded import Encoded
from stiltgrid.modeling.planning import length_sorted
from stiltgrid.modeling.tokenization import SpecialTokens
from stiltgrid.tasks.families.base import Family
from stiltgrid.utils.errors import StiltgridError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reader:
    """How a model's batches are made: its special tokens and its poolings."""

    special: SpecialTokens
    model: Model

    def __post_init__(self) -> None:
        if self.special.causal and "cls" in (self.model.pooling, self.model.retrieval_pooling):
            raise StiltgridError(
                f"model '{self.model.name}': pooling cls takes the first token, which has seen no other in a model "
                "that reads from left to right; expected last, mean or mean_all"
            )

    def pooling(self, family: Family) -> str:
        """The model's setting for a family, or what suits the model."""
        setting: str = getattr(self.model, family.pooling_setting) or self.special.pooling
        return setting

    def batch(self, family: Family, encoded: Encoded, rows: np.ndarray, packed: bool = False) -> Batch:
        """A padded (or packed) batch of sequences by number, pooled as the model's settings say for the family."""
        special = self.special
        pooling = family.pooling(self.pooling(family))
        return make_batch(
            encoded, rows, special.pad, special.around, pooling, special.causal, special.separator, packed
        )


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
    backbone: Backbone,
    family: Family,
    card: TaskCard,
    head: torch.nn.Module | None,
    encoded: Encoded,
    reader: Reader,
    compute: Compute,
    batch_tokens: int,
    count: TokenCount,
    layers: Sequence[int] = (),
) -> list[Any]:
    """One output a sequence, in the file's order; tokens are added to `count`.

    A family that reads all layers gets those numbered in `layers` (0 is the embeddings' output).
    """
    modules = [module for module in (backbone, head) if module is not None]
    were_training = [module.training for module in modules]
    for module in modules:
        module.eval()
    outputs: list[Any] = [None] * len(encoded)
    waiting = length_sorted(encoded.lengths, batch_tokens)[::-1]
    while waiting:
        rows = waiting.pop()
        batch = reader.batch(family, encoded, rows)
        try:
            found = _outputs(backbone, family, card, head, batch.to(compute.device), compute, layers)
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise
            found = None
        if found is None:  # outside the handler: the error's traceback would hold the memory that is to be freed
            torch.cuda.empty_cache()
            LOG.warning("out of memory: a batch of %d sequences is read in two", len(rows))
            waiting += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
            continue
        count.add(batch)
        for row, output in zip(rows, found, strict=True):
            outputs[row] = output
    for module, mode in zip(modules, were_training, strict=True):
        module.train(mode)
    return outputs


def _outputs(
    backbone: Backbone,
    family: Family,
    card: TaskCard,
    head: torch.nn.Module | None,
    batch: Batch,
    compute: Compute,
    layers: Sequence[int],
) -> Sequence[Any]:
    with compute.autocast():
        if family.reads_all_layers:
            states = backbone.all_layers(batch)
            return family.predict(card, head, tuple(states[number] for number in layers), batch)
        return family.predict(card, head, backbone(batch), batch)

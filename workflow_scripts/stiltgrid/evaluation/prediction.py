"""Outputs of a head (or of the backbone alone) for a whole encoded file, in large batches sorted by length."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from stiltgrid.evaluation.batches import evaluation_batches
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.backbone import Backbone
from stiltgrid.modeling.batching import Batch, make_batch
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.encoded import Encoded
from stiltgrid.modeling.precision import ModelPrecision
from stiltgrid.modeling.tokenization import SpecialTokens
from stiltgrid.tasks.families.base import Family
from stiltgrid.utils.errors import StiltgridError

LOG = logging.getLogger(__name__)
AnyPath = str | os.PathLike[str]
Result = TypeVar("Result")


@dataclass(frozen=True)
class EvaluationPaths:
    """What an evaluation job reads: folders of a checkpoint and a tokenizer, encoded sequences, and their rows.

    `rows` stays empty for jobs that read token ids alone.
    """

    checkpoint: AnyPath
    tokenizer: AnyPath
    encoded: AnyPath
    rows: AnyPath = ""

    @property
    def precision(self) -> ModelPrecision:
        """The choice of `precision: auto` for the model that these paths belong to."""
        return ModelPrecision.of_tokenizer(self.checkpoint, self.tokenizer)


@dataclass(frozen=True)
class Reader:
    """How a model's batches are made: its special tokens and its poolings."""

    special: SpecialTokens
    model: Model

    def __post_init__(self) -> None:
        if self.special.causal and "cls" in (self.model.pooling, self.model.retrieval_pooling):
            raise StiltgridError(
                f"model '{self.model.name}': pooling cls reads the first token, which sees no other token in a causal "
                "model; expected last, mean or mean_all"
            )

    def pooling(self, family: Family) -> str:
        """The model's setting for a family, or the model's default pooling."""
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


@dataclass(frozen=True)
class Predictor:
    """A model and the task that it predicts; `head` is None where the backbone's states are the output."""

    backbone: Backbone
    head: torch.nn.Module | None
    family: Family
    card: TaskCard
    reader: Reader
    compute: Compute

    def outputs(self, batch: Batch, layers: Sequence[int] = ()) -> Sequence[Any]:
        """One output per sequence of a batch on the device; `layers` as in `predict_all`."""
        if self.family.reads_all_layers:
            states = self.backbone.all_layers(batch)
            return self.family.predict(self.card, self.head, tuple(states[number] for number in layers), batch)
        return self.family.predict(self.card, self.head, self.backbone(batch), batch)


def predict_all(
    predictor: Predictor, encoded: Encoded, batch_tokens: int, count: TokenCount, layers: Sequence[int] = ()
) -> list[Any]:
    """One output per sequence, in the file's order; the tokens read are added to `count`.

    A family that reads all layers gets those numbered in `layers` (0 is the embeddings' output).
    """
    modules = [module for module in (predictor.backbone, predictor.head) if module is not None]
    were_training = [module.training for module in modules]
    for module in modules:
        module.eval()
    outputs: list[Any] = [None] * len(encoded)
    packed = predictor.backbone.packs_evaluation(predictor.compute)

    def make(rows: np.ndarray) -> Batch:
        return predictor.reader.batch(predictor.family, encoded, rows, packed)

    def read(batch: Batch) -> Sequence[Any]:
        return predictor.outputs(batch, layers)

    batches = evaluation_batches(encoded.lengths, batch_tokens, predictor.backbone, predictor.compute)
    for batch, found in read_batches(make, read, batches, predictor.compute):
        count.add(batch)
        for row, output in zip(batch.indices, found, strict=True):
            outputs[row] = output
    for module, mode in zip(modules, were_training, strict=True):
        module.train(mode)
    return outputs


def read_batches(
    make: Callable[[np.ndarray], Batch],
    read: Callable[[Batch], Result],
    batches: Sequence[np.ndarray],
    compute: Compute,
) -> Iterator[tuple[Batch, Result]]:
    """Each batch and what `read` returns for it.

    `make` builds a batch from the sequence numbers in `batches`; `read` gets it on the device, without gradients. A
    batch that does not fit the device's memory is halved.

    Raises:
        torch.OutOfMemoryError: if a single sequence does not fit.
    """
    waiting = list(batches)[::-1]
    while waiting:
        rows = waiting.pop()
        batch = make(rows)
        found: list[Result] = []
        try:
            with torch.inference_mode(), compute.autocast():
                found.append(read(batch.to(compute.device)))
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise
        if not found:  # outside the handler: the error's traceback would hold the memory that is to be freed
            torch.cuda.empty_cache()
            LOG.warning("out of memory: a batch of %d sequences is read in two halves", len(rows))
            waiting += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
            continue
        yield batch, found[0]

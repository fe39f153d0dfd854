"""Language modelling as a task of a training stage: rows of raw text with new masks in each step.

The masks depend on the seed, the step and the row alone, so neither micro-batches nor an interruption change them.
"""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from torch.nn.functional import cross_entropy

from stiltgrid.evaluation.prediction import Reader
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import TrainingSettings
from stiltgrid.grid.paths import TEXT_BATCH
from stiltgrid.modeling.backbone import Backbone
from stiltgrid.modeling.batching import Batch, make_batch
from stiltgrid.modeling.encoded import check_lengths, read_encoded, write_encoded
from stiltgrid.modeling.planning import ExampleOrder
from stiltgrid.modeling.tokenization import SpecialTokens, SubwordTokenizer, read_special_tokens
from stiltgrid.preparation.encode import usable_length
from stiltgrid.tasks.families.base import Family
from stiltgrid.training.language_heads import build_language_head
from stiltgrid.training.language_modelling import PackedText, mask_tokens
from stiltgrid.training.training_data import StageTask
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.seeding import derive_seed

LOG = logging.getLogger(__name__)
MLM = "mlm"
MASK_RATE, EXPONENT = 0.15, 0.3
PACKING_SEED = 0
NO_TARGET = -1
MAX_SCORES = 1 << 28  # vocabulary scores of one micro-batch, as numbers


def encode_text(
    text: str | os.PathLike[str],
    tokenizer_folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    length: int,
    backbone_folder: str | os.PathLike[str] | None,
) -> None:
    """Pack the documents of each language into rows of `length` tokens, or the backbone's maximum if that is less.

    Raises SourceError for a tokenizer without a mask token, except for causal models.
    """
    special = read_special_tokens(tokenizer_folder)
    if special.mask is None and not special.causal:
        raise SourceError(
            f"{tokenizer_folder}: the tokenizer has no mask token, which masked language modelling (`mlm` of a recipe) "
            "needs; remove this model or that row"
        )
    tokenizer = SubwordTokenizer(tokenizer_folder)
    packed = PackedText(text, tokenizer, usable_length(length, backbone_folder), PACKING_SEED)
    counts = [len(rows) for rows in packed.rows]
    numbers = np.arange(sum(counts), dtype=np.int32)
    offsets = np.arange(sum(counts) + 1, dtype=np.int64) * packed.rows[0].shape[1]
    # From the arrays directly: a list of all tokens of a Wikipedia would not fit into memory.
    table = pa.table(
        {
            "input_ids": pa.LargeListArray.from_arrays(offsets, np.concatenate(packed.rows).reshape(-1)),
            "example": numbers,
            "language": np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        }
    )
    facts = {"languages": json.dumps(packed.languages), "vocabulary": str(tokenizer.vocabulary_size)}
    write_encoded(table.replace_schema_metadata(facts), out)
    for language, count in zip(packed.languages, counts, strict=True):
        LOG.info("text of '%s': %d rows", language, count)


class LanguageOrder(ExampleOrder):
    """An endless order of rows: languages by rows ** exponent, no row twice before all of its language."""

    def __init__(self, languages: np.ndarray, exponent: float, seed: int) -> None:
        self.rows = [np.flatnonzero(languages == code) for code in np.unique(languages)]
        sizes = np.asarray([len(rows) for rows in self.rows], dtype=np.float64)
        self.weights = sizes**exponent / (sizes**exponent).sum()
        super().__init__(np.arange(len(languages)), seed)
        self.distinct = 0  # a language with little text repeats within a step if it must

    def _shuffle(self) -> np.ndarray:
        """One epoch: as many rows as there are, drawn by language."""
        draw = np.random.default_rng([self.seed, self.epoch])
        counts = draw.multinomial(len(self.pool), self.weights)
        parts = [np.resize(draw.permutation(rows), count) for rows, count in zip(self.rows, counts, strict=True)]
        return draw.permutation(np.concatenate(parts))


class LanguageObjective:
    """The family interface for language modelling: cross-entropy of the masked (or next) tokens; there is no metric."""

    name = "language_model"
    splits_batches = True
    splits_examples = False

    def loss(self, card: TaskCard, head: torch.nn.Module, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Loss summed over the predicted tokens; vocabulary scores are computed at their positions only."""
        places = batch.places_on_device(np.flatnonzero(batch.numbers["target"] != NO_TARGET))
        scores = head(batch.flat(hidden)[places]).float()
        return cross_entropy(scores, batch.tokens["target"][places], reduction="sum")


@dataclass(frozen=True)
class LanguageTask(StageTask):
    """Rows of raw text; `mask_rate` and `exponent` as in a recipe's `mlm`, `head` a file of pretrained weights."""

    special: SpecialTokens
    vocabulary: int
    mask_rate: float
    exponent: float
    seed: int
    head: str | None = None

    def order(self, seed: int) -> ExampleOrder:
        """See `StageTask.order`."""
        return LanguageOrder(self.train.scalars["language"], self.exponent, seed)

    def build_head(self, backbone: Backbone, reader: Reader) -> torch.nn.Module:
        """See `StageTask.build_head`."""
        return build_language_head(backbone, self.head)

    def batch(self, reader: Reader, rows: np.ndarray, step: int, packed: bool = False) -> Batch:
        """Masked inputs, and in column `target` the token to predict at each position, or NO_TARGET.

        All rows have one length, so packing would save no padding.
        """
        batch = make_batch(self.train, rows, self.special.pad, causal=self.special.causal)
        inputs, targets = zip(*(self._masked(int(row), step) for row in rows), strict=True)
        target = np.concatenate(targets).astype(np.int64)
        return replace(
            batch,
            input_ids=torch.from_numpy(np.stack(inputs)),
            tokens={"target": torch.from_numpy(target)},
            numbers={"target": target},
        )

    def loss_weight(self, rows: np.ndarray, step: int) -> float:
        """The number of tokens to predict."""
        return float(sum((self._masked(int(row), step)[1] != NO_TARGET).sum() for row in rows))

    def _masked(self, row: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """(length,) inputs and (length,) targets of a row in a step."""
        start, stop = self.train.offsets[row : row + 2]
        ids = np.asarray(self.train.tokens["input_ids"][start:stop], dtype=np.int64)
        target = np.full_like(ids, NO_TARGET)
        if self.special.causal:
            target[:-1] = ids[1:]
            return ids, target
        assert self.special.mask is not None
        kept = np.asarray(sorted({*self.special.around, self.special.pad, self.special.mask}))
        draw = np.random.default_rng([self.seed, step, row])
        inputs, places = mask_tokens(ids, self.mask_rate, self.special.mask, kept, self.vocabulary, draw)
        target[places] = ids[places]
        return inputs, target


def load_language_task(
    mlm: Mapping[str, Any],
    path: str | os.PathLike[str],
    head: str | None,
    settings: TrainingSettings,
    special: SpecialTokens,
    seed: int,
    limit: int | None = None,
) -> LanguageTask:
    """Open a recipe's raw text; `settings` are the row's, `limit` is the backbone's maximum length in tokens."""
    train = read_encoded(path)
    check_lengths(train, limit, path)
    facts = train.table.schema.metadata
    vocabulary, rate = int(facts[b"vocabulary"]), mlm.get("mask_rate", MASK_RATE)
    most = int(MAX_SCORES / vocabulary / (1.0 if special.causal else rate))
    own = {
        "batch_size": mlm.get("batch_size", TEXT_BATCH),
        "learning_rate": mlm.get("learning_rate", settings.learning_rate),
        "epochs": 1.0,
        "micro_batch_tokens": min(settings.micro_batch_tokens, max(most, int(train.lengths[0]))),
    }
    return LanguageTask(
        card=TaskCard(MLM, LanguageObjective.name, "", "", tuple(json.loads(facts[b"languages"])), "loss", 0),
        family=cast(Family, LanguageObjective()),
        settings=settings.override(own),
        train=train,
        offsets=np.arange(len(train) + 1),
        pool=np.arange(len(train)),
        dev=None,
        rows_path=None,
        special=special,
        vocabulary=vocabulary,
        mask_rate=rate,
        exponent=mlm.get("language_exponent", EXPONENT),
        seed=derive_seed(seed, "masks"),
        head=head,
    )


def interleaved(schedule: np.ndarray, which: int, mlm: Mapping[str, Any], seed: int) -> np.ndarray:
    """(steps,): a schedule with language modelling steps (task number `which`) inserted at random places.

    `mlm` gives their share of all steps (`rate`) or their number (`steps`); the other steps keep their order.
    """
    rate = mlm.get("rate")
    more = mlm["steps"] if rate is None else round(len(schedule) * rate / (1 - rate))
    places = np.random.default_rng(seed).permutation(len(schedule) + more)[:more]
    found = np.full(len(schedule) + more, which, dtype=np.int64)
    found[np.setdiff1d(np.arange(len(found)), places)] = schedule
    return found

"""The interface of a task family: from rows to examples, sequences, loss, predictions and measurements.

Modules here import no torch at the top, because preparing and measuring need none. Heads are in `modeling.heads`.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stiltgrid.data.rows import RawRow as RawRow
from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks import fields

if TYPE_CHECKING:
    import torch

    from stiltgrid.modeling.batching import Batch

KEYS = [("id", pa.string()), ("language", pa.string()), ("split", pa.string())]


def predictions_schema(prediction: pa.DataType, gold: pa.DataType | None = None) -> pa.Schema:
    """The first columns of a family's predictions; `gold` has the type of `prediction` if not given."""
    return pa.schema([*KEYS, ("prediction", prediction), ("gold", gold or prediction), ("score", pa.float64())])


@dataclass(frozen=True)
class Measurement:
    """One number of the tidy score table: `value` from 0 to 100 over `n` examples."""

    language: str
    split: str
    metric: str
    value: float
    n: int


class Family(ABC):
    """One kind of task. Stateless: everything that differs between tasks comes from the card."""

    name: str
    schema: pa.Schema  # of canonical rows, KEYS first
    reads_all_layers = False  # True: `predict` gets every layer's hidden states
    splits_batches = True  # False: a step's examples must share one forward pass (in-batch negatives)
    splits_examples = False  # True: the loss is a sum over sequences, so those of one example may be separated
    pooling_setting = "pooling"  # the field of `Model` that says how `Batch.pool` pools
    compares = False  # True: pooling `compared` compares the two texts of a sequence; otherwise it is the mean

    def examples(self, card: TaskCard, rows: Iterable[RawRow], language: str, split: str) -> list[dict[str, Any]]:
        """All that `iterate` gives, as a list."""
        return list(self.iterate(card, rows, language, split))

    def iterate(self, card: TaskCard, rows: Iterable[RawRow], language: str, split: str) -> Iterable[dict[str, Any]]:
        """Canonical rows of one language and split, validated; rows that the card leaves out are missing.

        One after another, so that a data set need not fit into memory; families that compare the rows of a split
        read all of them first.

        Raises:
            RowError: naming the row, for labels that the card does not list, misplaced answers, unequal lengths,
                missing columns or empty texts.
        """
        labels = fields.Labels(card)
        for number, row in enumerate(rows):
            values = self.example(card, row, labels)
            if values is not None:
                name = fields.identifier(card, row, language, split, number)
                yield {"id": name, "language": language, "split": split, **values}

    def example(self, card: TaskCard, row: RawRow, labels: fields.Labels) -> dict[str, Any] | None:
        """A canonical row without its KEYS, or None where the card leaves the row out. `iterate` calls it per row."""
        raise NotImplementedError(f"family '{self.name}' makes its rows in `iterate`")

    def subsample(self, table: pa.Table, examples: int, seed: int = 0) -> pa.Table:
        """At most `examples` rows of each language and split, at the same positions, so parallel sets stay parallel."""
        import numpy as np

        keep: list[int] = []
        languages, splits = table.column("language").to_pylist(), table.column("split").to_pylist()
        groups: dict[tuple[str, str], list[int]] = {}
        for index, key in enumerate(zip(languages, splits, strict=True)):
            groups.setdefault(key, []).append(index)
        for (_, split), members in groups.items():
            digest = hashlib.sha256(f"{seed}/{split}/{len(members)}".encode()).digest()
            order = np.random.default_rng(int.from_bytes(digest[:8], "big")).permutation(len(members))
            keep.extend(members[position] for position in sorted(order[:examples]))
        return table.take(sorted(keep))

    @abstractmethod
    def encode(
        self, card: TaskCard, rows: pa.Table, tokenizer: SubwordTokenizer, max_length: int, training: bool
    ) -> dict[str, list]:
        """Columns for `write_encoded`: `input_ids`, `example` and the family's own, one entry per sequence.

        Sequences are grouped by `example`, in row order, and have at most `max_length` tokens.
        """

    @abstractmethod
    def build_head(self, card: TaskCard, hidden_size: int) -> torch.nn.Module:
        """A new head with parameters from torch's default random generator."""

    @abstractmethod
    def loss(self, card: TaskCard, head: torch.nn.Module, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Sum (not mean) of the loss terms of a batch; the training loop divides by the step's `loss_weight`.

        `hidden` is the backbone's last layer in the batch's layout; read it by `batch.pool(hidden)`, (sequences,
        hidden), or `batch.flat(hidden)`, (tokens, hidden).
        """

    @abstractmethod
    def loss_weight(self, scalars: Mapping[str, Any], tokens: Mapping[str, Any], sequences: int) -> float:
        """Number of loss terms in encoded numpy columns of some sequences; the step's sum is divided by it."""

    @abstractmethod
    def predict(self, card: TaskCard, head: torch.nn.Module | None, hidden: Any, batch: Batch) -> list[Any]:
        """One numpy output per sequence, in batch order, as small as decoding allows."""

    @abstractmethod
    def decode(
        self,
        card: TaskCard,
        outputs: Sequence[Any],
        columns: Mapping[str, Any],
        rows: pa.Table,
        options: Mapping[str, Any],
    ) -> pa.Table:
        """Predictions (`predictions_schema`, more columns allowed) from one output per sequence.

        `columns` are the encoded scalar columns; `options` holds model settings (retrieval_layer, …).
        """

    def pooling(self, asked: str) -> str:
        """How this family's sequences are pooled in a model whose setting is `asked`."""
        return "mean" if asked == "compared" and not self.compares else asked

    def pooled_width(self, hidden_size: int, asked: str) -> int:
        """Length of a pooled vector, the `hidden_size` of `build_head`."""
        return 4 * hidden_size if self.pooling(asked) == "compared" else hidden_size

    def layers_per_pass(self, sequences: int, layers: int, hidden_size: int) -> int:
        """How many layers' vectors one `decode` may hold in memory; by default all.

        If it is fewer, scoring makes several passes, names the layers of each in `options["layers"]`, and concatenates
        the passes' predictions before `measure`.
        """
        return layers

    def published(self, predictions: pa.Table) -> pa.Table:
        """The part of `decode`'s table that is written as predictions.parquet; `measure` reads all of it."""
        return predictions

    @abstractmethod
    def measure(self, card: TaskCard, predictions: pa.Table, rows: pa.Table) -> list[Measurement]:
        """All metrics by language and split, the card's headline metric among them."""

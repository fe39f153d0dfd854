"""Sequence classification: one label for a text or a pair of texts (NLI, paraphrases)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks import fields
from stiltgrid.tasks.families.base import KEYS, Family, Measurement, RawRow
from stiltgrid.tasks.families.common import by_language_and_split, keep_texts, pair_ids, predictions_table
from stiltgrid.tasks.metrics.accuracy import accuracy, label_f1

if TYPE_CHECKING:
    import torch

    from stiltgrid.modeling.batching import Batch


class SequenceClassification(Family):
    """Fields: text_a, text_b (optional), label. Options: empty_texts, positive (a label whose F1 is measured)."""

    name = "sequence"
    compares = True
    schema = pa.schema([*KEYS, ("text_a", pa.string()), ("text_b", pa.string()), ("label", pa.int32())])

    def example(self, card: TaskCard, row: RawRow, labels: fields.Labels) -> dict[str, Any] | None:
        """See Family.examples. `text_b` is null for single texts."""
        label = labels.number(row)
        if label is None:
            return None
        texts = {
            name: fields.text(row, card.fields[name], name) if card.fields.get(name) else None
            for name in ("text_a", "text_b")
        }
        return {**texts, "label": label} if keep_texts(card, row.place, texts) else None

    def encode(
        self, card: TaskCard, rows: pa.Table, tokenizer: SubwordTokenizer, max_length: int, training: bool
    ) -> dict[str, list]:
        """One sequence per row; the longer text is truncated first. Column: `label`."""
        first, second = rows.column("text_a").to_pylist(), rows.column("text_b").to_pylist()
        return {
            "input_ids": list(pair_ids(tokenizer, first, second, max_length)),
            "example": list(range(rows.num_rows)),
            "label": rows.column("label").to_pylist(),
        }

    def build_head(self, card: TaskCard, hidden_size: int) -> torch.nn.Module:
        """XLM-R's classification head over the card's labels."""
        from stiltgrid.modeling.heads import ClassificationHead

        return ClassificationHead(hidden_size, len(card.labels))

    def loss(self, card: TaskCard, head: torch.nn.Module, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Summed cross-entropy of the labels."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(head(batch.pool(hidden)).float(), batch.scalars["label"], reduction="sum")

    def loss_weight(self, scalars: Mapping[str, Any], tokens: Mapping[str, Any], sequences: int) -> float:
        """One term per sequence."""
        return float(sequences)

    def predict(self, card: TaskCard, head: torch.nn.Module | None, hidden: Any, batch: Batch) -> list[Any]:
        """The most probable label's index."""
        assert head is not None, "sequence classification needs a head"
        return list(head(batch.pool(hidden)).float().argmax(-1).cpu().numpy())

    def decode(
        self,
        card: TaskCard,
        outputs: Sequence[Any],
        columns: Mapping[str, Any],
        rows: pa.Table,
        options: Mapping[str, Any],
    ) -> pa.Table:
        """Label names; score 1 if right."""
        indices = [int(index) for index in columns["example"]]
        labels = rows.column("label").to_pylist()
        golds = [card.labels[labels[index]] for index in indices]
        predicted = [card.labels[int(output)] for output in outputs]
        scores = [float(gold == prediction) for gold, prediction in zip(golds, predicted, strict=True)]
        return predictions_table(rows, indices, {"prediction": predicted, "gold": golds, "score": scores}, pa.string())

    def measure(self, card: TaskCard, predictions: pa.Table, rows: pa.Table) -> list[Measurement]:
        """`accuracy`, and with `options.positive` the `f1` of that label and `accuracy_and_f1`, their mean."""
        found = []
        for language, split, table in by_language_and_split(predictions):
            golds, predicted = table.column("gold").to_pylist(), table.column("prediction").to_pylist()
            values = {"accuracy": accuracy(golds, predicted)}
            if "positive" in card.options:
                values["f1"] = label_f1(golds, predicted, card.options["positive"])
                values["accuracy_and_f1"] = (values["accuracy"] + values["f1"]) / 2
            found += [Measurement(language, split, name, value, len(golds)) for name, value in values.items()]
        return found


FAMILY = SequenceClassification()

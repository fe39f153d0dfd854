"""Sequence classification: one label for a text or a pair of texts (NLI, paraphrase)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks import fields
from stiltgrid.tasks.families.base import KEYS, Family, Measurement, RawRow
from stiltgrid.tasks.families.common import by_language_and_split, in_chunks, keep_texts, predictions_table
from stiltgrid.tasks.metrics.accuracy import accuracy, label_f1

if TYPE_CHECKING:
    import torch

    from stiltgrid.modeling.batching import Batch


class SequenceClassification(Family):
    """Fields: text_a, text_b (optional), label. Options: empty_texts, positive (a label whose F1 is measured)."""

    name = "sequence"
    compares = True
    schema = pa.schema([*KEYS, ("text_a", pa.string()), ("text_b", pa.string()), ("label", pa.int32())])

    def examples(self, card: TaskCard, rows: Iterable[RawRow], language: str, split: str) -> list[dict[str, Any]]:
        """See Family.examples. `text_b` is null for single texts."""
        labels = fields.Labels(card)
        found = []
        for number, row in enumerate(rows):
            label = labels.number(row)
            if label is None:
                continue
            texts = {
                name: fields.text(row, card.fields[name], name) if card.fields.get(name) else None
                for name in ("text_a", "text_b")
            }
            if keep_texts(card, row.place, texts):
                identifier = fields.identifier(card, row, language, split, number)
                found.append({"id": identifier, "language": language, "split": split, **texts, "label": label})
        return found

    def encode(
        self, card: TaskCard, rows: pa.Table, tokenizer: SubwordTokenizer, max_length: int, training: bool
    ) -> dict[str, list]:
        """One sequence a row; the longer text is cut first. Column: `label`."""
        first = in_chunks(tokenizer.ids, rows.column("text_a").to_pylist())
        texts_b = rows.column("text_b").to_pylist()
        second = in_chunks(tokenizer.ids, [text or "" for text in texts_b])
        pairs = zip(first, second, texts_b, strict=True)
        return {
            "input_ids": [
                tokenizer.join_truncated(ids_a, None if text_b is None else ids_b, max_length)
                for ids_a, ids_b, text_b in pairs
            ],
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
        """One term a sequence."""
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
        """Label names; score 1 where right."""
        indices = [int(index) for index in columns["example"]]
        labels = rows.column("label").to_pylist()
        golds = [card.labels[labels[index]] for index in indices]
        predicted = [card.labels[int(output)] for output in outputs]
        scores = [float(gold == prediction) for gold, prediction in zip(golds, predicted, strict=True)]
        return predictions_table(rows, indices, {"prediction": predicted, "gold": golds, "score": scores})

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

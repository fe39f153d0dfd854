"""Multiple choice: a context and several options, one of them right; each option is scored in its own sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks import fields
from stiltgrid.tasks.families.base import KEYS, Family, Measurement, RawRow
from stiltgrid.tasks.families.common import (
    by_language_and_split,
    example_groups,
    keep_texts,
    pair_ids,
    predictions_table,
)
from stiltgrid.tasks.metrics.accuracy import accuracy
from stiltgrid.utils.errors import RowError

if TYPE_CHECKING:
    import torch

    from stiltgrid.modeling.batching import Batch


class MultipleChoice(Family):
    """Fields: context, choices (a spec or a list of specs), label. Options: empty_texts.

    The number of options may differ between rows. The label is one of the card's `label_values` or
    `labels`, in the order of the options, or without these the option's number from 0.
    """

    name = "choice"
    compares = True
    schema = pa.schema([*KEYS, ("context", pa.string()), ("choices", pa.list_(pa.string())), ("label", pa.int32())])

    def example(self, card: TaskCard, row: RawRow, labels: fields.Labels) -> dict[str, Any] | None:
        """See Family.examples. Raises RowError for fewer than two options or a label beyond the last."""
        if labels.drops(row):
            return None
        context = fields.text(row, card.fields["context"], "context")
        choices = fields.texts(row, card.fields["choices"], "choices")
        if len(choices) < 2:
            raise RowError(row.place, f"field 'choices' must hold two or more options, found {len(choices)}")
        texts = {"context": context, **{f"choices[{place}]": choice for place, choice in enumerate(choices)}}
        if not keep_texts(card, row.place, texts):
            return None
        return {"context": context, "choices": choices, "label": _label(labels, row, len(choices))}

    def encode(
        self, card: TaskCard, rows: pa.Table, tokenizer: SubwordTokenizer, max_length: int, training: bool
    ) -> dict[str, list]:
        """One sequence per option: context, option. Columns: `option` (from 0), `gold` (1 for the right one)."""
        choices: list[list[str]] = rows.column("choices").to_pylist()
        labels, contexts = rows.column("label").to_pylist(), rows.column("context").to_pylist()
        places = [(example, option) for example, options in enumerate(choices) for option in range(len(options))]
        first = [contexts[example] for example, _ in places]
        second = [choices[example][option] for example, option in places]
        return {
            "input_ids": list(pair_ids(tokenizer, first, second, max_length)),
            "example": [example for example, _ in places],
            "option": [option for _, option in places],
            "gold": [int(option == labels[example]) for example, option in places],
        }

    def build_head(self, card: TaskCard, hidden_size: int) -> torch.nn.Module:
        """XLM-R's classification head with one output."""
        from stiltgrid.modeling.heads import ClassificationHead

        return ClassificationHead(hidden_size, 1)

    def loss(self, card: TaskCard, head: torch.nn.Module, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Cross-entropy of the right option among each example's options, summed over examples."""
        import torch

        scores = head(batch.pool(hidden)).float().squeeze(-1)
        option = batch.scalars["option"]
        # Option 0 starts an example: `example` alone would merge an example that is drawn twice in a row.
        example = torch.cumsum(option == 0, dim=0) - 1
        options = batch.numbers["option"]
        table = scores.new_full((int((options == 0).sum()), int(options.max()) + 1), float("-inf"))
        table = table.index_put((example, option), scores)
        loss: torch.Tensor = torch.logsumexp(table, dim=-1).sum() - (scores * batch.scalars["gold"]).sum()
        return loss

    def loss_weight(self, scalars: Mapping[str, Any], tokens: Mapping[str, Any], sequences: int) -> float:
        """One term per example."""
        return float((np.asarray(scalars["option"]) == 0).sum())

    def predict(self, card: TaskCard, head: torch.nn.Module | None, hidden: Any, batch: Batch) -> list[Any]:
        """The option's score."""
        assert head is not None, "multiple choice needs a head"
        return list(head(batch.pool(hidden)).float().squeeze(-1).cpu().numpy())

    def decode(
        self,
        card: TaskCard,
        outputs: Sequence[Any],
        columns: Mapping[str, Any],
        rows: pa.Table,
        options: Mapping[str, Any],
    ) -> pa.Table:
        """The best option's number from 0 (among equals the first); score 1 if it is right."""
        scores = np.asarray(outputs, dtype=np.float64)
        labels = rows.column("label").to_pylist()
        indices, golds, predicted = [], [], []
        for example, sequences in example_groups(columns["example"]):
            indices.append(example)
            golds.append(labels[example])
            predicted.append(int(np.argmax(scores[sequences])))
        right = [float(gold == prediction) for gold, prediction in zip(golds, predicted, strict=True)]
        return predictions_table(rows, indices, {"prediction": predicted, "gold": golds, "score": right}, pa.int32())

    def measure(self, card: TaskCard, predictions: pa.Table, rows: pa.Table) -> list[Measurement]:
        """`accuracy`."""
        return [
            Measurement(
                language,
                split,
                "accuracy",
                accuracy(table.column("gold").to_pylist(), table.column("prediction").to_pylist()),
                table.num_rows,
            )
            for language, split, table in by_language_and_split(predictions)
        ]


def _label(labels: fields.Labels, row: RawRow, choices: int) -> int:
    label = labels.number(row) if labels.known else labels.option(row)
    if label is None or not 0 <= label < choices:
        raise RowError(row.place, f"the label is option {label} (from 0), but the row has {choices}")
    return label


FAMILY = MultipleChoice()

"""Multiple choice: a context, several options, one right; each option is scored in a sequence of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks import fields
from stiltgrid.tasks.families.base import KEYS, Family, Measurement, RawRow
from stiltgrid.tasks.families.common import (
    by_language_and_split,
    distinct,
    example_groups,
    in_chunks,
    keep_texts,
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

    def examples(self, card: TaskCard, rows: Iterable[RawRow], language: str, split: str) -> list[dict[str, Any]]:
        """See Family.examples. Refuses rows with fewer than two options or a label beyond the last."""
        labels = fields.Labels(card)
        found = []
        for number, row in enumerate(rows):
            if labels.drops(row):
                continue
            context = fields.text(row, card.fields["context"], "context")
            choices = fields.texts(row, card.fields["choices"], "choices")
            if len(choices) < 2:
                raise RowError(row.place, f"field 'choices' must hold two or more options, found {len(choices)}")
            texts = {"context": context, **{f"choices[{place}]": choice for place, choice in enumerate(choices)}}
            if keep_texts(card, row.place, texts):
                found.append(
                    {
                        "id": fields.identifier(card, row, language, split, number),
                        "language": language,
                        "split": split,
                        "context": context,
                        "choices": choices,
                        "label": _label(labels, row, len(choices)),
                    }
                )
        return found

    def encode(
        self, card: TaskCard, rows: pa.Table, tokenizer: SubwordTokenizer, max_length: int, training: bool
    ) -> dict[str, list]:
        """One sequence an option: context, option. Columns: `option` (from 0), `gold` (1 for the right one)."""
        all_choices: list[list[str]] = rows.column("choices").to_pylist()
        contexts, context_numbers = distinct(rows.column("context").to_pylist())
        context_ids = list(in_chunks(tokenizer.ids, contexts))
        choice_ids = in_chunks(tokenizer.ids, [choice for choices in all_choices for choice in choices])
        columns: dict[str, list] = {"input_ids": [], "example": [], "option": [], "gold": []}
        for example, (choices, label) in enumerate(zip(all_choices, rows.column("label").to_pylist(), strict=True)):
            for option in range(len(choices)):
                joined = tokenizer.join_truncated(context_ids[context_numbers[example]], next(choice_ids), max_length)
                columns["input_ids"].append(joined)
                columns["example"].append(example)
                columns["option"].append(option)
                columns["gold"].append(int(option == label))
        return columns

    def build_head(self, card: TaskCard, hidden_size: int) -> torch.nn.Module:
        """XLM-R's classification head with one output."""
        from stiltgrid.modeling.heads import ClassificationHead

        return ClassificationHead(hidden_size, 1)

    def loss(self, card: TaskCard, head: torch.nn.Module, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Summed cross-entropy of the right option among the options of each example."""
        import torch

        scores = head(batch.pool(hidden)).float().squeeze(-1)
        option = batch.scalars["option"]
        # Option 0 opens an example: `example` alone would merge an example drawn twice in a row.
        example = torch.cumsum(option == 0, dim=0) - 1
        options = batch.numbers["option"]
        table = scores.new_full((int((options == 0).sum()), int(options.max()) + 1), float("-inf"))
        table = table.index_put((example, option), scores)
        loss: torch.Tensor = torch.logsumexp(table, dim=-1).sum() - (scores * batch.scalars["gold"]).sum()
        return loss

    def loss_weight(self, scalars: Mapping[str, Any], tokens: Mapping[str, Any], sequences: int) -> float:
        """One term an example."""
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
        """The best option's number from 0 (the first of equals); score 1 where right."""
        scores = np.asarray(outputs, dtype=np.float64)
        labels = rows.column("label").to_pylist()
        indices, golds, predicted = [], [], []
        for example, sequences in example_groups(columns["example"]):
            indices.append(example)
            golds.append(str(labels[example]))
            predicted.append(str(int(np.argmax(scores[sequences]))))
        right = [float(gold == prediction) for gold, prediction in zip(golds, predicted, strict=True)]
        return predictions_table(rows, indices, {"prediction": predicted, "gold": golds, "score": right})

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

"""Sequence tagging: one tag per word; long sentences are split between words, never truncated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stiltgrid.data.rows import RawRow
from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks import fields
from stiltgrid.tasks.families.base import KEYS, Family, Measurement
from stiltgrid.tasks.families.common import by_language_and_split, example_groups, in_chunks, predictions_table
from stiltgrid.tasks.metrics.accuracy import accuracy, macro_f1
from stiltgrid.tasks.metrics.chunks import chunk_scores
from stiltgrid.tasks.tag_schemes import chunk_rule, metrics_of, scheme_of
from stiltgrid.utils.errors import RowError

if TYPE_CHECKING:
    import torch

    from stiltgrid.modeling.batching import Batch

CONTINUED = -100  # in the encoded column `tag`: special tokens, and all but one token of a word
DROPOUT = 0.1
LABELS = pa.list_(pa.string())


class Tagging(Family):
    """Fields: tokens, tags. Options: scheme, chunks, labels_from_data; see `tag_schemes` and `metrics.chunks`.

    Words whose tag is among the card's `drop_labels` are left out of their sentence. In predictions, `prediction` and
    `gold` are lists of labels, one per word.
    """

    name = "tagging"
    splits_examples = True
    schema = pa.schema([*KEYS, ("tokens", pa.list_(pa.string())), ("tags", pa.list_(pa.int32()))])

    def example(self, card: TaskCard, row: RawRow, labels: fields.Labels) -> dict[str, Any] | None:
        """See Family.examples. A token may be any text, even empty: each has its tag."""
        words = fields.texts(row, card.fields["tokens"], "tokens")
        tags = labels.numbers(row)
        if not words or len(words) != len(tags):
            raise RowError(
                row.place,
                f"tokens and tags must be of one length above 0, found {len(words)} tokens and {len(tags)} tags",
            )
        kept = [(word, tag) for word, tag in zip(words, tags, strict=True) if tag is not None]
        return {"tokens": [word for word, _ in kept], "tags": [tag for _, tag in kept]} if kept else None

    def encode(
        self, card: TaskCard, rows: pa.Table, tokenizer: SubwordTokenizer, max_length: int, training: bool
    ) -> dict[str, list]:
        """One sequence per piece of a sentence. Column `tag`: the tag at one token of each word, CONTINUED elsewhere.

        That token is the word's first, as for BERT; in a causal model its last, which attends to the whole word.
        """
        sentences: list[list[str]] = rows.column("tokens").to_pylist()
        room = max_length - tokenizer.special_count(1)
        before, after = [CONTINUED] * len(tokenizer.prefix), [CONTINUED] * len(tokenizer.suffix)
        columns: dict[str, list] = {"input_ids": [], "example": [], "tag": []}
        tokenised = in_chunks(tokenizer.word_ids, sentences)
        for example, (encoded, tags) in enumerate(zip(tokenised, rows.column("tags").to_pylist(), strict=True)):
            words = _words(*encoded, count=len(tags), stand_in=tokenizer.unknown, room=room)
            for piece in _pieces(words, room):
                columns["input_ids"].append(tokenizer.join([token for place in piece for token in words[place]]))
                columns["example"].append(example)
                inner = [label for place in piece for label in _marks(tags[place], len(words[place]), tokenizer.causal)]
                columns["tag"].append([*before, *inner, *after])
        return columns

    def build_head(self, card: TaskCard, hidden_size: int) -> torch.nn.Module:
        """Dropout and one linear layer over the card's labels, as in XLM-R's token classification."""
        from stiltgrid.modeling.heads import TokenHead

        return TokenHead(hidden_size, len(card.labels), DROPOUT)

    def loss(self, card: TaskCard, head: torch.nn.Module, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Summed cross-entropy of the words' tags."""
        from torch.nn.functional import cross_entropy

        marked = batch.places_on_device(np.flatnonzero(batch.numbers["tag"] != CONTINUED))
        return cross_entropy(head(batch.flat(hidden)[marked]).float(), batch.tokens["tag"][marked], reduction="sum")

    def loss_weight(self, scalars: Mapping[str, Any], tokens: Mapping[str, Any], sequences: int) -> float:
        """One term per word."""
        return float((np.asarray(tokens["tag"]) != CONTINUED).sum())

    def predict(self, card: TaskCard, head: torch.nn.Module | None, hidden: Any, batch: Batch) -> list[Any]:
        """The most probable tag's index for each word of the piece, (words,)."""
        import torch

        assert head is not None, "tagging needs a head"
        marked = batch.tokens["tag"] != CONTINUED
        predicted = head(batch.flat(hidden)[marked]).argmax(-1).cpu().numpy().astype(np.int32)
        owners = torch.repeat_interleave(torch.arange(len(batch), device=marked.device), batch.lengths)[marked]
        words = torch.bincount(owners, minlength=len(batch)).cpu().numpy()
        return np.split(predicted, np.cumsum(words)[:-1])

    def decode(
        self,
        card: TaskCard,
        outputs: Sequence[Any],
        columns: Mapping[str, Any],
        rows: pa.Table,
        options: Mapping[str, Any],
    ) -> pa.Table:
        """Lists of labels; the score is the share of words that are right."""
        tags = rows.column("tags").to_pylist()
        indices, golds, predicted, scores = [], [], [], []
        for example, pieces in example_groups(columns["example"]):
            gold, guess = np.asarray(tags[example]), np.concatenate(outputs[pieces])
            if len(gold) != len(guess):
                raise AssertionError(f"{len(guess)} predictions for the {len(gold)} words of example {example}")
            indices.append(example)
            golds.append([card.labels[tag] for tag in gold])
            predicted.append([card.labels[tag] for tag in guess])
            scores.append(float((gold == guess).mean()))
        return predictions_table(rows, indices, {"prediction": predicted, "gold": golds, "score": scores}, LABELS)

    def measure(self, card: TaskCard, predictions: pa.Table, rows: pa.Table) -> list[Measurement]:
        """The metrics of the card's scheme; `n` counts sentences."""
        found = []
        names = metrics_of(card.options)
        for language, split, table in by_language_and_split(predictions):
            golds, predicted = table.column("gold").to_pylist(), table.column("prediction").to_pylist()
            gold_words = [tag for tags in golds for tag in tags]
            predicted_words = [tag for tags in predicted for tag in tags]
            values = {}
            if "f1" in names:
                values = chunk_scores(golds, predicted, chunk_rule(card.options), scheme_of(card.options))
            values["accuracy"] = accuracy(gold_words, predicted_words)
            values["macro_f1"] = macro_f1(gold_words, predicted_words)
            found += [Measurement(language, split, name, values[name], len(golds)) for name in names]
        return found


def _marks(tag: int, tokens: int, at_end: bool) -> list[int]:
    """The column `tag` for the tokens of a word."""
    others = [CONTINUED] * (tokens - 1)
    return [*others, tag] if at_end else [tag, *others]


def _words(ids: list[int], word_ids: list[int], count: int, stand_in: int, room: int) -> list[list[int]]:
    """Tokens of each word, at most `room` and at least one, for which `stand_in` is taken if there is none."""
    words: list[list[int]] = [[] for _ in range(count)]
    for token, word in zip(ids, word_ids, strict=True):
        words[word].append(token)
    return [word[:room] or [stand_in] for word in words]


def _pieces(words: Sequence[Sequence[int]], room: int) -> Iterator[range]:
    """Ranges of whole words whose tokens fit `room`, filled greedily as in XTREME's scripts."""
    start = used = 0
    for place, word in enumerate(words):
        if used + len(word) > room:
            yield range(start, place)
            start, used = place, 0
        used += len(word)
    yield range(start, len(words))


FAMILY = Tagging()

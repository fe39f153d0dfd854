"""Extractive question answering: the answer is a span of the context, or (SQuAD v2.0) none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stiltgrid.data import values
from stiltgrid.data.rows import RawRow
from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks import fields
from stiltgrid.tasks.families import span_scores
from stiltgrid.tasks.families.base import KEYS, Family, Measurement
from stiltgrid.tasks.families.common import distinct, example_groups, in_chunks, keep_texts, predictions_table
from stiltgrid.tasks.families.windows import Spans, most_context, windows
from stiltgrid.utils.errors import RowError

if TYPE_CHECKING:
    import torch

    from stiltgrid.modeling.batching import Batch

DOC_STRIDE = 128
MAX_QUERY_LENGTH = 64
MAX_ANSWER_LENGTH = 30
N_BEST = 20
OUTSIDE = -1  # character position of tokens outside the context
NO_ANSWER = 'in a card with `options: {null_answers: true}`, write no answer as {"text": [], "answer_start": []}'
NULL = 0  # in `start` and `end`: no answer in this window, which the head marks at the position `Batch.summary`


class Span(Family):
    """Fields: context, question, answers ({text, answer_start}), title (optional).

    Options: doc_stride, max_query_length, max_answer_length (tokens), n_best, null_answers (questions may
    have none), null_threshold (0), normalisation (squad or mlqa), misplaced_answers (error, drop or find),
    empty_texts.
    """

    name = "span"
    compares = True
    splits_examples = True
    schema = pa.schema(
        [
            *KEYS,
            ("title", pa.string()),
            ("context", pa.string()),
            ("question", pa.string()),
            ("answer_texts", pa.list_(pa.string())),
            ("answer_starts", pa.list_(pa.int32())),
        ]
    )

    def example(self, card: TaskCard, row: RawRow, labels: fields.Labels) -> dict[str, Any] | None:
        """See Family.examples. Answer starts are characters (code points) of the context."""
        context = fields.text(row, card.fields["context"], "context")
        question = fields.text(row, card.fields["question"], "question")
        if not keep_texts(card, row.place, {"context": context, "question": question}):
            return None
        answers = _answers(card, row, context)
        if not answers and not card.options.get("null_answers"):
            if card.options.get("misplaced_answers") == "drop":
                return None
            raise RowError(row.place, f"a question without an answer; {NO_ANSWER}")
        return {
            "title": fields.optional_text(row, card.fields["title"], "title") if "title" in card.fields else None,
            "context": context,
            "question": question,
            "answer_texts": [text for text, _ in answers],
            "answer_starts": [start for _, start in answers],
        }

    def encode(
        self, card: TaskCard, rows: pa.Table, tokenizer: SubwordTokenizer, max_length: int, training: bool
    ) -> dict[str, list]:
        """One sequence per window: question, then a part of the context.

        Columns: `start` and `end`, the tokens of the first answer, or NULL if it is not whole in the window. For
        evaluation also, per token, `char_start` and `char_end` in the context (OUTSIDE elsewhere) and `may_start`, 1
        where no other window has more context for the token.
        """
        contexts, numbers = distinct(rows.column("context").to_pylist())
        pieces = list(in_chunks(tokenizer.pieces, contexts))
        spans = [Spans.of(item, text) for item, text in zip(pieces, contexts, strict=True)]
        outer = tokenizer.special_count(2)
        longest = min(card.options.get("max_query_length", MAX_QUERY_LENGTH), (max_length - outer) // 2)
        questions = in_chunks(tokenizer.ids, rows.column("question").to_pylist())
        answers = zip(rows.column("answer_texts").to_pylist(), rows.column("answer_starts").to_pylist(), strict=True)
        columns = _Columns(card, tokenizer, training)
        for example, (question, (texts, starts)) in enumerate(zip(questions, answers, strict=True)):
            number = numbers[example]
            answer = _token_span(spans[number], texts[0], starts[0]) if texts else None
            columns.add(example, question[:longest], pieces[number].ids, spans[number], answer, max_length - outer)
        return columns.lists

    def build_head(self, card: TaskCard, hidden_size: int) -> torch.nn.Module:
        """One linear layer with two outputs per token: start and end."""
        from stiltgrid.modeling.heads import TokenHead

        return TokenHead(hidden_size, 2)

    def loss(self, card: TaskCard, head: torch.nn.Module, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Mean of the start's and the end's cross-entropy over the window's tokens, summed over windows."""
        from torch.nn.functional import cross_entropy

        logits = batch.padded(head(batch.compared(hidden)).float(), float("-inf"))
        nowhere = batch.scalars["end"] == NULL
        start, end = (batch.summary.where(nowhere, batch.scalars[name]) for name in ("start", "end"))
        loss = cross_entropy(logits[..., 0], start, reduction="sum")
        return (loss + cross_entropy(logits[..., 1], end, reduction="sum")) / 2

    def loss_weight(self, scalars: Mapping[str, Any], tokens: Mapping[str, Any], sequences: int) -> float:
        """One term per window."""
        return float(sequences)

    def predict(self, card: TaskCard, head: torch.nn.Module | None, hidden: Any, batch: Batch) -> list[Any]:
        """(1 + n_best, 3) per window: row 0 holds the null score, the others score, first and last character + 1.

        The spans are the best ones of at most `max_answer_length` tokens; rows beyond their number are -inf.
        """
        assert head is not None, "span extraction needs a head"
        logits = batch.padded(head(batch.compared(hidden)).float(), float("-inf"))
        return list(
            _best_spans(
                logits,
                batch,
                card.options.get("max_answer_length", MAX_ANSWER_LENGTH),
                card.options.get("n_best", N_BEST),
            )
        )

    def decode(
        self,
        card: TaskCard,
        outputs: Sequence[Any],
        columns: Mapping[str, Any],
        rows: pa.Table,
        options: Mapping[str, Any],
    ) -> pa.Table:
        """Answers as substrings of the context; `f1` and `exact_match` from 0 to 1, score = f1.

        With `null_answers` also `answer` (the best non-null one), `answer_f1`, `answer_exact_match` and
        `null_margin`: the lowest null score of the windows minus the best span's score.
        """
        contexts = rows.column("context").to_pylist()
        indices, answers, margins = [], [], []
        for example, sequences in example_groups(columns["example"]):
            table = np.stack(outputs[sequences])
            answer, score = _best_text(contexts[example], table[:, 1:].reshape(-1, 3))
            indices.append(example)
            answers.append(answer)
            margins.append(float(table[:, 0, 0].min()) - score)
        taken = rows.take(pa.array(indices, type=pa.int64()))
        return predictions_table(rows, indices, span_scores.columns(card, taken, answers, margins), pa.string())

    def measure(self, card: TaskCard, predictions: pa.Table, rows: pa.Table) -> list[Measurement]:
        """`f1` and `exact_match`; with null answers also at the best threshold and by kind of question."""
        return span_scores.measure(card, predictions)


class _Columns:
    """Collects the windows of one encoding."""

    def __init__(self, card: TaskCard, tokenizer: SubwordTokenizer, training: bool) -> None:
        self.stride = card.options.get("doc_stride", DOC_STRIDE)
        self.tokenizer = tokenizer
        self.training = training
        names = ["input_ids", "example", "start", "end"]
        self.lists: dict[str, list] = {
            name: [] for name in (names if training else [*names, "char_start", "char_end", "may_start"])
        }

    def add(
        self,
        example: int,
        question: list[int],
        context: list[int],
        spans: Spans,
        answer: tuple[int, int] | None,
        room: int,
    ) -> None:
        """Add all windows of one question; `room` is their length in tokens without the special ones."""
        shift = len(self.tokenizer.prefix) + len(question) + len(self.tokenizer.middle)
        cut = windows(len(context), room - len(question), self.stride, MAX_ANSWER_LENGTH)
        for window, may_start in zip(cut, most_context(cut, len(context)), strict=True):
            inside = answer is not None and window.start <= answer[0] and answer[1] < window.stop
            start, end = (place - window.start + shift for place in answer) if inside and answer else (NULL, NULL)
            here = slice(window.start, window.stop)
            row = {
                "input_ids": self.tokenizer.join(question, context[here]),
                "example": example,
                "start": start,
                "end": end,
            }
            if not self.training:
                row["char_start"] = self._beside(spans.starts[here], shift)
                row["char_end"] = self._beside(spans.ends[here], shift)
                row["may_start"] = self._beside(may_start, shift, 0)
            for name, value in row.items():
                self.lists[name].append(value)

    def _beside(self, values: np.ndarray, shift: int, fill: int = OUTSIDE) -> np.ndarray:
        return np.pad(values.astype(np.int32), (shift, len(self.tokenizer.suffix)), constant_values=fill)


def _answers(card: TaskCard, row: RawRow, context: str) -> list[tuple[str, int]]:
    """(text, start) of a row's answers, each verified to be at its place in the context."""
    texts, starts = _answer_lists(row, card.fields["answers"])
    if len(texts) != len(starts):
        raise RowError(row.place, f"field 'answers' has {len(texts)} texts and {len(starts)} starts")
    rule = card.options.get("misplaced_answers", "error")
    found = []
    for text, start in zip(texts, starts, strict=True):
        if not text.strip():
            raise RowError(row.place, f"field 'answers' holds an empty text; {NO_ANSWER}")
        if start >= 0 and context[start : start + len(text)] == text:
            found.append((text, start))
        elif rule == "error":
            raise RowError(
                row.place,
                f"expected the answer {text!r} at character {start} of the context, "
                f"found {context[max(0, start) : max(0, start) + len(text)]!r}",
            )
        elif rule == "find" and text in context:
            found.append((text, _nearest(context, text, start)))
    return found


def _answer_lists(row: RawRow, spec: str) -> tuple[list[str], list[int]]:
    """Texts and starts of a row's answers; ([], []) also for null and for empty texts at -1, which mean no answer."""
    if values.is_missing(fields.resolve(row, spec, "answers")):
        return [], []
    texts, starts = (fields.resolve(row, f"{spec}.{name}", "answers") for name in ("text", "answer_start"))
    if values.is_missing(texts) and (values.is_missing(starts) or starts == []):
        return [], []
    name = f"field 'answers' ({spec}.text)"
    texts = values.items(texts, row.place, name, "a list of texts")
    starts = values.items(starts, row.place, f"field 'answers' ({spec}.answer_start)", "a list of whole numbers")
    absent = [values.is_missing(text) or text == "" for text in texts]
    nowhere = [values.is_missing(start) or (type(start) in (int, float) and start == -1) for start in starts]
    if all(absent) and all(nowhere) and len(texts) == len(starts):
        return [], []
    return values.texts(texts, row.place, name), values.whole_numbers(
        starts, row.place, f"field 'answers' ({spec}.answer_start)"
    )


def _nearest(context: str, text: str, start: int) -> int:
    before, after = context.rfind(text, 0, max(0, start) + len(text)), context.find(text, max(0, start))
    return min((place for place in (before, after) if place >= 0), key=lambda place: abs(place - start))


def _token_span(spans: Spans, text: str, start: int) -> tuple[int, int]:
    """(first, last) context token of an answer without white space at its ends."""
    begin = start + len(text) - len(text.lstrip())
    return spans.tokens_of(begin, start + len(text.rstrip()))


def _best_spans(logits: torch.Tensor, batch: Batch, longest: int, n_best: int) -> np.ndarray:
    """(windows, 1 + n_best, 3) as in `Span.predict`, from (windows, tokens, 2) logits."""
    import torch
    from torch.nn.functional import pad

    tokens = {name: batch.padded(batch.tokens[name], -1) for name in ("char_start", "char_end", "may_start")}
    no = float("-inf")
    starts = logits[..., 0].masked_fill(tokens["may_start"] != 1, no)
    ends = logits[..., 1].masked_fill(tokens["char_end"] < 0, no)
    ends = pad(ends, (0, longest - 1), value=no).unfold(1, longest, 1)  # (windows, tokens, longest)
    scores = (starts.unsqueeze(-1) + ends).flatten(1)
    count = min(n_best, scores.shape[1])
    best, places = scores.topk(count, dim=1)
    first = places // longest
    last = (first + places % longest).clamp(max=logits.shape[1] - 1)
    result = torch.full((len(batch), 1 + n_best, 3), no, dtype=torch.float64, device=logits.device)
    result[:, 0, 0] = logits[torch.arange(len(batch), device=logits.device), batch.summary].sum(-1)
    result[:, 1 : 1 + count, 0] = best
    result[:, 1 : 1 + count, 1] = tokens["char_start"].gather(1, first)
    result[:, 1 : 1 + count, 2] = tokens["char_end"].gather(1, last)
    found: np.ndarray = result.cpu().numpy()
    return found


def _best_text(context: str, spans: np.ndarray) -> tuple[str, float]:
    """The text of the best span that is not only white space, and its score; ("", -inf) if there is none."""
    for place in np.argsort(-spans[:, 0], kind="stable"):
        score, start, end = spans[place]
        if not np.isfinite(score):
            break
        text = context[int(start) : int(end)].strip()
        if text:
            return text, float(score)
    return "", float("-inf")


FAMILY = Span()

"""LAReQA: retrieve, from one pool in all languages, the sentence (in its paragraph) that answers a question.

Training pairs are made from SQuAD rows: the question, and the sentence that holds its first answer.
Evaluation reads the mirror's `questions` and `candidates`; the hub's xquad_r has paragraphs without the
official sentence breaks, so its candidates are cut by rule (and `note` says so).
"""

from collections.abc import Iterator
from typing import Any

from stiltgrid.data import values
from stiltgrid.data.rows import RawRow
from stiltgrid.data.sentences import sentence_at, sentence_spans
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import RowError

CUT_BY_RULE = (
    "the official sentence breaks of XQuAD-R are not in this copy: candidates are sentences cut by rule, "
    "so scores are close to, but not, the official ones"
)


def note(card: TaskCard, source: Source) -> str | None:
    """Note for readers of the scores where candidates were cut by rule."""
    splits = (card.source(source.kind) or {}).get("splits") or {}
    evaluated = [split for split, names in splits.items() if names and split != "train"]
    return None if source.kind == "minilab" or all(source.parts(card, split) for split in evaluated) else CUT_BY_RULE


def rows(card: TaskCard, split: str, language: str, source: Source, training: bool) -> Iterator[RawRow]:
    """Evaluation rows: questions and candidates of one language (or SQuAD rows where a split is plain)."""
    if not source.parts(card, split):
        plain = source.read(card, split, language)
        yield from plain if training else retrieval_rows(plain, language)
        return
    for row in source.read(card, split, language, part="questions"):
        yield _query(row, row.identifier("question_id"), row.text("question"), row.identifiers("answer_candidate_ids"))
    for row in source.read(card, split, language, part="candidates"):
        yield _candidate(row, row.identifier("candidate_id"), row.text("sentence"), row.text("context"))


def example(card: TaskCard, row: RawRow, language: str, split: str) -> RawRow | None:
    """A training pair from a SQuAD row; None where no sentence holds the answer. Others pass unchanged."""
    if "role" in row.values:
        return row
    starts, context = _answer_starts(row), row.text("context")
    if not starts:
        return None
    sentence = sentence_at(context, starts[0])
    if sentence is None:
        return None
    values = {
        "id": row.identifier("id"),
        "role": "pair",
        "text": row.text("question").strip(),
        "text_pair": None,
        "candidate": sentence,
        "candidate_pair": context.strip(),
    }
    return RawRow(values, row.place)


def retrieval_rows(paragraphs: Iterator[RawRow], language: str) -> Iterator[RawRow]:
    """Questions and candidates from SQuAD-form rows, the sentences cut by rule.

    Candidate ids are {language}-{paragraph}-{sentence}; equal texts are one paragraph.
    """
    seen: dict[str, int] = {}
    candidates: list[RawRow] = []
    for row in paragraphs:
        if "role" in row.values:
            yield row
            continue
        context, starts = row.text("context"), _answer_starts(row)
        spans = list(sentence_spans(context))
        if context not in seen:
            seen[context] = len(seen)
            for position, (start, end) in enumerate(spans):
                name = f"{language}-{seen[context]}-{position}"
                candidates.append(_candidate(row, name, context[start:end], context))
        if not starts:
            raise RowError(row.place, "column 'answers': expected an answer, found none")
        name = f"{language}-{seen[context]}"
        gold = [f"{name}-{place}" for place, (start, end) in enumerate(spans) if start <= starts[0] < end]
        yield _query(row, row.identifier("id"), row.text("question"), gold)
    yield from candidates


def mirrored(card: TaskCard, split: str, language: str, source: Source) -> dict[str, Iterator[dict[str, Any]]]:
    """The parts of a mirror, `questions` and `candidates`, out of a plain table of paragraphs."""
    made = list(rows(card, split, language, source, training=False))
    by_role = {role: [row.values for row in made if row.values["role"] == role] for role in ("query", "candidate")}
    questions = (
        {"question_id": row["id"], "lang": language, "question": row["text"], "answer_candidate_ids": row["gold"]}
        for row in by_role["query"]
    )
    candidates = (
        {"candidate_id": row["id"], "lang": language, "sentence": row["text"], "context": row["text_pair"]}
        for row in by_role["candidate"]
    )
    return {"questions": questions, "candidates": candidates}


def _answer_starts(row: RawRow) -> list[int]:
    """Character offsets of a SQuAD row's answers; [] where it has none."""
    if values.is_missing(row.value("answers")):
        return []
    return values.whole_numbers(
        row.mapping("answers").value("answer_start"), row.place, "column 'answers.answer_start'"
    )


def _query(row: RawRow, name: str, text: str, gold: list[str]) -> RawRow:
    return RawRow({"id": name, "role": "query", "text": text.strip(), "text_pair": None, "gold": gold}, row.place)


def _candidate(row: RawRow, name: str, sentence: str, context: str) -> RawRow:
    values = {"id": name, "role": "candidate", "text": sentence.strip(), "text_pair": context.strip(), "gold": []}
    return RawRow(values, row.place)

"""Scores of extracted answers, by the evaluation script that a card follows."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from stiltgrid.grid.cards import TaskCard
from stiltgrid.tasks.families.base import Measurement
from stiltgrid.tasks.families.common import by_language_and_split
from stiltgrid.tasks.metrics import mlqa, squad

Score = Callable[[Sequence[str], str], tuple[float, float]]


def columns(card: TaskCard, rows: pa.Table, answers: Sequence[str], margins: Sequence[float]) -> dict[str, list[Any]]:
    """Prediction columns of `rows` from each row's best non-null answer and null margin."""
    references = rows.column("answer_texts").to_pylist()
    golds = [texts[0] if texts else "" for texts in references]
    by_language = {language: _scorer(card, language) for language in set(rows.column("language").to_pylist())}
    scorers = [by_language[language] for language in rows.column("language").to_pylist()]

    def scored(predictions: Sequence[str]) -> tuple[list[float], list[float]]:
        pairs = [score(texts, text) for score, texts, text in zip(scorers, references, predictions, strict=True)]
        return [f1 for f1, _ in pairs], [exact for _, exact in pairs]

    f1, exact = scored(answers)
    if not card.options.get("null_answers"):
        return {"prediction": list(answers), "gold": golds, "score": f1, "f1": f1, "exact_match": exact}
    threshold = card.options.get("null_threshold", 0.0)
    final = ["" if margin > threshold else answer for answer, margin in zip(answers, margins, strict=True)]
    final_f1, final_exact = scored(final)
    return {
        "prediction": final,
        "gold": golds,
        "score": final_f1,
        "f1": final_f1,
        "exact_match": final_exact,
        "answer": list(answers),
        "answer_f1": f1,
        "answer_exact_match": exact,
        "null_margin": [margin if math.isfinite(margin) else math.copysign(1e9, margin) for margin in margins],
        "answerable": [bool(texts) for texts in references],
    }


def measure(card: TaskCard, predictions: pa.Table) -> list[Measurement]:
    """`f1`, `exact_match`; with null answers `best_f1`, `best_exact_match`, `has_answer_f1`, `no_answer_accuracy`.

    The best_ scores choose their threshold on the questions that they score (as in SQuAD v2.0's script and jiant's
    selection metric); `f1` and `exact_match` use the card's fixed null_threshold.
    """
    found = []
    for language, split, table in by_language_and_split(predictions):
        f1, exact = table.column("f1").to_pylist(), table.column("exact_match").to_pylist()
        values = {"f1": (_percent(f1), len(f1)), "exact_match": (_percent(exact), len(exact))}
        if card.options.get("null_answers"):
            values |= _null_scores(table)
        found += [Measurement(language, split, name, value, n) for name, (value, n) in values.items()]
    return found


def _null_scores(table: pa.Table) -> dict[str, tuple[float, int]]:
    answerable, margins = table.column("answerable").to_pylist(), table.column("null_margin").to_pylist()
    answered = [bool(text) for text in table.column("answer").to_pylist()]
    scores: dict[str, tuple[float, int]] = {}
    for name in ("f1", "exact_match"):
        best = squad.best_threshold(table.column(f"answer_{name}").to_pylist(), answered, answerable, margins)
        scores[f"best_{name}"] = (100 * best.score, len(answerable))
    f1 = table.column("f1").to_pylist()
    with_answer = [value for value, has_one in zip(f1, answerable, strict=True) if has_one]
    without = [value for value, has_one in zip(f1, answerable, strict=True) if not has_one]
    if with_answer:
        scores["has_answer_f1"] = (_percent(with_answer), len(with_answer))
    if without:
        scores["no_answer_accuracy"] = (_percent(without), len(without))
    return scores


def _scorer(card: TaskCard, language: str) -> Score:
    if card.options.get("null_answers"):
        return squad.score_answer_or_none
    if card.options.get("normalisation", "squad") == "mlqa":
        normalised = functools.partial(mlqa.normalise, language=language)
        return functools.partial(squad.score_answer, normalised=normalised)
    return squad.score_answer


def _percent(values: Sequence[float]) -> float:
    return 100 * sum(values) / len(values) if values else 0.0

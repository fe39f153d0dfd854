"""Examples as the page shows them: texts cut to a bounded length, the gold answer, and what each cell predicted."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from stiltgrid.analysis.example_sample import Answer, Cell, Sample, Sampled
from stiltgrid.utils.parquet import read_parquet

TEXT, CONTEXT, SHORT, WORDS = 400, 500, 160, 40  # characters, and words of a tagged sentence
SHOWN_GOLD = 3
Row = Mapping[str, Any]
Json = dict[str, Any]


def read_rows(path: str | os.PathLike[str], split: str, ids: Sequence[str]) -> dict[tuple[str, str], Row]:
    """(language, id) -> canonical row of some examples of a split."""
    import pyarrow as pa

    wanted = (pc.field("split") == split) & pc.field("id").isin(pa.array(list(dict.fromkeys(ids)), pa.string()))
    rows = read_parquet(path, filters=wanted).to_pylist()
    return {(row["language"], row["id"]): row for row in rows}


def shown_examples(
    samples: Mapping[str, Sample], cells: Sequence[Cell], family: str, labels: Sequence[str], path: Any, split: str
) -> dict[str, Json]:
    """Language -> `total` and `examples`, each with `texts`, `gold` and one entry of `cells` for each cell.

    An entry is [answer, right, remark], or None for a cell without a prediction. Candidates of retrieval are looked up
    in the same file, whatever their language.
    """
    ids = [each.id for sample in samples.values() for each in sample.examples]
    rows = read_rows(path, split, ids)
    candidates = _candidates(samples, rows, family, path, split)
    show = _FAMILIES[family]
    return {
        language: {
            "total": sample.total,
            "examples": [
                show(each, rows[language, each.id], cells, labels, candidates)
                for each in sample.examples
                if (language, each.id) in rows
            ],
        }
        for language, sample in samples.items()
    }


def _candidates(
    samples: Mapping[str, Sample], rows: Mapping[tuple[str, str], Row], family: str, path: Any, split: str
) -> dict[str, str]:
    """Id -> text of the candidates that are relevant or were found first."""
    if family not in ("embedding", "dual"):
        return {}
    wanted = [name for row in rows.values() for name in (row.get("gold") or [])[:SHOWN_GOLD]]
    for sample in samples.values():
        for each in sample.examples:
            wanted += [name for answer in each.answers.values() if (name := _first(answer.value))]
    return {name: _retrieved(row) for (_, name), row in read_rows(path, split, wanted).items()}


def _first(value: Any) -> str | None:
    """The best candidate's id: predictions are one id, or a list of ids with the best first."""
    if isinstance(value, list):
        return value[0] if value else None
    return value or None


def _retrieved(row: Row) -> str:
    return _cut(" · ".join(text for text in (row["text"], row.get("text_pair")) if text), TEXT)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _around(text: str, start: int, end: int) -> str:
    """A part of a long text with the characters from `start` to `end` in its middle."""
    if len(text) <= CONTEXT:
        return text
    first = max(0, min((start + end - CONTEXT) // 2, len(text) - CONTEXT))
    last = first + CONTEXT
    return ("…" if first else "") + text[first:last] + ("…" if last < len(text) else "")


def _entries(each: Sampled, cells: Sequence[Cell], entry: Callable[[Answer], list[Any]]) -> list[list[Any] | None]:
    return [entry(each.answers[cell]) if cell in each.answers else None for cell in cells]


def _sequence(each: Sampled, row: Row, cells: Sequence[Cell], labels: Sequence[str], _: Mapping[str, str]) -> Json:
    texts = (
        [["first text", row["text_a"]], ["second text", row["text_b"]]] if row["text_b"] else [["text", row["text_a"]]]
    )
    return {
        "id": each.id,
        "texts": [[name, _cut(text, TEXT)] for name, text in texts],
        "gold": labels[row["label"]],
        "cells": _entries(each, cells, lambda answer: [answer.value, int(answer.right), ""]),
    }


def _choice(each: Sampled, row: Row, cells: Sequence[Cell], _: Sequence[str], __: Mapping[str, str]) -> Json:
    options = [f"{number}: {_cut(text, SHORT)}" for number, text in enumerate(row["choices"], start=1)]
    return {
        "id": each.id,
        "texts": [["context", _cut(row["context"], CONTEXT)], *(["option", option] for option in options)],
        "gold": options[row["label"]],
        "cells": _entries(each, cells, lambda answer: [f"option {int(answer.value) + 1}", int(answer.right), ""]),
    }


def _span(each: Sampled, row: Row, cells: Sequence[Cell], _: Sequence[str], __: Mapping[str, str]) -> Json:
    answers, starts = row["answer_texts"], row["answer_starts"]
    first = (starts[0], starts[0] + len(answers[0])) if answers else (0, 0)

    def entry(answer: Answer) -> list[Any]:
        remark = "" if answer.right else f"F1 {answer.facts['f1']:.2f}"
        return [_cut(answer.value or "(no answer)", SHORT), int(answer.right), remark]

    return {
        "id": each.id,
        "texts": [["question", _cut(row["question"], TEXT)], ["context", _around(row["context"], *first)]],
        "gold": _cut(" / ".join(dict.fromkeys(answers)), TEXT) or "(no answer)",
        "cells": _entries(each, cells, entry),
    }


def _tagging(each: Sampled, row: Row, cells: Sequence[Cell], labels: Sequence[str], _: Mapping[str, str]) -> Json:
    """Answers are pairs of a word's place and its wrong tag."""
    gold = [labels[tag] for tag in row["tags"]]

    def entry(answer: Answer) -> list[Any]:
        given = answer.value.split(" ") if isinstance(answer.value, str) else answer.value
        wrong = [[place, tag] for place, (tag, right) in enumerate(zip(given, gold, strict=False)) if tag != right]
        return [wrong[:WORDS], int(answer.right), f"{len(gold) - len(wrong)} of {len(gold)} words right"]

    return {
        "id": each.id,
        "words": [_cut(word, 40) for word in row["tokens"][:WORDS]],
        "tags": gold[:WORDS],
        "cut": len(gold) > WORDS,
        "cells": _entries(each, cells, entry),
    }


def _retrieval(each: Sampled, row: Row, cells: Sequence[Cell], _: Sequence[str], texts: Mapping[str, str]) -> Json:
    gold = row.get("gold") or []

    def entry(answer: Answer) -> list[Any]:
        first, ranks = _first(answer.value), answer.facts.get("ranks")
        remark = ""
        if ranks is not None and not answer.right:
            remark = f"first relevant at rank {min(ranks)}" if ranks else "none relevant within the first 100"
        return ["(no pair)" if first is None else texts.get(first, first), int(answer.right), remark]

    known = [texts.get(name, name) for name in gold[:SHOWN_GOLD]]
    more = f" / and {len(gold) - SHOWN_GOLD} more" if len(gold) > SHOWN_GOLD else ""
    return {
        "id": each.id,
        "texts": [["query", _retrieved(row)]],
        "gold": " / ".join(known) + more or "(no pair)",
        "cells": _entries(each, cells, entry),
    }


_FAMILIES: Mapping[str, Callable[..., Json]] = {
    "sequence": _sequence,
    "choice": _choice,
    "span": _span,
    "tagging": _tagging,
    "embedding": _retrieval,
    "dual": _retrieval,
}

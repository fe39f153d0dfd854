"""Mewsli-X: link a mention in a news sentence to the description of its entity, in whatever language.

Evaluation mentions are nested (a context with several mentions) and are flattened here; a query is one
sentence, "mention: left { mention } right" (XTREME-R's baseline). Candidates are the descriptions of all
entities, one pool for all languages, read together with the first language.
Training rows are single mentions paired with their entity (`contextual_mention`, `entity`).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from stiltgrid.data.rows import RawRow, member
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import RowError

POOL_LANGUAGE = "en"  # one file for all languages; a mirror files it under English
_BRACES = re.compile(r"\{(.*?)\}")


def rows(card: TaskCard, split: str, language: str, source: Source, training: bool) -> Iterator[RawRow]:
    """Training pairs; or the queries of one language, and with the first language the shared candidates."""
    if not source.parts(card, split):
        yield from source.read(card, split, language)
        return
    if training:
        yield from source.read(card, split, language, part="pairs")
        return
    for row in source.read(card, split, language, part="mentions"):
        yield from _queries(row)
    if language == card.languages[0]:
        for row in source.read(card, split, POOL_LANGUAGE, part="candidates"):
            values = {
                "id": row.value("entity_id"),
                "role": "candidate",
                "text": description(row.values, row),
            }
            yield RawRow({**values, "text_pair": None, "gold": []}, row.place)


def example(card: TaskCard, row: RawRow, language: str, split: str) -> RawRow | None:
    """A training pair from a mention and its entity; retrieval rows pass unchanged."""
    if "role" in row.values:
        return row
    mention, entity = row.value("contextual_mention"), row.value("entity")
    text = query(member(mention, "context", row.place), member(mention, "mention", row.place), row)
    values = {
        "id": member(mention["mention"], "example_id", row.place),
        "role": "pair",
        "text": text,
        "text_pair": None,
        "candidate": description(entity, row),
        "candidate_pair": None,
    }
    return RawRow(values, row.place)


def tables(card: TaskCard, split: str, language: str, source: Source, training: bool) -> list[tuple[str, ...]]:
    """(language, part) of everything that is read for a language; (language,) where there are no parts."""
    if not source.parts(card, split):
        return [(language,)]
    return [(language, "pairs")] if training else [(language, "mentions"), (POOL_LANGUAGE, "candidates")]


def _queries(row: RawRow) -> Iterator[RawRow]:
    context = row.value("context")
    for mention in row.value("mentions"):
        name, entity = member(mention, "example_id", row.place), member(mention, "entity_id", row.place)
        values = {
            "id": name,
            "role": "query",
            "text": query(context, mention, row),
            "text_pair": None,
            "gold": [entity],
        }
        yield RawRow(values, row.place)


def query(context: Mapping[str, Any], mention: Mapping[str, Any], row: RawRow) -> str:
    """The mention's sentence with the mention in braces, the mention's text before it.

    Other braces become parentheses. Raises RowError for a mention that is not at its offset or crosses sentences.
    """
    text, span = context["text"], mention["mention_span"]
    start, end = span["start"], span["end"]
    if text[start:end] != span["text"]:
        found = f"found '{text[start:end]}'"
        raise RowError(row.place, f"mention '{mention['example_id']}': expected '{span['text']}' at {start}, {found}")
    for sentence in context["sentence_spans"]:
        if sentence["start"] <= start and end <= sentence["end"]:
            left = _BRACES.sub(r"(\1)", text[sentence["start"] : start])
            right = _BRACES.sub(r"(\1)", text[end : sentence["end"]])
            return " ".join(f"{span['text']}: {left} {{ {span['text']} }} {right}".split())
    raise RowError(
        row.place, f"mention '{mention['example_id']}': expected it inside one sentence, found it across several"
    )


def description(entity: Mapping[str, Any], row: RawRow) -> str:
    """An entity's description: its sentences, white space normalised."""
    text = member(entity, "description", row.place)
    spans = entity.get("sentence_spans") or [{"start": 0, "end": len(text)}]
    return " ".join(" ".join(text[span["start"] : span["end"]] for span in spans).split())

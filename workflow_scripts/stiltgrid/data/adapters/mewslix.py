"""Mewsli-X: link a mention in a news sentence to the description of its entity, in whatever language.

Evaluation mentions are nested (a context with several mentions) and are flattened here; a query is one
sentence, "mention: left { mention } right" (XTREME-R's baseline). Candidates are the descriptions of all
entities, one pool for all languages, read together with the first language.
Training rows are single mentions paired with their entity (`contextual_mention`, `entity`).
"""

import re
from collections.abc import Iterator

from stiltgrid.data.rows import RawRow
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
            values = {"id": row.identifier("entity_id"), "role": "candidate", "text": description(row)}
            yield RawRow({**values, "text_pair": None, "gold": []}, row.place)


def example(card: TaskCard, row: RawRow, language: str, split: str) -> RawRow | None:
    """A training pair from a mention and its entity; retrieval rows pass unchanged."""
    if "role" in row.values:
        return row
    pair = row.mapping("contextual_mention")
    mention = pair.mapping("mention")
    values = {
        "id": mention.identifier("example_id"),
        "role": "pair",
        "text": query(pair.mapping("context"), mention),
        "text_pair": None,
        "candidate": description(row.mapping("entity")),
        "candidate_pair": None,
    }
    return RawRow(values, row.place)


def tables(card: TaskCard, split: str, language: str, source: Source, training: bool) -> list[tuple[str, ...]]:
    """(language, part) of everything that is read for a language; (language,) where there are no parts."""
    if not source.parts(card, split):
        return [(language,)]
    return [(language, "pairs")] if training else [(language, "mentions"), (POOL_LANGUAGE, "candidates")]


def _queries(row: RawRow) -> Iterator[RawRow]:
    context = row.mapping("context")
    for mention in row.mappings("mentions"):
        values = {
            "id": mention.identifier("example_id"),
            "role": "query",
            "text": query(context, mention),
            "text_pair": None,
            "gold": [mention.identifier("entity_id")],
        }
        yield RawRow(values, row.place)


def query(context: RawRow, mention: RawRow) -> str:
    """The mention's sentence with the mention in braces, the mention's text before it.

    Other braces become parentheses. Raises RowError for a mention that is not at its offset or crosses sentences.
    """
    text, name, span = context.text("text"), mention.identifier("example_id"), mention.mapping("mention_span")
    start, end, words = span.whole_number("start"), span.whole_number("end"), span.text("text")
    if not 0 <= start <= end or text[start:end] != words:
        found = f"found '{text[max(0, start) : max(0, end)]}'"
        raise RowError(mention.place, f"mention '{name}': expected '{words}' at {start}, {found}")
    for sentence in context.mappings("sentence_spans"):
        first, last = sentence.whole_number("start"), sentence.whole_number("end")
        if first <= start and end <= last:
            left = _BRACES.sub(r"(\1)", text[first:start])
            right = _BRACES.sub(r"(\1)", text[end:last])
            return " ".join(f"{words}: {left} {{ {words} }} {right}".split())
    raise RowError(mention.place, f"mention '{name}': expected it inside one sentence, found it across several")


def description(entity: RawRow) -> str:
    """An entity's description: its sentences, white space normalised."""
    text = entity.text("description")
    given = entity.mappings("sentence_spans") if entity.values.get("sentence_spans") else []
    spans = [(span.whole_number("start"), span.whole_number("end")) for span in given] or [(0, len(text))]
    return " ".join(" ".join(text[start:end] for start, end in spans).split())

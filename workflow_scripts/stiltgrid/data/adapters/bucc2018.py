"""BUCC 2018: two pools of sentences and the gold pairs between them; or, from the hub, only the pairs.

Queries are the language's sentences, candidates the English ones, `gold` the ids of the translations.
"""

from collections.abc import Iterator

from stiltgrid.data.rows import RawRow
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import RowError, nearest

PAIRS_ONLY = (
    "this copy has only the gold pairs, not the comparable corpora with their distractors: "
    "mining is much easier, and the score is not comparable to XTREME's BUCC"
)


def note(card: TaskCard, source: Source) -> str | None:
    """Note for readers of the scores where the pools are missing (the hub's copy, XTREME's own columns)."""
    splits = [split for split, names in ((card.source(source.kind) or {}).get("splits") or {}).items() if names]
    return None if all(source.parts(card, split) for split in splits) else PAIRS_ONLY


def tables(card: TaskCard, split: str, language: str, source: Source, training: bool) -> list[tuple[str, ...]]:
    """(language, part) of everything that is read for a language; (language,) where there are no parts."""
    if not source.parts(card, split):
        return [(language,)]
    return [(language, "gold"), (language, "pool"), ("en", "pool")]


def rows(card: TaskCard, split: str, language: str, source: Source, training: bool) -> Iterator[RawRow]:
    """Retrieval rows: queries, then candidates."""
    if source.parts(card, split):
        return _mined(card, split, language, source)
    return _paired(source.read(card, split, language))


def _mined(card: TaskCard, split: str, language: str, source: Source) -> Iterator[RawRow]:
    gold: dict[str, list[str]] = {}
    places: dict[str, str] = {}
    for row in source.read(card, split, language, part="gold"):
        source_id, target_id = row.identifier("source_id"), row.identifier("target_id")
        gold.setdefault(source_id, []).append(target_id)
        places[source_id] = places[target_id] = row.place
    known: set[str] = set()
    for role, side in (("query", language), ("candidate", "en")):
        for row in source.read(card, split, side, part="pool"):
            name = row.identifier("id")
            known.add(name)
            answers = gold.get(name, []) if role == "query" else []
            yield RawRow(_retrieval(name, role, row.text("sentence"), answers), row.place)
    for name, place in places.items():
        if name not in known:
            raise RowError(place, f"expected the id of a pool sentence, found '{name}'; {nearest(name, known)}")


def _paired(pairs: Iterator[RawRow]) -> Iterator[RawRow]:
    queries: dict[str, tuple[str, list[str], str]] = {}
    candidates: dict[str, tuple[str, str]] = {}
    for number, row in enumerate(pairs):
        if "role" in row.values:
            yield row
            continue
        source_id, target_id = _pair_ids(row, number)
        _, answers, _ = queries.setdefault(source_id, (row.text("source_sentence"), [], row.place))
        if target_id not in answers:
            answers.append(target_id)
        candidates.setdefault(target_id, (row.text("target_sentence"), row.place))
    for name, (text, answers, place) in queries.items():
        yield RawRow(_retrieval(name, "query", text, answers), place)
    for name, (text, place) in candidates.items():
        yield RawRow(_retrieval(name, "candidate", text, []), place)


def _pair_ids(row: RawRow, number: int) -> tuple[str, str]:
    """The hub's `source_lang` and `target_lang` hold sentence ids; where they hold languages, number the rows."""
    source_id, target_id = row.text("source_lang"), row.text("target_lang")
    if "-" in source_id and "-" in target_id:
        return source_id, target_id
    return f"{source_id}-pair{number}", f"{target_id}-pair{number}"


def _retrieval(name: str, role: str, text: str, gold: list[str]) -> dict[str, object]:
    return {"id": name, "role": role, "text": text.strip(), "text_pair": None, "gold": gold}

"""The tables as the page carries them: column by column, numbers as numbers, with an explanation of each column."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.analysis.columns import TABLES, explanation
from stiltgrid.grid.layout import Layout

Json = dict[str, Any]
AnyPath = str | os.PathLike[str]


def read_tables(folder: AnyPath) -> list[Json]:
    """The text tables of TABLES that exist in a folder, in that order."""
    return [
        {"file": name, "title": title, **_columns(Path(folder, name))}
        for name, title in TABLES.items()
        if name.endswith(".tsv") and Path(folder, name).is_file()
    ]


def _columns(path: Path) -> Json:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t")
    columns = [_column(path.name, name, [row[place] for row in rows]) for place, name in enumerate(header)]
    return {"rows": len(rows), "columns": columns}


def _column(table: str, name: str, texts: Sequence[str]) -> Json:
    """`values` as numbers, None where empty; or, of other texts, numbers of entries of `words`."""
    found: Json = {"name": name, "about": explanation(name, table)}
    values = numbers(texts)
    if values is not None:
        return {**found, "decimals": 4 if any("." in text for text in texts) else 0, "values": values}
    words = list(dict.fromkeys(texts))
    place = {word: number for number, word in enumerate(words)}
    return {**found, "words": words, "values": [place[text] for text in texts]}


def numbers(texts: Sequence[str]) -> list[float | int | None] | None:
    """The numbers of a column, None for an empty field; None where something else is in it."""
    try:
        return [(float(text) if set(text) & set(".e") else int(text)) if text else None for text in texts]
    except ValueError:
        return None


def headline_scores(path: AnyPath, layout: Layout) -> Json:
    """`scores.parquet` at the headline metric and split of each target: seed -> value, by model, row, target, language.

    Values are those of the file, not rounded.
    """
    from stiltgrid.utils.parquet import read_parquet

    headline = [
        [("target", "==", column.target), ("metric", "==", column.metric), ("split", "==", column.split)]
        for column in layout.columns
    ]
    table = read_parquet(path, filters=headline)
    names = ("model", "intermediate", "target", "language", "seed", "value")
    found: Json = {}
    for *keys, seed, value in zip(*(table.column(name).to_pylist() for name in names), strict=True):
        part = found
        for key in keys:
            part = part.setdefault(key, {})
        part[str(seed)] = value
    return found


def language_facts(codes: Sequence[str]) -> dict[str, Mapping[str, str]]:
    """Code -> name, family and script; of a language that is not listed its code and `unknown`."""
    from stiltgrid.analysis.language_groups import UNKNOWN, known_languages

    known = known_languages()
    return {
        code: {"name": known[code].name, "family": known[code].family, "script": known[code].script}
        if code in known
        else {"name": code, "family": UNKNOWN, "script": UNKNOWN}
        for code in codes
    }

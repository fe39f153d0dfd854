"""Writes `results/tables/README.md`: each table's columns with their units."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from stiltgrid.analysis.columns import MISSING, TABLES, Column, column
from stiltgrid.analysis.language_groups import GAP_COLUMNS, GROUP_COLUMNS
from stiltgrid.analysis.official import COLUMNS as OFFICIAL
from stiltgrid.analysis.published import COLUMNS as PUBLISHED
from stiltgrid.analysis.selection import COLUMNS as BEST_ROWS
from stiltgrid.analysis.significance import COLUMNS as SIGNIFICANCE
from stiltgrid.analysis.significance import LANGUAGE_COLUMNS as SIGNIFICANCE_BY_LANGUAGE
from stiltgrid.analysis.study_columns import STUDIES
from stiltgrid.analysis.tables import CELL_KEYS, LANGUAGE_COLUMNS, SYNTHETIC, TRANSFER_COLUMNS
from stiltgrid.analysis.tables import COLUMNS as SCORES
from stiltgrid.utils.files import atomic_path

# Every table of results/tables with its columns in order; the table of scores has SYNTHETIC among its own.
WRITTEN: Mapping[str, tuple[str, ...]] = {
    "scores.parquet": tuple(name for name in SCORES if name != SYNTHETIC),
    "transfer.tsv": TRANSFER_COLUMNS,
    "transfer_by_language.tsv": LANGUAGE_COLUMNS,
    "significance.tsv": SIGNIFICANCE,
    "significance_by_language.tsv": SIGNIFICANCE_BY_LANGUAGE,
    "best_rows.tsv": BEST_ROWS,
    "language_gaps.tsv": GAP_COLUMNS,
    "language_groups.tsv": GROUP_COLUMNS,
    "official.tsv": OFFICIAL,
    "published.tsv": PUBLISHED,
}
SYNTHETIC_DATA = (
    "**The data is synthetic** (mini-lab): made languages and texts. The numbers say nothing about real ones. The "
    "column `synthetic` is True in every row."
)
HEAD = """# Tables

Tab-separated text with a header; an empty field is a missing value. Read them with
`pandas.read_csv(file, sep="\\t", keep_default_na=False, na_values=[""])`, or with `stiltgrid.read_table`: `none` is the
name of a row and `nan` the code of a language, not missing values. Scores run from 0 to 100. A gain is a difference of
scores in points of the target's metric; means over targets with different metrics mix them.
"""
STUDY_HEAD = """## Studies and selection

Tables of the research questions, under `results/studies/`, and of row selection, under `results/`; a round's table is
`selection/round0.tsv` and so on. A study's `scores.parquet` has the columns of the one above.
"""


def write_readme(path: str | os.PathLike[str], synthetic: bool, finished: bool = True) -> None:
    """Write the page that describes the tables of a grid; of one that is not finished they stand alone."""
    with atomic_path(path) as temporary:
        Path(temporary).write_text(readme(synthetic, finished), encoding="utf-8")


def readme(synthetic: bool, finished: bool = True) -> str:
    """The page: every table of the grid with its columns, then those of the studies and of row selection."""
    parts = [HEAD, *([SYNTHETIC_DATA + "\n"] if synthetic else [])]
    parts += [_section(table, TABLES[table], names) for table, names in WRITTEN.items()]
    if not finished:
        parts.append(_section(*MISSING, CELL_KEYS))
        return "\n".join(parts)
    parts.append(STUDY_HEAD)
    for table, own in STUDIES.items():
        columns = {**own, SYNTHETIC: column(table, SYNTHETIC)}
        parts.append("\n".join([f"### {table}\n", *_lines(columns.items()), ""]))
    return "\n".join(parts)


def _section(table: str, title: str, names: Iterable[str]) -> str:
    columns = ((name, column(table, name)) for name in (*names, SYNTHETIC))
    return "\n".join([f"## {table}\n", f"{title}.\n", *_lines(columns), ""])


def _lines(columns: Iterable[tuple[str, Column]]) -> Iterator[str]:
    yield from ("| column | unit | meaning |", "| --- | --- | --- |")
    for name, found in columns:
        yield f"| `{name}` | {found.unit or '–'} | {found.meaning} |"

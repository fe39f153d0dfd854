"""Every column of every table that is written has a description with its unit."""

import ast
from pathlib import Path

import pytest
from described_tables import described
from stiltgrid.analysis import columns, study_columns
from stiltgrid.analysis.tables import SYNTHETIC
from stiltgrid.reporting.tables_readme import WRITTEN, readme, write_readme
from stiltgrid.selection import answer
from stiltgrid.selection import tables as rounds
from stiltgrid.studies import architecture, diversity, how_many, ranked_tasks, retrieval, similarity

LIBRARY = Path(columns.__file__).resolve().parents[1]
STUDIES = {
    "similarity/pairs.tsv": similarity.PAIR_COLUMNS,
    "similarity/associations.tsv": similarity.ASSOCIATION_COLUMNS,
    "similarity/ranking.tsv": similarity.STRATEGY_COLUMNS,
    "similarity/first_choices.tsv": similarity.CHOICE_COLUMNS,
    "architecture/divergence.tsv": architecture.DIVERGENCE_COLUMNS,
    "architecture/likeness.tsv": architecture.LIKENESS_COLUMNS,
    "architecture/differences.tsv": architecture.DIFFERENCE_COLUMNS,
    "diversity/outcomes.tsv": diversity.OUTCOME_COLUMNS,
    "diversity/effects.tsv": diversity.EFFECT_COLUMNS,
    "how_many/ranking.tsv": ranked_tasks.COLUMNS,
    "how_many/curves.tsv": how_many.CURVE_COLUMNS,
    "how_many/languages.tsv": how_many.LANGUAGE_COLUMNS,
    "how_many/tests.tsv": how_many.TEST_COLUMNS,
    "retrieval/outcomes.tsv": retrieval.OUTCOME_COLUMNS,
    "retrieval/contrasts.tsv": retrieval.CONTRAST_COLUMNS,
    "selection/round.tsv": rounds.COLUMNS,
    "selection/selection.tsv": answer.COLUMNS,
}


def test_every_call_that_writes_a_table_is_among_those_described() -> None:
    """A new table must be added to the lists that this test and the page are made of."""
    calls = sum(
        isinstance(node, ast.Call) and getattr(node.func, "id", "") == "write_tsv"
        for file in LIBRARY.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    )
    # Both tables of significance are written by one call, scores.parquet and the tables of rounds by other functions;
    # missing.tsv stands beside the tables of an unfinished grid.
    assert calls == len(WRITTEN) - 2 + len(STUDIES) - 1 + 1
    assert WRITTEN.keys() == columns.TABLES.keys() and STUDIES.keys() == study_columns.STUDIES.keys()


@pytest.mark.parametrize("table", WRITTEN)
def test_columns_of_the_grid(table: str) -> None:
    for name in (*WRITTEN[table], SYNTHETIC):
        found = columns.column(table, name)
        assert found.meaning.endswith(".") and columns.explanation(name, table).startswith(found.meaning)


@pytest.mark.parametrize("table", STUDIES)
def test_columns_of_studies(table: str) -> None:
    assert tuple(study_columns.STUDIES[table]) == tuple(STUDIES[table])
    assert all(found.meaning.endswith(".") for found in study_columns.STUDIES[table].values())


def test_no_description_is_of_a_column_that_no_table_has() -> None:
    used = {name for names in (*WRITTEN.values(), *STUDIES.values()) for name in names} | {SYNTHETIC}
    assert columns.COLUMNS.keys() <= used
    assert all(own.keys() <= set(WRITTEN[table]) for table, own in columns.OWN.items())


def test_the_page_lists_every_table_with_its_columns(tmp_path: Path) -> None:
    write_readme(tmp_path / "README.md", synthetic=True)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    expected = {table: [*names, SYNTHETIC] for table, names in (*WRITTEN.items(), *STUDIES.items())}
    assert described(tmp_path / "README.md") == expected
    assert "| `gain` | points |" in text and "| `score` | 0 to 100 |" in text
    assert "The data is synthetic" in text and "The data is synthetic" not in readme(synthetic=False)

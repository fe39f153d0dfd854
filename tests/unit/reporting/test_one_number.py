"""A cell has one number: summary, matrix and every table say the same of it, whatever chose the row."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stiltgrid.analysis.best_rows import read_best_rows
from stiltgrid.analysis.selection import write_best_rows
from stiltgrid.analysis.shown import points
from stiltgrid.analysis.significance import write_significance
from stiltgrid.analysis.tables import write_transfer
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.reporting.plots import plot_transfer_matrix
from stiltgrid.reporting.summary import write_summary

TWO = Column("xnli", "accuracy", "test", ("de", "en"), "en")
ONE = Column("xquad", "accuracy", "test", ("de", "en"), "en")
ROWS = ("none", "mnli", "qqp", "ccg")
SEEDS = (1, 2, 3)
LAYOUT = Layout(("tiny",), ROWS, (TWO, ONE), SEEDS)
FAMILIES = {name: {"family": "sequence", "options": {}} for name in ("xnli", "xquad")}
SIZE = 37  # so that scores have more decimals than are shown
LACKING = {("ccg", "xnli", 3)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables, summary and matrix of a small grid: a target with dev and test, one with test only, a cell missing."""
    folder = tmp_path_factory.mktemp("grid")
    generator = np.random.default_rng(3)
    scores, predictions = [], {}
    for place, row in enumerate(ROWS):
        for column in LAYOUT.columns:
            for seed in SEEDS:
                if (row, column.target, seed) in LACKING:
                    continue
                examples = []
                for split in ("dev", "test") if column is TWO else ("test",):
                    for language in column.languages:
                        right = generator.random(SIZE) < 0.5 + 0.04 * place
                        examples += [
                            {
                                "id": f"{language}-{split}-{number}",
                                "language": language,
                                "split": split,
                                "score": float(one),
                            }
                            for number, one in enumerate(right)
                        ]
                        scores.append({
                            "model": "tiny", "intermediate": row, "target": column.target, "language": language,
                            "split": split, "seed": seed, "metric": "accuracy", "value": 100 * float(right.mean()),
                            "n": SIZE,
                        })  # fmt: skip
                path = folder / f"{row}-{column.target}-{seed}.parquet"
                pq.write_table(pa.Table.from_pylist(examples), path)
                predictions["tiny", row, column.target, seed] = path
    table = folder / "scores.parquet"
    pq.write_table(pa.Table.from_pylist(scores), table)
    write_transfer(table, LAYOUT, folder / "transfer.tsv", folder / "transfer_by_language.tsv")
    tests = (folder / "significance.tsv", folder / "significance_by_language.tsv")
    write_significance(table, LAYOUT, FAMILIES, predictions, *tests, draws=200)
    write_best_rows(table, LAYOUT, FAMILIES, predictions, folder / "best_rows.tsv", draws=200)
    write_summary(table, LAYOUT, {}, folder / "summary.txt", folder / "best_rows.tsv")
    plot_transfer_matrix(table, LAYOUT, [folder / "matrix.svg"], read_best_rows(folder / "best_rows.tsv"))
    return folder


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"{name}.tsv", sep="\t", keep_default_na=False, na_values=[""])


def test_intervals_stand_around_the_gains_of_the_transfer_table(folder: Path) -> None:
    for suffix, keys in (("", []), ("_by_language", ["language"])):
        keys = ["model", "intermediate", "target", *keys]
        both = table(folder, f"significance{suffix}").merge(table(folder, f"transfer{suffix}"), on=keys)
        assert len(both) == (len(ROWS) - 1) * 2 * (2 if suffix else 1)
        assert (both.gain_x == both.gain_y).all() and (both.score_x == both.score_y).all()
        assert np.allclose((both.low + both.high) / 2, both.gain_x, atol=2e-4)


def test_the_chosen_rows_have_the_numbers_of_their_cells(folder: Path) -> None:
    best, cells = table(folder, "best_rows"), table(folder, "transfer")
    found = best[best.target != "(mean)"].merge(
        cells, left_on=["model", "target", "chosen"], right_on=["model", "target", "intermediate"]
    )
    assert set(found.target) == {"xnli", "xquad"} and (found.seeds_x == found.seeds_y).all()
    assert (found.score_x == found.score_y).all() and (found.gain_x == found.gain_y).all()
    tested = table(folder, "significance").set_index(["intermediate", "target"])
    two = found[found.target == "xnli"].iloc[0]
    assert (two.low, two.high) == tuple(tested.loc[(two.chosen, "xnli"), ["low", "high"]])
    one = found[found.target == "xquad"].iloc[0]
    assert pd.isna(one.low) and one.half_split_gain != one.gain_x and not pd.isna(one.half_split_gain)


def test_the_summary_and_the_matrix_show_the_transfer_table(folder: Path) -> None:
    cells = table(folder, "transfer").set_index(["intermediate", "target"])
    summary = {line.split()[0]: line for line in (folder / "summary.txt").read_text().splitlines() if "(test)" in line}
    matrix = re.findall(r"<(?:text|tspan)[^>]*>([^<]*)<", (folder / "matrix.svg").read_text(encoding="utf-8"))
    best = read_best_rows(folder / "best_rows.tsv")
    for column in LAYOUT.columns:
        row = best["tiny", column.target].row
        line, cell = summary[column.target], cells.loc[(row, column.target)]
        assert f"none {points(cells.loc[('none', column.target), 'score'])} " in line
        assert f"{row} {points(cell.score)} " in line and f" {points(cell.gain, signed=True)} " in line
    shown = [text.strip() for text in matrix]
    for (row, _), cell in cells.iterrows():
        assert (points(cell.gain, signed=True) if row != "none" else points(cell.score)) in shown
    half = best["tiny", "xquad"].half_gain
    assert half is not None and f"half-of-test estimate {points(half, signed=True)} " in summary["xquad"]


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (12.25, False, "12.3"),  # Python's own formatting says 12.2
        (12.249996, False, "12.3"),  # 12.2500 in the tables
        (12.24994, False, "12.2"),
        (-0.04, True, "0.0"),
        (-0.05, True, "\u22120.1"),
        (3.14, True, "+3.1"),
        (100.0, False, "100.0"),
    ],
)
def test_numbers_are_rounded_from_those_of_the_tables(value: float, signed: bool, text: str) -> None:
    assert points(value, signed) == text

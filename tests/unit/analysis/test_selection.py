"""The best row is chosen where it is not reported; what looks best by luck loses its gain."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stiltgrid.analysis.selection import Choice, check_splits_differ, choose, development, write_best_rows
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.utils.errors import StiltgridError

ROWS = ("none", "mnli", "qqp")
COLUMN = Column("xnli", "accuracy", "test", ("de", "en"), "en")
FAMILIES = {"xnli": {"family": "sequence"}}
SIZE = 40


def accuracies(dev: dict[str, int], test: dict[str, int]) -> dict[str, dict[str, int]]:
    return {row: {"dev": dev.get(row, -1), "test": test.get(row, -1)} for row in ROWS}


def write_grid(folder: Path, right: dict[str, dict[str, int]], split: str = "test", dev_languages=("de", "en")) -> Path:
    """One seed; `right[row][split]` of SIZE answers are right in every language, -1 for no such split."""
    rows: list[dict] = []
    for row, splits in right.items():
        examples = []
        for name, count in splits.items():
            for language in COLUMN.languages if name == "test" else dev_languages:
                if count < 0:
                    continue
                marks = [number < count for number in range(SIZE)]
                examples += [
                    {"id": f"{language}-{name}-{number}", "language": language, "split": name, "score": float(mark)}
                    for number, mark in enumerate(marks)
                ]
                rows.append({
                    "model": "tiny", "intermediate": row, "target": "xnli", "language": language, "split": name,
                    "seed": 1, "metric": "accuracy", "value": 100 * count / SIZE, "n": SIZE,
                })  # fmt: skip
        pq.write_table(pa.Table.from_pylist(examples), folder / f"{row}.parquet")
    pq.write_table(pa.Table.from_pylist(rows), folder / "scores.parquet")
    return rewrite(folder, split, tuple(right))


def rewrite(folder: Path, split: str = "test", names: tuple[str, ...] = ROWS) -> Path:
    predictions = {("tiny", row, "xnli", 1): folder / f"{row}.parquet" for row in names}
    scores = folder / "scores.parquet"
    column = Column("xnli", "accuracy", split, COLUMN.languages, "en")
    layout = Layout(("tiny",), ROWS, (column,), (1,))
    write_best_rows(scores, layout, FAMILIES, predictions, folder / "best_rows.tsv", draws=200)
    return folder


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / "best_rows.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_chosen_on_dev_reported_on_test(tmp_path: Path) -> None:
    right = accuracies(dev={"none": 10, "mnli": 20, "qqp": 16}, test={"none": 12, "mnli": 18, "qqp": 24})
    (row,) = read(write_grid(tmp_path, right))
    assert (row["chosen"], row["selected_on"], row["reported_on"]) == ("mnli", "dev", "test")
    assert (row["selected_score"], row["score"], row["none"], row["gain"]) == (
        "50.0000",
        "45.0000",
        "30.0000",
        "15.0000",
    )
    assert (row["best_there"], row["gain_best_there"]) == ("qqp", "30.0000")
    assert float(row["low"]) < 15 < float(row["high"])
    assert "training variance unseen" in row["remark"]


def test_none_is_chosen_where_no_row_helps(tmp_path: Path) -> None:
    right = accuracies(dev={"none": 30, "mnli": 20, "qqp": 16}, test={"none": 12, "mnli": 18, "qqp": 24})
    (row,) = read(write_grid(tmp_path, right))
    assert (row["chosen"], row["gain"], row["p"]) == ("none", "0.0000", "1")


def test_dev_decides_in_the_languages_it_has(tmp_path: Path) -> None:
    right = accuracies(dev={"none": 10, "mnli": 20, "qqp": 16}, test={"none": 12, "mnli": 18, "qqp": 24})
    (row,) = read(write_grid(tmp_path, right, dev_languages=("en",)))
    assert (row["chosen"], row["selected_languages"], row["languages"]) == ("mnli", "1", "2")


def test_one_split_is_cut_in_halves(tmp_path: Path) -> None:
    right = accuracies(dev={"none": 10, "mnli": 30, "qqp": 16}, test={})
    (row,) = read(write_grid(tmp_path, right, split="dev"))
    assert (row["chosen"], row["selected_on"], row["reported_on"]) == ("mnli", "dev", "dev")
    # 30 of 40 and 10 of 40: what every other file says of this cell.
    assert (row["score"], row["none"], row["gain"]) == ("75.0000", "25.0000", "50.0000")
    assert row["low"] == row["p"] == "" and "flatters" in row["remark"]
    # By hand: the examples whose number's digest is even, and the others; the first 30 (10) of 40 are right.
    halves = [[n for n in range(SIZE) if hashlib.sha256(str(n).encode()).digest()[0] % 2 == side] for side in (0, 1)]
    score, none = (np.mean([100 * np.mean([n < right for n in half]) for half in halves]) for right in (30, 10))
    assert float(row["half_split_score"]) == pytest.approx(score, abs=1e-4)
    assert float(row["half_split_gain"]) == pytest.approx(score - none, abs=1e-4)
    assert row["half_split_rows"] == "mnli"


def test_halves_may_choose_different_rows(tmp_path: Path) -> None:
    """The row that is shown is one, with the number of its cell; the halves say what each of them chose."""
    right = accuracies(dev={"none": 10, "mnli": 21, "qqp": 20}, test={})
    folder = write_grid(tmp_path, right, split="dev")
    table = pq.read_table(folder / "qqp.parquet").to_pylist()
    for language in COLUMN.languages:  # the same score by the last twenty examples
        for number, row in enumerate([row for row in table if row["language"] == language]):
            row["score"] = float(number >= SIZE - 20)
    pq.write_table(pa.Table.from_pylist(table), folder / "qqp.parquet")
    (row,) = read(rewrite(folder, split="dev"))
    assert (row["chosen"], row["score"], row["gain"]) == ("mnli", "52.5000", "27.5000")
    assert row["half_split_rows"] in ("mnli or qqp", "qqp or mnli", "mnli", "qqp")
    assert float(row["half_split_gain"]) < float(row["gain"])


def test_the_best_of_many_equal_rows_has_no_gain_on_average(tmp_path: Path) -> None:
    """The winner's curse itself: twelve rows of pure luck, chosen and reported on the same or on other examples."""
    generator = np.random.default_rng(0)
    honest, cursed = [], []
    names = ["none", *(f"row{number}" for number in range(12))]
    layout = Layout(("tiny",), tuple(names), (COLUMN,), (1,))
    for _ in range(60):
        dev, test = generator.normal(50, 2, 13), generator.normal(50, 2, 13)
        rows = [
            {"model": "tiny", "intermediate": name, "target": "xnli", "language": language, "split": split, "seed": 1,
             "metric": "accuracy", "value": value, "n": SIZE}
            for split, values in (("dev", dev), ("test", test))
            for name, value in zip(names, values, strict=True)
            for language in COLUMN.languages
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "scores.parquet")
        choice = choose(development(tmp_path / "scores.parquet", layout), "tiny", "xnli")
        assert choice is not None
        honest.append(test[names.index(choice.row)] - test[0])
        cursed.append(test.max() - test[0])
    assert abs(np.mean(honest)) < 1
    assert np.mean(cursed) > 2.5


def test_reporting_where_one_chose_is_refused() -> None:
    with pytest.raises(StiltgridError, match="'mnli' was chosen on test, so its test score cannot be reported"):
        check_splits_differ(Choice("mnli", "test", 50.0, ("de",)), "test", "xnli")
    check_splits_differ(Choice("mnli", "dev", 50.0, ("de",)), "test", "xnli")


def test_targets_without_the_row_none_are_left_out(tmp_path: Path) -> None:
    right = accuracies(dev={"mnli": 20}, test={"mnli": 18})
    assert read(write_grid(tmp_path, {"mnli": right["mnli"]})) == []

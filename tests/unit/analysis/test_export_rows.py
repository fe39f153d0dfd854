"""Rows of a submission: by development scores, never by test scores."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stiltgrid.analysis.export_rows import chosen_rows
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.utils.errors import StiltgridError

LAYOUT = Layout(
    ("tiny",),
    ("none", "mnli", "qqp"),
    (Column("xnli", "accuracy", "test", ("de",)), Column("pawsx", "accuracy", "test", ("de",)),
     Column("xquad", "f1", "test", ("de",))),
    (1,),
)  # fmt: skip


def write(folder: Path, dev: dict[str, dict[str, float]], test: dict[str, dict[str, float]]) -> Path:
    rows = [
        {"model": "tiny", "intermediate": row, "target": target, "language": "de", "split": split, "seed": 1,
         "metric": "f1" if target == "xquad" else "accuracy", "value": value, "n": 10}
        for split, targets in (("dev", dev), ("test", test))
        for target, values in targets.items()
        for row, value in values.items()
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), folder / "scores.parquet")
    return folder / "scores.parquet"


TEST = {target: {"none": 90.0, "mnli": 1.0, "qqp": 99.0} for target in ("xnli", "pawsx", "xquad")}


def test_each_task_has_its_own_best_row_and_those_without_dev_the_best_over_all(tmp_path: Path) -> None:
    dev = {"xnli": {"none": 10.0, "mnli": 30.0, "qqp": 10.0}, "pawsx": {"none": 10.0, "mnli": 11.0, "qqp": 12.0}}
    found = chosen_rows(write(tmp_path, dev, TEST), LAYOUT, "tiny", ["xnli", "pawsx", "xquad"])
    assert found == {"xnli": "mnli", "pawsx": "qqp", "xquad": "mnli"}


def test_without_any_dev_scores_nothing_is_chosen(tmp_path: Path) -> None:
    with pytest.raises(StiltgridError, match="no development scores to choose a row by"):
        chosen_rows(write(tmp_path, {}, TEST), LAYOUT, "tiny", ["xnli", "xquad"])

"""Lines about cells show the numbers of `transfer.tsv`, and a gain as soon as there is one."""

import json
from pathlib import Path

import pytest
from stiltgrid.analysis.tables import collect_scores, read_transfer
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.grid.paths import Cell
from stiltgrid.workflow.cell_lines import CellLines, cell_of, headline_score

COLUMN = Column("xnli", "accuracy", "test", ("en", "de"), "en")
LAYOUT = Layout(("tiny",), ("none", "mnli"), (COLUMN,), (1,))
NONE_CELL, MNLI = Cell("tiny", "none", "xnli", 1), Cell("tiny", "mnli", "xnli", 1)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def score(cell: Cell, english: float, german: float) -> None:
    """Scores of a cell, with development scores and another metric beside them."""
    values = {("en", "test", "accuracy"): english, ("de", "test", "accuracy"): german,
              ("en", "dev", "accuracy"): 99.0, ("en", "test", "f1"): 1.0}  # fmt: skip
    path = Path(cell.metrics)
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {"model": cell.model, "intermediate": cell.intermediate, "target": cell.target, "seed": cell.seed}
    scores = [dict(zip(("language", "split", "metric"), key, strict=True), value=value, n=4)
              for key, value in values.items()]  # fmt: skip
    path.write_text(json.dumps({"cell": names, "scores": scores}), encoding="utf-8")


def test_the_numbers_are_those_of_the_tables(here: Path) -> None:
    score(NONE_CELL, 60.0, 41.0)
    score(MNLI, 70.3, 44.0)
    collect_scores([NONE_CELL.metrics, MNLI.metrics], "scores.parquet", synthetic=False)
    transfer = read_transfer("scores.parquet", LAYOUT)
    cell = transfer.cell("tiny", "mnli", "xnli")
    assert cell is not None and headline_score(MNLI, LAYOUT) == pytest.approx(cell.score.value, abs=1e-12)
    gain = transfer.gain(cell)
    assert gain is not None and gain.value == pytest.approx(6.65)
    assert CellLines(LAYOUT, []).landed(MNLI) == ["mnli -> xnli: accuracy 57.2, +6.7 over none"]


def test_a_cell_before_its_baseline_gets_its_gain_with_it() -> None:
    lines = CellLines(LAYOUT, [NONE_CELL, MNLI])
    score(MNLI, 70.0, 44.0)
    assert lines.landed(MNLI) == ["mnli -> xnli: accuracy 57.0 (gain when none is scored)"]
    score(NONE_CELL, 60.0, 56.0)
    assert lines.landed(NONE_CELL) == ["none -> xnli: accuracy 58.0", "mnli -> xnli: \u22121.0 over none"]


def test_a_baseline_that_this_run_scores_again_does_not_count_before(here: Path) -> None:
    score(NONE_CELL, 0.0, 0.0)
    score(MNLI, 70.0, 44.0)
    assert "gain when none" in CellLines(LAYOUT, [NONE_CELL, MNLI]).landed(MNLI)[0]


def test_models_and_seeds_are_named_where_there_are_several() -> None:
    several = Layout(("tiny", "other"), ("none", "mnli"), (COLUMN,), (1, 2))
    score(MNLI, 70.0, 44.0)
    assert CellLines(several, []).landed(MNLI) == ["tiny, mnli -> xnli, seed 1: accuracy 57.0"]


def test_cells_of_studies_and_unreadable_scores_have_no_line() -> None:
    lines = CellLines(LAYOUT, [])
    assert lines.landed(Cell("tiny", "mnli", "udpos", 1)) == [] and lines.landed(MNLI) == []
    Path(MNLI.metrics).parent.mkdir(parents=True)
    Path(MNLI.metrics).write_text("{", encoding="utf-8")
    assert lines.landed(MNLI) == []


def test_wildcards_name_the_cell() -> None:
    assert cell_of({"model": "tiny", "intermediate": "mnli", "target": "xnli", "seed": "1"}) == MNLI

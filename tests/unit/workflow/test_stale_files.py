"""What an earlier configuration left: plots of targets that are gone are removed, what took training never is."""

from pathlib import Path

import pytest
from configurations import changed, load
from stiltgrid.grid import paths
from stiltgrid.workflow.stale_files import other_cells, remove_stale

GRID = load(changed(intermediates=["none", "mnli"], targets=["xnli", "tatoeba"], seeds=[1], training={}))
KEPT = (
    "scores/tiny/none/xquad/seed1/metrics.json",
    "scores/tiny/none/xnli/seed2/metrics.json",
    "tuned/tiny/none/squad_v1/seed1/model.safetensors",
    "intermediate/tiny/squad_v1/seed1/model.safetensors",
    "plots/languages/xnli.svg",
    "plots/transfer_matrix.svg",
    "tables/transfer.tsv",
    "studies/diversity/outcomes.svg",
)
STALE = (*(f"plots/languages/xquad.{ending}" for ending in ("svg", "png", "pdf")), "so_far/tables/transfer.tsv")


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x", encoding="utf-8")
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write(tmp_path / "results", *KEPT, *STALE)


def test_plots_of_former_targets_and_tables_so_far_are_removed_and_nothing_else(results: Path) -> None:
    text = remove_stale(GRID, results)
    left = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    assert left == set(KEPT)
    assert "not in the grid any more: xquad." in text and "so_far: the tables of the whole grid" in text
    assert "2 scored cells of other configurations stay in" in text


def test_cells_of_the_grid_are_not_other_cells(tmp_path: Path) -> None:
    own = [str(Path(cell.metrics).relative_to(paths.RESULTS)) for cell in paths.cells(GRID)]
    assert len(own) == 4
    assert other_cells(GRID, write(tmp_path, *own)) == []


def test_where_nothing_is_stale_nothing_is_said(tmp_path: Path) -> None:
    assert remove_stale(GRID, write(tmp_path, "plots/languages/xnli.svg")) == ""
    assert remove_stale(GRID, tmp_path / "absent") == ""

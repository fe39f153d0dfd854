"""Tables with intervals, averages and languages, and what leaves the grid, on the small grid's finished cells."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from repository import Repository, counts

TABLES = ("significance", "significance_by_language", "best_rows", "official", "language_gaps", "language_groups",
          "published")  # fmt: skip
WANTED = [*(f"results/tables/{name}.tsv" for name in TABLES), "results/plots/published.svg"]
EXPORT = "results/exports/xtreme_partial/tiny/mnli/seed1"


@pytest.fixture(scope="module")
def finished(grid: Repository) -> Repository:
    grid.run(*WANTED, EXPORT, "export_checkpoints")
    return grid


def table(grid: Repository, name: str) -> list[dict[str, str]]:
    with (grid.folder / f"results/tables/{name}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_every_gain_has_a_line_and_agrees_with_the_transfer_table(finished: Repository) -> None:
    gains = {(row["intermediate"], row["target"]): row["gain"] for row in table(finished, "significance")}
    transfer = {
        (row["intermediate"], row["target"]): row["gain"]
        for row in table(finished, "transfer")
        if row["intermediate"] != "none"
    }
    assert gains == transfer
    assert {row["target"] for row in table(finished, "best_rows")} == {"xnli", "xquad", "mlqa", "tatoeba", "(mean)"}


def test_a_second_run_of_them_does_nothing(finished: Repository) -> None:
    assert finished.pending(*WANTED, EXPORT, "export_checkpoints") == []


def test_the_export_holds_the_cells_predictions(finished: Repository) -> None:
    folder = finished.folder / EXPORT
    manifest = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    assert set(manifest["tasks"]) == {"xnli", "xquad", "mlqa", "tatoeba"}
    assert len((folder / "xnli/test-de.tsv").read_text().splitlines()) == manifest["tasks"]["xnli"]["rows"]["de"]
    assert "pawsx: no predictions" in manifest["lacks"]


def test_checkpoints_of_every_row_leave_as_folders(finished: Repository) -> None:
    folder = finished.folder / "results/exports/checkpoints/tiny"
    assert sorted(path.name for path in folder.iterdir()) == ["mnli", "squad_v1"]
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in (folder / "mnli/seed1").iterdir()
    }


def test_an_export_that_cannot_be_whole_is_refused_before_any_work(finished: Repository) -> None:
    result = finished.snakemake("export_xtreme")
    assert result.returncode != 0
    for said in ("export_xtreme: the official program needs every task", "pawsx: not among the targets",
                 "xnli: no rows in ar bg"):  # fmt: skip
        assert said in result.stdout
    assert not Path(finished.folder, "results/exports/xtreme").exists()


@pytest.mark.parametrize(
    ("name", "old", "new", "rules"),
    [
        (
            "workflow_scripts/stiltgrid/analysis/bootstrap.py", "ROUNDING = 1e-9", "ROUNDING = 1e-8",
            {"test_gains": 1, "select_rows": 1},
        ),
        ("workflow_scripts/stiltgrid/analysis/languages.csv", "Kra-Dai", "Tai-Kadai", {"compare_languages": 1}),
    ],
)  # fmt: skip
def test_what_they_are_made_with_reruns_them_alone(
    finished: Repository, name: str, old: str, new: str, rules: dict[str, int]
) -> None:
    with finished.edited(name, old, new):
        assert counts(finished.pending(*WANTED, EXPORT, "export_checkpoints")) == Counter(rules)

"""Tables with intervals, averages and languages, and what leaves the grid, on the small grid's finished cells."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from repository import Repository, counts
from stand_in_hub import TOKEN, StandInHub

TABLES = ("significance", "significance_by_language", "best_rows", "official", "language_gaps", "language_groups",
          "published")  # fmt: skip
WANTED = [*(f"results/tables/{name}.tsv" for name in TABLES), "results/plots/published.svg"]
# Two rows that train; three rows with two tuned models each, and with text vectors.
EXPORTED = {"export_checkpoints": 1, "export_checkpoint": 2, "export_tuned": 3 * 2, "export_sentences": 3}
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


def test_an_exported_model_predicts_what_the_grid_predicted(
    finished: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the code in its card, on all rows of the target."""
    monkeypatch.chdir(finished.folder / "results/exports/tuned/tiny/squad_v1/mnli/seed1")
    text = Path("README.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(compile(text.split("```python\n")[1].split("```")[0], "README.md", "exec"), names)
    rows = pq.read_table(finished.folder / "results/data/xnli/eval.parquet").to_pylist()
    cell = finished.folder / "results/scores/tiny/squad_v1/xnli/seed1/predictions.parquet"
    expected = {row["id"]: row["prediction"] for row in pq.read_table(cell).to_pylist()}
    assert {row["id"]: names["classify"]([row["text_a"]], [row["text_b"]])[0] for row in rows} == expected
    assert "AutoModelForSequenceClassification" in text and "| squad_v1 |" in text and "| mnli |" in text


def test_text_vectors_leave_as_a_folder_of_sentence_transformers(finished: Repository) -> None:
    folder = finished.folder / "results/exports/sentences/tiny"
    assert sorted(path.name for path in folder.iterdir()) == ["mnli", "none", "squad_v1"]
    kinds = [item["type"].rpartition(".")[2] for item in json.loads((folder / "none/seed1/modules.json").read_text())]
    assert kinds == ["Transformer", "WordWeights", "Pooling", "Normalize"]


def test_a_push_is_refused_before_any_work(finished: Repository) -> None:
    result = finished.snakemake("push_checkpoints")
    assert result.returncode != 0 and "push.owner: push_checkpoints needs the user" in result.stdout
    result = finished.snakemake("push_checkpoints", "--config", "push={owner: my-lab}")
    assert result.returncode != 0 and "expected a token for the hub, found none; set HF_TOKEN" in result.stdout


def test_a_push_that_fails_leaves_the_grid_as_it_was(finished: Repository) -> None:
    asked = ("results/exports/pushed/tuned/tiny/mnli/squad_v1/seed1.json", "--config", "push={owner: my-lab}")
    result = finished.snakemake(*asked, env={"HF_TOKEN": TOKEN, "HF_ENDPOINT": "http://127.0.0.1:9"})
    assert result.returncode != 0 and "my-lab/tiny-mnli-squad_v1-seed1: cannot be pushed" in result.stdout
    assert finished.pending() == []


def test_a_push_uploads_what_is_asked_for_once(finished: Repository, hub: StandInHub) -> None:
    asked = ("results/exports/pushed/tuned/tiny/mnli/squad_v1/seed1.json", "--config", "push={owner: my-lab}")
    found = finished.run(*asked, env={"HF_TOKEN": TOKEN})
    assert counts(found) == {"push_checkpoint": 1}
    [((_, name), repository)] = hub.repositories.items()
    assert name == "my-lab/tiny-mnli-squad_v1-seed1" and repository.private
    assert "model.safetensors" in repository.commits[repository.refs["main"]]
    assert finished.pending(*asked) == []


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
            {"test_gains": 1, "select_rows": 1, **EXPORTED},  # cards of exported models hold intervals
        ),
        ("workflow_scripts/stiltgrid/analysis/languages.csv", "Kra-Dai", "Tai-Kadai", {"compare_languages": 1}),
    ],
)  # fmt: skip
def test_what_they_are_made_with_reruns_them_alone(
    finished: Repository, name: str, old: str, new: str, rules: dict[str, int]
) -> None:
    with finished.edited(name, old, new):
        assert counts(finished.pending(*WANTED, EXPORT, "export_checkpoints")) == Counter(rules)

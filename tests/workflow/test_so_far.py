"""A failure costs its own cells: with --keep-going there are tables of all others, and the missing ones are named."""

import csv
import os
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from described_tables import check_tables
from repository import GRID, Repository
from stiltgrid.reporting.tables_readme import WRITTEN

ROW = "squad_v1"


@pytest.fixture(scope="module")
def broken(grid: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The finished grid, where one row has new settings and cannot be trained: its encoded data is cut short."""
    copy = Repository(tmp_path_factory.mktemp("broken") / "copy")
    for name in ("results", ".snakemake"):
        shutil.copytree(grid.folder / name, copy.folder / name)
    copy.configure({**GRID, "training": {**GRID["training"], "tasks": {ROW: {"intermediate": {"epochs": 2}}}}})
    encoded = copy.folder / f"results/encoded/tiny/{ROW}/train.arrow"
    times = encoded.stat()
    encoded.write_bytes(encoded.read_bytes()[:100])
    os.utime(encoded, ns=(times.st_atime_ns, times.st_mtime_ns))
    return copy


@pytest.fixture(scope="module")
def kept_going(broken: Repository) -> subprocess.CompletedProcess[str]:
    return broken.snakemake("--keep-going")


def table(broken: Repository, name: str) -> list[dict[str, str]]:
    with (broken.folder / f"results/so_far/tables/{name}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_run_that_keeps_going_ends_with_the_summary_of_what_is_there(
    broken: Repository, kept_going: subprocess.CompletedProcess[str]
) -> None:
    assert kept_going.returncode != 0, "a run with a failure has failed"
    assert "8 of 12 scores are in" in kept_going.stdout and f"{ROW}" in kept_going.stdout.split("missing:")[1]
    for name in ("transfer_matrix.svg", "transfer_matrix.png", "english_and_zero_shot.svg", "languages/xnli.svg"):
        assert (broken.folder / "results/so_far/plots" / name).stat().st_size > 0
    for name in ("transfer", "transfer_by_language", "significance", "best_rows", "official", "language_gaps",
                 "language_groups", "published"):  # fmt: skip
        assert (broken.folder / f"results/so_far/tables/{name}.tsv").is_file()
    tables = broken.folder / "results/so_far/tables"
    assert check_tables(tables / "README.md", {"": tables}) == {*WRITTEN, "missing.tsv"}
    assert "\\toprule" in (tables / "transfer.tex").read_text(encoding="utf-8")


def test_every_missing_cell_is_named_and_none_of_its_old_scores_counts(
    broken: Repository, kept_going: subprocess.CompletedProcess[str]
) -> None:
    missing = {(row["intermediate"], row["target"], row["seed"]) for row in table(broken, "missing")}
    assert missing == {(ROW, target, "1") for target in ("xnli", "xquad", "mlqa", "tatoeba")}
    old = broken.folder / f"results/scores/tiny/{ROW}/xnli/seed1/metrics.json"
    assert old.is_file(), "there are scores of the earlier training"
    scores = pq.read_table(broken.folder / "results/so_far/tables/scores.parquet", columns=["intermediate"])
    assert set(scores.column("intermediate").to_pylist()) == {"none", "mnli"}


def test_the_finished_cells_scores_are_those_of_the_whole_grid(
    grid: Repository, broken: Repository, kept_going: subprocess.CompletedProcess[str]
) -> None:
    whole = pq.read_table(grid.folder / "results/tables/scores.parquet").to_pylist()
    part = pq.read_table(broken.folder / "results/so_far/tables/scores.parquet").to_pylist()
    assert part == [row for row in whole if row["intermediate"] != ROW]


def test_the_same_can_be_asked_for_by_name(broken: Repository, kept_going: subprocess.CompletedProcess[str]) -> None:
    shutil.rmtree(broken.folder / "results/so_far")
    asked = broken.snakemake("tables_so_far")
    assert asked.returncode == 0, asked.stdout[-3000:]
    assert "8 of 12 scores are in" in asked.stdout
    assert len(table(broken, "missing")) == 4


def test_the_failed_row_is_trained_again_although_its_old_scores_are_there(
    broken: Repository, kept_going: subprocess.CompletedProcess[str]
) -> None:
    """What is between them and the failed job is missing, so that Snakemake alone finds nothing to do."""
    found = [job for job in broken.pending() if "intermediate" in job.wildcards]
    assert {job.wildcards["intermediate"] for job in found} == {ROW}
    assert {job.rule for job in found} == {"train_intermediate", "train_target", "score_target"}


def test_a_run_that_stops_at_a_failure_says_how(broken: Repository) -> None:
    stopped = broken.snakemake()
    assert stopped.returncode != 0
    assert "snakemake --cores 1 tables_so_far" in stopped.stdout and "--keep-going" in stopped.stdout


def test_where_nothing_is_finished_a_sentence_says_so(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "empty")
    result = repository.snakemake("tables_so_far")
    assert result.returncode != 0 and "no cell is finished yet" in result.stdout
    assert not (tmp_path / "empty/results/so_far").exists()

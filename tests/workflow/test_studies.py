"""A study on the small grid, to its end: the checkpoint asks for what the ranking says, jobs are shared."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from described_tables import check_tables
from repository import GRID, Repository, counts
from stiltgrid.reporting.tables_readme import write_readme
from stiltgrid.workflow import unfinished

STUDY = "results/studies/how_many"
TASKS = ["mnli", "squad_v1", "qqp"]
CONFIG: dict[str, Any] = {
    **GRID,
    "intermediates": ["mnli"],
    "targets": ["tatoeba"],
    "tasks": {"xnli": {"languages": ["en", "de", "sw"]}, "tatoeba": {"languages": ["de", "sw", "zh"]}},
    "training": {"all": {"max_steps": 2, "batch_size": 4, "learning_rate": 0.01}},
    "studies": {
        "how_many": {
            "tasks": TASKS,
            "examples": 6,
            "target_examples": 3,
            "counts": [1, 2, 3],
            "random_counts": [1, 2],
            "draws": 2,
            "sets": 2,
            "targets": ["tatoeba", "xnli"],
            "seeds": [1, 2],
        },
    },
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The small grid with a study that has been run."""
    lab = Repository(tmp_path_factory.mktemp("studies"))
    lab.configure(CONFIG)
    lab.first = lab.run("study_how_many")
    return lab


def ranking(lab: Repository) -> list[str]:
    with (lab.folder / STUDY / "ranking.tsv").open(encoding="utf-8", newline="") as file:
        return [row["task"] for row in csv.DictReader(file, delimiter="\t")]


def test_the_ranking_decides_what_is_trained(lab: Repository) -> None:
    assert sorted(ranking(lab)) == sorted(TASKS)
    trained = {job.wildcards["intermediate"] for job in lab.first if job.rule == "train_intermediate"}
    best = [f"mix_v6_{'__'.join(sorted(ranking(lab)[:size]))}" for size in (1, 2, 3)]
    assert {*TASKS, *best} <= trained and len(trained) <= 3 + 3 + 4
    files = sorted(path.name for path in (lab.folder / STUDY).iterdir())
    wanted = ["curves.pdf", "curves.png", "curves.svg", "curves.tsv", "languages.tsv", "ranking.tsv"]
    wanted += ["scores.parquet", "summary.md", "tests.tsv"]
    assert files == wanted


def test_its_tables_have_exactly_the_columns_that_are_described(lab: Repository, tmp_path: Path) -> None:
    write_readme(tmp_path / "README.md", synthetic=False)
    tables = check_tables(tmp_path / "README.md", {"how_many/": lab.folder / STUDY})
    names = ("curves", "languages", "ranking", "tests")
    assert tables == {"scores.parquet", *(f"how_many/{name}.tsv" for name in names)}


def test_targets_train_on_as_many_examples_as_the_study_says(lab: Repository) -> None:
    """In trainings of their own, after the checkpoints of the rows themselves."""
    tuned = [job.wildcards["intermediate"] for job in lab.first if job.rule == "train_target"]
    assert tuned and all(row.endswith("@3") for row in tuned)
    assert not any("@" in job.wildcards["intermediate"] for job in lab.first if job.rule == "train_intermediate")
    record = lab.folder / f"results/tuned/tiny/{tuned[0]}/mnli/seed1/training.json"
    (stage,) = json.loads(record.read_text(encoding="utf-8"))["stages"]
    assert [task["examples"] for task in stage["tasks"]] == [3]


def test_no_job_is_run_twice_and_a_second_run_does_nothing(lab: Repository) -> None:
    jobs = [(job.rule, tuple(sorted(job.wildcards.items()))) for job in lab.first]
    assert len(jobs) == len(set(jobs))
    assert lab.pending("study_how_many") == []


def test_the_grid_uses_what_the_study_has_trained(lab: Repository) -> None:
    pending = counts(lab.pending("results/scores/tiny/mnli/tatoeba/seed1/metrics.json"))
    assert pending == {"score_target": 1}


def test_a_setting_of_the_ranking_alone_trains_nothing_that_is_there(lab: Repository) -> None:
    section = {**CONFIG["studies"]["how_many"], "best": {"qqp": 99.0}}
    lab.configure({**CONFIG, "studies": {"how_many": section}})
    try:
        assert {job.rule for job in lab.pending("study_how_many")} <= {
            "rank_tasks", "collect_how_many_scores", "study_how_many",
        }  # fmt: skip
    finally:
        lab.configure(CONFIG)


def test_what_failed_in_a_study_is_repeated_before_its_old_scores_count(
    lab: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = f"mix_v6_{'__'.join(sorted(ranking(lab)))}"
    known = next(job.wildcards["intermediate"] for job in lab.first if job.rule == "train_target")
    monkeypatch.chdir(lab.folder)
    for row in (known, f"{best}@3"):
        folder = Path(f"results/tuned/tiny/{row}/mnli/seed1")
        files = sorted(str(path) for path in folder.iterdir())
        wildcards = {"model": "tiny", "intermediate": row, "tuned": "mnli", "seed": "1"}
        record = unfinished.begin(SimpleNamespace(output=files, wildcards=wildcards))
        kept = folder.rename("kept")
        try:
            pending = counts(lab.pending("study_how_many"))
        finally:
            kept.rename(folder)
            unfinished.end(record)
        assert pending["train_target"] == 1 and pending["score_target"] >= 1, row


def test_a_study_that_is_not_configured_is_refused_with_a_sentence(lab: Repository) -> None:
    result = lab.snakemake("study_diversity", "--dry-run")
    assert result.returncode != 0 and "no section studies.diversity" in result.stdout

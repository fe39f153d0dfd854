"""The grid runs end to end, and a second run does exactly what changed."""

import json
import os
import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
from described_tables import check_tables
from repository import AFTERWARDS, FIRST, GRID, Repository, counts
from stiltgrid.reporting.tables_readme import WRITTEN

LIBRARY = "workflow_scripts/stiltgrid"


def test_every_cell_is_scored_and_nothing_is_trained_twice(grid: Repository) -> None:
    assert counts(grid.first) == FIRST + Counter(
        prepare_text=1, train_tokenizer=1, pretrain_backbone=1,
        prepare_train=2, prepare_eval=4, encode_train=2, encode_eval=4,
        train_intermediate=2,  # `none` has no job
        train_target=3 * 2,  # XQuAD and MLQA share a tuned model, Tatoeba has none
        score_target=3 * 4, plot_languages=4,
    )  # fmt: skip
    scores = pq.read_table(grid.folder / "results/tables/scores.parquet").to_pylist()
    cells = {(row["intermediate"], row["target"], row["language"]) for row in scores}
    languages = {"xnli": ["en", "de"], "xquad": ["en", "de"], "mlqa": ["en", "de"], "tatoeba": ["de"]}
    assert cells == {
        (row, column, code) for row in GRID["intermediates"] for column in languages for code in languages[column]
    }
    for name in (
        "plots/transfer_matrix.svg",
        "plots/transfer_matrix.png",
        "plots/languages/xnli.svg",
        "tables/transfer.tsv",
    ):
        assert (grid.folder / "results" / name).stat().st_size > 0


def test_every_table_has_exactly_the_columns_that_are_described(grid: Repository) -> None:
    tables = grid.folder / "results/tables"
    assert check_tables(tables / "README.md", {"": tables}) == WRITTEN.keys()


def test_metrics_say_where_they_come_from(grid: Repository) -> None:
    metrics = json.loads((grid.folder / "results/scores/tiny/mnli/xnli/seed1/metrics.json").read_text())
    assert metrics["cell"] == {"model": "tiny", "intermediate": "mnli", "target": "xnli", "seed": 1}
    assert {"card", "code", "seed", "versions", "rows", "seconds", "tokens"} <= set(metrics["provenance"])


def test_a_second_run_does_nothing(grid: Repository) -> None:
    assert grid.pending() == []


def test_the_report_is_made(grid: Repository) -> None:
    result = grid.snakemake("--report", "report.html")
    assert result.returncode == 0, result.stdout[-3000:]
    text = (grid.folder / "report.html").read_text(encoding="utf-8")
    assert len(text) > 100_000
    first_page = json.loads(re.search(r"var workflow_desc = (.*);$", text, re.MULTILINE).group(1))
    (picture,) = re.findall(r'<img alt="The transfer matrix"[^>]* src="data:image/svg\+xml,([^"]*)">', first_page)
    matrix = (grid.folder / "results/plots/transfer_matrix.svg").read_text(encoding="utf-8")
    assert unquote(picture.replace("\n", "")) == matrix.rstrip() and picture.startswith("%3C")  # no break before XML
    assert "system-message" not in first_page


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("training/training.py", "def train_target(", "# A comment.\ndef train_target("),
        ("training/training.py", '"""Training jobs', '"""A docstring: training jobs'),
        ("utils/files.py", "    final = Path(path)\n", "    final = Path(\n        path\n    )\n"),
        ("workflow/job_runner.py", "def run(", "UNUSED = 1\n\n\ndef run("),
    ],
    ids=["comment", "docstring", "line breaks", "plumbing"],
)
def test_what_changes_no_outcome_reruns_nothing(grid: Repository, name: str, old: str, new: str) -> None:
    with grid.edited(f"{LIBRARY}/{name}", old, new):
        assert grid.pending() == []


def test_a_touch_reruns_nothing(grid: Repository) -> None:
    for path in [*(grid.folder / "workflow_scripts").rglob("*.py"), *(grid.folder / "tasks").glob("*.yaml")]:
        os.utime(path)
    assert grid.pending() == []


def test_a_hyper_parameter_of_one_intermediate_reruns_its_row(grid: Repository) -> None:
    training = {**GRID["training"], "tasks": {"mnli": {"intermediate": {"learning_rate": 0.0001}}}}
    with grid.configured(training=training):
        pending = grid.pending()
    assert counts(pending) == AFTERWARDS + Counter(
        train_intermediate=1, train_target=2, score_target=4, plot_languages=4
    )
    assert {job.wildcards["intermediate"] for job in pending if "intermediate" in job.wildcards} == {"mnli"}


def test_a_hyper_parameter_of_one_target_reruns_its_column(grid: Repository) -> None:
    training = {**GRID["training"], "tasks": {"squad_v1": {"target": {"learning_rate": 0.0001}}}}
    with grid.configured(training=training):
        pending = grid.pending()
    assert counts(pending) == AFTERWARDS + Counter(train_target=3, score_target=6, plot_languages=4)
    assert {job.wildcards["target"] for job in pending if job.rule == "score_target"} == {"xquad", "mlqa"}


def test_a_scoring_option_of_one_target_reruns_its_scoring(grid: Repository) -> None:
    tasks = {**GRID["tasks"], "mlqa": {**GRID["tasks"]["mlqa"], "options": {"n_best": 5}}}
    with grid.configured(tasks=tasks):
        pending = grid.pending()
    assert counts(pending) == AFTERWARDS + Counter(score_target=3, plot_languages=4)
    assert {job.wildcards["target"] for job in pending if job.rule == "score_target"} == {"mlqa"}


def test_a_new_language_is_prepared_and_scored_without_training(grid: Repository) -> None:
    with grid.configured(tasks={**GRID["tasks"], "xnli": {"languages": ["en", "de", "zh"]}}):
        pending = grid.pending()
    assert counts(pending) == AFTERWARDS + Counter(prepare_eval=1, encode_eval=1, score_target=3, plot_languages=4)
    assert {job.wildcards["target"] for job in pending if job.rule == "score_target"} == {"xnli"}


def test_a_new_task_adds_only_new_jobs(grid: Repository) -> None:
    changes = {
        "targets": [*GRID["targets"], "pawsx"],
        "tasks": {**GRID["tasks"], "pawsx": {"languages": ["en", "de"]}},
    }
    with grid.configured(**changes):
        pending = grid.pending()
    assert counts(pending) == AFTERWARDS + Counter(
        prepare_train=1, prepare_eval=1, encode_train=1, encode_eval=1, train_target=3, score_target=3, plot_languages=5
    )
    named = [job.wildcards.get("target") or job.wildcards.get("task") or job.wildcards.get("tuned") for job in pending]
    assert {name for job, name in zip(pending, named, strict=True) if name and job.rule != "plot_languages"} == {
        "pawsx"
    }


def test_a_new_seed_adds_only_its_own_jobs(grid: Repository) -> None:
    with grid.configured(seeds=[1, 2]):
        pending = grid.pending()
    assert counts(pending) == AFTERWARDS + Counter(
        train_intermediate=2, train_target=6, score_target=12, plot_languages=4
    )
    assert {job.wildcards["seed"] for job in pending if "seed" in job.wildcards} == {"2"}


@pytest.mark.parametrize(
    ("name", "old"),
    [
        ("workflow_scripts/plot_languages.py", "    layout = "),
        (f"{LIBRARY}/reporting/plots.py", "    column = layout.column(target)"),
    ],
    ids=["script", "library"],
)
def test_the_code_of_a_plot_reruns_that_plot(grid: Repository, name: str, old: str) -> None:
    with grid.edited(name, old, f"    assert True\n{old}"):
        assert counts(grid.pending()) == Counter(plot_languages=4, summarise=1)


def test_a_changed_file_of_the_mirror_reruns_what_reads_it(grid: Repository) -> None:
    with grid.edited("tests/data/mirror/tatoeba/validation.de.jsonl", "\n", "\n\n"):
        pending = grid.pending()
    assert counts(pending) == AFTERWARDS + Counter(prepare_eval=1, encode_eval=1, score_target=3, plot_languages=4)


def test_new_times_of_a_large_file_rerun_nothing_and_new_content_does(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    file = repository.folder / "tests/data/mirror/tatoeba/validation.de.jsonl"
    wanted = "results/data/tatoeba/eval.parquet"
    above_default = "\n" * 1_100_000  # Snakemake's own limit is 1,000,000 bytes
    file.write_text(file.read_text(encoding="utf-8") + above_default, encoding="utf-8")
    assert counts(repository.run(wanted)) == Counter(prepare_eval=1)
    os.utime(file)
    assert repository.pending(wanted) == []
    with file.open("a", encoding="utf-8") as text:
        text.write("\n")
    assert counts(repository.pending(wanted)) == Counter(prepare_eval=1)


def test_how_a_family_measures_prepares_and_encodes_nothing(grid: Repository) -> None:
    with grid.edited(f"{LIBRARY}/tasks/metrics/mlqa.py", "def normalise(", "LIMIT = 1\n\n\ndef normalise("):
        pending = grid.pending()
    assert counts(pending) == AFTERWARDS + Counter(
        train_intermediate=1, train_target=4, score_target=8, plot_languages=4
    )  # fmt: skip


def test_a_failed_job_leaves_nothing_that_counts_and_says_why(grid: Repository, tmp_path: Path) -> None:
    folder = grid.folder / "results/scores/tiny/none/tatoeba/seed1"
    weights = grid.folder / "results/models/tiny/backbone/model.safetensors"
    whole, stamp = weights.read_bytes(), weights.stat()
    weights.write_bytes(whole[: len(whole) // 2])
    os.utime(weights, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    try:
        result = grid.snakemake("--forcerun", "score_target", "--until", "score_target",
                                "results/scores/tiny/none/tatoeba/seed1/metrics.json")  # fmt: skip
    finally:
        weights.write_bytes(whole)
        os.utime(weights, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert result.returncode != 0
    assert "model.safetensors: safetensors file truncated or damaged" in result.stdout
    assert not folder.exists() or list(folder.iterdir()) == []
    again = grid.run()
    assert counts(again)["score_target"] == 1
    assert grid.pending() == []


def test_plain_processes_give_the_same_scores(grid: Repository) -> None:
    path = "results/scores/tiny/squad_v1/xnli/seed1/predictions.parquet"
    before = pq.read_table(grid.folder / path)
    rerun = grid.run("--forcerun", "train_target", "--until", "score_target", path, env={"STILTGRID_FORK": "0"})
    assert {"train_target", "score_target"} <= set(counts(rerun))
    assert pq.read_table(grid.folder / path).equals(before)
    grid.run()


def test_settings_can_be_given_on_the_command_line(grid: Repository) -> None:
    pending = grid.pending("--config", "seeds=[7]", "intermediates=[none]", "targets=[tatoeba]")
    assert {job.wildcards["seed"] for job in pending if job.rule == "score_target"} == {"7"}
    assert counts(pending)["score_target"] == 1


def test_errors_of_the_configuration_come_before_any_work(grid: Repository) -> None:
    with grid.configured(targets=["xnlli", "xquad"], intermediates=["none", "mnlli"]):
        result = grid.snakemake("--dry-run")
    assert result.returncode != 0
    assert "did you mean 'xnli'?" in result.stdout and "did you mean 'mnli'?" in result.stdout
    assert "Traceback" not in result.stdout and "Building DAG" not in result.stdout


def test_tuned_models_can_be_temporary(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "grid")
    repository.configure({**GRID, "keep_tuned": False, "intermediates": ["none"], "targets": ["xnli"]})
    repository.run()
    assert list((repository.folder / "results/tuned").rglob("model.safetensors")) == []
    assert (repository.folder / "results/scores/tiny/none/xnli/seed1/metrics.json").is_file()
    assert repository.pending() == []

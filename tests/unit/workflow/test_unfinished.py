"""What a job began and did not end is asked for again, as long as the grid has it."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from configurations import changed, load
from stiltgrid.workflow import unfinished

GRID = load(changed(
    recipes={"chain": {"sequence": ["mnli", "squad_v1"]}}, intermediates=["none", "chain"],
    targets=["xnli", "tatoeba"], seeds=[1], training={},
))  # fmt: skip
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    return tmp_path


def job(*outputs: str, **wildcards: str) -> Any:
    return SimpleNamespace(output=list(outputs), wildcards=wildcards)


@pytest.mark.parametrize(("wildcards", "asked"), [
    ({"model": "tiny", "intermediate": "chain", "seed": "1"}, True),
    ({"model": "tiny", "intermediate": "mnli", "seed": "1"}, True),  # the chain's first step
    ({"model": "tiny", "intermediate": "chain", "tuned": "mnli", "seed": "1"}, True),
    ({"task": "squad_v1"}, True),
    ({"target": "tatoeba"}, True),
    ({"model": "tiny", "intermediate": "chain", "seed": "2"}, False),
    ({"model": "other", "intermediate": "chain", "seed": "1"}, False),
    ({"model": "tiny", "intermediate": "qqp", "seed": "1"}, False),
    ({"task": "qqp"}, False),
    ({"target": "xquad"}, False),
    ({}, True),
])  # fmt: skip
def test_only_what_the_grid_itself_has_is_asked_for(place: Path, wildcards: dict[str, str], asked: bool) -> None:
    unfinished.begin(job("results/a", "results/b", **wildcards))
    assert unfinished.outputs(GRID) == (["results/a", "results/b"] if asked else [])


@pytest.mark.parametrize(("output", "wildcards"), [
    ("results/exports/pushed/tuned/tiny/mnli/squad_v1/seed1.json", {"exported": "tuned/tiny/mnli/squad_v1/seed1"}),
    ("results/exports/checkpoints/tiny/mnli/seed1", {"model": "tiny", "intermediate": "mnli", "seed": "1"}),
    ("results/studies/retrieval/contrasts.tsv", {}),
    ("results/selection/tuned/tiny/mnli/squad_v1/seed1/model.safetensors",
     {"model": "tiny", "intermediate": "mnli", "tuned": "mnli", "seed": "1"}),
])  # fmt: skip
@pytest.mark.usefixtures("place")
def test_what_is_made_by_name_only_is_not_asked_for(output: str, wildcards: dict[str, str]) -> None:
    unfinished.begin(job(output, **wildcards))
    assert unfinished.outputs(GRID) == []
    selection = output.startswith("results/selection")
    assert unfinished.outputs(GRID, unfinished.SELECTION) == ([output] if selection else [])


def test_a_job_that_ends_and_a_file_that_exists_are_not_asked_for(place: Path) -> None:
    record = unfinished.begin(job("results/a"))
    unfinished.end(record)
    assert unfinished.outputs(GRID) == []
    unfinished.begin(job("b"))
    (place / "b").touch()
    assert unfinished.outputs(GRID) == []


def test_the_same_job_has_one_record_and_damaged_ones_go(place: Path) -> None:
    for _ in range(2):
        unfinished.begin(job("results/a"))
    assert unfinished.outputs(GRID) == ["results/a"]
    (unfinished.FOLDER / "damaged.json").write_text("{")
    assert unfinished.outputs(GRID) == ["results/a"] and len(list(unfinished.FOLDER.iterdir())) == 1


def test_a_job_without_outputs_and_one_outside_of_snakemake_leave_nothing(
    place: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unfinished.begin(job()) is None
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert unfinished.begin(job("results/a")) is None and list(Path().iterdir()) == []


@pytest.mark.parametrize("ending", ["success", "error", "kill"])
def test_a_script_leaves_its_record_unless_it_succeeds(place: Path, ending: str) -> None:
    code = f"""
import os, signal, sys
from types import SimpleNamespace
sys.path.append({str(ROOT / "workflow_scripts")!r})
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.workflow.job_runner import run

def main(snakemake):
    if {ending!r} == "error":
        raise StiltgridError("wrong")
    if {ending!r} == "kill":
        os.kill(os.getpid(), signal.SIGKILL)

job = SimpleNamespace(rule="prepare_eval", log=["job.log"], wildcards=["xnli"], output=["results/a"], threads=1,
                      resources={{}})
run(main, job)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == {"success": 0, "error": 1, "kill": -9}[ending], done.stderr
    assert unfinished.outputs(GRID) == ([] if ending == "success" else ["results/a"])


def test_records_hold_what_is_needed_to_ask_again(place: Path) -> None:
    record = unfinished.begin(job("results/a", target="xnli"))
    assert record and json.loads(record.read_text()) == {"outputs": ["results/a"], "wildcards": {"target": "xnli"}}

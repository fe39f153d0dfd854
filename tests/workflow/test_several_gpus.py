"""A training that asks for two GPUs is run by two processes; without GPUs, by two on the processor."""

import json
import shutil
from pathlib import Path

from repository import Repository

CELL = Path("results/tuned/tiny/none/mnli/seed1")


def test_a_job_of_two_processes_writes_one_checkpoint(grid: Repository, tmp_path: Path) -> None:
    copy = Repository(tmp_path / "copy")
    for name in ("results", ".snakemake"):
        shutil.copytree(grid.folder / name, copy.folder / name)
    before = json.loads((copy.folder / CELL / "training.json").read_text())
    shutil.rmtree(copy.folder / CELL)
    copy.run(str(CELL / "training.json"), "--set-resources", "train_target:gpu=2")
    assert sorted(path.name for path in (copy.folder / CELL).iterdir()) == sorted(
        path.name for path in (grid.folder / CELL).iterdir()
    )
    after = json.loads((copy.folder / CELL / "training.json").read_text())
    assert "processes" not in before and after["processes"] == 2
    stages = [{**record["stages"][0], "seconds": 0, "evaluations": 0, "best_score": 0} for record in (before, after)]
    for key in ("steps", "tokens", "tasks", "settings"):
        assert stages[0][key] == stages[1][key], f"another {key} a step"
    assert copy.pending(str(CELL / "training.json")) == [], "how many GPUs is no parameter"
    log = (copy.folder / "logs/tuned/tiny/none/mnli/seed1.log").read_text()
    assert log.count("target stage 'mnli': 2 steps") == 1, "only the first process logs"


def test_what_one_process_says_is_not_lost(grid: Repository, tmp_path: Path) -> None:
    copy = Repository(tmp_path / "copy")
    for name in ("results", ".snakemake"):
        shutil.copytree(grid.folder / name, copy.folder / name)
    shutil.rmtree(copy.folder / CELL)
    encoded = copy.folder / "results/encoded/tiny/mnli/train.arrow"
    encoded.write_bytes(encoded.read_bytes()[:100])
    result = copy.snakemake(str(CELL / "training.json"), "--set-resources", "train_target:gpu=2", "--allowed-rules",
                            "train_target")  # fmt: skip
    assert result.returncode != 0
    assert (
        "train.arrow: Arrow file truncated or damaged" in result.stdout and "of 2 ended with status 1" in result.stdout
    )
    assert result.stdout.count("to run this job alone") <= 2 and not (copy.folder / CELL).exists()

"""What a run really writes to a terminal and to a file."""

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from repository import GRID, Repository, jobs

CELLS = [f"results/scores/tiny/{row}/xnli/seed1/metrics.json" for row in ("none", "mnli")]
ARROW = "results/encoded/tiny/mnli/train.arrow"
BLOCK = "rule score_target:"


@pytest.fixture
def copy(grid: Repository, tmp_path: Path) -> Repository:
    """The finished grid in a folder of its own."""
    repository = Repository(tmp_path / "copy")
    for name in ("results", "logs", ".snakemake"):
        shutil.copytree(grid.folder / name, repository.folder / name)
    return repository


def at_a_terminal(repository: Repository, *arguments: str) -> tuple[int, str]:
    """Run Snakemake in a pseudo-terminal of 100 columns; its status and everything that it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(
        command, cwd=repository.folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:  # fmt: skip
        os.close(theirs)
        found = b""
        try:
            while data := os.read(ours, 1 << 16):
                found += data
        except OSError:  # so a terminal ends
            pass
    os.close(ours)
    return process.returncode, found.decode().replace("\r\n", "\n")


def visible(screen: str) -> list[str]:
    """The lines that remain on a terminal: of what was overwritten, the last."""
    return [line.rpartition("\r")[2].rstrip() for line in screen.split("\n")]


def test_at_a_terminal_a_run_is_a_progress_line_and_a_line_a_cell(copy: Repository) -> None:
    status, screen = at_a_terminal(copy, "--force", *CELLS)
    lines = visible(screen)
    assert status == 0, screen[-3000:]
    assert re.search(r"\r[01] of 2 jobs.*score_target tiny (none|mnli) xnli 1 \(\d+ s\)", screen)
    assert max(len(part) for part in re.split(r"[\r\n]", screen)) < 250 and "\033[A" not in screen
    cells = [line for line in lines if re.match(r"\[[12]/2\] ", line)]
    assert len(cells) in (2, 3) and any(re.search(r"none -> xnli: accuracy \d+\.\d$", line) for line in cells)
    assert any(re.search(r"mnli -> xnli: .*[+\u2212]?\d+\.\d over none$", line) for line in cells)
    assert not any("jobs |" in line for line in lines), "the progress line is gone at the end"
    assert BLOCK not in screen and copy.last_log().count(BLOCK) == 2, "blocks of jobs are in the log"


def test_the_summary_closes_a_run_and_verbose_brings_the_blocks_back(copy: Repository) -> None:
    status, screen = at_a_terminal(copy, "--force", "results/tables/summary.txt", "--quiet")
    assert status == 0 and "12 of 12 scores are in" in screen and "results/tables/transfer.tsv" in screen
    status, screen = at_a_terminal(copy, "--force", "results/tables/summary.txt", "--verbose")
    assert status == 0 and "rule summarise:" in screen and "12 of 12 scores are in" in screen


def test_a_failed_job_is_shown_in_full_at_a_terminal_and_in_a_file(copy: Repository) -> None:
    (copy.folder / ARROW).write_bytes(b"ARROW1 damaged")
    asked = ("--force", "results/tuned/tiny/none/mnli/seed1/config.json")
    status, screen = at_a_terminal(copy, *asked)
    result = copy.snakemake(*asked)
    assert status and result.returncode
    for text in (screen, result.stdout):
        assert "Error in train_target tiny none mnli 1 (job 0)" in text
        assert text.count("train.arrow: Arrow file truncated or damaged") == 1
        assert re.search(r"to run this job alone: cd \S+ && snakemake results/tuned/tiny/none/mnli/seed1", text)
        assert "logs/tuned/tiny/none/mnli/seed1.log" in text
    assert not re.search(r"[\r\033]", result.stdout), "a file gets plain lines"


def test_a_killed_job_is_named_with_its_signal(copy: Repository) -> None:
    script = copy.folder / "workflow_scripts/collect_scores.py"
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", encoding="utf-8")
    result = copy.snakemake("--force", "results/tables/scores.parquet")
    assert result.returncode and "Error in collect_scores" in result.stdout and "SIGKILL" in result.stdout
    assert "to run this job alone" in result.stdout


def test_in_a_file_cells_are_plain_lines(copy: Repository) -> None:
    result = copy.snakemake("--force", *CELLS)
    assert result.returncode == 0 and "none -> xnli: accuracy" in result.stdout and BLOCK not in result.stdout
    assert not re.search(r"[\r\033]", result.stdout)


def test_dry_runs_reports_and_questions_about_the_grid_are_snakemakes_own(grid: Repository) -> None:
    dry = grid.snakemake("--dry-run", "--forceall", "--quiet", "host")
    assert {job.rule for job in jobs(dry.stdout)} == {job.rule for job in grid.first}
    assert "This was a dry-run" in dry.stdout
    assert "output_file\tdate" in grid.snakemake("--summary").stdout
    doctor = grid.snakemake("doctor")
    assert doctor.returncode == 0 and "processors" in doctor.stdout and "jobs to do" not in doctor.stdout


def test_live_tracking_reruns_nothing_and_shows_the_jobs_that_run(copy: Repository) -> None:
    assert copy.pending("--config", "tracker=tensorboard") == []
    output = "results/tuned/tiny/none/mnli/seed1/training.json"
    before = (copy.folder / output).with_name("model.safetensors").read_bytes()
    result = copy.snakemake("--force", output, "--config", "tracker=tensorboard")
    assert result.returncode == 0 and "tracker" not in result.stdout, result.stdout
    assert list((copy.folder / "results/tracking/tensorboard/train_target/tiny/none/mnli/1").glob("events.*"))
    assert (copy.folder / output).with_name("model.safetensors").read_bytes() == before


def test_the_grid_that_was_run_is_the_grid_that_is_configured(grid: Repository) -> None:
    """The jobs of a run are read from Snakemake's log, which has all of them."""
    assert sum(job.rule == "score_target" for job in grid.first) == len(GRID["intermediates"]) * len(GRID["targets"])

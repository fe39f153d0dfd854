"""Runs that are killed, that meet in one folder, or that have no network."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chaos import Chaos
from repository import GRID, Repository
from small_grid import Undisturbed, products

ISOLATED = (["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"])


def test_three_kills_change_nothing(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """The long form is `python tests/faults/chaos.py`."""
    outcome = Chaos(tmp_path / "grid", undisturbed, seed=2, longest=150 + 3 * undisturbed.seconds).run(rounds=3)
    assert outcome.problems == []
    assert sum(outcome.kills.values()) == 3 and outcome.grids >= 1
    assert outcome.compared >= len(products(undisturbed.repository)) > 20, "the last grid was compared whole"


def test_a_second_run_in_one_folder_is_refused_with_a_sentence_that_helps(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "grid")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all"]
    first = subprocess.Popen(
        command, cwd=repository.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        end = time.monotonic() + 600
        while not (repository.folder / ".snakemake" / "stiltgrid_run.json").is_file():
            assert first.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        os.kill(first.pid, signal.SIGSTOP)  # at work for as long as it takes
        second = repository.snakemake()
        assert (
            second.returncode != 0 and f"locked by a run that is still working: process {first.pid} on" in second.stdout
        )
    finally:
        first.kill()
        first.wait()
    third = repository.snakemake()
    assert third.returncode != 0 and "locked by a run that was killed" in third.stdout
    assert "run `snakemake --unlock`" in third.stdout
    assert repository.snakemake("--unlock").returncode == 0
    assert "locked by" not in repository.snakemake("--dry-run", "--quiet").stdout


def isolation() -> list[str]:
    """The command under which there is no network; skips where none is allowed."""
    if shutil.which("unshare") is None:
        pytest.skip("needs `unshare`: apt-get install util-linux")
    for command in ISOLATED:
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("needs root or user namespaces (sysctl kernel.unprivileged_userns_clone=1) for `unshare --net`")


def test_a_grid_needs_no_network(tmp_path: Path) -> None:
    """Every job runs where there is no route and not even a loopback device."""
    command = isolation()
    reach = [sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 9), 1)"]
    refused = subprocess.run([*command, *reach], text=True, capture_output=True, check=False)
    assert "unreachable" in refused.stderr, "the place itself must be without a route"
    repository = Repository(tmp_path / "grid")
    repository.configure({**GRID, "intermediates": ["none"], "targets": ["xnli", "tatoeba"]})
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    result = subprocess.run(
        [*command, sys.executable, "-m", "snakemake", "--cores", "2", "--nocolor"],
        cwd=repository.folder, env=environment, text=True, capture_output=True, check=False, timeout=1800,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    assert (repository.folder / "results/tables/transfer.tsv").is_file()

"""What a locked folder says of its holder, and the command that repeats a job."""

import json
import subprocess
import sys

import pytest
from stiltgrid import runs


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake" / "locks").mkdir(parents=True)
    return tmp_path


def lock(**changes):
    runs.note_run()
    record = json.loads(runs.RECORD.read_text())
    runs.RECORD.write_text(json.dumps({**record, **changes}))
    (runs.LOCKS / "0.output.lock").write_text("x")


def test_a_free_folder_says_nothing(place):
    assert runs.lock_notice() is None
    runs.note_run()
    assert runs.lock_notice() is None


def test_a_lock_of_a_killed_run_says_how_to_go_on(place):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    lock(pid=dead.pid)
    assert "was killed" in runs.lock_notice() and "snakemake --unlock" in runs.lock_notice()


def test_a_lock_of_a_living_run_names_it(place):
    alive = subprocess.Popen([sys.executable, "-c", "input('snakemake')"], stdin=subprocess.PIPE)
    try:
        lock(pid=alive.pid)
        assert f"at work: process {alive.pid} on" in runs.lock_notice()
        assert "unlock" not in runs.lock_notice()
    finally:
        alive.kill()
        alive.wait()


def test_a_lock_of_another_machine_and_one_without_a_record(place):
    lock(host="elsewhere")
    assert "another machine: process" in runs.lock_notice()
    runs.RECORD.write_text("{")
    assert runs.lock_notice() is None, "Snakemake's own sentence follows"


def test_the_command_of_one_job_has_the_options_of_its_run(place, monkeypatch):
    monkeypatch.delenv(runs.COMMAND, raising=False)
    monkeypatch.setenv("PWD", "/home/me/my grid")
    assert runs.rerun_command("results/a") == "cd . && snakemake results/a --cores 1"
    runs.note_command(["--cores", "8", "--config", "seeds=[1, 2]"])
    runs.note_command(["--executor", "slurm-jobstep"])
    expected = "cd '/home/me/my grid' && snakemake results/a --cores 8 --config 'seeds=[1, 2]'"
    assert runs.rerun_command("results/a") == expected
    monkeypatch.delenv(runs.COMMAND)

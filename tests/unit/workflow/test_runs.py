"""What a locked folder says of its holder, and the command that repeats a job."""

import json
import subprocess
import sys

import pytest
from stiltgrid.workflow import runs


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
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    alive = subprocess.Popen([sys.executable, "-c", "print(flush=True), input('snakemake')"], **pipes)
    try:
        alive.stdout.readline()  # its command line is not there to be read at once
        lock(pid=alive.pid)
        assert f"still working: process {alive.pid} on" in runs.lock_notice()
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
    folder = place / "my grid"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PWD", str(folder))
    assert runs.rerun_command("results/a") == "cd . && snakemake results/a --cores 1"
    runs.note_command(["all", "--cores", "8", "-F", "--config", "seeds=[1, 2]"], {"all"})
    runs.note_command(["--executor", "slurm-jobstep"])
    expected = f"cd '{folder}' && snakemake results/a --cores 8 --config 'seeds=[1, 2]'"
    assert runs.rerun_command("results/a") == expected
    monkeypatch.delenv(runs.COMMAND)


@pytest.mark.parametrize(("shell_says", "directory", "typed_in"), [
    ("here", ".", "here"),
    ("here", "below", "here"),
    ("elsewhere", ".", "here/below"),  # started by a program that had gone to another folder
    ("gone", ".", "here/below"),
])  # fmt: skip
def test_the_command_goes_where_the_run_was_typed(place, monkeypatch, shell_says, directory, typed_in):
    (place / "here" / "below").mkdir(parents=True)
    (place / "elsewhere").mkdir()
    monkeypatch.delenv(runs.COMMAND, raising=False)
    monkeypatch.setenv("PWD", str(place / shell_says))
    monkeypatch.chdir(place / "here" / ("below" if directory == "below" or shell_says != "here" else "."))
    runs.note_command(["--cores", "1"], directory=directory)
    assert runs.rerun_command("results/a").startswith(f"cd {place / typed_in} && ")
    monkeypatch.delenv(runs.COMMAND)


def test_only_what_a_run_has_written_is_told_at_its_end(place):
    file = place / "summary.txt"
    assert runs.written_since(file, 0) == ""
    file.write_text("best: mnli\n")
    assert runs.written_since(file, file.stat().st_mtime - 1) == "best: mnli\n"
    assert runs.written_since(file, file.stat().st_mtime + 1) == ""

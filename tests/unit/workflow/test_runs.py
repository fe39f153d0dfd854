"""What a locked folder says of its holder, and the command that repeats a job."""

import json
import subprocess
import sys
from pathlib import Path

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


PACE = """
import sys
from pathlib import Path

sys.path.insert(0, {scripts!r})
from stiltgrid.workflow import runs

onstart:
    print("before", workflow.scheduler.job_rate_limiter is not None)
    runs.lift_default_pace(workflow)
    print("after", workflow.scheduler.job_rate_limiter is not None)

rule all:
    output: "done"
    run: open(output[0], "w").close()
"""


@pytest.mark.parametrize(
    ("options", "limited"), [((), "False"), (("--max-jobs-per-timespan", "5/1s"), "True")], ids=["default", "asked for"]
)
def test_jobs_start_when_there_is_room_unless_a_pace_was_asked_for(place, options, limited):
    scripts = str(Path(runs.__file__).parents[2])
    (place / "Snakefile").write_text(PACE.format(scripts=scripts))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--scheduler", "greedy", *options]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (place / "done").exists()
    told = [line for line in done.stdout.splitlines() if line.startswith(("before", "after"))]
    assert told == ["before True", f"after {limited}"]


def test_cycles_are_looked_for_less_often_and_still_found(place):
    """In a process of its own, because it changes the whole process."""
    code = """
import gc, sys, weakref
sys.path.insert(0, {scripts!r})
from stiltgrid.workflow import runs

class Knot:
    pass

there, passes = gc.get_threshold(), []
runs.collect_rarely()
assert gc.isenabled() and gc.get_freeze_count() > 1000
gc.callbacks.append(lambda phase, info: passes.append(info["generation"]) if phase == "start" else None)
kept = [[] for _ in range(100_000)]
print(len(passes) * there[0] < 10_000)
knot = Knot()
knot.self, seen = knot, weakref.ref(knot)
del knot
kept += [[] for _ in range(200_000)]
print(seen() is None)
"""
    program = code.format(scripts=str(Path(runs.__file__).parents[2]))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["True", "True"], done.stderr

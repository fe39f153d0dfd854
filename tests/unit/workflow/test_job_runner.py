"""A forked job is the job that a fresh interpreter would have run, and nothing outlives a run."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from stiltgrid.utils.errors import SourceError
from stiltgrid.workflow import fork_server as nurseries
from stiltgrid.workflow import job_runner
from stiltgrid.workflow.fork_server import Nursery

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux only")
LIBRARY = str(Path(job_runner.__file__).parents[2])


@pytest.fixture
def nursery() -> Nursery:
    return Nursery("bare")


def job(nursery: Nursery, folder: Path, code: str, threads: int = 1) -> nurseries.Job:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(code), encoding="utf-8")
    begun = nursery.begin(str(script), threads, {"tmpdir": str(folder)})
    assert begun is not None
    return begun


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_job_sees_what_a_fresh_process_would(
    nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("A_SETTING", "for this job")
    code = """
        import os, sys
        from pathlib import Path
        facts = [os.getcwd(), sys.argv[0], __name__, os.environ["A_SETTING"], os.environ["OMP_NUM_THREADS"],
                 os.environ["TMPDIR"]]
        Path("facts.txt").write_text("\\n".join(facts))
    """
    assert job(nursery, tmp_path, code, threads=3).wait() == 0
    expected = [str(tmp_path), str(tmp_path / "script.py"), "__main__", "for this job", "3", str(tmp_path)]
    assert (tmp_path / "facts.txt").read_text().split("\n") == expected


def test_nothing_passes_from_job_to_job(nursery: Nursery, tmp_path: Path) -> None:
    first = 'import sys, os, random; sys.leak = 1; os.environ["LEAK"] = "1"; random.seed(0)'
    assert job(nursery, tmp_path, first).wait() == 0
    second = """
        import sys, os, random
        sys.exit(hasattr(sys, "leak") or "LEAK" in os.environ)
    """
    assert job(nursery, tmp_path, second).wait() == 0
    draws = "import random; open('draws.txt', 'a').write(f'{random.random()}\\n')"
    os.chdir(tmp_path)
    for _ in range(2):
        assert job(nursery, tmp_path, draws).wait() == 0
    assert len(set((tmp_path / "draws.txt").read_text().split())) == 2


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import sys; sys.exit(3)", 3),
        ("raise SystemExit('words')", 1),
        ("raise ValueError('broken')", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import atexit; atexit.register(print, 'bye')", 0),
    ],
)
def test_exit_status(nursery: Nursery, tmp_path: Path, code: str, status: int) -> None:
    assert job(nursery, tmp_path, code).wait() == status


def test_jobs_run_side_by_side(nursery: Nursery, tmp_path: Path) -> None:
    wait = """
        import sys, time
        from pathlib import Path
        while not Path(sys.argv[0]).with_name("go").exists():
            time.sleep(0.01)
    """
    first = job(nursery, tmp_path, wait)
    second = job(nursery, tmp_path, "import sys; from pathlib import Path; Path(sys.argv[0]).with_name('go').touch()")
    assert (second.wait(), first.wait()) == (0, 0)


def test_a_dead_nursery_takes_its_jobs_along_and_is_not_asked_again(nursery: Nursery, tmp_path: Path) -> None:
    running = job(nursery, tmp_path, "import time; time.sleep(60)")
    parent = int(Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    assert running.wait() is None
    assert wait_until(lambda: not alive(running.pid))
    assert nursery.begin("script.py", 1, {}) is None
    assert nursery.begin("script.py", 1, {}) is None


def test_a_nursery_that_cannot_start_is_no_error(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert nursery.begin("script.py", 1, {}) is None


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_the_main_process(tmp_path: Path, kill: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text("import time; time.sleep(60)")
    main = f"""
        import sys; sys.path.append({LIBRARY!r})
        from stiltgrid.workflow.fork_server import Nursery
        nursery = Nursery("bare")
        job = nursery.begin({str(script)!r}, 1, {{}})
        print(job.pid, flush=True)
        job.wait()
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(main)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    assert alive(pid)
    process.send_signal(kill)
    process.wait()
    assert wait_until(lambda: not alive(pid) and not alive(parent))


def test_ctrl_c_ends_the_job(tmp_path: Path) -> None:
    """The terminal sends SIGINT to the whole process group: main process, nursery and job."""
    script = tmp_path / "script.py"
    script.write_text("print('started', flush=True)\nimport time; time.sleep(60)")
    main = f"""
        import sys; sys.path.append({LIBRARY!r})
        from stiltgrid.workflow.fork_server import Nursery
        import signal
        nursery = Nursery("bare")
        signal.signal(signal.SIGINT, lambda *_: None)
        job = nursery.begin({str(script)!r}, 1, {{}})
        print(job.wait(), flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(main)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "1\n"
    assert process.wait() == 0


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(False)
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def fake_snakemake(log: Path) -> SimpleNamespace:
    return SimpleNamespace(log=[str(log)], rule="train_target", wildcards=["tiny", "none"], threads=1, resources={})


@pytest.mark.usefixtures("logging_restored")
def test_an_error_of_the_user_is_one_clean_message(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def main(snakemake: SimpleNamespace) -> None:
        raise SourceError("mnli/train.en.jsonl.gz is missing")

    with pytest.raises(SystemExit) as end:
        job_runner.run(main, fake_snakemake(tmp_path / "job.log"))
    assert end.value.code == 1
    assert capfd.readouterr().err == "train_target tiny none: mnli/train.en.jsonl.gz is missing\n"
    log = (tmp_path / "job.log").read_text()
    assert "mnli/train.en.jsonl.gz is missing" in log and "Traceback" not in log


@pytest.mark.usefixtures("logging_restored")
def test_any_other_error_leaves_its_traceback_in_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def main(snakemake: SimpleNamespace) -> None:
        raise ZeroDivisionError("by zero")

    with pytest.raises(SystemExit) as end:
        job_runner.run(main, fake_snakemake(tmp_path / "job.log"))
    assert end.value.code == 1
    assert "ZeroDivisionError: by zero" in capfd.readouterr().err
    assert "Traceback" in (tmp_path / "job.log").read_text()


@pytest.mark.usefixtures("logging_restored")
def test_only_jobs_that_may_reach_the_network_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "")  # restored afterwards
    monkeypatch.delenv("HF_HUB_OFFLINE")
    seen: list[str | None] = []
    job_runner.run(
        lambda _: seen.append(os.environ.get("HF_HUB_OFFLINE")), fake_snakemake(tmp_path / "a.log"), network=True
    )
    job_runner.run(lambda _: seen.append(os.environ.get("HF_HUB_OFFLINE")), fake_snakemake(tmp_path / "b.log"))
    assert seen == [None, "1"]

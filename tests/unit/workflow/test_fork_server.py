"""A forked job is the job that a fresh interpreter would have run, and nothing outlives a run."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from stiltgrid.workflow import fork_server
from stiltgrid.workflow.fork_server import ForkServer, Job

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux only")
LIBRARY = str(Path(fork_server.__file__).parents[2])
ROOT = Path(fork_server.__file__).parents[3]


@pytest.fixture
def server() -> ForkServer:
    return ForkServer("bare")


def job(server: ForkServer, folder: Path, code: str, threads: int = 1) -> Job:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(code), encoding="utf-8")
    started = server.start_job(str(script), threads, {"tmpdir": str(folder)})
    assert started is not None
    return started


def status_of(job: Job) -> int | None:
    ended = job.wait()
    return None if ended is None else ended.status


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_job_sees_what_a_fresh_process_would(
    server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    assert status_of(job(server, tmp_path, code, threads=3)) == 0
    expected = [str(tmp_path), str(tmp_path / "script.py"), "__main__", "for this job", "3", str(tmp_path)]
    assert (tmp_path / "facts.txt").read_text().split("\n") == expected


def test_nothing_passes_from_job_to_job(server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = 'import sys, os, random; sys.leak = 1; os.environ["LEAK"] = "1"; random.seed(0)'
    assert status_of(job(server, tmp_path, first)) == 0
    second = """
        import sys, os, random
        sys.exit(hasattr(sys, "leak") or "LEAK" in os.environ)
    """
    assert status_of(job(server, tmp_path, second)) == 0
    draws = "import random; open('draws.txt', 'a').write(f'{random.random()}\\n')"
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert status_of(job(server, tmp_path, draws)) == 0
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
def test_exit_status(server: ForkServer, tmp_path: Path, code: str, status: int) -> None:
    assert status_of(job(server, tmp_path, code)) == status


def test_jobs_run_side_by_side(server: ForkServer, tmp_path: Path) -> None:
    wait = """
        import sys, time
        from pathlib import Path
        while not Path(sys.argv[0]).with_name("go").exists():
            time.sleep(0.01)
    """
    first = job(server, tmp_path, wait)
    second = job(server, tmp_path, "import sys; from pathlib import Path; Path(sys.argv[0]).with_name('go').touch()")
    assert (status_of(second), status_of(first)) == (0, 0)


def test_a_dead_server_takes_its_jobs_along_and_is_not_asked_again(server: ForkServer, tmp_path: Path) -> None:
    running = job(server, tmp_path, "import time; time.sleep(60)")
    parent = int(Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    assert running.wait() is None
    assert wait_until(lambda: not alive(running.pid))
    assert server.start_job("script.py", 1, {}) is None
    assert server.start_job("script.py", 1, {}) is None


def test_a_server_that_cannot_start_is_no_error(server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert server.start_job("script.py", 1, {}) is None


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_the_main_process(tmp_path: Path, kill: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text("import time; time.sleep(60)")
    main = f"""
        import sys; sys.path.append({LIBRARY!r})
        from stiltgrid.workflow.fork_server import ForkServer
        server = ForkServer("bare")
        job = server.start_job({str(script)!r}, 1, {{}})
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
    """The terminal sends SIGINT to the whole process group: main process, server and job."""
    script = tmp_path / "script.py"
    script.write_text("print('started', flush=True)\nimport time; time.sleep(60)")
    main = f"""
        import sys; sys.path.append({LIBRARY!r})
        from stiltgrid.workflow.fork_server import ForkServer
        import signal
        server = ForkServer("bare")
        signal.signal(signal.SIGINT, lambda *_: None)
        job = server.start_job({str(script)!r}, 1, {{}})
        print(job.wait().status, flush=True)
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


@pytest.mark.parametrize("kind", fork_server.PRELOAD)
def test_modules_to_preload_exist_and_leave_the_network_to_the_job(kind: str) -> None:
    """A server ignores what it cannot import, and huggingface_hub reads only once whether it is offline."""
    code = (
        "import importlib, sys; sys.path.append(sys.argv[1]); "
        "from stiltgrid.workflow.fork_server import PRELOAD; "
        "[importlib.import_module(name) for name in PRELOAD[sys.argv[2]]]; "
        "print('huggingface_hub' in sys.modules, 'stiltgrid.workflow.job_runner' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code, LIBRARY, kind], capture_output=True, text=True, check=True)
    hub, runner = found.stdout.split()
    assert runner == "True"
    if kind == "data":  # the kind of all jobs that may reach the hub, see the next test
        assert hub == "False"


def test_all_jobs_that_may_reach_the_network_are_of_one_kind() -> None:
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk")).split("\nrule ")
    scripts = {path.name for path in (ROOT / "workflow_scripts").glob("*.py") if "network=True" in path.read_text()}
    found = {name: rule for rule in rules for name in scripts if f"workflow_scripts/{name}" in rule}
    assert found.keys() == scripts and len(scripts) > 8
    assert [name for name, rule in found.items() if "envs/data.yaml" not in rule] == []

"""Each change to Snakemake does what it says under the pinned version; under any other, Snakemake runs as it comes."""

import inspect
import logging
import os
import re
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from snakemake.benchmark import BenchmarkRecord
from snakemake.settings.types import OutputSettings
from stiltgrid.grid.layout import Layout
from stiltgrid.utils.logs import QUIET
from stiltgrid.workflow import snakemake_patches
from stiltgrid.workflow.fork_server import PRELOAD, ForkServer

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = str(ROOT / "workflow_scripts")
OTHER = "10.3.1"


def test_the_pinned_version_is_the_one_that_was_tried() -> None:
    pinned = re.search(r"^snakemake==(\S+)$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned and pinned[1] == metadata.version("snakemake")
    assert snakemake_patches.is_tried() and snakemake_patches.is_tried(pinned[1])
    assert not snakemake_patches.is_tried(OTHER)


# ---- signatures of functions ----


def a_rule() -> SimpleNamespace:
    """A rule with a function among its inputs and one among its params."""

    def files(wildcards: object, attempt: int) -> str:
        return ""

    def parameter(wildcards: object) -> int:
        return 1

    wrapped = SimpleNamespace(_file=SimpleNamespace(callable=files))
    return SimpleNamespace(input=["a.txt", wrapped], params=[parameter, {"a": 1}], files=files, parameter=parameter)


def test_functions_of_a_rule_carry_their_signatures() -> None:
    rule = a_rule()
    snakemake_patches.after_rules(SimpleNamespace(rules=[rule]))
    assert list(rule.parameter.__signature__.parameters) == ["wildcards"]
    assert inspect.signature(rule.files) is rule.files.__signature__
    assert list(inspect.signature(rule.files).parameters) == ["wildcards", "attempt"]


def test_under_another_version_functions_are_left_alone() -> None:
    rule = a_rule()
    snakemake_patches.after_rules(SimpleNamespace(rules=[rule]), version=OTHER)
    assert vars(rule.files) == vars(rule.parameter) == {}


def test_resources_and_what_evaluates_them_carry_their_parameters() -> None:
    from snakemake.common import get_function_params, get_input_function_aux_params
    from snakemake.resources import Resource, Resources

    def memory(wildcards: object, input: object, attempt: int) -> int:
        return 100 * attempt

    asked_for = {"mem_mb": memory, "gpu": 1, "runtime": lambda wildcards: 30}
    made = Resources({name: Resource(name, value) for name, value in asked_for.items()})
    rule = SimpleNamespace(input=[], params=[], resources=made)
    before = {name: dict(get_function_params(made[name].evaluate)) for name in made}
    for _ in range(2):
        snakemake_patches.after_rules(SimpleNamespace(rules=[rule]))
    for name in made:
        assert dict(get_function_params(made[name].evaluate)) == before[name], "`self` is not among them"
    asked = get_function_params(made["mem_mb"]._evaluator)
    assert list(asked) == ["wildcards", "input", "attempt"] and asked is get_function_params(made["mem_mb"]._evaluator)
    given = {"input": ["a"], "attempt": 2, "threads": 1}
    assert get_input_function_aux_params(memory, given) == {"input": ["a"], "attempt": 2}
    assert made["mem_mb"].evaluate({}, **given).value == 200 and made["runtime"].evaluate({}, **given).value == 30


# ---- a run ----

RUN = """
import os, signal, sys

sys.path.insert(0, {scripts!r})
from stiltgrid.workflow import snakemake_patches

snakemake_patches.at_parse()


rule all:
    default_target: True
    input: "forked.txt", "plain.txt"


rule forked:
    output: "forked.txt"
    conda: "envs/data.yaml"
    script: "parent.py"


rule plain:
    output: "plain.txt"
    script: "parent.py"


snakemake_patches.after_rules(workflow)


onstart:
    print("before", workflow.scheduler.job_rate_limiter is not None)
    os.kill(os.getpid(), signal.SIGUSR1)
    snakemake_patches.at_start(workflow, {version!r})
    print("after", workflow.scheduler.job_rate_limiter is not None)
"""
# Who started the job: a fork server names itself by the function that it runs.
PARENT = """
from pathlib import Path

status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
command = Path("/proc", status["PPid"].strip(), "cmdline").read_text()
Path(snakemake.output[0]).write_text("forked" if "fork_server" in command else "plain")
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "parent.py").write_text(PARENT, encoding="utf-8")
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/data.yaml").write_text("dependencies: []\n", encoding="utf-8")
    return tmp_path


def run(place: Path, *options: str, version: str | None = None, **environment: str) -> list[str]:
    """Run two jobs; what was said before and after `at_start`, and how each job was started."""
    (place / "Snakefile").write_text(RUN.format(scripts=SCRIPTS, version=version), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--scheduler", "greedy", *options]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300, check=False,
                          env={"PATH": "/usr/bin:/bin", "HOME": str(place), **environment})  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith(("before", "after"))]
    warned = ["warned"] * done.stderr.count(f"Snakemake {version} was not tried")
    return [*said, *warned, *((place / name).read_text() for name in ("forked.txt", "plain.txt"))]


def test_jobs_start_at_once_and_those_of_an_environment_are_forked(place: Path) -> None:
    """SIGUSR1, which a scheduler sends before a job's time is up, does not end Snakemake."""
    assert run(place) == ["before True", "after False", "forked", "plain"]


def test_under_another_version_a_run_goes_as_it_comes_and_says_so(place: Path) -> None:
    assert run(place, version=OTHER) == ["before True", "after True", "warned", "plain", "plain"]


def test_a_pace_that_was_asked_for_stays(place: Path) -> None:
    assert run(place, "--max-jobs-per-timespan", "5/1s")[1] == "after True"


def test_forking_can_be_switched_off(place: Path) -> None:
    assert run(place, STILTGRID_FORK="0")[2:] == ["plain", "plain"]


def benchmarked(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> tuple[BenchmarkRecord, list[float]]:
    """The benchmark record of a forked job, and the seconds at which its memory was sampled."""
    samples, sample = [], psutil.Process.memory_full_info

    def noted(process: psutil.Process) -> object:
        samples.append(time.monotonic() - started)
        return sample(process)

    monkeypatch.setattr(psutil.Process, "memory_full_info", noted)
    (folder / "job.py").write_text(code, encoding="utf-8")
    server = ForkServer("bare")
    job = server.start_job(str(folder / "job.py"), 1, {})
    assert job is not None
    started, record = time.monotonic(), BenchmarkRecord()
    ended = snakemake_patches.benchmarked_wait(job, record)
    assert ended is not None and ended.status == 0
    return record, samples


def test_benchmarks_have_what_the_kernel_counted_and_few_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import time; held = b'x' * (300 << 20); del held\nwhile time.process_time() < 0.4: pass\ntime.sleep(1.6)"
    record, samples = benchmarked(tmp_path, monkeypatch, code)
    assert record.max_rss > 300, "memory that was given back before a sample"
    assert 0.4 <= record.cpu_time < 1.5 and record.mean_load() == pytest.approx(
        100 * record.cpu_time / record.running_time
    )
    assert 2 <= len(samples) <= 3 and record.running_time > 1.6, "at 0, 1 and 3 seconds, not twice a second"
    fields = record.to_tsv(False).split("\t")
    assert len(fields) == 10 and "NA" not in fields and "-" not in fields


def test_a_job_that_has_ended_already_has_a_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(pid: int) -> None:
        raise psutil.NoSuchProcess(pid)

    with monkeypatch.context() as patch:
        patch.setattr(psutil, "Process", gone)
        (tmp_path / "job.py").write_text("", encoding="utf-8")
        server = ForkServer("bare")
        job = server.start_job(str(tmp_path / "job.py"), 1, {})
        assert job is not None
        record = BenchmarkRecord()
        ended = snakemake_patches.benchmarked_wait(job, record)
        assert ended is not None and ended.status == 0
        job = server.start_job(str(tmp_path / "job.py"), 1, {})
        assert job is not None
        several = BenchmarkRecord(max_rss=90_000.0)
        snakemake_patches.benchmarked_wait(job, several)
    assert several.max_rss == 90_000, "a sum over several processes, of which the kernel counts the largest"
    assert record.max_rss > 1 and record.to_tsv(False).split("\t")[4] == "-"


def test_every_rule_with_a_script_has_an_environment_that_a_fork_server_preloads() -> None:
    """How a rule's jobs are started follows from its `conda:` line, so each must be known."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").glob("*.smk")))
    scripts = re.findall(r'^    script:\n        "\.\./workflow_scripts/(\w+)\.py"', text, re.MULTILINE)
    environments = re.findall(r'^    conda:\n        "\.\./envs/(\w+)\.yaml"', text, re.MULTILINE)
    assert len(scripts) == len(environments) > 30
    assert set(environments) == set(PRELOAD) == {path.stem for path in (ROOT / "envs").glob("*.yaml")}
    rules = [SimpleNamespace(name="a", conda_env="../envs/data.yaml"), SimpleNamespace(name="b", conda_env=None)]
    assert snakemake_patches.rule_environments(rules) == {"a": "data"}


def test_a_warning_names_both_versions(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        snakemake_patches.at_start(SimpleNamespace(), version=OTHER)
    assert OTHER in caplog.text and snakemake_patches.TRIED[0] in caplog.text


def test_cycles_are_looked_for_less_often_and_still_found() -> None:
    """In a process of its own, because it changes the whole process."""
    code = """
import gc, sys, weakref
sys.path.insert(0, {scripts!r})
from stiltgrid.workflow import snakemake_patches

class Knot:
    pass

there, passes = gc.get_threshold(), []
snakemake_patches.relax_garbage_collection()
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
    program = code.format(scripts=SCRIPTS)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["True", "True"], done.stderr
    assert signal.getsignal(signal.SIGUSR1) is not signal.SIG_IGN, "parsing alone ignores it"


# ---- the output of a run ----

LAYOUT = Layout((), (), (), ())


def a_workflow(
    remote: bool = False, main: bool = True, name: str = snakemake_patches.STREAM_HANDLER, **asked: bool
) -> SimpleNamespace:
    """What `quiet_output` reads of a workflow, with a handler that writes to the terminal."""
    terminal = logging.StreamHandler()
    terminal.name = name
    settings = OutputSettings(**asked)  # type: ignore[arg-type]
    manager = SimpleNamespace(logger=logging.Logger("snakemake"))
    manager.logger.addHandler(terminal)
    return SimpleNamespace(
        output_settings=settings, remote_exec=remote, is_main_process=main, logger_manager=manager, terminal=terminal
    )


def test_the_runs_output_takes_the_place_of_snakemakes() -> None:
    workflow = a_workflow()
    other = logging.NullHandler()
    workflow.logger_manager.logger.addHandler(other)
    snakemake_patches.quiet_output(workflow, LAYOUT)
    kept, new = workflow.logger_manager.logger.handlers
    assert kept is other and type(new).__name__ == "LogHandler" and new.layout is LAYOUT


@pytest.mark.parametrize(
    "workflow",
    [
        a_workflow(dryrun=True),
        a_workflow(verbose=True),
        a_workflow(debug_dag=True),
        a_workflow(main=False),
        a_workflow(remote=True, main=False),
        a_workflow(name="a plugin of the user's"),
    ],
)
def test_snakemakes_own_output_stays_where_it_is_asked_for(workflow: SimpleNamespace) -> None:
    snakemake_patches.quiet_output(workflow, LAYOUT)
    assert workflow.logger_manager.logger.handlers == [workflow.terminal]


def test_under_another_version_the_output_is_snakemakes(capsys: pytest.CaptureFixture[str]) -> None:
    workflow = a_workflow()
    snakemake_patches.quiet_output(workflow, LAYOUT, version=OTHER)
    assert workflow.logger_manager.logger.handlers == [workflow.terminal]
    snakemake_patches.show(workflow, "the summary\n")
    assert capsys.readouterr().err == "the summary\n"


def test_jobs_of_a_cluster_write_all_their_lines_to_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(QUIET, "1")
    snakemake_patches.quiet_output(a_workflow(main=False), LAYOUT)
    assert os.environ.get(QUIET) == "1", "a local job in a process of its own"
    snakemake_patches.quiet_output(a_workflow(remote=True, main=False), LAYOUT)
    assert QUIET not in os.environ

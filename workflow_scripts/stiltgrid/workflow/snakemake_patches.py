"""Changes to Snakemake itself: each with its reason, what it is worth, and the versions that it was tried with.

Under a version that is not in TRIED nothing of Snakemake is changed: it runs as it comes, which is slower, and one line
of the log says so. What the rules call are `at_parse`, `after_rules` and `at_start`.
"""

import contextlib
import gc
import inspect
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

TRIED = ("9.27.1",)
SWITCH = "STILTGRID_FORK"  # "0": every job is a process of its own
PARAMETERS = "_overwrite_params"  # where `snakemake.common.overwrite_function_params` leaves them
DEFAULT_PACE = (100, 1)  # Snakemake's --max-jobs-per-timespan: jobs, seconds
COLLECTION = (50_000, 20, 20)  # Python's own: (700, 10, 10)

log = logging.getLogger(__name__)


def is_tried(version: str | None = None) -> bool:
    """Whether the changes were tried with this version of Snakemake (None: the installed one)."""
    return (version or metadata.version("snakemake")) in TRIED


def at_parse() -> None:
    """What this process needs before rules are read; touches nothing of Snakemake's, so any version will do."""
    ignore_user_signal()
    collect_rarely()


def after_rules(workflow: Any, version: str | None = None) -> None:
    """Once all rules are known: nothing under a version that was not tried."""
    if is_tried(version):
        sign_functions(workflow.rules)


def at_start(workflow: Any, version: str | None = None) -> None:
    """When jobs are about to start: nothing but a line of the log under a version that was not tried."""
    if not is_tried(version):
        log.warning(
            "Snakemake %s was not tried with stiltgrid/workflow/snakemake_patches.py (%s was): jobs start more slowly",
            version or metadata.version("snakemake"),
            ", ".join(TRIED),
        )
        return
    lift_default_pace(workflow)
    fork_jobs(workflow)


def ignore_user_signal() -> None:
    """Keep Snakemake alive when a scheduler sends SIGUSR1 to every process of a job before its time is up.

    Training listens to it and saves its state; Snakemake has no handler, and would die of it.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def collect_rarely() -> None:
    """Let Python look for unreachable cycles less often, and never among what is there already.

    Of a grid of thousands of jobs Snakemake keeps millions of objects that live to its end; looking through them
    again and again takes time. What is unreachable is still found, later.
    """
    gc.freeze()
    gc.set_threshold(*COLLECTION)


def sign_functions(rules: Iterable[Any]) -> None:
    """Let every function among the rules' inputs, parameters and resources carry its signature.

    Snakemake asks for it several times a job: `inspect` takes one that is there instead of working it out, and
    Snakemake itself takes what `overwrite_function_params` leaves. Its own `Resource.evaluate`, through which every
    resource goes, gets one too. Nothing is called otherwise than before.
    """
    for rule in rules:
        for item in (*rule.input, *rule.params):
            _sign(getattr(getattr(item, "_file", item), "callable", item))
        for resource in getattr(rule, "resources", None) or ():
            found = rule.resources[resource]
            _sign(getattr(found, "_evaluator", None))
            _sign(getattr(type(found), "evaluate", None), bound=True)


def _sign(function: Any, bound: bool = False) -> None:
    """Store a plain function's parameters where both look; without `self` for a method that is only called bound."""
    if not inspect.isfunction(function) or hasattr(function, PARAMETERS):
        return
    signature = inspect.signature(function)
    parameters = dict(list(signature.parameters.items())[int(bound) :])
    if not bound:
        function.__signature__ = signature  # type: ignore[attr-defined]
    setattr(function, PARAMETERS, parameters)


def lift_default_pace(workflow: Any) -> None:
    """Let this run start jobs as soon as there is room for them, unless --max-jobs-per-timespan says otherwise.

    Under any limit Snakemake keeps a timer for each round of its scheduler, and a timer's end is one more round: after
    some hundred jobs it looks through all that are ready hundreds of times a second.
    """
    scheduler = getattr(workflow, "scheduler", None)
    limiter = getattr(scheduler, "job_rate_limiter", None)
    if scheduler is not None and limiter is not None and (limiter.max_jobs, limiter.timespan) == DEFAULT_PACE:
        scheduler.job_rate_limiter = None


def fork_jobs(workflow: Any) -> None:
    """Let local jobs be forked from processes that have imported their libraries (see `fork_server`).

    The environment of a rule (`conda:`) says which libraries its jobs need. Rules without one, jobs that run in an
    environment or container of their own, jobs of clusters, and all jobs where `STILTGRID_FORK` is 0 start as plain
    processes; so does a job whose fork server cannot be started or is gone.
    """
    if os.environ.get(SWITCH) == "0" or sys.platform != "linux" or not workflow.local_exec:
        return
    from snakemake.benchmark import benchmarked
    from snakemake.script import PythonScript

    from stiltgrid.workflow.fork_server import PRELOAD, ForkServer

    kinds = rule_environments(workflow.rules)
    servers = {kind: ForkServer(kind) for kind in PRELOAD}
    plain = PythonScript.execute_script

    def execute_script(self: Any, fname: str, edit: bool = False) -> None:
        server = servers.get(kinds.get(self.rulename, ""))
        own_place = edit or self.conda_env or self.container_img or self.env_modules or self.shadow_dir
        job = None if server is None or own_place else server.start_job(fname, self.threads, self.resources)
        if job is None:
            return plain(self, fname, edit)
        with benchmarked(job.pid, self.bench_record) if self.bench_record is not None else contextlib.nullcontext():
            status = job.wait()
        if status is None:
            return plain(self, fname, edit)
        if status:
            raise subprocess.CalledProcessError(status, f"{sys.executable} {fname}")
        return None

    PythonScript.execute_script = execute_script


def rule_environments(rules: Iterable[Any]) -> Mapping[str, str]:
    """Rule -> name of its environment file without the ending (`training`), for the rules that have one."""
    return {rule.name: Path(str(rule.conda_env)).stem for rule in rules if rule.conda_env}

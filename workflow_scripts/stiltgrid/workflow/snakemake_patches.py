"""Changes to Snakemake itself: each with its reason, its measured worth, and the versions it was tried with.

With a version that is not in TRIED, Snakemake is not changed: it works as usual, more slowly, and one line of the log
says so. The rules call `at_parse`, `quiet_output`, `after_rules`, `at_start` and `show`.

Worth is in CPU seconds on two cores: of a dry run of 10,207 jobs (42 seeds of the default grid), or of a run.
"""

import contextlib
import gc
import inspect
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stiltgrid.grid.layout import Layout
from stiltgrid.utils.logs import QUIET

if TYPE_CHECKING:
    from stiltgrid.workflow.fork_server import Ended, Job

TRIED = ("9.27.1",)
SWITCH = "STILTGRID_FORK"  # "0" starts every job as a plain process
PARAMETERS = "_overwrite_params"  # where `snakemake.common.overwrite_function_params` leaves them
DEFAULT_PACE = (100, 1)  # Snakemake's --max-jobs-per-timespan: jobs, seconds
COLLECTION = (50_000, 20, 20)  # Python's own: (700, 10, 10)
STREAM_HANDLER = "DefaultStreamHandler"  # the name of the handler that writes Snakemake's output
PLUGIN = "snakemake_logger_plugin_stiltgrid"  # the name that an installed package would have

log = logging.getLogger(__name__)


def is_tried(version: str | None = None) -> bool:
    """Whether the changes were tried with this version of Snakemake; None is the installed one."""
    return (version or metadata.version("snakemake")) in TRIED


def at_parse() -> None:
    """Prepare this process before the rules are read. Changes nothing of Snakemake, so it holds for all versions."""
    ignore_user_signal()
    relax_garbage_collection()


def after_rules(workflow: Any, version: str | None = None) -> None:
    """Speed up planning once all rules are known. Does nothing with a version that was not tried."""
    if is_tried(version):
        cache_signatures(workflow.rules)


def quiet_output(workflow: Any, layout: Layout, version: str | None = None) -> None:
    """Replace Snakemake's output of a run by that of `run_log`, once the configuration is known to be good.

    Snakemake's own stays in dry runs, with `--verbose` and `--debug-dag`, in the jobs of a cluster, where a logger
    plugin that writes to the terminal was chosen (`--logger`), and with a version that was not tried. Snakemake finds
    logger plugins among installed packages only, and it has created its output before it reads a Snakefile. So the
    plugin is registered here and takes the place of the handler that writes the output; the log file has its own.
    """
    asked = workflow.output_settings
    if workflow.remote_exec:
        os.environ.pop(QUIET, None)  # the job's own output is the cluster's log file
    if not is_tried(version) or not workflow.is_main_process or asked.dryrun or asked.verbose or asked.debug_dag:
        return
    manager = workflow.logger_manager
    for handler in manager.logger.handlers:
        if handler.name == STREAM_HANDLER:
            from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

            from stiltgrid.workflow import run_log

            registry = LoggerPluginRegistry()
            registry.register_plugin(PLUGIN, run_log)
            manager.logger.removeHandler(handler)
            plugin: Any = registry.get_plugin(PLUGIN.removeprefix(registry.module_prefix))
            replacement = plugin.log_handler(asked, None)
            replacement.layout = layout
            manager.logger.addHandler(replacement)
            return


def _run_log(workflow: Any) -> Any:
    """The handler that `quiet_output` has added; None where there is none."""
    handlers = workflow.logger_manager.logger.handlers
    return next((handler for handler in handlers if type(handler).__module__ == "stiltgrid.workflow.run_log"), None)


def show(workflow: Any, text: str) -> None:
    """Write a text of the run itself to the terminal: above the progress line where there is one."""
    handler = _run_log(workflow)
    if handler is None:
        sys.stderr.write(text)
    else:
        handler.show(text)


def at_start(workflow: Any, version: str | None = None) -> None:
    """Speed up starting jobs when the run begins. Only logs a warning with a version that was not tried."""
    if not is_tried(version):
        log.warning(
            "Snakemake %s was not tried with stiltgrid/workflow/snakemake_patches.py (%s was): jobs start more slowly",
            version or metadata.version("snakemake"),
            ", ".join(TRIED),
        )
        return
    handler = _run_log(workflow)
    if handler is not None:
        jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_norun]  # the target rule runs nothing
        handler.begin([(job.rule.name, dict(job.wildcards_dict)) for job in jobs], len(workflow.dag))
    remove_default_rate_limit(workflow)
    fork_jobs(workflow)


def ignore_user_signal() -> None:
    """Keep Snakemake alive when a scheduler sends SIGUSR1 to all processes of a job before its time is up.

    Training handles the signal and saves its state. Snakemake does not handle it and would die.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def relax_garbage_collection() -> None:
    """Let Python's garbage collector run less often, and skip the objects that exist already.

    Snakemake holds millions of objects until the end of a large dry run, and each full collection visits them all.
    Unreachable cycles are still collected, later. Worth: 5.8 seconds become
    2.7.
    """
    gc.freeze()
    gc.set_threshold(*COLLECTION)


def cache_signatures(rules: Iterable[Any]) -> None:
    """Store the signature of every function among the rules' inputs, params and resources on the function.

    Snakemake inspects each function several times per job. `inspect.signature` returns a stored `__signature__`, and
    Snakemake itself uses what its `overwrite_function_params` stores. `Resource.evaluate`, through which every resource
    goes, gets one too. How functions are called does not change. Worth: 6.2 seconds become 1.0.
    """
    for rule in rules:
        for item in (*rule.input, *rule.params):
            _cache_signature(getattr(getattr(item, "_file", item), "callable", item))
        for resource in getattr(rule, "resources", None) or ():
            found = rule.resources[resource]
            _cache_signature(getattr(found, "_evaluator", None))
            _cache_signature(getattr(type(found), "evaluate", None), bound=True)


def _cache_signature(function: Any, bound: bool = False) -> None:
    """Store a function's parameters in both places; without `self` for a method that is only called bound."""
    if not inspect.isfunction(function) or hasattr(function, PARAMETERS):
        return
    signature = inspect.signature(function)
    parameters = dict(list(signature.parameters.items())[int(bound) :])
    if not bound:
        function.__signature__ = signature  # type: ignore[attr-defined]
    setattr(function, PARAMETERS, parameters)


def remove_default_rate_limit(workflow: Any) -> None:
    """Let jobs start as soon as there is room for them, unless `--max-jobs-per-timespan` was given.

    With any limit, Snakemake starts a timer in each round of its scheduler, and each timer starts another round: after
    some hundred jobs it examines all ready jobs hundreds of times a second. Worth: in a run of 600 short jobs, 11.8
    seconds become 7.6.
    """
    scheduler = getattr(workflow, "scheduler", None)
    limiter = getattr(scheduler, "job_rate_limiter", None)
    if scheduler is not None and limiter is not None and (limiter.max_jobs, limiter.timespan) == DEFAULT_PACE:
        scheduler.job_rate_limiter = None


def fork_jobs(workflow: Any) -> None:
    """Run local jobs in forks of processes that have imported their libraries (see `fork_server`).

    The environment file of a rule (`conda:`) says which libraries its jobs need. Jobs start as plain processes if their
    rule has none, if they run in an environment or container of their own, on clusters, with STILTGRID_FORK=0, and if
    the fork server cannot be started or has died. Worth: starting a job takes 0.01 seconds
    in place of 1.0 (data), 1.6 (analysis) or 8.0 (training).
    """
    if os.environ.get(SWITCH) == "0" or sys.platform != "linux" or not workflow.local_exec:
        return
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
        ended = job.wait() if self.bench_record is None else benchmarked_wait(job, self.bench_record)
        if ended is None:
            return plain(self, fname, edit)
        if ended.status:
            raise subprocess.CalledProcessError(ended.status, f"{sys.executable} {fname}")
        return None

    PythonScript.execute_script = execute_script


def benchmarked_wait(job: "Job", record: Any) -> "Ended | None":
    """Wait for a forked job and fill in its `benchmark:` record, with fewer samples of its memory.

    Snakemake reads the map of a job's memory twice a second in its first 15 seconds, which for a process with torch
    takes the kernel 10 to 40 milliseconds. Here the times between samples are 1, 2, 4, … 30 seconds, and the largest
    memory and the CPU time, which Snakemake would take from the samples, are what the kernel has counted. Worth: of a
    default grid with `--cores 8` on two cores, 43 CPU seconds in the kernel become 12.
    """
    import psutil  # type: ignore[import-untyped]  # a dependency of Snakemake
    from snakemake.benchmark import BENCHMARK_INTERVAL, BenchmarkTimer, DaemonTimer

    class Sparse(BenchmarkTimer):
        """Samples less and less often."""

        def _schedule(self) -> None:
            wait = min(BENCHMARK_INTERVAL, 2.0 ** (self._times_called - 1))
            self._timer = DaemonTimer(wait, self._action)
            self._timer.start()

    started, timer = time.time(), None
    with contextlib.suppress(psutil.NoSuchProcess):  # it has ended already
        timer = Sparse(job.pid, record, BENCHMARK_INTERVAL)
        timer.start()
    try:
        ended = job.wait()
    finally:
        if timer is not None:
            timer.cancel()
            timer._timer.join()  # a sample that is not over would overwrite the record
        record.running_time = time.time() - started
    if ended is not None:
        record.data_collected = True
        record.max_rss = max(record.max_rss or 0, ended.peak_mb)  # a sample is the sum over several processes
        record.cpu_time, record.cpu_usage = ended.cpu_seconds, 100 * ended.cpu_seconds
    return ended


def rule_environments(rules: Iterable[Any]) -> Mapping[str, str]:
    """Rule -> name of its environment file without the ending (`training`); rules without one are left out."""
    return {rule.name: Path(str(rule.conda_env)).stem for rule in rules if rule.conda_env}

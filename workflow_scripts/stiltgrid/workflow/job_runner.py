"""How a script's process starts and ends: the frame of every script, and a warm start for local runs.

When Snakemake's main process runs jobs itself, `start` lets it fork them from nurseries (see `nursery`) instead of
starting an interpreter for each. Jobs start as plain processes again where anything is odd. Set STILTGRID_WARM=0 to
switch it off.
"""

import contextlib
import logging
import os
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stiltgrid.modeling import gpu_slots
from stiltgrid.training import launcher
from stiltgrid.utils import logs
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.workflow import runs

SWITCH = "STILTGRID_WARM"
logger = logging.getLogger(__name__)


def run(main: Callable[[Any], None], snakemake: Any, network: bool = False, together: bool = False) -> None:
    """Run a script's `main`: log to the rule's log file and the terminal, and end with status 0 or 1.

    A StiltgridError is the user's to mend and is printed alone; any other exception leaves its traceback in
    the log and its last line on the terminal. Only jobs with `network` may reach the hub. A job that can work
    `together` is run by as many processes as it has asked for GPUs.
    """
    log = snakemake.log[0] if len(snakemake.log) else None
    label = " ".join([snakemake.rule, *(str(value) for value in snakemake.wildcards)])
    member = together and launcher.is_worker()
    if member and os.environ["RANK"] != "0":
        logs.configure(None, f"{label}, process {int(os.environ['RANK']) + 1}", logging.WARNING)
    else:
        logs.configure(log, label, truncate=not member)
    os.environ.setdefault("RAYON_NUM_THREADS", str(snakemake.threads))
    gpu_slots.announce(snakemake.resources)
    if not network:
        os.environ["HF_HUB_OFFLINE"] = "1"
    started = time.monotonic()
    try:
        processes = launcher.requested_processes(snakemake.resources)
        if together and not member and processes > 1:
            launcher.launch(launcher.script_command(), processes, snakemake.threads)
        else:
            main(snakemake)
        if not member:  # its starter tells what all of them took
            _account(snakemake.rule, time.monotonic() - started)
    except StiltgridError as error:
        logger.error("%s", error)
        _tell_how_to_repeat(snakemake, member)
        sys.exit(1)
    except Exception as error:
        logger.error("%s: %s (the traceback is in %s)", type(error).__name__, error, log)
        trace = traceback.format_exc()
        if log is None:
            sys.stderr.write(trace)
        else:
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(trace)
        _tell_how_to_repeat(snakemake, member)
        sys.exit(1)


def _account(rule: str, seconds: float) -> None:
    """What the job took, in its log file: `benchmarks/where_time_goes.py` adds it up."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(each.ru_utime + each.ru_stime for each in used)
    peak = max(each.ru_maxrss for each in used) / 1024
    logging.getLogger(logs.ACCOUNT).info("%s took %.3f s, %.3f CPU s, %.0f MB at most", rule, seconds, cpu, peak)


def _tell_how_to_repeat(snakemake: Any, member: bool) -> None:
    if member:  # its starter tells
        return
    for output in list(getattr(snakemake, "output", ()))[:1]:  # rules that only report have none
        logger.error("to run this job alone: %s", runs.rerun_command(str(output)))


def start(workflow: Any, kinds: Mapping[str, str]) -> None:
    """Let this Snakemake run fork its script jobs: `kinds` maps rule names to keys of PRELOAD.

    Does nothing (and jobs start as plain processes) when jobs go to a cluster, where forking is not safe,
    when the switch is off, or when Snakemake's insides are not those that this was written for.
    """
    if os.environ.get(SWITCH) == "0" or sys.platform != "linux" or not workflow.local_exec:
        return
    try:
        from snakemake.benchmark import benchmarked
        from snakemake.script import PythonScript

        from stiltgrid.workflow.fork_server import Nursery

        plain = PythonScript.execute_script
    except (ImportError, AttributeError):
        return
    nurseries = {kind: Nursery(kind) for kind in sorted(set(kinds.values()))}

    def execute_script(self: Any, fname: str, edit: bool = False) -> None:
        kind = kinds.get(getattr(self, "rulename", ""))
        fresh = edit or self.conda_env or self.container_img or self.env_modules or self.shadow_dir
        job = None if kind is None or fresh else nurseries[kind].begin(fname, self.threads, self.resources)
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

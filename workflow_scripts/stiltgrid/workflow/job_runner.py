"""What every script does around its work: logging, network access, errors, several processes, used time."""

import logging
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stiltgrid.modeling import gpu_slots
from stiltgrid.training import launcher, tracking
from stiltgrid.utils import logs
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.workflow import runs, unfinished

logger = logging.getLogger(__name__)


def run(main: Callable[[Any], None], snakemake: Any, network: bool = False, together: bool = False) -> None:
    """Run a script's `main`: log to the rule's log file and the terminal, and end with status 0 or 1.

    A StiltgridError is an error of the user's and is printed alone; any other exception leaves its traceback in
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
    record = None if member else unfinished.begin(snakemake)
    tracked = None if member and os.environ["RANK"] != "0" else tracking.follow(snakemake)
    try:
        processes = launcher.requested_processes(snakemake.resources)
        if together and not member and processes > 1:
            launcher.launch(launcher.script_command(), processes, snakemake.threads)
        else:
            main(snakemake)
        if not member:  # the process that started it counts all of them
            _log_usage(snakemake.rule, time.monotonic() - started)
        unfinished.end(record)
    except StiltgridError as error:
        logger.error("%s", error)
        _log_rerun_command(snakemake, member)
        sys.exit(1)
    except Exception as error:
        logger.error("%s: %s (the traceback is in %s)", type(error).__name__, error, log)
        trace = traceback.format_exc()
        if log is None:
            sys.stderr.write(trace)
        else:
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(trace)
        _log_rerun_command(snakemake, member)
        sys.exit(1)
    finally:
        if tracked is not None:
            tracked.finish()


def _log_usage(rule: str, seconds: float) -> None:
    """Write the job's time and memory to its log file, where `benchmarks/where_time_goes.py` reads them."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(each.ru_utime + each.ru_stime for each in used)
    peak = max(each.ru_maxrss for each in used) / 1024
    logging.getLogger(logs.ACCOUNT).info("%s took %.3f s, %.3f CPU s, %.0f MB at most", rule, seconds, cpu, peak)


def _log_rerun_command(snakemake: Any, member: bool) -> None:
    if member:  # the process that started it logs the command
        return
    for output in list(getattr(snakemake, "output", ()))[:1]:  # rules that only report have none
        logger.error("to run this job alone: %s", runs.rerun_command(str(output)))

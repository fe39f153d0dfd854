"""Who runs in a folder and at what pace: help when it is locked, and the command that repeats one job.

Snakemake's own lock does the locking; this tells whether its holder still lives. Imported at parse: light.
"""

import gc
import json
import os
import platform
import shlex
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.utils.files import write_json

LOCKS = Path(".snakemake/locks")
RECORD = Path(".snakemake/stiltgrid_run.json")
COMMAND = "STILTGRID_COMMAND"
EVERYTHING = ("-F", "--forceall")
DEFAULT_PACE = (100, 1)  # Snakemake's --max-jobs-per-timespan: jobs, seconds
COLLECTION = (50_000, 20, 20)  # Python's own: (700, 10, 10)


def note_run(record: Path = RECORD) -> None:
    """Write down which process holds this folder; to be called once it is locked."""
    facts = {"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M")}
    write_json(facts, record)


def lift_default_pace(workflow: Any) -> None:
    """Let this run start jobs as soon as there is room for them, unless --max-jobs-per-timespan says otherwise.

    Under any limit Snakemake 9.27 keeps a timer for each round of its scheduler, and a timer's end is one more round:
    after some hundred jobs it looks through all that are ready hundreds of times a second. To be called in `onstart`.
    """
    scheduler = getattr(workflow, "scheduler", None)
    limiter = getattr(scheduler, "job_rate_limiter", None)
    if scheduler is not None and limiter is not None and (limiter.max_jobs, limiter.timespan) == DEFAULT_PACE:
        scheduler.job_rate_limiter = None


def collect_rarely() -> None:
    """Let Python look for unreachable cycles less often, and never among what is there already.

    Of a grid of thousands of jobs Snakemake keeps millions of objects that live to its end; looking through them
    again and again costs a tenth of a dry run. What is unreachable is still found, later.
    """
    gc.freeze()
    gc.set_threshold(*COLLECTION)


def lock_notice(locks: Path = LOCKS, record: Path = RECORD) -> str | None:
    """What to do about a locked folder; None where it is not locked."""
    if not locks.is_dir() or not any(locks.iterdir()):
        return None
    try:
        facts = json.loads(record.read_text(encoding="utf-8"))
        pid, host, since = int(facts["pid"]), facts["host"], facts["since"]
    except (OSError, ValueError, KeyError):
        return None
    who = f"process {pid} on {host}, since {since}"
    if host != platform.node():
        return f"This folder is locked by a run on another machine: {who}. End it there before you go on here.\n"
    if _is_snakemake(pid):
        return f"This folder is locked by a run at work: {who}. Wait for its end, or use --directory elsewhere.\n"
    return (
        f"This folder is locked by a run that was killed: {who}. Nothing finished is lost: run `snakemake --unlock`, "
        "then the same command again. Training goes on from its last saved state.\n"
    )


def note_command(
    arguments: Sequence[str], targets: Collection[str] = (), directory: str | os.PathLike[str] = "."
) -> None:
    """Keep this run's command line for its jobs, wherever they run; jobs of jobs keep the first.

    Without what the run was to make, and what would make everything again: another target takes their place.
    `directory` is the run's --directory, where Snakemake has gone already.
    """
    dropped = {*targets, *EVERYTHING}
    kept = [each for each in arguments if each not in dropped]
    os.environ.setdefault(COMMAND, json.dumps([_typed_in(directory), "snakemake", *kept]))


def _typed_in(directory: str | os.PathLike[str]) -> str:
    """Where a command was typed: what the shell says, unless whoever started Snakemake had gone elsewhere since."""
    here = Path.cwd()
    said = Path(os.environ.get("PWD", here))
    try:
        return str(said if (said / directory).samefile(here) else here)
    except OSError:
        return str(here)


def rerun_command(output: str) -> str:
    """The command that makes one output again, with the options of the run that failed."""
    folder, program, *arguments = json.loads(os.environ.get(COMMAND) or '[".", "snakemake", "--cores", "1"]')
    return f"cd {shlex.quote(folder)} && {shlex.join([program, output, *arguments])}"


def written_since(path: str | os.PathLike[str], since: float) -> str:
    """A file's text if it was written after a time (seconds since the epoch), else nothing."""
    file = Path(path)
    return file.read_text(encoding="utf-8") if file.is_file() and file.stat().st_mtime >= since else ""


def _is_snakemake(pid: int) -> bool:
    try:
        return b"snakemake" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False

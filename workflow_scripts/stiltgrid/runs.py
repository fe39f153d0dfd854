"""Who runs in a folder: a sentence that helps when it is locked, and the command that repeats one job.

Snakemake's own lock does the locking; this tells whether its holder still lives. Imported at parse: light.
"""

import json
import os
import platform
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

LOCKS = Path(".snakemake/locks")
RECORD = Path(".snakemake/stiltgrid_run.json")
COMMAND = "STILTGRID_COMMAND"


def note_run(record: Path = RECORD) -> None:
    """Write down which process holds this folder; to be called once it is locked."""
    facts = {"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M")}
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(facts), encoding="utf-8")


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


def note_command(arguments: Sequence[str]) -> None:
    """Keep this run's command line for its jobs, wherever they run; jobs of jobs keep the first."""
    # Where it was typed: Snakemake has gone to its --directory already.
    os.environ.setdefault(COMMAND, json.dumps([os.environ.get("PWD", str(Path.cwd())), "snakemake", *arguments]))


def rerun_command(output: str) -> str:
    """The command that makes one output again, with the options of the run that failed."""
    folder, program, *arguments = json.loads(os.environ.get(COMMAND) or '[".", "snakemake", "--cores", "1"]')
    return f"cd {shlex.quote(folder)} && {shlex.join([program, output, *arguments])}"


def _is_snakemake(pid: int) -> bool:
    try:
        return b"snakemake" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False

"""Records of the run in a folder: which process locks it, and the command that repeats one of its jobs.

Snakemake's own lock does the locking; the record says which process holds it. Imported while rules are parsed, so
nothing here is slow to import.
"""

import json
import os
import platform
import shlex
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from stiltgrid.utils.files import write_json

LOCKS = Path(".snakemake/locks")
RECORD = Path(".snakemake/stiltgrid_run.json")
COMMAND = "STILTGRID_COMMAND"
EVERYTHING = ("-F", "--forceall")


def note_run(record: Path = RECORD) -> None:
    """Record which process holds this folder. Call it once the folder is locked."""
    facts = {"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M")}
    write_json(facts, record)


def lock_notice(locks: Path = LOCKS, record: Path = RECORD) -> str | None:
    """A sentence on who locks this folder and what to do; None where it is not locked or nothing is recorded."""
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
        return (
            f"This folder is locked by a run that is still working: {who}. Wait until it ends, or run in another "
            "folder with --directory.\n"
        )
    return (
        f"This folder is locked by a run that was killed: {who}. Nothing finished is lost: run `snakemake --unlock`, "
        "then the same command again. Training goes on from its last saved state.\n"
    )


def note_command(
    arguments: Sequence[str], targets: Collection[str] = (), directory: str | os.PathLike[str] = "."
) -> None:
    """Keep this run's command line in the environment for its jobs' error messages; runs within jobs do not replace it.

    Targets and the options that force everything are dropped, since a job is to be run alone. `directory` is the run's
    --directory, which Snakemake has changed to already.
    """
    dropped = {*targets, *EVERYTHING}
    kept = [each for each in arguments if each not in dropped]
    os.environ.setdefault(COMMAND, json.dumps([_folder_of_command(directory), "snakemake", *kept]))


def _folder_of_command(directory: str | os.PathLike[str]) -> str:
    """The folder where a command was typed: the shell's, unless the program that started Snakemake changed it."""
    here = Path.cwd()
    shell = Path(os.environ.get("PWD", here))
    try:
        return str(shell if (shell / directory).samefile(here) else here)
    except OSError:
        return str(here)


def rerun_command(output: str) -> str:
    """The command that makes one output again, with the options of the run that failed."""
    folder, program, *arguments = json.loads(os.environ.get(COMMAND) or '[".", "snakemake", "--cores", "1"]')
    return f"cd {shlex.quote(folder)} && {shlex.join([program, output, *arguments])}"


def written_since(path: str | os.PathLike[str], since: float) -> str:
    """Text of a file that was written after a time (seconds since the epoch); empty for an older or missing one."""
    file = Path(path)
    return file.read_text(encoding="utf-8") if file.is_file() and file.stat().st_mtime >= since else ""


def _is_snakemake(pid: int) -> bool:
    try:
        return b"snakemake" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False

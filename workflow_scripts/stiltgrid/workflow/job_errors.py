"""The text of a failed job: what failed, the end of its log, and the command that repeats it."""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.workflow.runs import rerun_command

LINES = 40  # of a failed job's log
KEPT = 40  # error lines of a job that has not failed yet
REPEAT = "to run this job alone"  # so `job_runner` begins the line with the command
# Snakemake's report that a script's process has ended, before that of the job.
ENDED = re.compile(r"RuleException:\nCalledProcessError in file .*?\.(\w+)\.py' (.*?)\.?\n", re.DOTALL)


def job_error(label: str, facts: Mapping[str, Any], logs: Sequence[str] = ()) -> str:
    """Lines on a failed job from Snakemake's record; `logs` are those of its group or of the cluster."""
    lines = [f"Error in {label} (job {facts['jobid']})"]
    message = str(facts.get("msg") or "")
    if message and not message.startswith("Error in rule"):
        lines.append(f"    {message}")
    if facts.get("output"):
        lines.append(f"    output: {', '.join(map(str, facts['output']))}")
    if facts.get("shellcmd"):
        lines.append(f"    command: {facts['shellcmd']}")
    lines += [f"    {name}: {value}" for name, value in (facts.get("aux") or {}).items()]
    for path in [*map(str, facts.get("log") or ()), *map(str, logs)]:
        lines += _log_lines(path)
    text = "\n".join(lines)
    if REPEAT not in text and facts.get("output"):
        text += f"\n    {REPEAT}: {rerun_command(str(facts['output'][0]))}"
    return text


def process_end(text: str) -> str:
    """Snakemake's report on a script's process, shortened; empty for status 1, with which jobs end that log an error.

    Any other text is returned as it is.
    """
    found = ENDED.match(text + "\n")
    if found is None:
        return text
    return "" if found[2].endswith("exit status 1") else f"{found[1]}: its process {found[2]}"


def _log_lines(path: str) -> list[str]:
    """The end of a log file, indented; a sentence where it is missing or empty."""
    try:
        found = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return [f"    log: {path} cannot be read ({error.strerror})"]
    if not found:
        return [f"    log: {path} is empty"]
    cut = f", its last {LINES} of {len(found)} lines" if len(found) > LINES else ""
    return [f"    log: {path}{cut}:", *(f"    | {line}" for line in found[-LINES:])]


class ErrorLines:
    """Error lines of jobs. A job that fails shows the end of its log, which has them; the others are never lost."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[str]] = {}
        self._shown: dict[str, str] = {}

    def started(self, label: str) -> None:
        """A job starts, perhaps not for the first time."""
        self._shown.pop(label, None)

    def take(self, label: str, message: str) -> list[str]:
        """An error line of a job; returns what to show now: nothing while the job may still fail."""
        if label not in self._shown:
            self._kept.setdefault(label, deque(maxlen=KEPT)).append(message)
            return []
        return [] if message in self._shown[label] else [f"{label}: {message}"]

    def failed(self, label: str, shown: str) -> list[str]:
        """A job has failed and `shown` is what its user sees; returns its error lines that are not in it."""
        self._shown[label] = shown
        return [f"    {message}" for message in self._kept.pop(label, ()) if message not in shown]

    def left(self) -> list[str]:
        """Error lines of jobs that never failed."""
        kept, self._kept = self._kept, {}
        return [f"{label}: {message}" for label, messages in kept.items() for message in messages]

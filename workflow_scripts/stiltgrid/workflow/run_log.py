"""A run's output: a line as each cell is scored, warnings once, errors in full, and how far the run is.

`LogHandler` is a logger plugin of Snakemake (snakemake-interface-logger-plugins). Snakemake finds plugins among
installed packages only, so `snakemake_patches.quiet_output` registers this module while the workflow is parsed. What it
leaves out, above all a block of lines for each job, is in Snakemake's own log file.
"""

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from stiltgrid.grid.layout import Layout
from stiltgrid.utils.logs import QUIET
from stiltgrid.workflow.cell_lines import CellLines, cell_of
from stiltgrid.workflow.job_errors import ErrorLines, job_error, process_end
from stiltgrid.workflow.run_progress import Progress, RunningJob, earlier_seconds, measured_seconds
from stiltgrid.workflow.run_screen import JobOutput, Screen, Terminal

SCORED = "score_target"
HIDDEN = frozenset(
    (LogEvent.WORKFLOW_STARTED, LogEvent.RESOURCES_INFO, LogEvent.RUN_INFO, LogEvent.JOB_STARTED, LogEvent.GROUP_INFO,
     LogEvent.RULEGRAPH, LogEvent.DEBUG_DAG)
)  # fmt: skip
# Snakemake's sentences without an event that a run does not need: one a job or a round of the scheduler, or the same
# in every run. Any other is shown.
ROUTINE = re.compile(
    r"Select jobs to execute|Conda environments: ignored|Singularity containers: ignored|Group jobs: inactive|"
    r"Using shell:|Assuming unrestricted shared filesystem|Removing temporary output|Touching output file|"
    r"Job rate limit reached|Updating checkpoint dependencies|Job \d+ has been submitted with SLURM jobid"
)
COLORS = {logging.WARNING: "\033[33m", logging.ERROR: "\033[31m", logging.CRITICAL: "\033[31m"}
# A line that `logs.configure` makes jobs write where QUIET is set.
JOB_LINE = re.compile(r"(warning|error|critical): ([^:]+): (.*)")


class LogHandler(LogHandlerBase):
    """Shows a run. Quietness as Snakemake has it: `progress` leaves out the progress line, `rules` those of cells."""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()  # not the handler's own, which is held while `close` waits for a thread
        file = sys.stdout if self.common_settings.stdout else sys.stderr
        self.screen, self.colors = screen_of(file, self.common_settings.nocolor)
        self.quiet = {str(each) for each in self.common_settings.quiet or ()}
        self.layout: Layout | None = None
        self.cells: CellLines | None = None
        self.run_progress: Progress | None = None
        self.dag_jobs = 0  # as Snakemake counts them, the target rule among them
        self._output: JobOutput | None = None
        self._jobs: dict[int, RunningJob] = {}
        self._wildcards: dict[int, Mapping[str, object]] = {}
        self._warned: set[str] = set()
        self._errors = ErrorLines()

    @property
    def writes_to_stream(self) -> bool:
        """It takes the place of Snakemake's own output."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake's log file stays what it is."""
        return False

    @property
    def has_filter(self) -> bool:
        """`emit` decides itself."""
        return True

    @property
    def has_formatter(self) -> bool:
        """`emit` writes texts of its own."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """The graph of rules is not drawn."""
        return False

    def begin(self, planned: Sequence[tuple[str, Mapping[str, object]]], dag_jobs: int) -> None:
        """The run starts: `planned` has the rule and the wildcards of each of its jobs. Takes over what jobs write.

        `dag_jobs` is Snakemake's own number of jobs, from which it tells how many a checkpoint adds.
        """
        rules = [rule for rule, _ in planned]
        with self._lock:
            if self.layout is not None:
                self.cells = CellLines(self.layout, [cell_of(values) for rule, values in planned if rule == SCORED])
            self.run_progress, self.dag_jobs = Progress(rules, earlier_seconds()), dag_jobs
            if len(planned) > 1 and "all" not in self.quiet:
                self._show(f"{len(planned)} jobs to do; --verbose shows each, and so does Snakemake's log")
        self.screen.file = os.fdopen(os.dup(self.screen.file.fileno()), "w", encoding="utf-8", errors="replace")
        self._output = JobOutput(self.take_line, self._tick)
        os.environ[QUIET] = "1"

    def show(self, text: str) -> None:
        """Write a text of the run itself, such as its closing summary."""
        if text:
            with self._lock:
                self._show(text)

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record of Snakemake's, or take note of it."""
        try:
            with self._lock:
                self._emit(record, getattr(record, "event", None))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Give the terminal back."""
        if self._output is not None:
            self._output.end()
            os.environ.pop(QUIET, None)
        with self._lock:
            for line in self._errors.left():
                self._show(line, logging.ERROR)
            self.screen.clear()
        super().close()

    def take_line(self, line: str) -> None:
        """A line that a job or a library wrote to stderr."""
        with self._lock:
            found = JOB_LINE.fullmatch(line)
            if found is None:
                if "warning" not in line.lower() or self._is_new(line):
                    self._show(line)
            elif found[1] == "warning":
                if self._is_new(found[3]):
                    self._show(f"{found[2]}: {found[3]}", logging.WARNING)
            else:
                for text in self._errors.take(found[2], found[3]):
                    self._show(text, logging.ERROR)

    def _emit(self, record: logging.LogRecord, event: LogEvent | None) -> None:
        facts = vars(record)
        if event == LogEvent.JOB_INFO:
            self._start(facts)
        elif event == LogEvent.JOB_FINISHED:
            self._finish(facts["job_id"])
        elif event == LogEvent.JOB_ERROR:
            self._fail([facts], ())
        elif event == LogEvent.GROUP_ERROR:
            self._fail(facts["job_error_info"], facts["aux_logs"])
        elif event == LogEvent.PROGRESS:
            self._replan(facts["total"])
            self._draw(changed=True)
        elif event == LogEvent.SHELLCMD:
            if self.common_settings.printshellcmds:
                self._show(facts.get("shellcmd") or facts.get("cmd") or "")
        elif event not in HIDDEN:
            self._sentence(record)

    def _sentence(self, record: logging.LogRecord) -> None:
        text = process_end(record.getMessage() if record.msg else "")
        if not text or record.levelno < logging.INFO:
            return
        if record.levelno == logging.INFO and (ROUTINE.match(text) or "all" in self.quiet):
            return
        if record.levelno == logging.WARNING and ("all" in self.quiet or not self._is_new(text)):
            return
        self._show(text, record.levelno)

    def _replan(self, total: int) -> None:
        """Take note of jobs that a checkpoint has added."""
        if self.run_progress is not None and total > self.dag_jobs:
            self.run_progress.grow(total - self.dag_jobs)
            self.dag_jobs = total

    def _start(self, facts: Mapping[str, Any]) -> None:
        label = " ".join([facts["rule_name"], *map(str, facts["wildcards"].values())])
        job = RunningJob(facts["rule_name"], label, time.monotonic(), facts["benchmark"])
        self._jobs[facts["jobid"]] = job
        self._errors.started(label)
        self._wildcards[facts["jobid"]] = dict(facts["wildcards"])
        if self.run_progress is not None:
            self.run_progress.start(facts["jobid"], job)
            self._draw()

    def _finish(self, number: int) -> None:
        job = self._jobs.get(number)
        if self.run_progress is not None:
            self.run_progress.finish(number, time.monotonic(), measured_seconds(job.benchmark) if job else None)
        if job and job.rule == SCORED and self.cells is not None and not self.quiet & {"rules", "all"}:
            for line in self.cells.landed(cell_of(self._wildcards[number])):
                self._show(f"{self._count()}{line}")

    def _fail(self, failed: Iterable[Mapping[str, Any]], logs: Sequence[str]) -> None:
        for facts in failed:
            job = self._jobs.get(facts["jobid"])
            label = job.label if job else str(facts["rule_name"])
            if self.run_progress is not None:
                self.run_progress.fail(facts["jobid"])
            text = job_error(label, facts, logs)
            self._show("\n".join([text, *self._errors.failed(label, text)]), logging.ERROR)
        self._draw()

    def _count(self) -> str:
        assert self.run_progress is not None
        total = str(self.run_progress.total)
        return f"[{self.run_progress.done:>{len(total)}}/{total}] "

    def _is_new(self, warning: str) -> bool:
        new = warning not in self._warned
        self._warned.add(warning)
        return new

    def _tick(self) -> None:
        with self._lock:
            self._draw()

    def _draw(self, changed: bool = False) -> None:
        progress = self.run_progress
        if progress is None or progress.total < 2 or self.quiet & {"progress", "all"}:
            return
        now = time.monotonic()
        self.screen.progress(lambda: progress.line(now), now, changed)

    def _show(self, text: str, level: int = logging.INFO) -> None:
        color = COLORS.get(level) if self.colors else None
        self.screen.show(f"{color}{text}\033[0m" if color else text)


def screen_of(file: TextIO, nocolor: bool) -> tuple[Screen, bool]:
    """The screen of a stream, and whether it shows colors."""
    terminal = file.isatty() and os.environ.get("TERM") != "dumb"
    return (Terminal(file) if terminal else Screen(file)), terminal and not nocolor and "NO_COLOR" not in os.environ

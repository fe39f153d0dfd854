"""What a run shows of Snakemake's records and of its jobs' lines: nothing of interest is hidden or comes twice."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from snakemake.settings.enums import Quietness
from snakemake.settings.types import OutputSettings
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
from stiltgrid.utils import logs
from stiltgrid.workflow import run_log
from stiltgrid.workflow.job_errors import LINES, job_error, process_end
from stiltgrid.workflow.run_log import LogHandler
from stiltgrid.workflow.run_progress import Progress
from stiltgrid.workflow.run_screen import PLAIN_SECONDS, JobOutput, Screen

TRAIN = {"jobid": 3, "rule_name": "train_target", "wildcards": {"model": "tiny", "seed": "1"}, "benchmark": None}
LABEL = "train_target tiny 1"
DIED = (
    'RuleException:\nCalledProcessError in file "/a/rules/train.smk", line 49:\nCommand \'/a/python '
    '/a/.snakemake/scripts/tmpqh.train_target.py\' {}.\n  File "/a/snakemake_patches.py", line 201, in execute_script'
)


class Shown:
    """A handler that writes into a string."""

    def __init__(self, *quiet: Quietness, **settings: Any) -> None:
        self.handler = LogHandler(OutputSettings(quiet=set(quiet) or None, **settings), None)
        self.text = io.StringIO()
        self.handler.screen = Screen(self.text)

    def tell(self, message: str | None = None, level: int = logging.INFO, **facts: Any) -> None:
        record = logging.makeLogRecord({"msg": message, "levelno": level, "levelname": logging.getLevelName(level)})
        vars(record).update(facts)
        self.handler.emit(record)

    @property
    def lines(self) -> list[str]:
        return self.text.getvalue().splitlines()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(logs.QUIET, raising=False)
    yield tmp_path


def failure(here: Path, log: str) -> dict[str, Any]:
    (here / "job.log").write_text(log, encoding="utf-8")
    return {**TRAIN, "event": LogEvent.JOB_ERROR, "msg": "Error in rule train_target, jobid: 3", "log": ["job.log"],
            "output": ["results/a.json"], "aux": {}, "shellcmd": None}  # fmt: skip


def test_jobs_of_a_checkpoint_grow_the_total_and_the_target_rule_does_not() -> None:
    shown = Shown()
    shown.handler.run_progress, shown.handler.dag_jobs = Progress(["train_target"] * 2), 3
    for total in (3, 8, 8):  # Snakemake's: with the target rule
        shown.tell("steps", event=LogEvent.PROGRESS, done=1, total=total)
    assert shown.handler.run_progress.total == 7


def test_it_is_a_logger_plugin_of_snakemake() -> None:
    registry = LoggerPluginRegistry()
    registry.validate_plugin("snakemake_logger_plugin_stiltgrid", run_log)
    assert LogHandler(OutputSettings(), None).writes_to_stream


def test_blocks_of_jobs_and_routine_are_left_out_and_other_sentences_shown() -> None:
    shown = Shown()
    shown.tell("Workflow has started!", event=LogEvent.WORKFLOW_STARTED)
    shown.tell("Job stats:\n...", event=LogEvent.RUN_INFO)
    shown.tell("Execute 2 jobs...", event=LogEvent.JOB_STARTED)
    shown.tell("Select jobs to execute...")
    shown.tell("debugging", logging.DEBUG)
    shown.tell("a block", event=LogEvent.JOB_INFO, **TRAIN)
    shown.tell("Finished jobid: 3", event=LogEvent.JOB_FINISHED, job_id=3)
    assert shown.lines == []
    shown.tell("Nothing to be done (all requested files are present and up to date).")
    shown.tell("A sentence of a later version.")
    assert len(shown.lines) == 2


def test_warnings_come_once() -> None:
    shown = Shown()
    for _ in range(2):
        shown.tell("a warning of Snakemake", logging.WARNING)
        shown.handler.take_line(f"warning: {LABEL}: few examples")
        shown.handler.take_line("warning: train_target tiny 2: few examples")
        shown.handler.take_line("/lib.py:3: UserWarning: old")
    assert shown.lines == ["a warning of Snakemake", f"{LABEL}: few examples", "/lib.py:3: UserWarning: old"]


def test_other_lines_of_jobs_are_never_dropped() -> None:
    shown = Shown()
    for _ in range(2):
        shown.handler.take_line("Fatal Python error: Segmentation fault")
    assert shown.lines == ["Fatal Python error: Segmentation fault"] * 2


def test_a_failed_job_shows_the_end_of_its_log_and_how_to_repeat_it(here: Path) -> None:
    shown = Shown()
    shown.tell(event=LogEvent.JOB_INFO, **TRAIN)
    log = "".join(f"line {number}\n" for number in range(60)) + "ERROR: damaged\nto run this job alone: again\n"
    shown.handler.take_line(f"error: {LABEL}: damaged")
    shown.tell(level=logging.ERROR, **failure(here, log))
    shown.handler.take_line(f"error: {LABEL}: to run this job alone: again")
    text = shown.text.getvalue()
    assert text.startswith(f"Error in {LABEL} (job 3)\n    output: results/a.json\n")
    assert f"job.log, its last {LINES} of 62 lines:" in text and "    | line 59\n    | ERROR: damaged\n" in text
    assert text.count("damaged") == text.count("to run this job alone") == 1 and "line 21" not in text


def test_an_error_that_the_log_lacks_is_shown_before_and_after_the_failure(here: Path) -> None:
    shown = Shown()
    shown.tell(event=LogEvent.JOB_INFO, **TRAIN)
    shown.handler.take_line(f"error: {LABEL}: disk is full")
    shown.tell(level=logging.ERROR, **failure(here, ""))
    shown.handler.take_line(f"error: {LABEL}: and so is the other")
    assert "    disk is full" in shown.lines and f"{LABEL}: and so is the other" in shown.lines
    assert "log: job.log is empty" in shown.text.getvalue()
    assert "to run this job alone: cd" in shown.text.getvalue(), "a killed job has not logged the command"


def test_an_error_of_a_job_that_did_not_fail_is_shown_at_the_end() -> None:
    shown = Shown()
    shown.tell(event=LogEvent.JOB_INFO, **TRAIN)
    shown.handler.take_line(f"error: {LABEL}: not so bad")
    assert shown.lines == []
    shown.handler.close()
    assert shown.lines == [f"{LABEL}: not so bad"]


def test_failed_groups_show_all_members_and_the_clusters_log(here: Path) -> None:
    shown = Shown()
    (here / "slurm.log").write_text("out of memory\n", encoding="utf-8")
    members = [failure(here, "one\n"), {**failure(here, "one\n"), "jobid": 4}]
    shown.tell(level=logging.ERROR, event=LogEvent.GROUP_ERROR, job_error_info=members, aux_logs=["slurm.log"])
    assert shown.text.getvalue().count("Error in train_target") == 2 and "    | out of memory" in shown.lines


def test_the_end_of_a_process_is_told_unless_the_job_itself_has() -> None:
    assert process_end(DIED.format("returned non-zero exit status 1")) == ""
    killed = process_end(DIED.format("died with <Signals.SIGKILL: 9>"))
    assert killed == "train_target: its process died with <Signals.SIGKILL: 9>"
    assert process_end("RuleException:\nValueError in file x") == "RuleException:\nValueError in file x"
    assert job_error(LABEL, {"jobid": 1, "msg": "a reason", "output": []}).splitlines()[1] == "    a reason"


def test_quiet_options_leave_errors() -> None:
    shown = Shown(Quietness.ALL)
    shown.tell("a warning", logging.WARNING)
    shown.tell("a sentence")
    shown.tell("an error", logging.ERROR)
    assert shown.lines == ["an error"]


def test_commands_are_shown_when_asked_for() -> None:
    shown = Shown(printshellcmds=True)
    shown.tell(event=LogEvent.SHELLCMD, shellcmd="touch a")
    assert shown.lines == ["touch a"] and Shown().lines == []


def test_a_file_gets_a_line_of_progress_a_minute_at_most() -> None:
    text = io.StringIO()
    screen = Screen(text)
    for now, changed in ((0.0, True), (PLAIN_SECONDS - 1, True), (PLAIN_SECONDS, False), (PLAIN_SECONDS + 1, True),
                         (PLAIN_SECONDS + 2, True)):  # fmt: skip
        screen.progress(lambda now=now: f"at {now}", now, changed)  # type: ignore[misc]
    assert text.getvalue() == f"at {PLAIN_SECONDS + 1}\n"


def test_what_children_write_is_taken_line_by_line_and_the_descriptor_given_back() -> None:
    taken: list[str] = []

    def take(line: str) -> None:
        if line == "refused":
            raise ValueError
        taken.append(line)

    saved = os.dup(2)
    read, write = os.pipe()
    try:
        os.dup2(write, 2)
        output = JobOutput(take, lambda: None)
        os.write(2, b"one\ntw")
        os.write(2, b"o\nrefused\n\xff\n" + b"x" * 200_000 + b"\nrest")
        output.end()
        output.end()
        os.write(2, b"after\n")
        assert os.read(read, 100) == b"refused\nafter\n", "a line that cannot be shown goes where it would have gone"
    finally:
        os.dup2(saved, 2)
        for descriptor in (saved, read, write):
            os.close(descriptor)
    assert taken == ["one", "two", "\ufffd", "x" * 200_000, "rest"]


def test_jobs_mark_warnings_and_errors_and_leave_the_rest_to_their_log(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    text = io.StringIO()
    monkeypatch.setattr(sys, "stderr", text)
    monkeypatch.setenv(logs.QUIET, "1")
    try:
        logs.configure(here / "job.log", LABEL)
        logging.info("step 1")
        logging.warning("few\nexamples")
    finally:
        for handler in list(root.handlers):
            root.removeHandler(handler)
            handler.close()
        root.handlers[:], root.level = before, level
        logging.captureWarnings(False)
    assert text.getvalue() == f"warning: {LABEL}: few\nwarning: {LABEL}: examples\n"
    assert "step 1" in (here / "job.log").read_text() and "few\nexamples" in (here / "job.log").read_text()

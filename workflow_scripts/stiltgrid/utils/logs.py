"""Logging of jobs: short lines on the terminal, and everything with times in the rule's log file."""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

QUIET = "STILTGRID_QUIET"  # set where the run's own output shows what jobs do (`workflow/run_log.py`)
ACCOUNT = "stiltgrid.account"  # time and memory of jobs; written to the log file only
# Called with each line of a training log as it is written, for live tracking (`training/tracking.py`).
listeners: list[Callable[[Mapping[str, Any]], None]] = []
QUIET_LOGGERS = (
    "transformers",
    "datasets",
    "huggingface_hub",
    "httpx",
    "httpcore",
    "urllib3",
    "filelock",
    "fsspec",
    "matplotlib",
)


def configure(
    path: str | os.PathLike[str] | None, label: str, level: int = logging.INFO, truncate: bool = True
) -> None:
    """Log to the file `path` and, with `label` before each line, to stderr; warnings go to the file only.

    The file is emptied first unless `truncate` is False. With QUIET in the environment and a file, stderr gets warnings
    and errors only, each line marked as `run_log` reads it.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        if isinstance(handler, logging.FileHandler):
            handler.close()
    root.setLevel(level)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(logging.Formatter(f"{label}: %(message)s"))
    if os.environ.get(QUIET) and (path is not None or level >= logging.WARNING):
        terminal.setLevel(logging.WARNING)
        terminal.setFormatter(MarkedLines(label))
    terminal.addFilter(lambda record: record.name not in ("py.warnings", ACCOUNT))
    root.addHandler(terminal)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if truncate:
            Path(path).write_bytes(b"")
        file = logging.FileHandler(path, mode="a", encoding="utf-8")  # appends: several processes may share it
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(file)
    warnings.simplefilter("default")
    logging.captureWarnings(True)


def publish(line: Mapping[str, Any]) -> None:
    """Hand a line of a training log to whoever listens."""
    for listener in listeners:
        listener(line)


class MarkedLines(logging.Formatter):
    """Each line of a message after its level and the job's label: `warning: train_target none xnli 1: ...`."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label

    def format(self, record: logging.LogRecord) -> str:
        """The record's lines."""
        mark = f"{record.levelname.lower()}: {self.label}: "
        return "\n".join(mark + line for line in super().format(record).splitlines() or [""])

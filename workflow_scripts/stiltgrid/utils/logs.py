"""Logging of jobs: short lines on the terminal, and everything with times in the rule's log file."""

import logging
import os
import sys
import warnings
from pathlib import Path

ACCOUNT = "stiltgrid.account"  # time and memory of jobs; written to the log file only
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

    The file is emptied first unless `truncate` is False.
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

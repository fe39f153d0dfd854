"""One way to log: a line a stage on the terminal, everything with times in the rule's log file."""

import logging
import os
import sys
import warnings
from pathlib import Path

ACCOUNT = "stiltgrid.account"  # what jobs took: for the log file alone
QUIET = (
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
    """Send records to `path` (truncated first) and, headed by `label`, to stderr; warnings go to the file alone."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        if isinstance(handler, logging.FileHandler):
            handler.close()
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(logging.Formatter(f"{label}: %(message)s"))
    terminal.addFilter(lambda record: record.name not in ("py.warnings", ACCOUNT))
    root.addHandler(terminal)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if truncate:
            Path(path).write_bytes(b"")
        file = logging.FileHandler(path, mode="a", encoding="utf-8")  # several processes may write to it
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(file)
    warnings.simplefilter("default")
    logging.captureWarnings(True)

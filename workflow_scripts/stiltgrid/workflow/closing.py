"""What a run says at its end besides the summary: where exported models are, and in which folder all of it is."""

from collections.abc import Iterable
from pathlib import Path

EXPORT = "export_checkpoints"
FOLDER = "results/exports"


def closing_note(targets: Iterable[str], directory: str | Path | None, summary: str) -> str:
    """The note of a run of some targets in a folder of its own (`--directory`; None: the folder of the Snakefile).

    `summary` is what the run has said already; empty where it made no tables.
    """
    exported = any(target == EXPORT or str(target).startswith(f"{FOLDER}/") for target in targets)
    lines = [f"exported models  {FOLDER}; the README.md of each folder loads its model"] if exported else []
    if directory is not None and (exported or summary):
        lines.append(f"These paths are in {directory}.")
    return "".join(f"{line}\n" for line in lines)

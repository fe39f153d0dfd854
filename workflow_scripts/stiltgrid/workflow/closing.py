"""What a run says at its end besides the summary: converted weights, exported models, and the folder of all of it."""

import json
from collections.abc import Iterable
from pathlib import Path

from stiltgrid.grid import paths
from stiltgrid.workflow.runs import written_since

EXPORT = "export_checkpoints"
FOLDER = "results/exports"
CONVERSION = "conversion.json"  # `preparation.models.RECORD`, which reads it and imports torch


def closing_note(targets: Iterable[str], directory: str | Path | None, summary: str) -> str:
    """The note of a run of some targets in a folder of its own (`--directory`; None: the folder of the Snakefile).

    `summary` is what the run has said already; empty where it made no tables.
    """
    exported = any(target == EXPORT or str(target).startswith(f"{FOLDER}/") for target in targets)
    lines = [f"exported models  {FOLDER}; the README.md of each folder loads its model"] if exported else []
    if directory is not None and (exported or summary):
        lines.append(f"These paths are in {directory}.")
    return "".join(f"{line}\n" for line in lines)


def conversion_note(models: Iterable[str], since: float) -> str:
    """One line for each of the models whose pickled weights were converted after a time (seconds since the epoch)."""
    lines = []
    for model in models:
        folder = paths.converted_folder(model)
        record = json.loads(written_since(f"{folder}/{CONVERSION}", since) or "null")
        if record is not None:
            tensors = ", ".join(f"{count} {dtype}" for dtype, count in record["dtypes"].items())
            origin = f"{record['hub']} {record['commit']}" if "hub" in record else record["path"]
            reader = record["reader"].partition(", ")[2]
            lines.append(
                f"converted  {model}: {record['parameters']:,} numbers in {record['tensors']} tensors ({tensors}) of "
                f"{', '.join(record['files'])} in {origin}, read with {reader}; now in {folder}"
            )
    return "".join(f"{line}\n" for line in lines)

"""Removes files of unfinished jobs: saved states, and half-written files of jobs that were killed."""

import shutil
from pathlib import Path

from stiltgrid.workflow.estimate_disk import is_partial

RESUME = "resume"


def clean_state(results: Path) -> int:
    """Remove `results/resume` and all half-written files; returns the freed bytes. Finished outputs stay.

    Call it only while no other run works in the folder, which Snakemake's lock ensures.
    """
    removed = [path for path in results.rglob("*") if is_partial(path.name)]
    removed.append(results / RESUME)
    freed = 0
    for path in removed:
        if path.is_dir():
            freed += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            shutil.rmtree(path)
        elif path.exists():
            freed += path.stat().st_size
            path.unlink()
    return freed

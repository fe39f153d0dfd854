"""Removes what serves only unfinished jobs: saved states, and half-written files of jobs that were killed."""

import shutil
from pathlib import Path

from stiltgrid.workflow.estimate_disk import is_partial

RESUME = "resume"


def clean_state(results: Path) -> int:
    """Remove `results/resume` and everything half-written; the bytes that this freed. Finished outputs stay.

    To be called while no other run works in the folder, which Snakemake's lock sees to.
    """
    doomed = [path for path in results.rglob("*") if is_partial(path.name)]
    doomed.append(results / RESUME)
    freed = 0
    for path in doomed:
        if path.is_dir():
            freed += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            shutil.rmtree(path)
        elif path.exists():
            freed += path.stat().st_size
            path.unlink()
    return freed

"""Files that an earlier configuration left in `results/` and that the tables of the present one no longer cover.

What is made in seconds from the scores is removed: plots of targets that left the grid, and the tables of an unfinished
grid once all are made. What took training stays: scores, checkpoints and everything below them are only counted.
"""

import shutil
from pathlib import Path

from stiltgrid.grid import paths
from stiltgrid.grid.grid import Grid

ENDINGS = (".svg", ".png", ".pdf")


def remove_stale(grid: Grid, results: Path = Path(paths.RESULTS)) -> str:
    """Remove stale plots and `so_far/`; returns what was removed and what stays, a line each, or an empty text.

    Call it when the tables of the whole grid have been made anew. Cells of the studies in the configuration count as
    its own.
    """
    plots = [
        file
        for file in sorted((results / "plots" / "languages").glob("*"))
        if file.suffix in ENDINGS and file.stem not in grid.targets
    ]
    for file in plots:
        file.unlink()
    lines = []
    if plots:
        targets = ", ".join(dict.fromkeys(file.stem for file in plots))
        lines.append(f"Removed plots of targets that are not in the grid any more: {targets}.")
    if (results / "so_far").is_dir():
        shutil.rmtree(results / "so_far")
        lines.append(f"Removed {results}/so_far: the tables of the whole grid are made.")
    kept = other_cells(grid, results)
    if kept:
        lines.append(
            f"{len(kept)} scored cell{'s' if len(kept) > 1 else ''} of other configurations stay in {results}/scores; "
            "no table has them."
        )
    return "".join(f"{line}\n" for line in lines)


def other_cells(grid: Grid, results: Path = Path(paths.RESULTS)) -> list[Path]:
    """Scored cells that belong neither to the grid nor to a study of the configuration, sorted."""
    views = [grid, *(grid.view(study) for study in grid.plans)]
    known = {Path(cell.metrics).relative_to(paths.RESULTS) for view in views for cell in paths.cells(view)}
    mixed = {task for plan in grid.plans.values() for task in plan.mixed}
    return [
        path
        for path in sorted(results.glob("scores/*/*/*/seed*/metrics.json"))
        if path.relative_to(results) not in known and not (mixed and path.parts[-4].startswith("mix_"))
    ]

"""The row of the grid that each task of a submission is taken from: the best on development data."""

import logging
from collections.abc import Sequence

from stiltgrid.analysis.selection import choose, development
from stiltgrid.analysis.statistics import estimate
from stiltgrid.analysis.tables import AnyPath, Transfer
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Layout
from stiltgrid.utils.errors import StiltgridError

log = logging.getLogger(__name__)

BEST = "best"


def chosen_rows(scores_path: AnyPath, layout: Layout, model: str, tasks: Sequence[str]) -> dict[str, str]:
    """Task -> the row with the highest development score.

    A task without development data (XQuAD, TyDiQA, Tatoeba) gets the row with the highest mean gain over the tasks
    that have some, so that its own test data decides nothing. Raises StiltgridError where no task has any.
    """
    developed = development(scores_path, layout)
    choices = {task: choice.row for task in tasks if (choice := choose(developed, model, task))}
    others = [task for task in tasks if task not in choices]
    if others:
        overall = _overall(developed, model, list(choices))
        log.info("%s have no dev split and take row '%s', the best over the others", ", ".join(others), overall)
        choices |= dict.fromkeys(others, overall)
    return {task: choices[task] for task in tasks}


def _overall(developed: Transfer, model: str, tasks: Sequence[str]) -> str:
    """The row with the highest mean gain on dev over these tasks, among rows that have them all."""
    means: dict[str, float] = {}
    for row in developed.layout.intermediates:
        cells = [developed.cell(model, row, task) for task in tasks]
        gains = [developed.gain(cell) for cell in cells if cell]
        known = [gain.value for gain in gains if gain]
        if known and len(known) == len(tasks):
            means[row] = estimate(known).value
    if not means:
        raise StiltgridError(
            f"no development scores to choose a row by (and a row '{NONE}' to compare with); name the row to export"
        )
    return max(means, key=means.__getitem__)

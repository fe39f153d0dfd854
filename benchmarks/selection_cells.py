"""Reads a grid of ours from the cells that it has so far, finished or not, for `selection_replay.py cells`.

A cell's development examples choose and its other ones judge, as in the workflow: the development split and the one of
the headline score, or halves of the only split. Both come from the predictions, so a seed is enough, and resamples of
the judging examples say how sure a loss is.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stiltgrid.grid.grid import Grid
from stiltgrid.grid.layout import Layout
from stiltgrid.grid.selection import FULL, Selection, kinds_of_tasks
from stiltgrid.selection.affinity import same_kind
from stiltgrid.selection.development import Developed, develop, reporting
from stiltgrid.selection.tables import ProposedCell


@dataclass(frozen=True)
class Cells:
    """What cells show: (targets, rows, seeds) each, NaN where a cell lacks a seed; drawn ones with the draws first.

    `choosing` and `judging` are means over languages in points, `chosen` and `judged` under resamples of the examples.
    """

    targets: tuple[str, ...]
    rows: tuple[str, ...]
    choosing: np.ndarray
    judging: np.ndarray
    chosen: np.ndarray
    judged: np.ndarray


def shares_of(grid: Grid, targets: Sequence[str], rows: Sequence[str]) -> np.ndarray:
    """(targets, rows) share of a row's tasks of the target's kind; 0 for a row that the grid has not."""
    known = [row for row in rows if row in grid.intermediates]
    found = same_kind(*kinds_of_tasks(grid, Selection(tuple(targets))))
    shares = np.zeros((len(targets), len(rows)))
    shares[:, [rows.index(row) for row in known]] = found[:, [grid.intermediates.index(row) for row in known]]
    return shares


def read_cells(
    folder: Path, layout: Layout, families: Mapping[str, Mapping[str, Any]], model: str, seeds: Sequence[int]
) -> Cells:
    """The cells of `folder`/results that have all of some seeds; targets with less than two rows are left out.

    Raises SystemExit where nothing is left.
    """
    found: dict[tuple[str, str], tuple[Developed, Developed]] = {}
    with contextlib.chdir(folder):
        for column in layout.columns:
            cells = [
                [ProposedCell(model, row, column.target, FULL, seed, 0.0, 0.0, "") for seed in seeds]
                for row in layout.intermediates
            ]
            whole = [each for each in cells if all(Path(cell.metrics).is_file() for cell in each)]
            if len(whole) < 2:
                continue
            mine = [cell for each in whole for cell in each]
            both = (develop(mine, column, families[column.target]), reporting(mine, column, families[column.target]))
            for each in whole:
                places = [mine.index(cell) for cell in each]
                found[column.target, each[0].intermediate] = tuple(_part(item, places) for item in both)  # type: ignore[assignment]
    if not found:
        raise SystemExit(
            f"{folder}: expected cells of {model} with the seeds {list(seeds)} in results/scores, found none"
        )
    targets = tuple(column.target for column in layout.columns if any(column.target == target for target, _ in found))
    rows = tuple(row for row in layout.intermediates if any(row == other for _, other in found))
    return Cells(targets, rows, *_tables(found, targets, rows, len(seeds)))


def _part(item: Developed, places: Sequence[int]) -> Developed:
    return Developed(
        tuple(item.cells[place] for place in places), item.languages, item.scores[:, places], item.drawn[..., places]
    )


def _tables(
    found: dict[tuple[str, str], tuple[Developed, Developed]],
    targets: Sequence[str],
    rows: Sequence[str],
    seeds: int,
) -> list[np.ndarray]:
    draws = len(next(iter(found.values()))[0].drawn)
    means = [np.full((len(targets), len(rows), seeds), np.nan) for _ in range(2)]
    drawn = [np.full((draws, len(targets), len(rows), seeds), np.nan) for _ in range(2)]
    for (target, row), both in found.items():
        for number, item in enumerate(both):
            means[number][targets.index(target), rows.index(row)] = item.scores.mean(axis=0)
            drawn[number][:, targets.index(target), rows.index(row)] = item.drawn.mean(axis=1)
    return [*means, *drawn]

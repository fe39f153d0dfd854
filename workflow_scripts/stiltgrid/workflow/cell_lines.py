"""Lines about cells as they are scored: the score of each and its gain over `none`.

The numbers are those of `transfer.tsv` for one seed: the unweighted mean of the headline metric over the languages of
the target, and the difference from the `none` cell of the same model, target and seed. pandas and scipy are not
imported: these lines are made in the main process of a run.
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from stiltgrid.analysis.shown import points
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Layout
from stiltgrid.grid.paths import Cell

KEYS = ("model", "intermediate", "target", "seed")


def cell_of(wildcards: Mapping[str, object]) -> Cell:
    """The cell of a `score_target` job."""
    model, intermediate, target, seed = (str(wildcards[key]) for key in KEYS)
    return Cell(model, intermediate, target, int(seed))


class CellLines:
    """The lines of a run's cells. `planned` cells have no valid score until they are `landed`."""

    def __init__(self, layout: Layout, planned: Collection[Cell]) -> None:
        self.layout = layout
        self._not_yet = set(planned)
        self._waiting: dict[Cell, list[Cell]] = {}
        self._scores: dict[Cell, float | None] = {}

    def landed(self, cell: Cell) -> list[str]:
        """The line of a cell that was scored, and for a `none` cell the gains of cells that waited for it."""
        self._not_yet.discard(cell)
        score = self._score(cell)
        if score is None:
            return []
        text = f"{self._name(cell)}: {self.layout.column(cell.target).metric} {points(score)}"
        if cell.intermediate == NONE:
            return [text, *(self._gain(other) for other in self._waiting.pop(cell, []))]
        baseline = replace(cell, intermediate=NONE)
        gain = self._difference(cell)
        if gain is not None:
            return [f"{text}, {points(gain, signed=True)} over none"]
        if baseline in self._not_yet:
            self._waiting.setdefault(baseline, []).append(cell)
            return [f"{text} (gain when none is scored)"]
        return [text]

    def _gain(self, cell: Cell) -> str:
        gain = self._difference(cell)
        return f"{self._name(cell)}: " + ("no gain" if gain is None else f"{points(gain, signed=True)} over none")

    def _difference(self, cell: Cell) -> float | None:
        score, baseline = self._score(cell), self._score(replace(cell, intermediate=NONE))
        return None if score is None or baseline is None else score - baseline

    def _score(self, cell: Cell) -> float | None:
        if cell in self._not_yet:
            return None
        if cell not in self._scores:
            self._scores[cell] = headline_score(cell, self.layout)
        return self._scores[cell]

    def _name(self, cell: Cell) -> str:
        model = f"{cell.model}, " if len(self.layout.models) > 1 else ""
        seed = f", seed {cell.seed}" if len(self.layout.seeds) > 1 else ""
        return f"{model}{cell.intermediate} -> {cell.target}{seed}"


def headline_score(cell: Cell, layout: Layout) -> float | None:
    """A cell's headline score (0 to 100); None for a target outside the layout, missing files and missing languages."""
    column = next((column for column in layout.columns if column.target == cell.target), None)
    if column is None:
        return None
    try:
        scores = json.loads(Path(cell.metrics).read_bytes())["scores"]
        values = {
            score["language"]: float(score["value"])
            for score in scores
            if (score["metric"], score["split"]) == (column.metric, column.split)
        }
        return math.fsum(values[language] for language in column.languages) / len(column.languages)
    except (OSError, ValueError, KeyError, TypeError):
        return None

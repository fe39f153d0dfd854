"""Study 2 as a picture: the gains of one model against those of another, cell by cell."""

from collections.abc import Iterable
from itertools import combinations

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from stiltgrid.analysis.tables import AnyPath, Transfer
from stiltgrid.grid.grid import NONE
from stiltgrid.reporting.plot_style import STYLE, save, seeds_note, write_notes
from stiltgrid.reporting.plots import POINTS


def plot_matrices(transfer: Transfer, paths: Iterable[AnyPath]) -> None:
    """A panel a pair of models; a point a cell, coloured and marked by target; the line is equality."""
    layout = transfer.layout
    pairs = list(combinations(layout.models, 2))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.0 * len(pairs) + 1.9, 4.8))
        for axes, (first, second) in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True):
            for number, column in enumerate(layout.columns):
                gains = np.asarray([[_gain(transfer, model, row, column.target) for row in layout.rows]
                                    for model in (first, second)])  # fmt: skip
                colour, marker = POINTS[number % len(POINTS)]
                axes.plot(*gains, linestyle="", marker=marker, color=colour, markersize=4, label=column.target)
            axes.axline((0, 0), slope=1, color="#bbbbbb", linewidth=0.6)
            axes.set_xlabel(f"{first}: zero-shot gain (points)", size=8)
            axes.set_ylabel(f"{second}: zero-shot gain (points)", size=8)
        axes.legend(fontsize=6.5, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        width = figure.get_size_inches()[0]
        figure.subplots_adjust(left=0.8 / width, right=1 - 1.6 / width, bottom=0.22, top=0.9, wspace=0.3)
        notes = [
            f"A point is a row on a target: {len(layout.rows)} rows × {len(layout.columns)} targets. On the line both "
            "models gain alike.",
            seeds_note(layout),
        ]
        write_notes(figure, notes, layout, int(width * 19))
        save(figure, paths, layout.display.cropped)


def _gain(transfer: Transfer, model: str, row: str, target: str) -> float:
    cells = [transfer.cell(model, name, target) for name in (row, NONE)]
    own, none = ((cell.zero_shot or cell.score).value if cell else np.nan for cell in cells)
    return own - none

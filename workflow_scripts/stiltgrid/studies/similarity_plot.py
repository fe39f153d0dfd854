"""Study 1 as a plot: partial residuals of gains against similarity, one panel per measure and model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stiltgrid.analysis.tables import AnyPath
from stiltgrid.grid.layout import Layout
from stiltgrid.reporting.plot_style import STYLE, save, seeds_note, write_notes
from stiltgrid.reporting.plots import POINTS
from stiltgrid.studies.association import PooledAssociation
from stiltgrid.studies.summary import signed


@dataclass(frozen=True)
class Panel:
    """Partial residuals (rows, targets) of a measure and of gains, in standard deviations within targets."""

    model: str
    measure: str
    rows: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    found: PooledAssociation


def plot_similarity(panels: Sequence[Panel], layout: Layout, paths: Iterable[AnyPath]) -> None:
    """Draw every panel; each row has a colour and a marker of its own."""
    rows = list(dict.fromkeys(row for panel in panels for row in panel.rows))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.1 * len(panels) + 1.6, 4.6))
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for place, panel in zip(axes, panels, strict=True):
            _draw(place, panel, rows)
        axes[0].set_ylabel("zero-shot gain over none, controls removed (SD within target)", size=7.5)
        width = figure.get_size_inches()[0]
        figure.subplots_adjust(left=0.6 / width, right=1 - 1.5 / width, bottom=0.24, top=0.86)
        axes[-1].legend(fontsize=6.5, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        notes = [
            "A point is a row on a target. Training size and family are removed from both axes; line: the slope over "
            "all cells, with its 95 % interval. p permutes rows; n counts rows.",
            seeds_note(layout),
        ]
        write_notes(figure, notes, layout, int(width * 19))
        save(figure, paths, layout.display.cropped)


def _draw(axes: Axes, panel: Panel, rows: Sequence[str]) -> None:
    for row, x, y in zip(panel.rows, panel.x, panel.y, strict=True):
        colour, marker = POINTS[rows.index(row) % len(POINTS)]
        axes.plot(x, y, linestyle="", marker=marker, color=colour, markersize=4, label=row)
    slope = panel.found.slope
    ends = np.asarray([panel.x.min(), panel.x.max()])
    axes.plot(ends, slope.value * ends, color="#555555", linewidth=0.9, zorder=0)
    interval = "" if slope.low is None or slope.high is None else f" [{signed(slope.low)}, {signed(slope.high)}]"
    title = f"{panel.model}: {panel.measure}, n = {len(panel.rows)} rows\nslope {signed(slope.value)}{interval}, p = "
    axes.set_title(f"{title}{slope.p:.2g}", size=8, loc="left")
    axes.axhline(0, color="#bbbbbb", linewidth=0.6)
    axes.set_xlabel("similarity, controls removed (SD within target)", size=7.5)

"""Study 1 as a picture: gains against similarity, both standardised within targets, a panel a measure and model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from stiltgrid.analysis.tables import AnyPath
from stiltgrid.grid.layout import Layout
from stiltgrid.reporting.plot_style import STYLE, save, seeds_note, write_notes
from stiltgrid.reporting.plots import POINTS
from stiltgrid.studies.association import PooledAssociation, standardised
from stiltgrid.studies.summary import signed


def plot_similarity(
    pairs: Sequence[Mapping[str, Any]],
    pooled: Mapping[tuple[str, str], PooledAssociation],
    layout: Layout,
    paths: Iterable[AnyPath],
) -> None:
    """Draw `pairs` (lines of pairs.tsv); rows have a colour and a marker each. `pooled` is by model and measure."""
    panels = list(dict.fromkeys((item["model"], item["measure"]) for item in pairs))
    rows = list(dict.fromkeys(item["intermediate"] for item in pairs))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.1 * len(panels) + 1.6, 4.6))
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for place, (model, measure) in zip(axes, panels, strict=True):
            some = [item for item in pairs if (item["model"], item["measure"]) == (model, measure)]
            for row, x, y in _points(some):
                colour, marker = POINTS[rows.index(row) % len(POINTS)]
                place.plot(x, y, linestyle="", marker=marker, color=colour, markersize=4, label=row)
            place.axhline(0, color="#bbbbbb", linewidth=0.6)
            told = pooled[model, measure]
            ends = "" if told.low is None or told.high is None else f" [{signed(told.low)}, {signed(told.high)}]"
            title = f"{model}: {measure}, n = {len(some)}\nslope {signed(told.slope)}{ends}, p = {told.p:.2g}"
            place.set_title(title, size=8, loc="left")
            place.set_xlabel("similarity (SD within target)", size=8)
        axes[0].set_ylabel("zero-shot gain over none (SD within target)", size=8)
        figure.subplots_adjust(left=0.6 / figure.get_size_inches()[0], right=1 - 1.5 / figure.get_size_inches()[0],
                               bottom=0.24, top=0.86)  # fmt: skip
        axes[-1].legend(fontsize=6.5, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        notes = [
            "A point is a row on a target. Slopes hold training size and family, with 95 % intervals; p permutes rows.",
            seeds_note(layout),
        ]
        write_notes(figure, notes, layout.synthetic, int(figure.get_size_inches()[0] * 19))
        save(figure, paths)


def _points(pairs: Sequence[Mapping[str, Any]]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    rows = list(dict.fromkeys(item["intermediate"] for item in pairs))
    targets = list(dict.fromkeys(item["target"] for item in pairs))
    x, y = np.zeros((len(rows), len(targets))), np.zeros((len(rows), len(targets)))
    for item in pairs:
        place = rows.index(item["intermediate"]), targets.index(item["target"])
        x[place], y[place] = item["similarity"], item["gain"]
    return list(zip(rows, standardised(x), standardised(y), strict=True))

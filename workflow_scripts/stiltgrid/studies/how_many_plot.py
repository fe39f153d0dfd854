"""The picture of study 4: scores against the number of tasks, a panel a group of languages."""

from collections.abc import Iterable, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stiltgrid.analysis.statistics import t_quantile
from stiltgrid.analysis.tables import AnyPath
from stiltgrid.grid.layout import Layout
from stiltgrid.reporting.plot_style import MIXED, STYLE, save, write_notes
from stiltgrid.studies.how_many_results import TaskCurves

PANEL = (2.4, 2.2)
BEST, RANDOM, ALONE = "#0072B2", "#D55E00", "#777777"
SHIFT = 0.1  # so that bars do not hide each other


def plot_curves(models: Sequence[TaskCurves], layout: Layout, paths: Iterable[AnyPath]) -> None:
    """A line of panels a model: all languages, then near and far by each kind of similarity, with 95 % intervals."""
    wide = max(len(model.groups()) for model in models)
    size = (0.4 + wide * PANEL[0], 0.4 + len(models) * PANEL[1] + 0.6)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        for down, model in enumerate(models):
            for across, (group, languages) in enumerate(model.groups().items()):
                left, bottom = 0.5 + across * PANEL[0], size[1] - 0.4 - (down + 1) * PANEL[1] + 0.45
                box = (left / size[0], bottom / size[1], (PANEL[0] - 0.6) / size[0], (PANEL[1] - 0.75) / size[1])
                axes = figure.add_axes(box)
                _panel(axes, model, languages)
                axes.set_title(f"{model.name}, {group} ({len(languages)})", size=7.5, loc="left")
        targets = ", ".join(column.target for column in layout.columns) + (MIXED if layout.mixed else "")
        notes = [
            f"Means over {targets} and the languages of a group (their "
            f"number in brackets); {len(layout.seeds)} seeds. Best tasks: 95 % intervals over training noise, pooled "
            "over sizes. Random: 95 % intervals over random orders of the tasks.",
            "Dashes: each task alone, of the mixtures' size. Shaded: within noise of the best size (Tukey's honest "
            "significant difference).",
        ]
        write_notes(figure, notes, layout, int(size[0] * 19))
        save(figure, paths, layout.display.cropped)


def _panel(axes: Axes, model: TaskCurves, languages: Sequence[str]) -> None:
    curve, orders = model.curve(languages), model.orders(languages)
    high = float(curve.means.max())
    axes.axhspan(high - curve.margin, high, color="#dddddd", linewidth=0, zorder=0)
    alone = np.mean([model.alone[code] for code in languages], axis=0).mean(axis=1)
    axes.plot(
        [0.7] * len(alone), alone, linestyle="", marker="_", markersize=5, color=ALONE, label="each task alone"
    )  # fmt: skip
    axes.errorbar(
        [size - SHIFT for size in curve.sizes], curve.means, yerr=curve.half_width, color=BEST, marker="o",
        markersize=3.5, linewidth=1, elinewidth=0.7, capsize=1.5, label="best tasks",
    )  # fmt: skip
    means = orders.mean(axis=2)
    half = t_quantile(0.95, len(means) - 1) * means.std(axis=0, ddof=1) / len(means) ** 0.5
    axes.errorbar(
        [size + SHIFT for size in model.random_sizes], means.mean(axis=0), yerr=half, color=RANDOM, marker="s",
        markersize=3.5, linewidth=1, linestyle="--", elinewidth=0.7, capsize=1.5, label="random tasks",
    )  # fmt: skip
    axes.set_xticks(curve.sizes, [str(size) for size in curve.sizes])
    axes.set_xlabel("tasks in the mixture", size=7)
    axes.set_ylabel("score (points)", size=7)
    axes.tick_params(labelsize=6.5)
    axes.legend(fontsize=6, frameon=False)

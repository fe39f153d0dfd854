"""The picture of study 3: outcomes against the number of tasks, a line a volume."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stiltgrid.analysis.statistics import estimate, t_quantile
from stiltgrid.analysis.tables import AnyPath
from stiltgrid.grid.layout import Layout
from stiltgrid.reporting.plot_style import MIXED, STYLE, save, write_notes
from stiltgrid.studies.outcomes import Outcome

LINES = (("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "D", "-."), ("#CC79A7", "^", ":"))
PANEL = (2.6, 2.3)


def plot_outcomes(
    rows: Sequence[Mapping[str, Any]], outcomes: Sequence[Outcome], layout: Layout, paths: Iterable[AnyPath]
) -> None:
    """A panel an outcome and model; points are means over task sets with 95 % intervals, sets being the draws."""
    wide, tall = len(outcomes), len(layout.models)
    size = (0.5 + wide * PANEL[0], 0.4 + tall * PANEL[1] + 0.55)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        for down, model in enumerate(layout.models):
            own = [row for row in rows if row["model"] == model]
            for across, outcome in enumerate(outcomes):
                left = 0.55 + across * PANEL[0]
                bottom = size[1] - 0.4 - (down + 1) * PANEL[1] + 0.45
                box = (left / size[0], bottom / size[1], (PANEL[0] - 0.7) / size[0], (PANEL[1] - 0.75) / size[1])
                _panel(figure.add_axes(box), own, outcome, model)
        sets, seeds = len({row["set"] for row in rows}), len(layout.seeds)
        targets = ", ".join(column.target for column in layout.columns) + (MIXED if layout.mixed else "")
        notes = [
            f"Means over {targets}; {sets} task sets, {seeds} seeds, "
            f"n = {len(rows)} rows. Bars: 95 % intervals over task sets of a size (none where there is one set).",
        ]
        write_notes(figure, notes, layout, int(size[0] * 19))
        save(figure, paths, layout.display.cropped)


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], outcome: Outcome, model: str) -> None:
    counts = sorted({row["tasks"] for row in rows})
    for place, volume in enumerate(sorted({row["examples_asked"] for row in rows})):
        colour, marker, line = LINES[place % len(LINES)]
        points = [_point(rows, outcome, count, volume) for count in counts]
        shift = 1 + 0.03 * place  # so that bars of two volumes do not hide each other
        axes.errorbar(
            [count * shift for count in counts], [value for value, _ in points], yerr=[half for _, half in points],
            color=colour, marker=marker, linestyle=line, markersize=4, linewidth=1, elinewidth=0.7, capsize=2,
            label=f"{volume:,} examples",
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("tasks in the set (log scale)", size=7)
    axes.set_ylabel(textwrap.fill(f"{outcome.words} (points)", 28), size=7)
    axes.set_title(f"{model}: {'higher' if outcome.more_is_better else 'lower'} is better", size=8, loc="left")
    axes.tick_params(labelsize=6.5)
    axes.legend(fontsize=6, frameon=False)


def _point(rows: Sequence[Mapping[str, Any]], outcome: Outcome, count: int, volume: int) -> tuple[float, float]:
    """Mean over task sets (each a mean over seeds) and the half-width of its 95 % interval, 0 for one set."""
    chosen = [row for row in rows if row["tasks"] == count and row["examples_asked"] == volume]
    by_set = {name: [row[outcome.name] for row in chosen if row["set"] == name] for name in {r["set"] for r in chosen}}
    found = estimate(sum(values) / len(values) for _, values in sorted(by_set.items()))
    half = t_quantile(0.95, found.n - 1) * found.sd / found.n**0.5 if found.sd is not None else 0.0
    return found.value, half

"""Study 5 as a picture: contrasts of recall@10 with their intervals, by target and phase."""

from collections.abc import Iterable, Sequence

import matplotlib
from matplotlib.figure import Figure

from stiltgrid.analysis.tables import AnyPath
from stiltgrid.grid.layout import Layout
from stiltgrid.reporting.plot_style import STYLE, save, seeds_note, write_notes
from stiltgrid.reporting.plots import POINTS
from stiltgrid.studies.retrieval_results import HEADLINE, OVER_ENGLISH, TargetContrast

SHOWN = (
    "english over none", "multilingual over none", "controls over none", "english over controls",
    "multilingual over controls", *OVER_ENGLISH.values(),
)  # fmt: skip


def plot_contrasts(contrasts: Sequence[tuple[str, TargetContrast]], layout: Layout, paths: Iterable[AnyPath]) -> None:
    """A panel a model; a line a target and phase; points with 95 % intervals."""
    some = [(model, item) for model, item in contrasts if item.metric == HEADLINE and item.name in SHOWN]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(layout.models) + 2.6, 7.0))
        for axes, model in zip(figure.subplots(1, len(layout.models), squeeze=False)[0], layout.models, strict=True):
            items = [item for name, item in some if name == model]
            lines = list(dict.fromkeys((item.target, item.phase) for item in items))
            names = [name for name in SHOWN if any(item.name == name for item in items)]
            for number, name in enumerate(names):
                colour, marker = POINTS[number]
                mine = [item for item in items if item.name == name]
                y = [lines.index((item.target, item.phase)) + 0.14 * (number - (len(names) - 1) / 2) for item in mine]
                for height, item in zip(y, mine, strict=True):
                    ends = [item.contrast.low, item.contrast.high]
                    if None not in ends:
                        axes.plot(ends, [height] * 2, color=colour, linewidth=1)
                x = [item.contrast.value for item in mine]
                axes.plot(x, y, linestyle="", marker=marker, color=colour, markersize=4, label=name)
            axes.axvline(0, color="#bbbbbb", linewidth=0.6)
            axes.set_yticks(range(len(lines)), [f"{target}, {phase}" for target, phase in lines], size=7)
            axes.invert_yaxis()
            axes.set_title(model, size=9, loc="left")
            axes.set_xlabel("difference in recall@10 (points)", size=8)
        axes.legend(fontsize=6.5, loc="upper center", bbox_to_anchor=(0.4, -0.1), ncols=2, frameon=False)
        width = figure.get_size_inches()[0]
        figure.subplots_adjust(left=1.9 / width, right=1 - 0.2 / width, bottom=0.22, top=0.92, wspace=0.6)
        notes = ["95 % intervals over queries and languages.", seeds_note(layout)]
        write_notes(figure, notes, layout, int(width * 19))
        save(figure, paths, layout.display.cropped)

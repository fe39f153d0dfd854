"""Plot of our scores and published figures: two connected marks per line."""

import os
from collections.abc import Iterable, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from stiltgrid.analysis.official import Languages
from stiltgrid.analysis.published import PublishedComparison, compare
from stiltgrid.grid.layout import Layout
from stiltgrid.reporting.plot_style import STYLE, save

LINE = 0.2  # inches a figure
LETTER = 0.068  # inches a letter of a label
CHART = 4.0
HEAD, FOOT, SIDE = 0.5, 0.75, 0.2
NOTE = "Bars: one standard deviation over seeds, where there are several."
NOTHING = "No published figure has the backbone, split and languages of this grid."


def plot_published(
    scores_path: str | os.PathLike[str],
    layout: Layout,
    hubs: Mapping[str, str | None],
    languages: Languages,
    paths: Iterable[str | os.PathLike[str]],
) -> None:
    """Draw every published figure that has a counterpart of ours; error bars are one standard deviation over seeds."""
    items = compare(scores_path, layout, hubs, languages)
    with matplotlib.rc_context(STYLE):
        height = HEAD + FOOT + LINE * max(2, len(items))
        labels = SIDE + LETTER * max((len(_label(item)) for item in items), default=10)
        width = labels + CHART + SIDE
        canvas = Canvas(figsize=(width, height))
        if not items:
            canvas.text(0.5, 0.5, NOTHING, ha="center", va="center")
        else:
            axes = canvas.add_axes((labels / width, FOOT / height, CHART / width, 1 - (HEAD + FOOT) / height))
            _draw(axes, items)
            canvas.legend(*axes.get_legend_handles_labels(), loc="lower right", ncols=2, frameon=False)
            canvas.text(SIDE / width, 0.12 / height, NOTE, size=7, color="#333333", va="bottom")
            canvas.text(0.5, 1 - 0.2 / height, _title(items), ha="center", va="center", fontsize=9)
        save(canvas, paths)


def _draw(axes: Axes, items: Sequence[PublishedComparison]) -> None:
    places = range(len(items))
    ours, theirs = [item.ours.value for item in items], [item.figure.value for item in items]
    axes.hlines(places, ours, theirs, colors="0.7", linewidth=1, zorder=1)
    axes.errorbar(ours, places, xerr=[item.ours.sd or 0.0 for item in items], fmt="none", ecolor="#0b4f9c", zorder=2)
    axes.scatter(theirs, places, marker="D", s=18, facecolor="white", edgecolor="black", label="published", zorder=3)
    axes.scatter(ours, places, marker="o", s=18, color="#0b4f9c", label="ours", zorder=4)
    axes.set_yticks(list(places), [_label(item) for item in items])
    axes.set_ylim(len(items) - 0.5, -0.5)
    axes.set_xlabel("score (points, 0 to 100)")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)


def _label(item: PublishedComparison) -> str:
    figure = item.figure
    metric = figure.metric.replace("_", " ")
    where = "mean" if figure.language is None else figure.language
    what = f"{item.model}, {item.row}: {figure.target} {metric}, {where} ({figure.split})"
    return f"{what}, {figure.value:.1f} {item.difference:+.1f}"


def _title(items: Sequence[PublishedComparison]) -> str:
    apart = sorted(abs(item.difference) for item in items)
    return f"Ours and published: {len(items)} figures, median distance {apart[len(apart) // 2]:.1f} points"

"""Plots of the score table: the transfer matrix, languages of a target, English against zero-shot."""

import os
from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stiltgrid.analysis.best_rows import Best
from stiltgrid.analysis.statistics import Estimate, estimate
from stiltgrid.analysis.tables import Cell, Transfer, read_transfer
from stiltgrid.grid.display import Display
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.reporting.plot_style import (
    LETTERS,
    STYLE,
    Scale,
    cell_axes,
    colour_bar,
    draw_gain,
    draw_score,
    frame_cell,
    notes_height,
    save,
    seeds_note,
    write_notes,
)

Gains = Mapping[tuple[str, str, str], Estimate | None]
Paths = Iterable[str | os.PathLike[str]]
NARROWEST = 4.0  # inches, so that titles and notes fit beside few cells
COLOUR_BAR = 0.75  # inches, with its label
KEY_COLUMNS, KEY_LINE = 6, 0.17  # of the legend; inches
TITLE = 48  # letters of a title that fit in the narrowest figure
BAND = -1.3  # row of the scores of `none`, set off from the gains
BEST_NOTE = (
    "Framed: the row that development data chose, with the 95 % interval of its gain. Dashed: chosen on the shown "
    "scores themselves, for want of a second split; best_rows.tsv has an estimate from halves of that split."
)
# Okabe and Ito's colours with a marker each, so that grey prints tell rows apart too.
POINTS = tuple(
    zip(
        ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31") * 2,
        "osD^vP*X<>hp8d1s",
        strict=True,
    )
)


def plot_transfer_matrix(
    scores_path: str | os.PathLike[str], layout: Layout, paths: Paths, best: Best | None = None
) -> None:
    """Intermediates by targets: gains over `none` in colour, the scores of `none` above them; one panel per model.

    The rows that development data chose (`best`) are framed, with the 95 % intervals of their gains.
    """
    transfer = read_transfer(scores_path, layout)
    gains = {(cell.model, cell.intermediate, cell.column.target): transfer.gain(cell) for cell in transfer}
    scale = Scale.of(gains.values())
    columns, rows = len(layout.columns), len(layout.rows)
    # With several seeds a chosen cell holds three lines.
    row_height = 0.46 if best and len(layout.seeds) > 1 else 0.36
    panel = (0.72 * (columns + 1.3), row_height * (rows + 1.3))
    notes = [
        "Scores are unweighted means over each target's languages; top row: scores of none; below: gains over it, "
        "and their mean over targets where none is missing"
        + (", which mixes points of different metrics." if layout.mixed else "."),
        BEST_NOTE if best else "",
        seeds_note(layout),
        missing_note(transfer),
    ]
    top, left, head = 0.35, 1.35, 0.95
    width = left + max(panel[0], NARROWEST) + 0.2
    foot = COLOUR_BAR + notes_height(notes, layout, width)
    size = (width, top + len(layout.models) * (panel[1] + head) + foot)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        for index, model in enumerate(layout.models):
            bottom = size[1] - top - (index + 1) * (panel[1] + head)
            xs, ys = [*range(columns), columns + 0.3], [BAND, *range(rows)]
            axes = cell_axes(figure, (left, bottom, *panel), xs, ys)
            _matrix_panel(axes, transfer, model, gains, scale)
            _frame_best(axes, model, layout, gains, scale, best or {})
        colour_bar(figure, (left, foot - 0.22, min(3.0, panel[0]), 0.1), scale)
        write_notes(figure, notes, layout, int(width * LETTERS))
        save(figure, paths, layout.display.cropped)


def _frame_best(axes: Axes, model: str, layout: Layout, gains: Gains, scale: Scale, best: Best) -> None:
    """Draw frames around the chosen rows of a panel, with the interval at the bottom of the cell."""
    places = {NONE: BAND, **{row: float(y) for y, row in enumerate(layout.rows)}}
    for x, column in enumerate(layout.columns):
        chosen = best.get((model, column.target))
        if chosen is not None:
            gain = gains.get((model, chosen.row, column.target))
            face = scale.face(gain.value if gain else 0.0)
            frame_cell(axes, (x, places[chosen.row]), chosen.interval, face, dashed=chosen.flattered)


def _matrix_panel(axes: Axes, transfer: Transfer, model: str, gains: Gains, scale: Scale) -> None:
    layout = transfer.layout
    baseline = [transfer.cell(model, NONE, column.target) for column in layout.columns]
    for x, cell in enumerate(baseline):
        draw_score(axes, (x, BAND), cell.score if cell else None)
    for y, row in enumerate(layout.rows):
        line = [gains.get((model, row, column.target)) for column in layout.columns]
        for x, gain in enumerate(line):
            draw_gain(axes, (x, y), gain, scale)
        known = [gain.value for gain in line if gain is not None]
        mean = Estimate(estimate(known).value, None, len(known)) if known and len(known) == len(line) else None
        draw_gain(axes, (len(line) + 0.3, y), mean, scale)
    cells = [_any_cell(transfer, model, column) for column in layout.columns]
    display = layout.display
    heads = [_head(column, cell, display) for column, cell in zip(layout.columns, cells, strict=True)]
    overall = "mean gain\n(metrics\nmixed)" if layout.mixed else "mean gain"
    axes.set_xticks([*range(len(heads)), len(heads) + 0.3], [*heads, overall])
    axes.set_yticks([BAND, *range(len(layout.rows))], ["none (score)", *map(display.task, layout.rows)])
    title = f"{display.model(model)}: what each intermediate task changes"
    axes.set_title(fill(title, max(TITLE, 10 * len(heads))), loc="left", size=9, weight="bold")


def _any_cell(transfer: Transfer, model: str, column: Column) -> Cell | None:
    found = (transfer.cell(model, name, column.target) for name in (NONE, *transfer.layout.rows))
    return next((cell for cell in found if cell), None)


def _head(column: Column, cell: Cell | None, display: Display) -> str:
    count = f"n={sum(cell.examples.values()):,}" if cell else "no score"
    name, metric = display.task(column.target), display.metric(column.target, column.metric)
    return f"{name}\n{metric}\n{column.split}, {len(column.languages)} lang.\n{count}"


def missing_note(transfer: Transfer) -> str:
    """The note on missing scores; empty when there are none."""
    if not transfer.missing:
        return ""
    return (
        f"{len(transfer.missing)} of {transfer.expected} scores (cells times seeds) are missing: hatched, or left out."
    )


def plot_languages(scores_path: str | os.PathLike[str], layout: Layout, target: str, paths: Paths) -> None:
    """Languages by intermediates for one target: the score of `none`, then gains over it; one panel per model."""
    transfer = read_transfer(scores_path, layout.only(target))
    column = layout.column(target)
    names = [*([column.english] if column.english else []), *sorted(column.others)]
    cells = {(cell.model, cell.intermediate): cell for cell in transfer}
    gains = {(key, name): transfer.gain(cell, name) for key, cell in cells.items() for name in names}
    scale = Scale.of(gains.values())
    rows = len(layout.rows)
    panel = (0.72 * (rows + 1.3), 0.28 * len(names))
    counts = _counts(transfer, column)
    notes = [
        f"First column: scores of none; then gains over it. {counts}",
        seeds_note(layout),
        missing_note(transfer),
    ]
    top, left, head = 0.35, 0.7, 1.15
    width = left + max(panel[0], NARROWEST) + 0.9
    foot = COLOUR_BAR + notes_height(notes, layout, width)
    size = (width, top + len(layout.models) * (panel[1] + head) + foot)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        for index, model in enumerate(layout.models):
            bottom = size[1] - top - (index + 1) * (panel[1] + head)
            axes = cell_axes(figure, (left, bottom, *panel), [BAND, *range(rows)], range(len(names)))
            for y, name in enumerate(names):
                baseline = cells.get((model, NONE))
                draw_score(axes, (BAND, y), baseline.language(name) if baseline else None)
                for x, row in enumerate(layout.rows):
                    draw_gain(axes, (x, y), gains.get(((model, row), name)), scale)
            axes.set_yticks(range(len(names)), names)
            axes.set_xticks([BAND, *range(rows)], ["none\n(score)", *map(layout.display.task, layout.rows)])
            for label in axes.get_xticklabels()[1:]:
                label.set(rotation=30, ha="left", va="bottom")
            names_shown = layout.display
            metric = names_shown.metric(target, column.metric)
            title = f"{names_shown.model(model)}: {names_shown.task(target)} by language ({metric}, {column.split})"
            axes.set_title(fill(title, max(TITLE, 10 * rows)), loc="left", size=9, weight="bold")
        colour_bar(figure, (left, foot - 0.22, min(3.0, panel[0]), 0.1), scale)
        write_notes(figure, notes, layout, int(width * LETTERS))
        save(figure, paths, layout.display.cropped)


def _counts(transfer: Transfer, column: Column) -> str:
    counts = sorted({n for cell in transfer.cells.values() for n in cell.examples.values()})
    if not counts:
        return ""
    many = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    return f"n = {many} examples a language, {len(column.languages)} languages."


def plot_english_and_zero_shot(scores_path: str | os.PathLike[str], layout: Layout, paths: Paths) -> None:
    """The score in English against the mean of the other languages; lines connect `none` with each row."""
    transfer = read_transfer(scores_path, layout)
    shown = [column for column in layout.columns if column.english and column.others]
    panels = [(model, column) for model in layout.models for column in shown]
    wide = max(1, min(4, len(shown)))
    tall = -(-len(panels) // wide)
    hidden = [layout.display.task(column.target) for column in layout.columns if column not in shown]
    notes = [
        "Axes: scores from 0 to 100; dotted: English and zero-shot alike. Lines lead from none to each row.",
        f"Left out, for want of an English part: {', '.join(hidden)}." if hidden else "",
        seeds_note(layout),
        missing_note(transfer),
    ]
    left, top, side = 0.6, 0.4, 2.25
    width = max(left + wide * side + 0.1, 6.5)
    below = notes_height(notes, layout, width)
    foot = below + 0.25 + KEY_LINE * -(-(1 + len(layout.rows)) // KEY_COLUMNS)
    size = (width, top + max(tall, 0.3) * side + foot)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        for index, (model, column) in enumerate(panels):
            x, y = left + index % wide * side, size[1] - top - (index // wide + 1) * side
            box = (x / size[0], (y + 0.45) / size[1], (side - 0.55) / size[0], (side - 0.75) / size[1])
            axes = figure.add_axes(box)
            title = f"{layout.display.model(model)}: {layout.display.task(column.target)}"
            _scatter_panel(axes, transfer, model, column, title)
        _scatter_key(figure, list(map(layout.display.task, layout.rows)), below / size[1])
        write_notes(figure, notes, layout, int(width * LETTERS))
        save(figure, paths, layout.display.cropped)


def _scatter_panel(axes: Axes, transfer: Transfer, model: str, column: Column, title: str) -> None:
    rows = transfer.layout.rows
    origin = transfer.cell(model, NONE, column.target)
    low, high = 100.0, 0.0
    for index, name in enumerate((*rows, NONE)):
        cell = transfer.cell(model, name, column.target)
        if cell is None or cell.english is None or cell.zero_shot is None:
            continue
        x, y = cell.english, cell.zero_shot
        if origin is not None and origin.english and origin.zero_shot and name != NONE:
            line = ([origin.english.value, x.value], [origin.zero_shot.value, y.value])
            axes.plot(*line, color="#bbbbbb", linewidth=0.7, zorder=1)
        colour, marker = ("black", "o") if name == NONE else POINTS[index % len(POINTS)]
        face = "white" if name == NONE else colour
        axes.errorbar(
            x.value, y.value, xerr=x.sd, yerr=y.sd, elinewidth=0.6, ecolor="#888888", fmt=marker, markersize=5,
            color=colour, markerfacecolor=face, markeredgecolor=colour, zorder=3,
        )  # fmt: skip
        low, high = min(low, x.value, y.value), max(high, x.value, y.value)
    margin = max(2.0, 0.08 * (high - low))
    ends = (max(0.0, low - margin), min(100.0, high + margin)) if low <= high else (0.0, 100.0)
    axes.plot(ends, ends, color="#999999", linewidth=0.8, linestyle=":", zorder=0)
    axes.set(xlim=ends, ylim=ends)
    axes.set_title(fill(title, 28), size=8, weight="bold", loc="left")
    metric = transfer.layout.display.metric(column.target, column.metric)
    axes.set_xlabel(f"English, {metric} ({column.split})", size=7)
    axes.set_ylabel(f"mean of {len(column.others)} others", size=7)
    axes.tick_params(labelsize=6.5)


def _scatter_key(figure: Figure, rows: Sequence[str], bottom: float) -> None:
    from matplotlib.lines import Line2D

    points = [("black", "o"), *(POINTS[index % len(POINTS)] for index in range(len(rows)))]
    handles = [
        Line2D([], [], linestyle="", marker=marker, color=colour, markerfacecolor="white" if index == 0 else colour)
        for index, (colour, marker) in enumerate(points)
    ]
    names = [NONE, *rows]
    figure.legend(
        handles, names, loc="lower center", bbox_to_anchor=(0.5, bottom), ncols=KEY_COLUMNS, fontsize=7, frameon=False
    )

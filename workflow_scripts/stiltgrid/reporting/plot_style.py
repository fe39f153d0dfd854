"""Shared plot style: cells with readable numbers, colours centred at zero, reproducible files.

Plots use matplotlib's Figure without pyplot, which needs no display, keeps no global state and imports faster.
"""

import os
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stiltgrid.analysis.shown import points
from stiltgrid.analysis.statistics import Estimate
from stiltgrid.grid.layout import Layout
from stiltgrid.utils.files import atomic_path

STYLE = {
    "svg.hashsalt": "stiltgrid",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 8.0,
    "pdf.fonttype": 42,
}
METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}
COLOURS = "RdBu"  # red is worse, blue is better: distinct for colour-blind readers, and in grey by the sign
LETTERS, NOTE_LINE = 17, 0.125  # of notes: letters an inch, inches a line
MIXED = " (whose metrics differ)"
SCORE_FACE = "#f2f2f2"
SYNTHETIC = "Synthetic data (mini-lab): made languages and texts; says nothing about real ones."


@dataclass(frozen=True)
class Scale:
    """Colours of gains, symmetric about zero, so that a gain of zero is always white."""

    limit: float

    @classmethod
    def of(cls, gains: Iterable[Estimate | None]) -> "Scale":
        """The scale up to the largest absolute gain, at least one point."""
        return cls(max([1.0, *(abs(gain.value) for gain in gains if gain is not None)]))

    @property
    def mappable(self) -> ScalarMappable:
        """For colour bars and faces."""
        return ScalarMappable(self._norm, matplotlib.colormaps[COLOURS])

    @property
    def _norm(self) -> Normalize:
        return Normalize(-self.limit, self.limit)

    def face(self, gain: float) -> tuple[float, ...]:
        """The colour of a gain in points."""
        return matplotlib.colormaps[COLOURS](float(self._norm(gain)))


def number(estimate: Estimate, signed: bool) -> str:
    """One decimal, with a true minus sign, and the standard deviation over seeds where there is one."""
    spread = f"\n±{points(estimate.sd)}" if estimate.sd is not None else ""
    return points(estimate.value, signed) + spread


def draw_cell(axes: Axes, place: tuple[float, float], text: str, face: Any, size: float = 7.5) -> None:
    """Draw a unit square around `place` with text in a contrasting colour."""
    x, y = place
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=face, edgecolor="white", linewidth=0.8))
    axes.text(x, y, text, ha="center", va="center", size=size, color=_ink(face), linespacing=0.95)


def draw_gain(axes: Axes, place: tuple[float, float], gain: Estimate | None, scale: Scale) -> None:
    """Draw a gain in its colour; a missing one is hatched and marked with a dash."""
    if gain is not None:
        draw_cell(axes, place, number(gain, signed=True), scale.face(gain.value), 7.5 if gain.sd is None else 6.5)
        return
    x, y = place
    frame = Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor="white", edgecolor="#bbbbbb", hatch="////", linewidth=0)
    axes.add_patch(frame)
    axes.text(x, y, "–", ha="center", va="center", size=7.5, color="#555555")


def draw_score(axes: Axes, place: tuple[float, float], score: Estimate | None) -> None:
    """Draw a score on a neutral background, since colours show gains."""
    text = "–" if score is None else number(score, signed=False)
    draw_cell(axes, place, text, SCORE_FACE, 7.5 if score is None or score.sd is None else 6.5)


def frame_cell(axes: Axes, place: tuple[float, float], text: str, face: Any, dashed: bool = False) -> None:
    """Draw a frame around a cell, with a line of text at its bottom in a contrasting colour."""
    x, y = place
    frame = Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, facecolor="none", edgecolor="black", linewidth=1.2, zorder=3)
    frame.set_linestyle((0, (2.5, 1.5)) if dashed else "-")
    axes.add_patch(frame)
    axes.text(x, y + 0.33, text, ha="center", va="center", size=4.5, color=_ink(face))


def _ink(face: Any) -> str:
    red, green, blue = matplotlib.colors.to_rgb(face)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def cell_axes(figure: Figure, box: Sequence[float], columns: Sequence[float], rows: Sequence[float]) -> Axes:
    """Axes for unit cells at the given centres, first row on top; `box` is (left, bottom, width, height) in inches."""
    axes = figure.add_axes(_share(figure, box))
    axes.set_xlim(min(columns) - 0.5, max(columns) + 0.5)
    axes.set_ylim(max(rows) + 0.5, min(rows) - 0.5)
    axes.tick_params(length=0, labelsize=7.5)
    axes.xaxis.tick_top()
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def colour_bar(figure: Figure, box: Sequence[float], scale: Scale) -> None:
    """Draw the colour bar with its unit."""
    bar = figure.colorbar(scale.mappable, cax=figure.add_axes(_share(figure, box)), orientation="horizontal")
    bar.set_label("gain over none (points of a score from 0 to 100)", size=7.5, loc="left")
    bar.ax.tick_params(labelsize=7)


def _share(figure: Figure, box: Sequence[float]) -> tuple[float, float, float, float]:
    width, height = figure.get_size_inches()
    left, bottom, wide, high = box
    return (left / width, bottom / height, wide / width, high / height)


def seeds_note(layout: Layout) -> str:
    """The note on seeds: whether the variance of training can be seen."""
    count = len(layout.seeds)
    if count == 1:
        return "One seed: the variance of training is unseen."
    return f"Mean of {count} seeds, ± standard deviation over seeds; gains are paired by seed."


def notes_height(notes: Iterable[str], layout: Layout, width: float) -> float:
    """Inches that notes take at the bottom of a figure, `width` inches wide: more in a narrow one, which wraps them."""
    lines = sum(len(textwrap.wrap(note, int(width * LETTERS))) for note in notes if layout.display.footer)
    return 0.15 + NOTE_LINE * lines


def write_notes(figure: Figure, notes: Iterable[str], layout: Layout, width: int) -> None:
    """Write notes at the bottom of a figure and, for synthetic data, a line that says so at its top.

    The configuration's `figures` can leave out either.
    """
    notes = notes if layout.display.footer else ()
    lines = [line for note in notes if note for line in textwrap.wrap(note, width)]
    height = figure.get_size_inches()[1]
    figure.text(
        0.1 / figure.get_size_inches()[0], 0.08 / height, "\n".join(lines), size=7, color="#333333", va="bottom"
    )
    if layout.synthetic and layout.display.banner:
        place = (0.1 / figure.get_size_inches()[0], 1 - 0.08 / height)
        figure.text(*place, SYNTHETIC, size=8, weight="bold", color="#7a3b00", va="top")


def save(figure: Figure, paths: Iterable[str | os.PathLike[str]], cropped: bool = False) -> None:
    """Write a figure in the formats of the file names; the same figure gives the same bytes.

    `cropped` cuts off empty margins, which a figure without banner or footer has.
    """
    margins: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.05} if cropped else {}
    for path in paths:
        kind = Path(path).suffix.removeprefix(".")
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=150, metadata=METADATA.get(kind), **margins)

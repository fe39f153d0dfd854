"""Reading `best_rows.tsv`: the row of each target that development data chose, and its gain on other data."""

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stiltgrid.analysis.shown import points
from stiltgrid.grid.grid import NONE

MEAN = "(mean)"
BETWEEN = " or "  # the two halves of a split may choose different rows


@dataclass(frozen=True)
class BestRow:
    """A chosen row. Scores run from 0 to 100; `low` and `high` bound the gain's 95 % interval, None without one.

    `claimed` is the gain of the row that has the highest reported score, which choosing on these scores would claim.
    Where one split both chooses and reports, `half_gain` is the estimate from its halves, None where they give none.
    """

    row: str
    selected_on: str
    reported_on: str
    low: float | None
    high: float | None
    gain: float
    claimed: float
    half_gain: float | None = None

    @property
    def flattered(self) -> bool:
        """Whether the row was chosen on the scores that are shown."""
        return self.selected_on == self.reported_on

    @property
    def fair_gain(self) -> float | None:
        """The gain on data that did not choose the row, or its estimate from halves; None without either."""
        return self.half_gain if self.flattered else self.gain

    @property
    def interval(self) -> str:
        """The gain's interval in brackets; empty without an interval and for `none`, whose gain over itself is 0."""
        if self.low is None or self.high is None or self.row == NONE:
            return ""
        return f"[{points(self.low, signed=True)}, {points(self.high, signed=True)}]"


Best = Mapping[tuple[str, str], BestRow]


def read_best_rows(path: str | os.PathLike[str]) -> dict[tuple[str, str], BestRow]:
    """(model, target) -> its best row; the means over targets are left out."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return {
            (line["model"], line["target"]): BestRow(
                line["chosen"],
                line["selected_on"],
                line["reported_on"],
                _number(line["low"]),
                _number(line["high"]),
                float(line["gain"]),
                float(line["gain_best_there"]),
                _number(line["half_split_gain"]),
            )
            for line in csv.DictReader(file, delimiter="\t")
            if line["target"] != MEAN
        }


def _number(text: str) -> float | None:
    return float(text) if text else None

"""Reading `best_rows.tsv`: the row of each target that development data chose, and its gain on other data."""

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stiltgrid.grid.grid import NONE

MEAN = "(mean)"
BETWEEN = " or "  # two halves of one split may choose different rows


@dataclass(frozen=True)
class BestRow:
    """A chosen row. Scores run from 0 to 100; `low` and `high` bound the gain's 95 % interval, None without one.

    `claimed` is the gain of the row that has the highest reported score, which choosing on these scores would claim.
    """

    rows: tuple[str, ...]
    selected_on: str
    reported_on: str
    none: float
    score: float
    gain: float
    low: float | None
    high: float | None
    claimed: float

    @property
    def interval(self) -> str:
        """The gain's interval in brackets; empty without an interval and for `none`, whose gain over itself is 0."""
        if self.low is None or self.high is None or self.rows == (NONE,):
            return ""
        return f"[{signed(self.low)}, {signed(self.high)}]"


Best = Mapping[tuple[str, str], BestRow]


def read_best_rows(path: str | os.PathLike[str]) -> dict[tuple[str, str], BestRow]:
    """(model, target) -> its best row; the means over targets are left out."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return {
            (line["model"], line["target"]): BestRow(
                tuple(line["chosen"].split(BETWEEN)),
                line["selected_on"],
                line["reported_on"],
                float(line["none"]),
                float(line["score"]),
                float(line["gain"]),
                _number(line["low"]),
                _number(line["high"]),
                float(line["gain_best_there"]),
            )
            for line in csv.DictReader(file, delimiter="\t")
            if line["target"] != MEAN
        }


def _number(text: str) -> float | None:
    return float(text) if text else None


def signed(value: float) -> str:
    """One decimal with its sign; 0.0 without a sign."""
    value = round(value, 1) + 0.0
    return (f"{value:+.1f}" if value else "0.0").replace("-", "\u2212")

"""The rows of `best_rows.tsv`: each target's row as development data chose it, and its gain elsewhere."""

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stiltgrid.grid.grid import NONE

MEAN = "(mean)"
BETWEEN = " or "  # two halves of one split may choose two rows


@dataclass(frozen=True)
class BestRow:
    """A chosen row. Scores run from 0 to 100; `low` and `high` are of the gain's 95 % interval, None without one.

    `claimed` is the gain of the row that looks best on the reported scores themselves.
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
        """The gain's interval in brackets; empty without one, and of `none`, which gains nothing over itself."""
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
    """One decimal with its sign; none of it for nought."""
    value = round(value, 1) + 0.0
    return (f"{value:+.1f}" if value else "0.0").replace("-", "\u2212")

"""Cross-lingual robustness of a row in four numbers: zero-shot mean, worst language, spread, gap to English."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stiltgrid.analysis.statistics import estimate
from stiltgrid.analysis.tables import Cell, Transfer
from stiltgrid.studies.errors import StudyError


@dataclass(frozen=True)
class Outcome:
    """A number of a row: its name in tables, what it is in words, and whether more of it is better."""

    name: str
    words: str
    more_is_better: bool


OUTCOMES = (
    Outcome("zero_shot", "zero-shot mean", True),
    Outcome("worst", "worst language", True),
    Outcome("spread", "standard deviation over languages", False),
    Outcome("gap", "gap to English", False),
)


def cell_outcomes(cell: Cell, seed: int) -> dict[str, float | None]:
    """Outcomes of one target over its languages other than English, in points; the gap is None without English."""
    column = cell.column
    others = [cell.values[seed][language] for language in column.others]
    if len(others) < 2:
        raise StudyError(
            f"{column.target}: expected two languages beside English at least, found {len(others)}; "
            "leave the target out of the study"
        )
    mean = estimate(others)
    english = cell.values[seed][column.english] if column.english else None
    gap = None if english is None else english - mean.value
    return {"zero_shot": mean.value, "worst": min(others), "spread": mean.sd, "gap": gap}


def row_outcomes(transfer: Transfer) -> Iterator[dict[str, Any]]:
    """One line a model, row and seed: each outcome, the mean over targets (those that have it)."""
    layout = transfer.layout
    for model in layout.models:
        for row in layout.intermediates:
            for seed in layout.seeds:
                found = [
                    cell_outcomes(cell, seed)
                    for column in layout.columns
                    if (cell := transfer.cell(model, row, column.target)) and seed in cell.values
                ]
                means = {outcome.name: _mean(found, outcome.name) for outcome in OUTCOMES}
                yield {"model": model, "intermediate": row, "seed": seed, **means}


def _mean(found: list[dict[str, float | None]], name: str) -> float | None:
    values = [item[name] for item in found if item[name] is not None]
    return float(np.mean(np.asarray(values, dtype=np.float64))) if values else None


def known_outcomes(rows: Sequence[Mapping[str, Any]]) -> list[Outcome]:
    """The outcomes that every row has: without an English part in any target there is no gap."""
    return [outcome for outcome in OUTCOMES if all(row[outcome.name] is not None for row in rows)]

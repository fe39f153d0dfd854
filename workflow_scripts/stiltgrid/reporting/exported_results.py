"""The scores in a model card: one row of the transfer matrix at one seed, with intervals over all seeds."""

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from stiltgrid.analysis.tables import AnyPath, read_transfer
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Layout


@dataclass(frozen=True)
class TargetResult:
    """One cell of the matrix at one seed; points from 0 to 100.

    Attributes:
        languages: score and number of examples by language.
        score: mean over the languages.
        gain: over `none` at the same seed; None for `none` and where that is missing.
        cell_gain: mean gain over all seeds, with the interval `low` to `high` where there is one.
    """

    target: str
    metric: str
    split: str
    languages: Mapping[str, tuple[float, int]]
    score: float
    gain: float | None = None
    cell_gain: float | None = None
    low: float | None = None
    high: float | None = None
    remark: str = ""


def read_results(
    scores_path: AnyPath,
    significance_path: AnyPath,
    layout: Layout,
    row: tuple[str, str, int],
    targets: Collection[str],
) -> list[TargetResult]:
    """Results of a (model, intermediate, seed) on some targets, in the layout's order; unscored ones are left out."""
    model, intermediate, seed = row
    transfer = read_transfer(scores_path, layout)
    tested = {(line["model"], line["intermediate"], line["target"]): line for line in read_tsv(significance_path)}
    found = []
    for column in layout.columns:
        cell = transfer.cell(model, intermediate, column.target)
        if column.target not in targets or cell is None or seed not in cell.seed_scores:
            continue
        none = transfer.cell(model, NONE, column.target)
        score = cell.seed_scores[seed]
        before = none.seed_scores.get(seed) if none and intermediate != NONE else None
        line = tested.get((model, intermediate, column.target), {})
        cell_gain, low, high = (float(line[key]) if line.get(key) else None for key in ("gain", "low", "high"))
        languages = {code: (cell.values[seed][code], cell.examples[code]) for code in column.languages}
        gain = None if before is None else score - before
        found.append(
            TargetResult(
                column.target, column.metric, column.split, languages, score, gain, cell_gain, low, high,
                line.get("remark", ""),
            )
        )  # fmt: skip
    return found


def read_tsv(path: AnyPath) -> list[dict[str, str]]:
    """Rows of a table; lines in front of its header that start with # are remarks."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        lines = [line for line in file if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t"))

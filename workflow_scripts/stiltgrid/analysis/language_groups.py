"""Results by language: transfer gap, worst language, means by language family and by script (ISO 15924).

Families and scripts are read from `languages.csv`. Which language belongs to which family was checked against Glottolog
(by way of lang2vec 1.1.2). Chinese is Hani: data sets mix simplified and traditional script; zh-Hant is Hant.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stiltgrid.analysis.statistics import estimate, paired_gain
from stiltgrid.analysis.tables import AnyPath, Cell, Transfer, read_transfer, write_tsv
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Layout

TABLE = Path(__file__).parent / "languages.csv"
UNKNOWN = "unknown"
KINDS = ("family", "script")
GAP_COLUMNS = (
    "model", "intermediate", "target", "split", "metric", "seeds", "english", "zero_shot", "gap", "gap_sd",
    "gap_less_none", "worst_language", "worst", "worst_gain", "best_language", "best", "spread",
)  # fmt: skip
GROUP_COLUMNS = (
    "model", "intermediate", "target", "split", "metric", "kind", "group", "languages", "members", "seeds", "score",
    "sd", "gain", "gain_sd",
)  # fmt: skip


@dataclass(frozen=True)
class Language:
    """A language with its classification; `script` is the ISO 15924 code of the script of the data sets."""

    code: str
    name: str
    family: str
    branch: str
    script: str


@cache
def known_languages() -> Mapping[str, Language]:
    """The languages of the catalogue and the mini-lab, by code."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {row["code"]: Language(**row) for row in csv.DictReader(file)}


def group_of(code: str, kind: str) -> str:
    """The language family or script (`kind`) of a language, UNKNOWN for a language outside the table."""
    language = known_languages().get(code)
    return getattr(language, kind) if language else UNKNOWN


def write_gaps(scores_path: AnyPath, layout: Layout, gaps_path: AnyPath, groups_path: AnyPath) -> None:
    """Write `language_gaps.tsv`, one line per cell, and `language_groups.tsv`, one per cell and family or script.

    The gap is the score in English less the mean of the other languages (lower is better); empty where a target has no
    English. `spread` is the standard deviation over languages.
    """
    transfer = read_transfer(scores_path, layout)
    write_tsv(GAP_COLUMNS, (_gap_row(transfer, cell) for cell in transfer), gaps_path, synthetic=layout.synthetic)
    groups = (row for cell in transfer for row in _group_rows(transfer, cell))
    write_tsv(GROUP_COLUMNS, groups, groups_path, synthetic=layout.synthetic)


def gaps(cell: Cell) -> dict[int, float]:
    """Seed -> English less the mean of the other languages; empty where a target lacks either."""
    column = cell.column
    if column.english is None or not column.others:
        return {}
    english, others = cell.by_seed([column.english]), cell.by_seed(column.others)
    return {seed: english[seed] - others[seed] for seed in english}


def _gap_row(transfer: Transfer, cell: Cell) -> dict[str, Any]:
    means = {code: cell.language(code).value for code in cell.column.languages}
    worst, best = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    baseline = transfer.cell(cell.model, NONE, cell.column.target)
    gap, worst_gain = gaps(cell), transfer.gain(cell, worst)
    less_none = paired_gain(gap, gaps(baseline)) if gap and baseline else None
    mean_gap = estimate(gap.values()) if gap else None
    spread = estimate(means.values()).sd
    return {
        **_fields(cell), "english": cell.english and cell.english.value,
        "zero_shot": cell.zero_shot and cell.zero_shot.value, "gap": mean_gap and mean_gap.value,
        "gap_sd": mean_gap and mean_gap.sd, "gap_less_none": less_none and less_none.value,
        "worst_language": worst, "worst": means[worst],
        "worst_gain": worst_gain and worst_gain.value, "best_language": best, "best": means[best], "spread": spread,
    }  # fmt: skip


def _group_rows(transfer: Transfer, cell: Cell) -> Iterator[dict[str, Any]]:
    baseline = transfer.cell(cell.model, NONE, cell.column.target)
    for kind in KINDS:
        members: dict[str, list[str]] = {}
        for code in cell.column.languages:
            members.setdefault(group_of(code, kind), []).append(code)
        for group, codes in sorted(members.items()):
            score = estimate(cell.by_seed(codes).values())
            gain = paired_gain(cell.by_seed(codes), baseline.by_seed(codes)) if baseline else None
            yield {
                **_fields(cell), "kind": kind, "group": group, "languages": len(codes), "members": " ".join(codes),
                "score": score.value, "sd": score.sd, "gain": gain and gain.value, "gain_sd": gain and gain.sd,
            }  # fmt: skip


def _fields(cell: Cell) -> dict[str, Any]:
    column = cell.column
    return {
        "model": cell.model, "intermediate": cell.intermediate, "target": column.target, "split": column.split,
        "metric": column.metric, "seeds": len(cell.values),
    }  # fmt: skip

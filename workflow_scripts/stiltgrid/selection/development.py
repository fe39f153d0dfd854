"""Development scores of the cells that a selection has run, with the noise of their examples.

A target's development examples are its development split. A target that has no such split beside the one of its
headline score is divided in two halves of examples: one chooses, the other reports (as `analysis.selection` does).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stiltgrid.analysis.bootstrap import LanguageCounts, replicate
from stiltgrid.analysis.cell_examples import read_examples
from stiltgrid.analysis.metric_counts import CountedMetric, counted_metric
from stiltgrid.analysis.significance import generator_of
from stiltgrid.grid.layout import Column
from stiltgrid.grid.selection import LOW
from stiltgrid.selection import belief
from stiltgrid.selection.joint import Seen
from stiltgrid.selection.tables import ProposedCell
from stiltgrid.utils.errors import SourceError

DEV = "dev"
DRAWS = 500


@dataclass(frozen=True)
class Developed:
    """Development scores of cells, (languages, cells), and under resamples of examples, (draws, languages, cells)."""

    cells: tuple[ProposedCell, ...]
    languages: tuple[str, ...]
    scores: np.ndarray
    drawn: np.ndarray


def develop(cells: Sequence[ProposedCell], column: Column, family: Mapping[str, Any]) -> Developed:
    """The development scores of cells of one model and target; see `significance.write_significance` for `family`."""
    metric = counted_metric(family["family"], column.metric, family.get("options"))
    counts = _development_counts(cells, column, metric)
    found = replicate(counts, metric.value, generator_of(cells[0].model, column.target), DRAWS)
    return Developed(tuple(cells), found.languages, found.scores[..., 0], found.drawn[..., 0])


def reporting(cells: Sequence[ProposedCell], column: Column, family: Mapping[str, Any]) -> Developed:
    """The scores of cells on the examples that chose nothing, as `reported` gives them for one."""
    metric = counted_metric(family["family"], column.metric, family.get("options"))
    counts = _counts(cells, column, metric)
    if _development_column(cells, column) is None:
        counts = _half(counts, 1, column)
    found = replicate(counts, metric.value, generator_of(cells[0].model, column.target), DRAWS)
    return Developed(tuple(cells), found.languages, found.scores[..., 0], found.drawn[..., 0])


def reported(cell: ProposedCell, column: Column, family: Mapping[str, Any], languages: Sequence[str] = ()) -> float:
    """The score of one cell on the examples that chose nothing: the headline split, or its other half."""
    metric = counted_metric(family["family"], column.metric, family.get("options"))
    some = replace(column, languages=tuple(languages) or column.languages)
    counts = _counts([cell], some, metric)
    if _development_column([cell], column) is None:
        counts = _half(counts, 1, column)
    values = [float(metric.value(item.counts.sum(axis=0))[0, 0]) for item in counts]
    return float(np.mean(values))


def observations(
    developed: Developed, rows: Sequence[str], languages: Sequence[str] = ()
) -> tuple[belief.Observations, np.ndarray]:
    """Mean scores by row and fidelity over some languages (all by default), with the variance of their examples.

    Also the same scores under resamples of the examples, (draws, observations).
    """
    places = [developed.languages.index(code) for code in languages] or list(range(len(developed.languages)))
    scores, drawn = developed.scores[places].mean(axis=0), developed.drawn[:, places].mean(axis=1)
    groups: dict[tuple[int, int], list[int]] = {}
    for number, cell in enumerate(developed.cells):
        level = belief.LOW if cell.fidelity == LOW else belief.FULL
        groups.setdefault((rows.index(cell.intermediate), level), []).append(number)
    means = np.stack([drawn[:, some].mean(axis=1) for some in groups.values()], axis=1)
    # Half the variance of a difference from the mean of the others: what all rows share does not count.
    others = (means.sum(axis=1, keepdims=True) - means) / max(means.shape[1] - 1, 1)
    variance = (means - others).var(axis=0, ddof=1) / 2 if means.shape[1] > 1 else np.zeros(1)
    found = belief.Observations(
        np.array([row for row, _ in groups]), np.array([level for _, level in groups]),
        np.array([scores[some].mean() for some in groups.values()]),
        np.array([len(some) for some in groups.values()]), variance,
    )  # fmt: skip
    return found, means


def seen_cells(developed: Developed | None, rows: Sequence[str], languages: Sequence[str] = ()) -> Seen:
    """What the cells of a column have shown, over some languages; the variance of seeds is that over all languages."""
    allowed = np.ones(len(rows), dtype=bool)
    if developed is None:
        return Seen.none(allowed)
    means = developed.scores.mean(axis=0)
    groups: dict[str, list[float]] = {}
    for cell, score in zip(developed.cells, means, strict=True):
        if cell.fidelity != LOW:
            groups.setdefault(cell.intermediate, []).append(float(score))
    found, drawn = observations(developed, rows, languages)
    paired = (drawn[:, :, None] - drawn[:, None]).var(axis=0, ddof=1)
    return Seen(found, [np.array(values) for values in groups.values()], allowed, paired)


def _development_counts(cells: Sequence[ProposedCell], column: Column, metric: CountedMetric) -> list[LanguageCounts]:
    own = _development_column(cells, column)
    counts = _counts(cells, own or column, metric)
    return counts if own else _half(counts, 0, column)


def _half(counts: list[LanguageCounts], number: int, column: Column) -> list[LanguageCounts]:
    """One half of the examples, parallel ones in the same; raises SourceError where it would lack a language."""
    found = []
    for item in counts:
        mask = np.asarray([_side(int(cluster)) == number for cluster in item.clusters])
        if not mask.any():
            raise SourceError(
                f"target '{column.target}': expected examples in {item.language} in both halves of {column.split}, its "
                "only split, so that one half chooses and the other reports; it has too few"
            )
        found.append(LanguageCounts(item.language, item.clusters[mask], item.counts[mask]))
    return found


def _side(cluster: int) -> int:
    return hashlib.sha256(str(cluster).encode()).digest()[0] % 2


def _development_column(cells: Sequence[ProposedCell], column: Column) -> Column | None:
    """The column on its development split, in the languages that have it; None where there is none to choose on."""
    if column.split == DEV:
        return None
    languages = [code for code in column.languages if all(code in _scores(cell, column.metric, DEV) for cell in cells)]
    return replace(column, split=DEV, languages=tuple(languages)) if languages else None


def _counts(cells: Sequence[ProposedCell], column: Column, metric: CountedMetric) -> list[LanguageCounts]:
    """Counts (examples, cells, 1) by language."""
    published = [[_scores(cell, column.metric, column.split)] for cell in cells]
    chosen = [[{code: each[code] for code in column.languages} for each in row] for row in published]
    return read_examples([[cell.predictions] for cell in cells], column, metric, chosen)


def _scores(cell: ProposedCell, metric: str, split: str) -> dict[str, float]:
    content = json.loads(Path(cell.metrics).read_text(encoding="utf-8"))
    return {
        item["language"]: item["value"]
        for item in content["scores"]
        if (item["metric"], item["split"]) == (metric, split)
    }

"""Tests of every gain over the row `none`: `significance.tsv`, and the same by language."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stiltgrid.analysis import bootstrap
from stiltgrid.analysis.bootstrap import DRAWS, Gain, Replicates, replicate
from stiltgrid.analysis.cell_examples import AnyPath, read_examples
from stiltgrid.analysis.metric_counts import CountedMetric, counted_metric
from stiltgrid.analysis.statistics import adjusted_p_values
from stiltgrid.analysis.tables import Cell, Transfer, read_transfer, write_tsv
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Column, Layout

log = logging.getLogger(__name__)

COLUMNS = (
    "model", "intermediate", "target", "split", "metric", "statistic", "seeds", "languages", "n", "score", "none",
    "gain", "sd", "se", "low", "high", "df", "p", "p_holm", "p_bh", "remark",
)  # fmt: skip
LANGUAGE_COLUMNS = ("model", "intermediate", "target", "language", *COLUMNS[3:7], *COLUMNS[8:])
ONE_SEED = "one seed: training variance unseen"
# benchmarks/null_simulation.py: with three seeds up to 10 % of grids without any effect have a false alarm by Holm.
FEW_SEEDS = "fewer than five seeds: corrected p-values up to twice too small"
ENOUGH_SEEDS = 5
NO_SPREAD = "no spread among the examples: no interval"

Key = tuple[str, str, str, int]


@dataclass(frozen=True)
class Comparison:
    """A row against `none` in one target, over all its languages (`language` None) or in one."""

    cell: Cell
    statistic: str
    language: str | None
    score: float
    none: float
    n: int
    gain: Gain
    p_holm: float | None = None
    p_bh: float | None = None


def write_significance(
    scores_path: AnyPath,
    layout: Layout,
    families: Mapping[str, Mapping[str, Any]],
    predictions: Mapping[Key, AnyPath],
    out: AnyPath,
    by_language_out: AnyPath,
    draws: int = DRAWS,
) -> None:
    """Write the gain of every cell over `none` with interval, p-value and corrected p-values.

    `families[target]` holds `family` and `options` of its card, `predictions` the file of each (model,
    intermediate, target, seed). P-values are corrected over the whole table: cells in the first, cells times
    languages in the second. A row and `none` are compared at the seeds that both have, as in `transfer.tsv`.
    """
    transfer = read_transfer(scores_path, layout)
    found: list[Comparison] = []
    for model in layout.models:
        for column in layout.columns:
            found += compare_target(transfer, model, column, families[column.target], predictions, draws)
    for path, columns, whole in ((out, COLUMNS, True), (by_language_out, LANGUAGE_COLUMNS, False)):
        some = corrected([item for item in found if (item.language is None) == whole])
        write_tsv(columns, (_row(item) for item in some), path, synthetic=layout.synthetic)
    cells = corrected([item for item in found if item.language is None])
    log.info("%d of %d gains differ from 0 (Holm, 5 %%)", sum((item.p_holm or 1) <= 0.05 for item in cells), len(cells))


def compare_target(
    transfer: Transfer,
    model: str,
    column: Column,
    family: Mapping[str, Any],
    predictions: Mapping[Key, AnyPath],
    draws: int = DRAWS,
) -> Iterator[Comparison]:
    """Every row of a target against `none`: over all languages first, then language by language."""
    baseline = transfer.cell(model, NONE, column.target)
    cells = [cell for row in transfer.layout.rows if (cell := transfer.cell(model, row, column.target))]
    if baseline is None or not cells:
        return
    groups: dict[tuple[int, ...], list[Cell]] = {}
    for cell in cells:
        seeds = tuple(sorted(baseline.values.keys() & cell.values.keys()))
        groups.setdefault(seeds, []).append(cell)
    for cell in groups.pop((), []):
        place = f"{model} / {cell.intermediate} / {column.target}"
        log.warning("%s: no seed that `none` has too, so it is not compared", place)
    metric = counted_metric(family["family"], column.metric, family.get("options"))
    drawn: dict[str, tuple[Replicates, int]] = {}
    for seeds, some in groups.items():
        replicates = _replicates([baseline, *some], seeds, metric, predictions, draws)
        drawn |= {cell.intermediate: (replicates, place) for place, cell in enumerate(some, start=1)}
    compared = [cell for cell in cells if cell.intermediate in drawn]
    for cell in compared:
        yield _comparison(transfer, cell, metric.statistic, *drawn[cell.intermediate], None)
    for cell in compared:
        for language in column.languages:
            yield _comparison(transfer, cell, metric.statistic, *drawn[cell.intermediate], language)


def _replicates(
    cells: Sequence[Cell],
    seeds: Sequence[int],
    metric: CountedMetric,
    predictions: Mapping[Key, AnyPath],
    draws: int,
) -> Replicates:
    """Some cells of a target, `none` first, at seeds that all of them have, under resamples of the examples."""
    column, model = cells[0].column, cells[0].model
    counts = read_examples(
        [[predictions[model, cell.intermediate, column.target, seed] for seed in seeds] for cell in cells],
        column,
        metric,
        [[cell.values[seed] for seed in seeds] for cell in cells],
    )
    return replicate(counts, metric.value, generator_of(model, column.target), draws)


def generator_of(model: str, target: str) -> np.random.Generator:
    """The random generator of a model's target, which does not depend on the rest of the grid."""
    digest = hashlib.sha256(f"{model}/{target}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def _comparison(
    transfer: Transfer, cell: Cell, statistic: str, replicates: Replicates, row: int, language: str | None
) -> Comparison:
    """A row against `none`. Scores and gain are those of the transfer table; the interval is around this gain."""
    some = [number for number, code in enumerate(replicates.languages) if language in (None, code)]
    baseline, found = transfer.cell(cell.model, NONE, cell.column.target), transfer.gain(cell, language)
    assert baseline is not None and found is not None, "cells are compared where they share seeds with none"
    score, none = (each.score if language is None else each.language(language) for each in (cell, baseline))
    gain = bootstrap.gain(replicates.difference(row, 0, range(replicates.scores.shape[2]), some))
    return Comparison(
        cell=cell,
        statistic=statistic,
        language=language,
        score=score.value,
        none=none.value,
        n=int(replicates.examples[some].sum()),
        gain=replace(gain, value=found.value),
    )


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with p-values corrected over all that have one."""
    tested = [item.gain.p for item in comparisons if item.gain.p is not None]
    pairs = iter(zip(adjusted_p_values(tested, "holm"), adjusted_p_values(tested, "fdr_bh"), strict=True))
    found = []
    for item in comparisons:
        if item.gain.p is not None:
            p_holm, p_bh = next(pairs)
            item = replace(item, p_holm=p_holm, p_bh=p_bh)
        found.append(item)
    return found


def _row(item: Comparison) -> dict[str, Any]:
    cell, gain = item.cell, item.gain
    return {
        "model": cell.model, "intermediate": cell.intermediate, "target": cell.column.target,
        "language": item.language, "split": cell.column.split, "metric": cell.column.metric,
        "statistic": item.statistic, "seeds": gain.seeds, "languages": len(cell.column.languages), "n": item.n,
        "score": item.score, "none": item.none, "gain": gain.value, "sd": gain.sd, "se": gain.se, "low": gain.low,
        "high": gain.high, "df": _digits(gain.df), "p": _digits(gain.p), "p_holm": _digits(item.p_holm),
        "p_bh": _digits(item.p_bh), "remark": _remark(gain),
    }  # fmt: skip


def _digits(number: float | None) -> str | None:
    """Three significant digits: four decimals would hide how small a p-value is."""
    return None if number is None else f"{number:.3g}"


def _remark(gain: Gain) -> str:
    remarks = [] if gain.includes_training else [ONE_SEED]
    if gain.includes_training and gain.seeds < ENOUGH_SEEDS:
        remarks.append(FEW_SEEDS)
    return "; ".join([*remarks, *([NO_SPREAD] if gain.p is None else [])])

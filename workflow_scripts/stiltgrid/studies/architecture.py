"""Study 2, architecture: two models' gain matrices, their likeness, and their differences cell by cell."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from stiltgrid.analysis.bootstrap import Replicates, replicate
from stiltgrid.analysis.cell_examples import read_examples
from stiltgrid.analysis.metric_counts import counted_metric
from stiltgrid.analysis.statistics import adjusted_p_values
from stiltgrid.analysis.tables import AnyPath, Transfer, write_tsv
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.studies.architecture_plot import plot_matrices
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.matrices import PERMUTATIONS, Likeness, likeness
from stiltgrid.studies.paired import Contrast, combined, contrast
from stiltgrid.studies.scores import complete
from stiltgrid.studies.summary import Finding, signed, summary_text, write_summary

LIKENESS_COLUMNS = (
    "first", "second", "reading", "correlation", "p", "needed", "rows", "targets", "ceiling", "corrected",
)  # fmt: skip
DIFFERENCE_COLUMNS = (
    "first", "second", "by", "intermediate", "target", "language", "gain_first_less_second", "se", "low", "high", "p",
    "p_holm",
)  # fmt: skip
DRAWS = 1000
QUESTION = (
    "Do models of two architectures show different patterns of zero-shot transfer after English intermediate training? "
    "The same grid on both; gains over each model's own `none`."
)
READINGS = {
    "within": "each target standardised",
    "pattern": "rows' and targets' means taken away",
    "ranks": "ranks within targets",
}


@dataclass(frozen=True)
class Differing:
    """A difference of gains (first model's less second's): of a cell, or a mean `by` what; empty names mean all."""

    by: str
    intermediate: str
    target: str
    language: str
    told: Contrast


def write_study(
    scores: AnyPath,
    layout: Layout,
    families: Mapping[str, Mapping[str, Any]],
    kinds: Mapping[str, str],
    predictions: Mapping[tuple[str, str, str, int], AnyPath],
    section: Mapping[str, Any],
    out: Any,
) -> None:
    """Write likeness, differences, plot and summary (`out` names them) for every pair of models.

    `families` says how targets' examples are counted, `kinds` the family of every row and target. Raises StudyError
    for one model and missing cells.
    """
    if len(layout.models) < 2:
        raise StudyError(
            f"architecture: expected two models at least, found {', '.join(layout.models)}; "
            "presets/architectures.yaml adds a decoder to the mini-lab's encoder"
        )
    transfer = complete(scores, layout, "architecture")
    alike: list[dict[str, Any]] = []
    differing: list[dict[str, Any]] = []
    told: list[Finding] = []
    for pair in combinations(layout.models, 2):
        generator = np.random.default_rng(_seed(*pair))
        first, second = (gain_matrix(transfer, model) for model in pair)
        targets = [column.target for column in layout.columns]
        permutations = int(section.get("permutations") or PERMUTATIONS)
        found = likeness(first, second, layout.rows, targets, generator, permutations)
        parts = list(differences(transfer, pair, families, kinds, predictions, generator))
        alike += [{"first": pair[0], "second": pair[1], **vars(item), "p": f"{item.p:.3g}"} for item in found]
        differing += _lines(pair, parts)
        told += findings(pair, found, parts)
    write_tsv(LIKENESS_COLUMNS, alike, out.likeness)
    write_tsv(DIFFERENCE_COLUMNS, differing, out.differences)
    plot_matrices(transfer, out.plots)
    files = {"likeness": out.likeness, "differences": out.differences, "plot": out.plots[0]}
    write_summary(summary_text("Architecture", QUESTION, told, _limits(layout), files, layout.synthetic), out.summary)


def gain_matrix(transfer: Transfer, model: str) -> np.ndarray:
    """(seeds, rows, targets): zero-shot gains over `none` of the same seed (all languages where none is zero-shot)."""
    layout = transfer.layout
    found = np.full((len(layout.seeds), len(layout.rows), len(layout.columns)), np.nan)
    for j, column in enumerate(layout.columns):
        codes = column.others or column.languages
        base = transfer.cell(model, NONE, column.target)
        for i, row in enumerate(layout.rows):
            cell = transfer.cell(model, row, column.target)
            if base and cell:
                own, none = cell.by_seed(codes), base.by_seed(codes)
                found[:, i, j] = [own.get(seed, np.nan) - none.get(seed, np.nan) for seed in layout.seeds]
    return found


def differences(
    transfer: Transfer,
    pair: Sequence[str],
    families: Mapping[str, Mapping[str, Any]],
    kinds: Mapping[str, str],
    predictions: Mapping[tuple[str, str, str, int], AnyPath],
    generator: np.random.Generator,
) -> Iterator[Differing]:
    """Differences by cell, target, language and family of row and target; both models answer the same examples."""
    layout = transfer.layout
    by_language: dict[str, list[Contrast]] = {}
    by_family: dict[tuple[str, str], list[Contrast]] = {}
    for column in layout.columns:
        found = _replicates(transfer, pair, column, families[column.target], predictions, generator)
        rows = range(1, len(layout.rows) + 1)
        for row, name in zip(rows, layout.rows, strict=True):
            yield Differing("cell", name, column.target, "", contrast(found, _weights([row], len(rows))))
        yield Differing("target", "", column.target, "", contrast(found, _weights(rows, len(rows))))
        for place, code in enumerate(column.languages):
            told = contrast(found, _weights(rows, len(rows)), [place])
            by_language.setdefault(code, []).append(told)
        members: dict[str, list[int]] = {}
        for row, name in zip(rows, layout.rows, strict=True):
            members.setdefault(kinds[name], []).append(row)
        for kind, some in members.items():
            by_family.setdefault((kind, kinds[column.target]), []).append(contrast(found, _weights(some, len(rows))))
    for code, parts in sorted(by_language.items()):
        yield Differing("language", "", "", code, combined(parts))
    for (kind, family), parts in sorted(by_family.items()):
        yield Differing("family", kind, family, "", combined(parts))


def _weights(rows: Sequence[int], count: int) -> dict[int, float]:
    """The first model's mean gain of some rows less the second's; the second model's rows follow the first's."""
    shift, share = count + 1, 1 / len(rows)
    found = {0: -1.0, shift: 1.0}
    for row in rows:
        found |= {row: share, row + shift: -share}
    return found


def _replicates(
    transfer: Transfer,
    pair: Sequence[str],
    column: Column,
    family: Mapping[str, Any],
    predictions: Mapping[tuple[str, str, str, int], AnyPath],
    generator: np.random.Generator,
) -> Replicates:
    layout = transfer.layout
    kind = counted_metric(family["family"], column.metric, family.get("options"))
    cells = [transfer.cells[model, row, column.target] for model in pair for row in (NONE, *layout.rows)]
    paths = [[predictions[cell.model, cell.intermediate, column.target, seed] for seed in layout.seeds]
             for cell in cells]  # fmt: skip
    values = [[cell.values[seed] for seed in layout.seeds] for cell in cells]
    return replicate(read_examples(paths, column, kind, values), kind.value, generator, DRAWS)


def findings(pair: Sequence[str], found: Sequence[Likeness], parts: Sequence[Differing]) -> Iterator[Finding]:
    """Likeness by reading, then how many cells differ and where most."""
    name = " and ".join(pair)
    for item in found:
        sure = (
            "alike beyond chance" if item.p <= 0.05 and item.correlation > 0 else "no likeness beyond chance was shown"
        )
        ceiling = "" if item.ceiling is None else f", noise allows {item.ceiling:.2f}"
        yield Finding(
            f"{name}, {READINGS[item.reading]}: {sure}; correlation {signed(item.correlation)} of gain matrices "
            f"(p = {item.p:.3g} by permuting rows and columns; {item.needed:.2f} was needed for 0.05{ceiling}).",
            n=f"{item.rows} rows × {item.targets} targets",
        )
    cells = [item.told.p for item in parts if item.by == "cell" and item.told.p is not None]
    clear = sum(p <= 0.05 for p in adjusted_p_values(cells, "holm"))
    yield Finding(f"{name}: the gain differs in {clear} of {len(cells)} cells (Holm, 5 %).")
    for by in ("target", "language", "family"):
        known = [item for item in parts if item.by == by and item.told.p is not None]
        if known:
            most = min(known, key=lambda item: item.told.p or 0.0)
            lowest = min(adjusted_p_values([item.told.p or 0.0 for item in known], "holm"))
            where = " on ".join(part for part in (most.intermediate, most.target, most.language) if part)
            yield Finding(
                f"{name}: by {by}, the clearest difference is {where} (p = {lowest:.3g}, Holm over {len(known)}).",
                most.told.value, most.told.low, most.told.high, f"points more for {pair[0]}",
                f"{len(layout_rows(parts))} rows",
            )  # fmt: skip


def layout_rows(parts: Sequence[Differing]) -> set[str]:
    """The rows among the cells."""
    return {item.intermediate for item in parts if item.by == "cell"}


def _lines(pair: Sequence[str], parts: Sequence[Differing]) -> Iterator[dict[str, Any]]:
    by: dict[str, list[Differing]] = {}
    for item in parts:
        by.setdefault(item.by, []).append(item)
    for items in by.values():
        corrected = iter(adjusted_p_values([item.told.p for item in items if item.told.p is not None], "holm"))
        for item in items:
            told = item.told
            p_holm = next(corrected) if told.p is not None else None
            yield {
                "first": pair[0], "second": pair[1], "by": item.by, "intermediate": item.intermediate,
                "target": item.target, "language": item.language, "gain_first_less_second": told.value,
                "se": told.se, "low": told.low, "high": told.high,
                "p": None if told.p is None else f"{told.p:.3g}", "p_holm": None if p_holm is None else f"{p_holm:.3g}",
            }  # fmt: skip


def _limits(layout: Layout) -> list[str]:
    said = [
        "Two models differ in more than their architecture unless parameters, text and steps are the same; two models "
        "are two draws, whatever their architecture.",
        "Where no likeness was shown, none is not shown either: few rows or much noise would look the same.",
        "A target on which one model stands at chance has no room for a pattern.",
    ]
    if len(layout.seeds) == 1:
        said.append(
            "One seed: how alike two runs of one model would be is unknown (no ceiling), and intervals see examples "
            "alone; differences of single cells may be differences of training runs."
        )
    return said


def _seed(*names: str) -> int:
    return int.from_bytes(hashlib.sha256("/".join(names).encode()).digest()[:8], "big")

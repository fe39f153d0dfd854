"""Study 2, architecture: do two models' patterns of gains diverge, how alike are they, and where do they differ?"""

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
from stiltgrid.studies.architecture_text import (
    DESIGN,
    QUESTION,
    Difference,
    Divergence,
    PairResults,
    answer,
    findings,
    limits,
)
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.interaction import interaction
from stiltgrid.studies.matrices import PERMUTATIONS, Names, likeness
from stiltgrid.studies.model_facts import ModelFacts, comparison_order, difference_sentence
from stiltgrid.studies.paired import Contrast, combined, contrast
from stiltgrid.studies.scores import complete
from stiltgrid.studies.summary import Summary, digits, write_summary

DIVERGENCE_COLUMNS = (
    "first", "second", "by", "name", "f", "df1", "df2", "p", "p_holm", "sd", "low", "high", "detectable", "noise",
    "remark",
)  # fmt: skip
LIKENESS_COLUMNS = (
    "first", "second", "reading", "correlation", "p", "needed", "rows", "targets", "ceiling", "corrected",
)  # fmt: skip
DIFFERENCE_COLUMNS = (
    "first", "second", "by", "intermediate", "target", "language", "gain_first_less_second", "se", "low", "high", "p",
    "p_holm",
)  # fmt: skip
DRAWS = 1000


@dataclass(frozen=True)
class GridFacts:
    """What the study reads beside the scores.

    `counted` describes how each target's examples are counted, `kinds` maps every row and target to its task family,
    `predictions` maps (model, intermediate, target, seed) to files, `models` every model to what is known of it.
    """

    counted: Mapping[str, Mapping[str, Any]]
    kinds: Mapping[str, str]
    predictions: Mapping[tuple[str, str, str, int], AnyPath]
    models: Mapping[str, ModelFacts]


def write_study(scores: AnyPath, layout: Layout, facts: GridFacts, section: Mapping[str, Any], out: Any) -> None:
    """Write divergence, likeness, differences, plot and summary (`out` names them) for every pair of models.

    Pairs that differ in their attention and little else come first.

    Raises StudyError for one model and missing cells.
    """
    if len(layout.models) < 2:
        raise StudyError(
            f"architecture: expected two models at least, found {', '.join(layout.models)}; "
            "presets/architectures.yaml adds a decoder to the mini-lab's encoder"
        )
    transfer = complete(scores, layout, "architecture")
    pairs = [
        compare_pair(transfer, pair, facts, int(section.get("permutations") or PERMUTATIONS))
        for pair in sorted(
            combinations(layout.models, 2), key=lambda names: comparison_order(*(facts.models[name] for name in names))
        )
    ]
    write_tsv(
        DIVERGENCE_COLUMNS,
        (line for pair in pairs for line in _divergence_lines(pair)),
        out.divergence,
        synthetic=layout.synthetic,
    )
    write_tsv(
        LIKENESS_COLUMNS,
        (line for pair in pairs for line in _likeness_lines(pair)),
        out.likeness,
        synthetic=layout.synthetic,
    )
    write_tsv(
        DIFFERENCE_COLUMNS,
        (line for pair in pairs for line in _difference_lines(pair)),
        out.differences,
        synthetic=layout.synthetic,
    )
    plot_matrices(transfer, out.plots)
    summary = Summary(
        "Architecture", QUESTION, DESIGN, tuple(answer(pair) for pair in pairs),
        tuple(item for pair in pairs for item in findings(pair)), tuple(limits(layout, pairs)),
        {"divergence": out.divergence, "likeness": out.likeness, "differences": out.differences, "plot": out.plots[0]},
        layout.synthetic,
    )  # fmt: skip
    write_summary(summary, out.summary)


def compare_pair(transfer: Transfer, names: tuple[str, str], facts: GridFacts, permutations: int) -> PairResults:
    """Divergence, likeness and differences of two models."""
    layout = transfer.layout
    generator = np.random.default_rng(_seed(*names))
    targets = [column.target for column in layout.columns]
    labels = Names(
        layout.rows, targets, [facts.kinds[row] for row in layout.rows], [facts.kinds[name] for name in targets]
    )
    first, second = (gain_matrix(transfer, model) for model in names)
    return PairResults(
        names,
        tuple(divergences(transfer, names, facts.kinds)),
        tuple(likeness(first, second, labels, generator, permutations)),
        tuple(differences(transfer, names, facts, generator)),
        difference_sentence(names, *(facts.models[name] for name in names)),
        comparison_order(*(facts.models[name] for name in names)),
    )


def divergences(transfer: Transfer, names: Sequence[str], kinds: Mapping[str, str]) -> Iterator[Divergence]:
    """The interaction of model, row and target over all targets, then by target, task family and language."""
    layout = transfer.layout
    targets = [column.target for column in layout.columns]
    pair = [gain_matrix(transfer, model) for model in names]
    yield _divergence("all", "", pair, layout.rows, targets)
    for place, target in enumerate(targets):
        yield _divergence("target", target, pair, layout.rows, targets, [place])
    for kind in dict.fromkeys(kinds[target] for target in targets):
        places = [place for place, target in enumerate(targets) if kinds[target] == kind]
        yield _divergence("family", kind, pair, layout.rows, targets, places)
    for code in sorted({code for column in layout.columns for code in column.others}):
        mine = [column.target for column in layout.columns if code in column.languages]
        if len(mine) > 1:
            yield _divergence(
                "language", code, [gain_matrix(transfer, model, code) for model in names], layout.rows, mine
            )


def _divergence(
    by: str, name: str, pair: Sequence[np.ndarray], rows: Sequence[str], targets: Sequence[str],
    columns: Sequence[int] = (),
) -> Divergence:  # fmt: skip
    try:
        return Divergence(by, name, interaction(pair[0], pair[1], rows, targets, columns))
    except StudyError as error:
        return Divergence(by, name, None, str(error))


def gain_matrix(transfer: Transfer, model: str, language: str | None = None) -> np.ndarray:
    """(seeds, rows, targets): gains over `none` of the same seed, zero-shot means or those in one language.

    Targets without the language are left out; a target without zero-shot languages counts with all it has.
    """
    layout = transfer.layout
    columns = [column for column in layout.columns if language is None or language in column.languages]
    found = np.full((len(layout.seeds), len(layout.rows), len(columns)), np.nan)
    for j, column in enumerate(columns):
        codes = [language] if language else column.others or column.languages
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
    facts: GridFacts,
    generator: np.random.Generator,
) -> Iterator[Difference]:
    """Differences by cell, target, language and family of row and target; both models answer the same examples."""
    layout = transfer.layout
    by_language: dict[str, list[Contrast]] = {}
    by_family: dict[tuple[str, str], list[Contrast]] = {}
    for column in layout.columns:
        found = _replicates(transfer, pair, column, facts, generator)
        rows = range(1, len(layout.rows) + 1)
        for row, name in zip(rows, layout.rows, strict=True):
            yield Difference("cell", name, column.target, "", contrast(found, _weights([row], len(rows))))
        yield Difference("target", "", column.target, "", contrast(found, _weights(rows, len(rows))))
        for place, code in enumerate(column.languages):
            by_language.setdefault(code, []).append(contrast(found, _weights(rows, len(rows)), [place]))
        members: dict[str, list[int]] = {}
        for row, name in zip(rows, layout.rows, strict=True):
            members.setdefault(facts.kinds[name], []).append(row)
        for kind, some in members.items():
            by_family.setdefault((kind, facts.kinds[column.target]), []).append(
                contrast(found, _weights(some, len(rows)))
            )
    for code, parts in sorted(by_language.items()):
        yield Difference("language", "", "", code, combined(parts))
    for (kind, family), parts in sorted(by_family.items()):
        yield Difference("family", kind, family, "", combined(parts))


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
    facts: GridFacts,
    generator: np.random.Generator,
) -> Replicates:
    layout, family = transfer.layout, facts.counted[column.target]
    kind = counted_metric(family["family"], column.metric, family.get("options"))
    cells = [transfer.cells[model, row, column.target] for model in pair for row in (NONE, *layout.rows)]
    paths = [[facts.predictions[cell.model, cell.intermediate, column.target, seed] for seed in layout.seeds]
             for cell in cells]  # fmt: skip
    values = [[cell.values[seed] for seed in layout.seeds] for cell in cells]
    return replicate(read_examples(paths, column, kind, values), kind.value, generator, DRAWS)


def _divergence_lines(pair: PairResults) -> Iterator[dict[str, Any]]:
    by: dict[str, list[Divergence]] = {}
    for item in pair.divergences:
        by.setdefault(item.by, []).append(item)
    for items in by.values():
        adjusted = iter(adjusted_p_values([item.test.p for item in items if item.test], "holm"))
        for item in items:
            line = {**vars(item.test), "p": digits(item.test.p), "p_holm": digits(next(adjusted))} if item.test else {}
            yield {
                **dict.fromkeys(DIVERGENCE_COLUMNS), "first": pair.names[0], "second": pair.names[1], "by": item.by,
                "name": item.name, **line, "remark": item.remark,
            }  # fmt: skip


def _likeness_lines(pair: PairResults) -> Iterator[dict[str, Any]]:
    for item in pair.likeness:
        yield {"first": pair.names[0], "second": pair.names[1], **vars(item), "p": digits(item.p)}


def _difference_lines(pair: PairResults) -> Iterator[dict[str, Any]]:
    by: dict[str, list[Difference]] = {}
    for item in pair.differences:
        by.setdefault(item.by, []).append(item)
    for items in by.values():
        adjusted = iter(adjusted_p_values([item.contrast.p for item in items if item.contrast.p is not None], "holm"))
        for item in items:
            found = item.contrast
            yield {
                "first": pair.names[0], "second": pair.names[1], "by": item.by, "intermediate": item.intermediate,
                "target": item.target, "language": item.language, "gain_first_less_second": found.value,
                "se": found.se, "low": found.low, "high": found.high, "p": digits(found.p),
                "p_holm": None if found.p is None else digits(next(adjusted)),
            }  # fmt: skip


def _seed(*names: str) -> int:
    return int.from_bytes(hashlib.sha256("/".join(names).encode()).digest()[:8], "big")

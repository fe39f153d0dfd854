"""Study 5, question answering for retrieval: recall of rows against none, controls and matched rows, by query."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from stiltgrid.analysis.bootstrap import Replicates, replicate
from stiltgrid.analysis.cell_examples import read_examples
from stiltgrid.analysis.metric_counts import CountedMetric, counted_metric
from stiltgrid.analysis.tables import AnyPath, write_tsv
from stiltgrid.grid.designs.retrieval import MATCHED, SINGLE
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.studies.effects import Effect, group_difference, mean_effect
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.paired import combined, contrast
from stiltgrid.studies.retrieval_plot import plot_contrasts
from stiltgrid.studies.retrieval_results import (
    ENGLISH_OVER_CONTROLS,
    HEADLINE,
    JUDGED,
    MULTILINGUAL_OVER_CONTROLS,
    OVER_ENGLISH,
    RowEffect,
    TargetContrast,
)
from stiltgrid.studies.retrieval_text import DESIGN, QUESTION, answer, findings, limits
from stiltgrid.studies.summary import Summary, digits, write_summary

METRICS = ("recall@1", "recall@5", "recall@10", "recall@20", "map@20")
PHASES = ("before", "after")
DRAWS = 1000
OUTCOME_COLUMNS = ("model", "intermediate", "kind", "target", "phase", "metric", "language", "value", "n")
CONTRAST_COLUMNS = (
    "model", "target", "phase", "metric", "contrast", "points", "se", "low", "high", "p", "languages", "queries",
)  # fmt: skip
Key = tuple[str, str, str, str, int]  # model, row, target, phase, seed


def write_study(
    layout: Layout,
    groups: Mapping[str, Sequence[str]],
    ranks: Mapping[Key, AnyPath],
    trained_on: str | None,
    out: Any,
) -> None:
    """Write outcomes, contrasts, plot and summary (`out` names them).

    `groups` maps kinds of rows to rows (`grid.designs.retrieval.groups`), `ranks` every (model, row, target, phase,
    seed) to its file. Raises StudyError for missing cells.
    """
    outcomes: list[dict[str, Any]] = []
    contrasts: list[tuple[str, TargetContrast]] = []
    over_rows: list[RowEffect] = []
    for model in layout.models:
        generator = np.random.default_rng(int.from_bytes(hashlib.sha256(model.encode()).digest()[:8], "big"))
        found: list[TargetContrast] = []
        own: list[dict[str, Any]] = []
        for column in layout.columns:
            phases = [phase for phase in PHASES if (model, NONE, column.target, phase, layout.seeds[0]) in ranks]
            for metric in METRICS:
                replicates = _replicates(model, column, layout, phases, metric, ranks, generator)
                own += _outcomes(model, column, layout, phases, metric, replicates, groups)
                found += target_contrasts(column.target, metric, layout.intermediates, phases, groups, replicates)
        outcomes += own
        contrasts += [(model, item) for item in (*found, *_means(found))]
        over_rows += row_effects(model, own, groups)
    write_tsv(OUTCOME_COLUMNS, outcomes, out.outcomes, synthetic=layout.synthetic)
    write_tsv(
        CONTRAST_COLUMNS, (_line(model, item) for model, item in contrasts), out.contrasts, synthetic=layout.synthetic
    )
    plot_contrasts(contrasts, layout, out.plots)
    summary = Summary(
        "Question answering for retrieval", QUESTION, DESIGN,
        tuple(answer(model, contrasts, over_rows) for model in layout.models),
        tuple(findings(contrasts, over_rows, groups, layout)), tuple(limits(layout, groups, trained_on)),
        {"contrasts": out.contrasts, "outcomes": out.outcomes, "plot": out.plots[0]}, layout.synthetic,
    )  # fmt: skip
    write_summary(summary, out.summary)


def row_effects(
    model: str, outcomes: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]]
) -> Iterator[RowEffect]:
    """Differences between kinds of rows with rows as units, of the headline metric over XTREME-R's targets."""
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    for line in outcomes:
        if line["metric"] == HEADLINE and line["target"] in JUDGED:
            values.setdefault((line["phase"], line["intermediate"]), {}).setdefault(line["target"], []).append(
                line["value"]
            )
    means = {key: float(np.mean([np.mean(each) for each in found.values()])) for key, found in values.items()}
    for phase in dict.fromkeys(phase for phase, _ in means):
        for name, plus, minus in (
            (ENGLISH_OVER_CONTROLS, "english", "controls"), (MULTILINGUAL_OVER_CONTROLS, "multilingual", "controls"),
        ):  # fmt: skip
            if groups.get(plus):
                first, second = ([means[phase, row] for row in groups[kind]] for kind in (plus, minus))
                yield _row_effect(
                    model, phase, name, len(first), len(second), partial(group_difference, name, first, second)
                )
        for kind, name in OVER_ENGLISH.items():
            twins = list(zip(*(groups.get(group, ()) for group in MATCHED[kind]), strict=True))
            if twins:
                apart = [means[phase, row] - means[phase, twin] for row, twin in twins]
                yield _row_effect(model, phase, name, len(twins), len(twins), partial(mean_effect, name, apart))


def _row_effect(
    model: str, phase: str, name: str, first: int, second: int, effect_of: Callable[[], Effect]
) -> RowEffect:
    try:
        return RowEffect(model, phase, name, first, second, effect_of())
    except StudyError as error:
        return RowEffect(model, phase, name, first, second, None, str(error))


def target_contrasts(
    target: str,
    metric: str,
    rows: Sequence[str],
    phases: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    replicates: Replicates,
) -> Iterator[TargetContrast]:
    """Contrasts of kinds of rows in each phase, and the difference of the phases.

    The replicates' rows are those of the first phase, then of the second. A kind over `none` less the controls over
    `none` is the difference in differences; its baseline is the same on both sides and falls out.
    """
    several = len(replicates.languages) > 1
    n = len(replicates.languages), int(replicates.examples.sum())
    weights = {name: _weights(rows, plus, minus) for name, plus, minus in _pairs(groups)}
    for number, phase in enumerate(phases):
        for name, line in weights.items():
            moved = {row + number * len(rows): weight for row, weight in line.items()}
            yield TargetContrast(target, phase, metric, name, contrast(replicates, moved, drawn_languages=several), *n)
    if len(phases) == 2:
        for name, line in weights.items():
            both = {row + len(rows): weight for row, weight in line.items()} | {row: -w for row, w in line.items()}
            found = contrast(replicates, both, drawn_languages=several)
            yield TargetContrast(target, "after less before", metric, name, found, *n)


def _pairs(groups: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """(name, rows on the plus side, rows on the minus side)."""
    known = {kind: names for kind, names in groups.items() if names and not kind.startswith("matched")}
    for kind, names in known.items():
        yield f"{kind} over none", names, (NONE,)
    for kind in ("english", "multilingual"):
        if kind in known:
            yield f"{kind} over controls", known[kind], known["controls"]
    for kind, name in OVER_ENGLISH.items():
        matched = [groups.get(group, ()) for group in MATCHED[kind]]
        if matched[0]:
            yield name, matched[0], matched[1]
            for row, twin in zip(*matched, strict=True):
                yield f"{row} over {twin}", (row,), (twin,)
    asked = (known.get(kind, ()) for kind in ("english", "multilingual", SINGLE, "controls"))
    for name in (row for rows in asked for row in rows):
        others = [row for row in known["controls"] if row != name]
        if others:
            yield f"{name} over controls", (name,), others


def _weights(rows: Sequence[str], plus: Sequence[str], minus: Sequence[str]) -> dict[int, float]:
    found: dict[int, float] = {}
    for names, sign in ((plus, 1.0), (minus, -1.0)):
        for name in names:
            place = list(rows).index(name)
            found[place] = found.get(place, 0.0) + sign / len(names)
    return found


def _means(found: Sequence[TargetContrast]) -> Iterator[TargetContrast]:
    """Each contrast's mean over the retrieval targets of XTREME-R."""
    parts: dict[tuple[str, str, str], list[TargetContrast]] = {}
    for item in (item for item in found if item.target in JUDGED):
        parts.setdefault((item.phase, item.metric, item.name), []).append(item)
    for (phase, metric, name), items in parts.items():
        mean = combined([item.contrast for item in items])
        yield TargetContrast(
            "all", phase, metric, name, mean, max(i.languages for i in items), sum(i.queries for i in items)
        )


def _replicates(
    model: str, column: Column, layout: Layout, phases: Sequence[str], metric: str, ranks: Mapping[Key, AnyPath],
    generator: np.random.Generator,
) -> Replicates:  # fmt: skip
    wanted = [[(model, row, column.target, phase, seed) for seed in layout.seeds]
              for phase in phases for row in layout.intermediates]  # fmt: skip
    gaps = [key for line in wanted for key in line if key not in ranks]
    if gaps:
        shown = "; ".join(" / ".join(map(str, key)) for key in gaps[:4])
        raise StudyError(f"retrieval: expected ranks of every cell, found {len(gaps)} missing: {shown}")
    kind = counted_metric("dual", metric)
    column = Column(column.target, metric, column.split, column.languages, column.english)
    paths = [[ranks[key] for key in line] for line in wanted]
    scores = [[_scores(path, column, kind) for path in line] for line in paths]
    return replicate(read_examples(paths, column, kind, scores), kind.value, generator, DRAWS)


def _scores(path: AnyPath, column: Column, kind: CountedMetric) -> dict[str, float]:
    """Language -> the metric, from a file of ranks."""
    import pyarrow.compute as pc

    from stiltgrid.utils.parquet import read_parquet

    table = read_parquet(path, columns=["language", *kind.columns], filters=[("split", "==", column.split)])
    parts = {code: table.filter(pc.equal(table.column("language"), code)) for code in column.languages}
    lacking = [code for code, part in parts.items() if not part.num_rows]
    if lacking:
        raise StudyError(f"{path}: expected {column.split} queries in every language, found none in {lacking[0]}")
    return {code: float(kind.value(kind.counts_of(part).sum(axis=0))) for code, part in parts.items()}


def _outcomes(
    model: str, column: Column, layout: Layout, phases: Sequence[str], metric: str, replicates: Replicates,
    groups: Mapping[str, Sequence[str]],
) -> Iterator[dict[str, Any]]:  # fmt: skip
    kinds = {name: kind for kind, names in reversed(list(groups.items())) for name in names}
    for number, phase in enumerate(phases):
        for place, row in enumerate(layout.intermediates):
            line = replicates.scores[:, number * len(layout.intermediates) + place].mean(axis=1)
            for code, value, n in zip(replicates.languages, line, replicates.examples, strict=True):
                yield {
                    "model": model, "intermediate": row, "kind": kinds.get(row, NONE), "target": column.target,
                    "phase": phase, "metric": metric, "language": code, "value": float(value), "n": int(n),
                }  # fmt: skip


def _line(model: str, item: TargetContrast) -> dict[str, Any]:
    found = item.contrast
    return {
        "model": model, "target": item.target, "phase": item.phase, "metric": item.metric, "contrast": item.name,
        "points": found.value, "se": found.se, "low": found.low, "high": found.high,
        "p": digits(found.p), "languages": item.languages, "queries": item.queries,
    }  # fmt: skip

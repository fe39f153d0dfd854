"""Study 5, question answering for retrieval: recall of rows against none and against controls, paired by query."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from stiltgrid.analysis.bootstrap import Replicates, replicate
from stiltgrid.analysis.cell_examples import read_examples
from stiltgrid.analysis.metric_counts import CountedMetric, counted_metric
from stiltgrid.analysis.tables import AnyPath, write_tsv
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.paired import combined, contrast
from stiltgrid.studies.retrieval_plot import plot_contrasts
from stiltgrid.studies.retrieval_results import TargetContrast
from stiltgrid.studies.summary import Finding, signed, summary_text, write_summary

METRICS = ("recall@1", "recall@5", "recall@10", "recall@20", "map@20")
HEADLINE = "recall@10"
PHASES = ("before", "after")
DRAWS = 1000
OUTCOME_COLUMNS = ("model", "intermediate", "kind", "target", "phase", "metric", "language", "value", "n")
CONTRAST_COLUMNS = (
    "model", "target", "phase", "metric", "contrast", "points", "se", "low", "high", "p", "languages", "queries",
)  # fmt: skip
QUESTION = (
    "Does intermediate training on English question answering generalise to cross-lingual retrieval, against "
    "question answering in several languages and against controls of the same size? Every query is ranked against its "
    "full pool, before any retrieval training and after it."
)
SAID = {
    "english over controls": "English question answering instead of a control",
    "multilingual over controls": "question answering in several languages instead of a control",
    "english over multilingual": "English question answering instead of that in several languages",
}
WHEN = {
    "before": "before any retrieval training",
    "after": "after retrieval training",
    "after less before": "after retrieval training, beyond what it did before",
}
Key = tuple[str, str, str, str, int]  # model, row, target, phase, seed


def write_study(
    layout: Layout,
    groups: Mapping[str, Sequence[str]],
    ranks: Mapping[Key, AnyPath],
    trained_on: str | None,
    out: Any,
) -> None:
    """Write outcomes, contrasts, plot and summary (`out` names them).

    `groups` maps english, multilingual and controls to rows; `ranks` every (model, row, target, phase, seed) to its
    file. Raises StudyError for missing cells.
    """
    outcomes: list[dict[str, Any]] = []
    told: list[tuple[str, TargetContrast]] = []
    for model in layout.models:
        generator = np.random.default_rng(int.from_bytes(hashlib.sha256(model.encode()).digest()[:8], "big"))
        found: list[TargetContrast] = []
        for column in layout.columns:
            phases = [phase for phase in PHASES if (model, NONE, column.target, phase, layout.seeds[0]) in ranks]
            for metric in METRICS:
                replicates = _replicates(model, column, layout, phases, metric, ranks, generator)
                outcomes += _outcomes(model, column, layout, phases, metric, replicates, groups)
                found += target_contrasts(column.target, metric, layout.intermediates, phases, groups, replicates)
        told += [(model, item) for item in (*found, *_means(found))]
    write_tsv(OUTCOME_COLUMNS, outcomes, out.outcomes)
    write_tsv(CONTRAST_COLUMNS, (_line(model, item) for model, item in told), out.contrasts)
    plot_contrasts(told, layout, out.plots)
    files = {"contrasts": out.contrasts, "outcomes": out.outcomes, "plot": out.plots[0]}
    text = summary_text(
        "Question answering for retrieval", QUESTION, findings(told, layout), limits(layout, groups, trained_on), files,
        layout.synthetic,
    )  # fmt: skip
    write_summary(text, out.summary)


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
            told = contrast(replicates, both, drawn_languages=several)
            yield TargetContrast(target, "after less before", metric, name, told, *n)


def _pairs(groups: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """(name, rows that count for, rows that count against)."""
    known = {kind: names for kind, names in groups.items() if names}
    for kind, names in known.items():
        yield f"{kind} over none", names, (NONE,)
    for kind in ("english", "multilingual"):
        if kind in known and "controls" in known:
            yield f"{kind} over controls", known[kind], known["controls"]
    if "multilingual" in known and "english" in known:
        yield "english over multilingual", known["english"], known["multilingual"]
    for name in (*known.get("english", ()), *known.get("multilingual", ())):
        if "controls" in known:
            yield f"{name} over controls", (name,), known["controls"]


def _weights(rows: Sequence[str], plus: Sequence[str], minus: Sequence[str]) -> dict[int, float]:
    found: dict[int, float] = {}
    for names, sign in ((plus, 1.0), (minus, -1.0)):
        for name in names:
            place = list(rows).index(name)
            found[place] = found.get(place, 0.0) + sign / len(names)
    return found


def _means(found: Sequence[TargetContrast]) -> Iterator[TargetContrast]:
    """Each contrast's mean over targets."""
    parts: dict[tuple[str, str, str], list[TargetContrast]] = {}
    for item in found:
        parts.setdefault((item.phase, item.metric, item.name), []).append(item)
    for (phase, metric, name), items in parts.items():
        told = combined([item.contrast for item in items])
        yield TargetContrast(
            "all", phase, metric, name, told, max(i.languages for i in items), sum(i.queries for i in items)
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
    kinds = {name: kind for kind, names in groups.items() for name in names}
    for number, phase in enumerate(phases):
        for place, row in enumerate(layout.intermediates):
            line = replicates.scores[:, number * len(layout.intermediates) + place].mean(axis=1)
            for code, value, n in zip(replicates.languages, line, replicates.examples, strict=True):
                yield {
                    "model": model, "intermediate": row, "kind": kinds.get(row, NONE), "target": column.target,
                    "phase": phase, "metric": metric, "language": code, "value": float(value), "n": int(n),
                }  # fmt: skip


def findings(told: Sequence[tuple[str, TargetContrast]], layout: Layout) -> Iterator[Finding]:
    """The headline metric's contrasts over all targets, each with a line of its values target by target."""
    some = [(model, item) for model, item in told if item.metric == HEADLINE and item.name in SAID]
    for model in layout.models:
        for name in SAID:
            mine = [item for owner, item in some if (owner, item.name) == (model, name)]
            yield from (_overall(model, item, len(layout.seeds)) for item in mine if item.target == "all")
            if mine:
                yield Finding(f"{model}, {SAID[name]}, target by target (before, after): {_by_target(mine)}.")


def _overall(model: str, item: TargetContrast, seeds: int) -> Finding:
    found = item.contrast
    if found.p is None:
        says = f"{SAID[item.name]}: no interval can be had for what it changes in {HEADLINE}"
    elif found.p <= 0.05:
        says = f"{SAID[item.name]} {'raises' if found.value > 0 else 'lowers'} {HEADLINE} (p = {found.p:.3g})"
    else:
        says = (
            f"{SAID[item.name]} is not shown to change {HEADLINE} (p = {found.p:.3g}; {found.detectable or 0:.2f} "
            "points would have been, 9 times in 10)"
        )
    return Finding(
        f"{model}, {WHEN[item.phase]}, over all targets: {says}.", found.value, found.low, found.high, "points",
        f"{item.queries} queries in up to {item.languages} languages, {seeds} seed{'s' if seeds > 1 else ''}",
    )  # fmt: skip


def _by_target(items: Sequence[TargetContrast]) -> str:
    """Values of each phase with a star where the interval holds no 0; a dash where a phase is absent."""
    parts = []
    for target in dict.fromkeys(item.target for item in items if item.target != "all"):
        by_phase = {item.phase: item.contrast for item in items if item.target == target}
        shown = [
            f"{signed(by_phase[phase].value)}{'*' if (by_phase[phase].p or 1) <= 0.05 else ''}"
            if phase in by_phase
            else "–"
            for phase in PHASES
        ]
        parts.append(f"{target} {', '.join(shown)}")
    return "; ".join(parts) + " (* p ≤ 0.05, not corrected)"


def limits(layout: Layout, groups: Mapping[str, Sequence[str]], trained_on: str | None) -> list[str]:
    """What the design cannot tell."""
    said = [
        "Intervals draw queries (parallel ones together) and languages, not tasks: another control could move the "
        "result. P-values of single targets are not corrected for the number of looks.",
        "recall@k divides by all relevant candidates, so with several of them it cannot reach 100 at small k.",
        "The layer and pooling that are read before retrieval training are settings and can decide the sign.",
    ]
    if trained_on:
        said.append(f"Targets without a training of their own are read after training on {trained_on}.")
    if not groups.get("multilingual"):
        said.append("No row of question answering in several languages was configured: that comparison is absent.")
    if len(layout.seeds) == 1:
        said.append("One seed: another training run is not in the intervals.")
    return said


def _line(model: str, item: TargetContrast) -> dict[str, Any]:
    told = item.contrast
    return {
        "model": model, "target": item.target, "phase": item.phase, "metric": item.metric, "contrast": item.name,
        "points": told.value, "se": told.se, "low": told.low, "high": told.high,
        "p": None if told.p is None else f"{told.p:.3g}", "languages": item.languages, "queries": item.queries,
    }  # fmt: skip

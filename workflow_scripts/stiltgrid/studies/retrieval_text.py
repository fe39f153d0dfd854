"""Study 5's summary: the answer, findings, limits."""

from collections.abc import Iterator, Mapping, Sequence

from stiltgrid.grid.layout import Layout
from stiltgrid.studies.retrieval_results import (
    ENGLISH_OVER_CONTROLS,
    HEADLINE,
    JUDGED,
    MULTILINGUAL_OVER_CONTROLS,
    MULTILINGUAL_OVER_ENGLISH,
    OVER_ENGLISH,
    SINGLE_OVER_ENGLISH,
    RowEffect,
    TargetContrast,
)
from stiltgrid.studies.summary import Finding, signed

QUESTION = (
    "Does intermediate training on English question answering generalise to cross-lingual retrieval, compared with "
    "multilingual question answering, by recall@10?"
)
DESIGN = (
    "Rows of question answering against controls of the same size, and the same task and number of examples in several "
    "languages, or in one other language, against English. Every query is ranked against its full pool, before any "
    "retrieval training and after it. Means are over XTREME-R's retrieval targets."
)
NAMES = {
    ENGLISH_OVER_CONTROLS: "English question answering instead of a control",
    MULTILINGUAL_OVER_CONTROLS: "question answering in several languages instead of a control",
    MULTILINGUAL_OVER_ENGLISH: "question answering in several languages instead of the same in English",
    SINGLE_OVER_ENGLISH: "translated question answering in one other language instead of the same in English",
}
PHASE_NAMES = {
    "before": "before any retrieval training",
    "after": "after retrieval training",
    "after less before": "after retrieval training, beyond its effect before",
}
PHASES = ("before", "after")
ALPHA = 0.05

Contrasts = Sequence[tuple[str, TargetContrast]]


def answer(model: str, contrasts: Contrasts, over_rows: Sequence[RowEffect]) -> str:
    """The answer in one sentence, before retrieval training."""
    found = {
        item.name: item.contrast for owner, item in contrasts
        if (owner, item.target, item.phase, item.metric) == (model, "all", "before", HEADLINE)
    }  # fmt: skip
    if ENGLISH_OVER_CONTROLS not in found:
        return f"{model}: the grid has none of XTREME-R's retrieval targets, so the question was not answered."
    claims = [(ENGLISH_OVER_CONTROLS, "these English rows", "these controls")]
    if MULTILINGUAL_OVER_ENGLISH in found:
        claims.append((MULTILINGUAL_OVER_ENGLISH, "the multilingual rows", "the same tasks in English"))
    parts = [
        _verdict(rows, found[name].value, found[name].p, others) + _reach(model, name, over_rows)
        for name, rows, others in claims
    ]
    return f"{model}: before retrieval training, {'; '.join(parts)}."


def _reach(model: str, name: str, over_rows: Sequence[RowEffect]) -> str:
    """Whether a contrast speaks of more than its rows."""
    found = [item.effect for item in over_rows if (item.model, item.phase, item.name) == (model, "before", name)]
    if not found or found[0] is None:
        return " (too few rows for a statement beyond them)"
    return f", which {'holds' if found[0].clear else 'is not shown to hold'} beyond these rows"


def _verdict(rows: str, value: float, p: float | None, others: str) -> str:
    if p is None or p > ALPHA:
        return f"{rows} are not shown to retrieve better or worse than {others} ({signed(value)} points of {HEADLINE})"
    return f"{rows} retrieve {'better' if value > 0 else 'worse'} than {others} ({signed(value)} points of {HEADLINE})"


def findings(
    contrasts: Contrasts, over_rows: Sequence[RowEffect], groups: Mapping[str, Sequence[str]], layout: Layout
) -> Iterator[Finding]:
    """Contrasts over all targets for these rows and over rows, each row, and values target by target."""
    some = [(model, item) for model, item in contrasts if item.metric == HEADLINE]
    for model in layout.models:
        for name in NAMES:
            mine = [item for owner, item in some if (owner, item.name) == (model, name)]
            yield from (_overall(model, item, len(layout.seeds)) for item in mine if item.target == "all")
            yield from (_over_rows(item) for item in over_rows if (item.model, item.name) == (model, name))
            if mine:
                yield Finding(f"{model}, {NAMES[name]}, target by target (before, after): {_by_target(mine)}.")
        yield from _each_row(model, [item for owner, item in some if owner == model and item.target == "all"], groups)


def _overall(model: str, item: TargetContrast, seeds: int) -> Finding:
    found = item.contrast
    if found.p is None:
        says = f"{NAMES[item.name]}: the change in {HEADLINE} has no interval"
    elif found.p <= ALPHA:
        says = f"{NAMES[item.name]} {'raises' if found.value > 0 else 'lowers'} {HEADLINE} (p = {found.p:.3g})"
    else:
        says = (
            f"{NAMES[item.name]} is not shown to change {HEADLINE} (p = {found.p:.3g}; {found.detectable or 0:.2f} "
            "points would have been found 9 times in 10)"
        )
    return Finding(
        f"{model}, {PHASE_NAMES[item.phase]}, over all targets, these rows: {says}.",
        found.value, found.low, found.high, "points",
        f"{item.queries} queries in up to {item.languages} languages, {seeds} seed{'s' if seeds > 1 else ''}",
    )  # fmt: skip


def _over_rows(item: RowEffect) -> Finding:
    place = f"{item.model}, {PHASE_NAMES[item.phase]}, rows like these: {NAMES[item.name]}"
    n = f"{item.first} rows" if item.name in OVER_ENGLISH.values() else f"{item.first} and {item.second} rows"
    if item.effect is None:
        return Finding(f"{place} was not tested over rows ({item.remark}).")
    effect = item.effect
    if effect.clear:
        says = f"{'raises' if effect.value > 0 else 'lowers'} {HEADLINE}"
    else:
        says = f"is not shown to change {HEADLINE}; {effect.detectable:.2f} points would have been found 9 times in 10"
    return Finding(f"{place} {says}.", effect.value, effect.low, effect.high, "points", n)


def _each_row(model: str, items: Sequence[TargetContrast], groups: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Every row against the other controls, so that a reader sees how few rows carry a mean."""
    kinds = ("english", "multilingual", "single", "controls")
    rows = dict.fromkeys(name for kind in kinds for name in groups.get(kind, ()))
    for phase in PHASES:
        found = {item.name: item.contrast.value for item in items if item.phase == phase}
        shown = [f"{row} {signed(found[f'{row} over controls'])}" for row in rows if f"{row} over controls" in found]
        if shown:
            yield Finding(f"{model}, {PHASE_NAMES[phase]}, each row less the (other) controls: {', '.join(shown)}.")


def _by_target(items: Sequence[TargetContrast]) -> str:
    """Values of each phase, with a star where the interval excludes 0 and a dash where a phase is absent."""
    parts = []
    for target in dict.fromkeys(item.target for item in items if item.target != "all"):
        by_phase = {item.phase: item.contrast for item in items if item.target == target}
        shown = [
            f"{signed(by_phase[phase].value)}{'*' if (by_phase[phase].p or 1) <= ALPHA else ''}"
            if phase in by_phase
            else "–"
            for phase in PHASES
        ]
        parts.append(f"{target}{'' if target in JUDGED else ' (not in the means)'} {', '.join(shown)}")
    return "; ".join(parts) + " (* p ≤ 0.05, not corrected)"


def limits(layout: Layout, groups: Mapping[str, Sequence[str]], trained_on: str | None) -> Iterator[str]:
    """What the design cannot show."""
    yield (
        "Rows are few and were chosen: findings about these rows hold for them alone. Intervals over queries resample "
        "queries (parallel ones together) and languages; intervals over rows are the ones that speak of question "
        "answering."
    )
    yield "P-values of single targets are not corrected for being several."
    yield "recall@k divides by all relevant candidates, so with several of them it cannot reach 100 at small k."
    yield "The layer and the pooling before retrieval training are settings, and can decide the sign."
    if trained_on:
        yield f"Targets without a training of their own are scored after training on {trained_on}."
    if groups.get("single"):
        yield "Rows of translations were translated by machine, so they differ from English in quality as well."
    if not groups.get("multilingual"):
        yield "No row of question answering in several languages was configured, so that comparison is absent."
    if len(layout.seeds) == 1:
        yield "One seed: the variance between training runs is not in the intervals."

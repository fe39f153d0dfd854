"""Study 1's summary: the answer, findings, limits."""

from collections.abc import Iterator, Mapping, Sequence

from stiltgrid.grid.layout import Layout
from stiltgrid.studies.association import Slope
from stiltgrid.studies.ranking import Verdict
from stiltgrid.studies.similarity_results import SimilarityResults
from stiltgrid.studies.summary import Finding, Summary, signed

MEASURE_NAMES = {
    "text": "similarity of texts (TextEmb)",
    "sentence": "similarity of sentence embeddings",
    "fisher": "similarity of Fisher embeddings (TaskEmb)",
    "words": "overlap of word pieces, the naive control",
}
QUESTION = (
    "How does the semantic similarity of an intermediate task to a target relate to zero-shot transfer on XTREME-R's "
    "targets?"
)
DESIGN = (
    "Every row is compared with every target by several measures. Gains are zero-shot means over languages, less "
    "those of `none`; slopes hold training size and family. All tests of a model share their permutations, and "
    "adjusted p-values are over all measures, both slopes and all strategies (Westfall and Young's max-T)."
)
ALPHA = 0.05
POWERED = 1 + 1.2816 / 1.96  # found 9 times in 10, in half-widths of a 95 % interval
LEFT_OUT = "left out: {} and controls"
SLOPES = {"slope": "over all cells", "within_rows": "within rows and targets"}


def summary(found: Sequence[SimilarityResults], layout: Layout, files: Mapping[str, str]) -> Summary:
    """The summary of all models; `files` maps what they hold to paths."""
    answers = tuple(answer(item) for item in found)
    lines = tuple(line for item in found for line in findings(item))
    return Summary(
        "Similarity", QUESTION, DESIGN, answers, lines, tuple(limits(layout, found)), files, layout.synthetic
    )


def answer(found: SimilarityResults) -> str:
    """The answer in one sentence: which measures are related to gains after adjustment."""
    related = [
        f"{MEASURE_NAMES[measure]} ({signed(_slope(found, measure, which).value)} SD {SLOPES[which]}, adjusted p = "
        f"{found.adjusted[measure, which]:.3g})"
        for measure in found.associations
        for which in SLOPES
        if found.adjusted[measure, which] <= ALPHA
    ]
    if not related:
        return (
            f"{found.model}: no measure of similarity is shown to be related to the gains, adjusted for "
            f"{len(found.associations)} measures and {len(found.verdicts) - 1} strategies."
        )
    return f"{found.model}: related to the gains, adjusted for all tests: {'; '.join(related)}."


def _slope(found: SimilarityResults, measure: str, which: str) -> Slope:
    slope: Slope = getattr(found.associations[measure], which)
    return slope


def findings(found: SimilarityResults) -> Iterator[Finding]:
    """Both slopes of each measure, the best strategy, its first choices, and a new target."""
    for measure, item in found.associations.items():
        held = f" with {' and '.join(item.controls)} held" if item.controls else ""
        for which, where in SLOPES.items():
            slope = _slope(found, measure, which)
            verdict = (
                f"{'more' if slope.value > 0 else 'less'} similar tasks help more"
                if slope.p <= ALPHA
                else "no relation to the gains is shown" + _reach(slope)
            )
            yield Finding(
                f"{found.model}, {MEASURE_NAMES[measure]}, {where}: {verdict}{held}; p = {slope.p:.3g} by permuting "
                f"rows, {found.adjusted[measure, which]:.3g} adjusted.",
                slope.value, slope.low, slope.high, "SD of gain for one SD of similarity",
                f"{item.rows} rows × {item.targets} targets",
            )  # fmt: skip
    yield from _strategies(found)
    yield from _new_target(found)


def _strategies(found: SimilarityResults) -> Iterator[Finding]:
    """Strategies are ordered by the points that their first row loses."""
    ranked = sorted(found.verdicts, key=lambda item: (item.quality.lost1, -item.quality.ndcg))
    best = next(item for item in ranked if item.strategy != "random")
    by_name = {item.strategy: item for item in found.verdicts}
    p = found.adjusted.get((best.strategy, "lost1"))
    chance = "" if p is None else f" (against exchanged rows, adjusted for all tests, p = {p:.3g})"
    yield Finding(
        f"{found.model}: the first row of '{best.strategy}' loses {_lost(best)} of the best row's score on average"
        f"{chance}; size {_lost(by_name['size'])}, random {_lost(by_name['random'])}. It is the best of "
        f"{len(ranked) - 1} strategies on these targets, so some of its lead is luck.",
        n=f"{len({item.target for item in found.choices})} targets",
    )
    by_row: dict[str, list[str]] = {}
    for item in found.choices:
        if item.strategy == best.strategy:
            by_row.setdefault(item.first, []).append(item.target)
    tried = "; ".join(f"{row} for {', '.join(names)}" for row, names in by_row.items())
    yield Finding(f"{found.model}: its first choices: {tried}.")


def _lost(item: Verdict) -> str:
    return f"{item.quality.lost1:.1f} points ({item.quality.regret1:.1f} %)"


def _reach(slope: Slope) -> str:
    """The slope that this design would have found."""
    if slope.low is None or slope.high is None:
        return " (so few rows can show none)"
    reach = POWERED * (slope.high - slope.low) / 2
    return f" (a slope of about {reach:.2f} would have been found 9 times in 10)"


def _new_target(found: SimilarityResults) -> Iterator[Finding]:
    """How to rank rows for a target outside the grid."""
    by_name = {item.strategy: item for item in found.verdicts}
    known = [name for name in found.weights if LEFT_OUT.format(name) in by_name]
    if not known:
        return
    measure = max(known, key=lambda name: by_name[LEFT_OUT.format(name)].quality.ndcg)
    terms = ", ".join(
        f"{signed(weight)} {MEASURE_NAMES.get(name, name)}" for name, weight in found.weights[measure].items()
    )
    yield Finding(
        f"{found.model}: for a target that is not in the grid, rank rows by this sum, each part in SD over the rows: "
        f"{terms}. With each target predicted so from the others, the first row loses "
        f"{_lost(by_name[LEFT_OUT.format(measure)])} of the best row's score (size: {_lost(by_name['size'])})."
    )


def limits(layout: Layout, found: Sequence[SimilarityResults]) -> Iterator[str]:
    """What the design cannot show."""
    yield (
        "Similarity was not assigned at random: what makes a task similar may help for another reason. An association "
        "is not a cause."
    )
    yield "P-values permute rows, all targets together; with few rows only strong relations can be found."
    yield (
        "A target's vector is made of its own English text, of the development split where it has one (all its text "
        "where it has no English); no label is read. Fisher vectors of targets come from the row `none`, first seed; a "
        "row's head was not kept, so a new one was fitted on the frozen backbone."
    )
    yield "Targets without training have no Fisher vector; rankings are compared on targets that every measure has."
    if len(layout.seeds) == 1:
        yield "One seed: gains include the luck of one training run, which weakens every relation."
    for item in found:
        yield from (f"{remark}." for remark in item.remarks)

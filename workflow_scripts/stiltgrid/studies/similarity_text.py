"""Study 1 in plain words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from stiltgrid.grid.layout import Layout
from stiltgrid.studies.association import PooledAssociation
from stiltgrid.studies.similarity_results import SimilarityResults
from stiltgrid.studies.summary import Finding, Summary, signed, summary_text

WORDS = {
    "text": "similarity of texts (TextEmb)",
    "sentence": "similarity of sentences",
    "fisher": "similarity of Fisher embeddings (TaskEmb)",
    "words": "overlap of pieces, the naive control",
}
QUESTION = (
    "How does the similarity of an intermediate task to a target relate to zero-shot transfer? Each row is compared "
    "with each target by several measures; gains are zero-shot means over languages, less those of `none`."
)
ALPHA = 0.05
POWERED = 1 + 1.2816 / 1.96  # what is found 9 times in 10, in half-widths of a 95 % interval
LEFT_OUT = "left out: {} and controls"


def findings(found: SimilarityResults) -> Iterator[Finding]:
    """One sentence a measure, one on strategies, one on what to try first."""
    for measure, told in found.associations.items():
        sure = told.p <= ALPHA
        how = ("more" if told.slope > 0 else "less") + " similar tasks help more"
        said = how if sure else "no relation to the gains could be shown" + _reach(told)
        held = f" with {' and '.join(told.controls)} held" if told.controls else ""
        yield Finding(
            f"{found.model}, {WORDS[measure]}: {said}{held}; p = {told.p:.3g} by permuting rows, mean rank correlation "
            f"within targets {signed(told.rho)} (p = {told.rho_p:.3g}).",
            told.slope, told.low, told.high, "SD of gain for one SD of similarity",
            f"{told.rows} rows × {told.targets} targets",
        )  # fmt: skip
    ranked = sorted(found.verdicts, key=lambda item: (item.quality.regret1, -item.quality.ndcg))
    best = next(item for item in ranked if item.strategy != "random")
    by_name = {item.strategy: item for item in found.verdicts}
    against = ", ".join(f"{name} {by_name[name].quality.regret1:.1f} %" for name in ("size", "random"))
    chance = "" if best.p_regret1 is None else f" (against shuffled rows p = {best.p_regret1:.3g})"
    yield Finding(
        f"{found.model}: trying first what '{best.strategy}' ranks first loses {best.quality.regret1:.1f} % of the "
        f"best row's score on average{chance}; {against}. It was picked here as the best of {len(ranked) - 1} "
        "strategies, so some of its lead is luck.",
        n=f"{len({item.target for item in found.choices})} targets",
    )
    firsts = [item for item in found.choices if item.strategy == best.strategy]
    by_row: dict[str, list[str]] = {}
    for item in firsts:
        by_row.setdefault(item.first, []).append(item.target)
    tried = "; ".join(f"{row} for {', '.join(names)}" for row, names in by_row.items())
    yield Finding(f"{found.model}: what it would try first: {tried}.")
    yield from _new_target(found)


def _reach(told: PooledAssociation) -> str:
    """The slope that this design would have found."""
    if told.low is None or told.high is None:
        return " (so few rows can show none)"
    reach = POWERED * (told.high - told.low) / 2
    return f" (a slope of some {reach:.2f} would have been, 9 times in 10)"


def _new_target(found: SimilarityResults) -> Iterator[Finding]:
    """How rows would be ranked for a target that is not in the grid."""
    by_name = {item.strategy: item for item in found.verdicts}
    known = [name for name in found.weights if LEFT_OUT.format(name) in by_name]
    if not known:
        return
    measure = max(known, key=lambda name: by_name[LEFT_OUT.format(name)].quality.ndcg)
    told = by_name[LEFT_OUT.format(measure)].quality
    sums = ", ".join(f"{signed(weight)} {WORDS.get(name, name)}" for name, weight in found.weights[measure].items())
    yield Finding(
        f"{found.model}: for a target that is not in the grid, rank rows by this sum, each part in SD over the rows: "
        f"{sums}. Each target predicted so from the others, the first row loses {told.regret1:.1f} % of the best "
        f"row's score (size alone: {by_name['size'].quality.regret1:.1f} %)."
    )


def limits(layout: Layout, found: Sequence[SimilarityResults]) -> list[str]:
    """What the design cannot tell."""
    said = [
        "Rows were not given their similarity at random: what makes a task similar may help for another reason. An "
        "association is not a cause.",
        "P-values permute rows, all targets together; with few rows only strong relations can be seen. Those of "
        "several measures are not corrected for being several.",
        "A target's vector is made of its own English evaluation text (all its text where it has no English); no "
        "label is read. Fisher vectors of targets come from the row `none`, first seed; a row's head was not kept, so "
        "a new one was fitted on the frozen backbone.",
        "Targets without training have no Fisher vector; rankings are compared on targets that every measure has.",
    ]
    if len(layout.seeds) == 1:
        said.append("One seed: gains hold the luck of one training run, which weakens every relation.")
    return said + [f"{remark}." for item in found for remark in item.remarks]


def summary(told: Iterable[Finding], cannot: Iterable[str], files: Mapping[str, str], synthetic: bool) -> Summary:
    """The last page of the study."""
    return summary_text("Similarity", QUESTION, told, cannot, files, synthetic)

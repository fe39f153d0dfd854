"""Study 2's results and its summary: the answer, findings, limits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stiltgrid.analysis.statistics import adjusted_p_values
from stiltgrid.grid.layout import Layout
from stiltgrid.studies.interaction import Interaction
from stiltgrid.studies.matrices import Likeness
from stiltgrid.studies.paired import Contrast
from stiltgrid.studies.summary import Finding, signed

QUESTION = (
    "Do encoder-only and decoder-only models show different patterns of zero-shot transfer after English intermediate "
    "training?"
)
DESIGN = (
    "The same grid on both models; gains over each model's own `none`. Divergence is the interaction of model, row and "
    "target, tested against the noise of seeds; likeness is the correlation of both gain matrices."
)
READINGS = {
    "within": "each target standardised",
    "pattern": "which row suits which target",
    "ranks": "ranks within targets",
}
KINDS_OF_PAIRS = ("a matched pair", "which differ in more than attention", "of the same attention")
ALPHA = 0.05


@dataclass(frozen=True)
class Divergence:
    """The interaction test over all targets or `by` target, family or language; None with a remark if impossible."""

    by: str
    name: str
    test: Interaction | None
    remark: str = ""


@dataclass(frozen=True)
class Difference:
    """A difference of gains (first model's less second's): of a cell, or a mean `by` what; empty names mean all."""

    by: str
    intermediate: str
    target: str
    language: str
    contrast: Contrast


@dataclass(frozen=True)
class PairResults:
    """Everything about two models.

    `apart` says what they differ in, `order` is `model_facts.comparison_order`.
    """

    names: tuple[str, str]
    divergences: tuple[Divergence, ...]
    likeness: tuple[Likeness, ...]
    differences: tuple[Difference, ...]
    apart: str
    order: int

    @property
    def overall(self) -> Divergence:
        """The interaction test over all targets."""
        return next(item for item in self.divergences if item.by == "all")


def answer(pair: PairResults) -> str:
    """The answer in one sentence."""
    name, item = f"{' and '.join(pair.names)} ({KINDS_OF_PAIRS[pair.order]})", pair.overall
    if item.test is None:
        return f"{name}: whether their patterns differ was not tested ({item.remark})."
    if item.test.p > ALPHA:
        return (
            f"{name}: no different patterns are shown (p = {item.test.p:.3g}); patterns that differ by a standard "
            f"deviation of {item.test.detectable:.2f} points would have been found 9 times in 10."
        )
    return (
        f"{name}: yes, their patterns differ beyond the noise of training (p = {item.test.p:.3g}), by a standard "
        f"deviation of {item.test.sd:.2f} points between cells (95 % interval {item.test.low:.2f} to "
        f"{item.test.high:.2f})."
    )


def findings(pair: PairResults) -> Iterator[Finding]:
    """Where the models diverge, how alike they are, and which gains differ."""
    name = " and ".join(pair.names)
    yield Finding(pair.apart)
    yield from _divergence_findings(name, pair)
    for item in pair.likeness:
        alike = item.p <= ALPHA and item.correlation > 0
        verdict = "alike beyond chance" if alike else "no likeness beyond chance is shown"
        ceiling = "" if item.ceiling is None else f", noise allows {item.ceiling:.2f}"
        yield Finding(
            f"{name}, {READINGS[item.reading]}: {verdict}; correlation {signed(item.correlation)} of the gain matrices "
            f"(p = {item.p:.3g} by permuting rows, targets and their families; {item.needed:.2f} was needed for "
            f"0.05{ceiling}).",
            n=f"{item.rows} rows × {item.targets} targets",
        )
    cells = [item.contrast.p for item in pair.differences if item.by == "cell" and item.contrast.p is not None]
    clear = sum(p <= ALPHA for p in adjusted_p_values(cells, "holm"))
    yield Finding(f"{name}: the gain differs in {clear} of {len(cells)} cells (Holm, 5 %).")
    yield from _difference_findings(name, pair)


def _divergence_findings(name: str, pair: PairResults) -> Iterator[Finding]:
    for by in ("target", "family", "language"):
        known = [(item.name, item.test) for item in pair.divergences if item.by == by and item.test]
        if not known:
            continue
        adjusted = adjusted_p_values([test.p for _, test in known], "holm")
        clear = [
            f"{where} ({test.sd:.2f} points, p = {p:.3g})"
            for (where, test), p in zip(known, adjusted, strict=True)
            if p <= ALPHA
        ]
        where = "; ".join(clear) if clear else "none"
        yield Finding(f"{name}: different patterns by {by} (standard deviation; Holm over {len(known)}): {where}.")


def _difference_findings(name: str, pair: PairResults) -> Iterator[Finding]:
    rows = len({item.intermediate for item in pair.differences if item.by == "cell"})
    for by in ("target", "language", "family"):
        known = [item for item in pair.differences if item.by == by and item.contrast.p is not None]
        if known:
            most = min(known, key=lambda item: item.contrast.p or 0.0)
            lowest = min(adjusted_p_values([item.contrast.p or 0.0 for item in known], "holm"))
            where = " on ".join(part for part in (most.intermediate, most.target, most.language) if part)
            yield Finding(
                f"{name}: by {by}, the clearest difference of mean gains is {where} (p = {lowest:.3g}, Holm over "
                f"{len(known)}).",
                most.contrast.value, most.contrast.low, most.contrast.high, f"points more for {pair.names[0]}",
                f"{rows} rows",
            )  # fmt: skip


def limits(layout: Layout, pairs: Sequence[PairResults]) -> Iterator[str]:
    """What the design cannot show."""
    if all(pair.order for pair in pairs):
        yield (
            "No pair differs in attention alone, so a difference may come from text, size or training. A matched pair, "
            "pretrained here on the same text (`pretrain`), would show attention itself."
        )
    yield "Two models are two examples of their architectures."
    yield (
        "Patterns can be alike and differ at once: likeness compares with chance, divergence with the noise of "
        "training."
    )
    yield "Where no likeness is shown, unlikeness is not shown either: few rows or much noise look the same."
    yield (
        "For likeness, more rows and targets are worth more than more seeds: of as many trainings, more cells find it "
        "more often."
    )
    yield "A target on which one model scores at chance has no room for a pattern."
    if len(layout.seeds) == 1:
        yield (
            "One seed: divergence and the ceiling of likeness are unknown, and intervals cover examples alone; "
            "differences of single cells may be differences of training runs."
        )

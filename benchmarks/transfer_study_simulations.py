"""Do studies 1, 2 and 5 find what is planted, and only that? Synthetic gain tables and ranks at the default sizes.

`python benchmarks/transfer_study_simulations.py [--simulations 200]`; some minutes on one core. For each study: how
often an effect that is there has the right sign and is called significant at 5 %, and how often one that is not there
is. Rows may do something to all targets alike, languages may differ in the effect: both are in the null cases too.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from stiltgrid.analysis.bootstrap import LanguageCounts, replicate
from stiltgrid.analysis.metric_counts import counted_metric
from stiltgrid.studies.association import draw_orders, pooled
from stiltgrid.studies.effects import group_difference
from stiltgrid.studies.interaction import interaction
from stiltgrid.studies.matrices import Names, likeness
from stiltgrid.studies.paired import combined, contrast

ROWS, TARGETS = 9, 12
QUERIES, LANGUAGES = 200, 9


@dataclass(frozen=True)
class Case:
    """One simulated question: `planted` says whether there is an effect; `draw(generator)` gives (effect, p)."""

    study: str
    name: str
    planted: bool
    draw: Callable[[np.random.Generator], tuple[float, float]]


@dataclass(frozen=True)
class Outcome:
    """Shares of simulations: effect positive (as planted), p at most 5 %, both."""

    case: Case
    positive: float
    significant: float


def similarity(
    generator: np.random.Generator, effect: float, row_effects: float, dominating: float = 0.0, within: bool = False
) -> tuple[float, float]:
    """A measure, partly a row's own, and gains that follow it by `effect` SD; sizes move gains as well.

    One row moves all targets by `dominating` more. `within` takes the slope within rows and targets.
    """
    size = np.repeat(generator.normal(size=(ROWS, 1)), TARGETS, axis=1)
    measure = 0.7 * generator.normal(size=(ROWS, 1)) + 0.7 * generator.normal(size=(ROWS, TARGETS)) + 0.3 * size
    family = (generator.random((ROWS, TARGETS)) < 0.2).astype(float)
    noise = heavy(generator, ROWS, TARGETS) + row_effects * heavy(generator, ROWS, 1)
    noise[0] += dominating
    gains = effect * measure + 0.3 * size + 0.3 * family + noise + 3 * generator.normal(size=(1, TARGETS))
    rows, targets = [f"row{n}" for n in range(ROWS)], [f"target{n}" for n in range(TARGETS)]
    controls = {"size": size, "family": family}
    found = pooled(gains, measure, controls, rows, targets, draw_orders(ROWS, 499, generator))
    slope = found.within_rows if within else found.slope
    return slope.value, slope.p


def heavy(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Noise of variance 1 with heavy tails: Student's t with three degrees of freedom."""
    return generator.standard_t(3, shape) / np.sqrt(3)


def divergence(
    generator: np.random.Generator, own: float, size: tuple[int, int, int], tails: bool = True
) -> tuple[float, float]:
    """Two models with a common pattern, a row that dominates, and patterns of their own of SD `own` (noise 1).

    `size` is (rows, targets, seeds). With `tails`, noise has heavy tails and differs by target.
    """
    rows, targets, seeds = size
    common = 2 * heavy(generator, rows, targets)
    common[0] += 4 * heavy(generator, targets)
    scale = np.exp(0.5 * generator.normal(size=targets)) if tails else np.ones(targets)

    def gains() -> np.ndarray:
        pattern = common + own * generator.normal(size=(rows, targets))
        pattern = pattern + 2 * heavy(generator, targets) + 2 * heavy(generator, rows)[:, None]
        noise = heavy(generator, seeds, rows, targets) if tails else generator.normal(size=(seeds, rows, targets))
        return (
            pattern + noise * scale + 0.7 * heavy(generator, seeds, rows, 1) + 0.7 * heavy(generator, seeds, 1, targets)
        )

    found = interaction(gains(), gains(), [f"row{n}" for n in range(rows)], [f"target{n}" for n in range(targets)])
    return found.sd, found.p


FAMILIES = {5: ("aabcd", "aabce"), 9: ("aaabbcccd", "aabbcccddeff")}


def architecture(
    generator: np.random.Generator, shared: float, reading: str, rows: int = ROWS, blocks: float = 0.0
) -> tuple[float, float]:
    """Two models' gains: row and target effects of each model's own, a pattern of which `shared` is common.

    With `blocks` each model has effects of its own of row families on target families.
    """
    row_families, target_families = FAMILIES[rows]
    kinds = [np.unique(list(names), return_inverse=True)[1] for names in (row_families, target_families)]
    size = rows, len(target_families)
    common = heavy(generator, *size)

    def gains() -> np.ndarray:
        block = heavy(generator, kinds[0].max() + 1, kinds[1].max() + 1)[kinds[0]][:, kinds[1]]
        own = heavy(generator, *size) + heavy(generator, 1, size[1]) + blocks * block
        return (shared * common + own + heavy(generator, size[0], 1))[None]

    names = Names(
        [f"row{n}" for n in range(size[0])], [f"target{n}" for n in range(size[1])], row_families, target_families
    )
    found = {item.reading: item for item in likeness(gains(), gains(), names, generator, 299)}[reading]
    return found.correlation, found.p


def retrieval(generator: np.random.Generator, effect: float, by_language: float, parallel: bool) -> tuple[float, float]:
    """recall@10 of two QA rows and three controls on two targets; `effect` in logits, more in some languages."""
    kind = counted_metric("dual", "recall@10")
    parts = []
    for _ in range(2):
        questions = generator.normal(size=(QUERIES, 1, 1))
        tongue = generator.normal(scale=by_language, size=LANGUAGES) if by_language else np.zeros(LANGUAGES)
        found = []
        for language in range(LANGUAGES):
            own = questions if parallel else generator.normal(size=(QUERIES, 1, 1))
            lift = np.asarray([effect + tongue[language]] * 2 + [0.0] * 3)
            taste = generator.normal(scale=0.7, size=(QUERIES, 5, 1))
            hit = generator.random((QUERIES, 5, 1)) < 1 / (1 + np.exp(-(own + taste + lift[None, :, None])))
            counts = np.stack([hit.astype(float), np.ones_like(hit, dtype=float)], axis=-1)
            clusters = np.arange(QUERIES) + (0 if parallel else language * QUERIES)
            found.append(LanguageCounts(str(language), clusters, counts))
        weights = {0: 0.5, 1: 0.5, 2: -1 / 3, 3: -1 / 3, 4: -1 / 3}
        parts.append(contrast(replicate(found, kind.value, generator, 200), weights, drawn_languages=True))
    mean = combined(parts)
    return mean.value, mean.p if mean.p is not None else 1.0


def rows_as_units(generator: np.random.Generator, effect: float, by_row: float) -> tuple[float, float]:
    """Two QA rows and three controls that differ by `by_row` points among themselves; `effect` points for QA."""
    values = by_row * heavy(generator, 5) + 0.7 * generator.normal(size=5)
    found = group_difference("rows", (values[:2] + effect).tolist(), values[2:].tolist())
    return found.value, found.p


CASES = (
    Case(
        "similarity", "slope 0.35 SD, rows alike on all targets", True, partial(similarity, effect=0.6, row_effects=0.5)
    ),
    Case(
        "similarity",
        "the same with a dominating row",
        True,
        partial(similarity, effect=0.6, row_effects=0.5, dominating=5.0),
    ),
    Case(
        "similarity",
        "the same with a dominating row, within rows and targets",
        True,
        partial(similarity, effect=0.6, row_effects=0.5, dominating=5.0, within=True),
    ),
    Case("similarity", "none; rows alike on all targets", False, partial(similarity, effect=0.0, row_effects=1.0)),
    Case(
        "similarity", "none; a dominating row", False, partial(similarity, effect=0.0, row_effects=0.5, dominating=5.0)
    ),
    Case(
        "similarity",
        "none; a dominating row, within rows and targets",
        False,
        partial(similarity, effect=0.0, row_effects=0.5, dominating=5.0, within=True),
    ),
    Case(
        "architecture",
        "own patterns of SD 1, noise 1, 5 × 5 × 3 seeds",
        True,
        partial(divergence, own=1.0, size=(5, 5, 3), tails=False),
    ),
    Case(
        "architecture",
        "own patterns of SD 1.5, heavy tails, 5 × 5 × 2 seeds",
        True,
        partial(divergence, own=1.5, size=(5, 5, 2)),
    ),
    Case(
        "architecture",
        "own patterns of SD 1.5, heavy tails, 5 × 5 × 3 seeds",
        True,
        partial(divergence, own=1.5, size=(5, 5, 3)),
    ),
    Case(
        "architecture",
        "no own patterns, heavy tails, 5 × 5 × 2 seeds",
        False,
        partial(divergence, own=0.0, size=(5, 5, 2)),
    ),
    Case(
        "architecture",
        "no own patterns, heavy tails, 9 × 12 × 2 seeds",
        False,
        partial(divergence, own=0.0, size=(9, 12, 2)),
    ),
    Case(
        "architecture",
        "likeness: half of the pattern, 9 × 12",
        True,
        partial(architecture, shared=1.0, reading="pattern"),
    ),
    Case(
        "architecture",
        "likeness: four fifths of the pattern, 5 × 5",
        True,
        partial(architecture, shared=2.0, reading="pattern", rows=5),
    ),
    Case("architecture", "likeness: none, 9 × 12", False, partial(architecture, shared=0.0, reading="pattern")),
    Case(
        "architecture",
        "likeness: none but families move together, 9 × 12",
        False,
        partial(architecture, shared=0.0, reading="pattern", blocks=2.0),
    ),
    Case(
        "architecture",
        "likeness: none but families move together, 5 × 5",
        False,
        partial(architecture, shared=0.0, reading="pattern", rows=5, blocks=2.0),
    ),
    Case("retrieval", "some 4 points", True, partial(retrieval, effect=0.25, by_language=0.1, parallel=True)),
    Case("retrieval", "some 2 points", True, partial(retrieval, effect=0.12, by_language=0.05, parallel=True)),
    Case("retrieval", "none", False, partial(retrieval, effect=0.0, by_language=0.0, parallel=True)),
    Case(
        "retrieval",
        "none on average, languages differ",
        False,
        partial(retrieval, effect=0.0, by_language=0.2, parallel=True),
    ),
    Case(
        "retrieval",
        "none, languages not parallel",
        False,
        partial(retrieval, effect=0.0, by_language=0.0, parallel=False),
    ),
    Case(
        "retrieval", "none, rows differ by 3 points: over rows", False, partial(rows_as_units, effect=0.0, by_row=3.0)
    ),
    Case(
        "retrieval",
        "some 15 points, rows differ by 3: over rows",
        True,
        partial(rows_as_units, effect=15.0, by_row=3.0),
    ),
)


def simulate(case: Case, simulations: int) -> Outcome:
    """Draw a case many times."""
    generator = np.random.default_rng(sum(map(ord, case.study + case.name)))
    drawn = np.asarray([case.draw(generator) for _ in range(simulations)])
    return Outcome(case, float((drawn[:, 0] > 0).mean()), float((drawn[:, 1] <= 0.05).mean()))


def main() -> None:
    """Write the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=200)
    options = parser.parse_args()
    write = sys.stdout.write
    write("| study | case | effect planted | right sign | p ≤ 5 % |\n| --- | --- | --- | ---: | ---: |\n")
    for case in CASES:
        outcome = simulate(case, options.simulations)
        sign = f"{100 * outcome.positive:.0f} %" if case.planted else ""
        write(
            f"| {case.study} | {case.name} | {'yes' if case.planted else 'no'} | {sign} | "
            f"{100 * outcome.significant:.1f} % |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()

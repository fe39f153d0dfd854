"""Do studies 1, 2 and 5 find what is planted, and only that? Synthetic gain tables and ranks at the default sizes.

`python benchmarks/transfer_study_simulations.py [--simulations 200] [--study similarity]`; some minutes on one core.
For each study: how often an effect that is there has the right sign and is called significant at 5 %, and how often one
that is not there is, in five times as many simulations. Rows may do something to all targets alike, languages may
differ in the effect: both are in the null cases too. Ties are scores rounded to whole points and similarities to a few
values. Studies refuse tables with missing cells; what may be missing are vectors of a target and queries of a language.
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
from stiltgrid.studies.association import draw_orders, max_t, pooled
from stiltgrid.studies.effects import group_difference
from stiltgrid.studies.interaction import interaction
from stiltgrid.studies.matrices import Names, likeness
from stiltgrid.studies.paired import combined, contrast

ROWS, TARGETS = 9, 12
NULL_SIMULATIONS = 5  # times as many where nothing is planted, so that 5 % moves by half a point by chance
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
    generator: np.random.Generator,
    effect: float,
    row_effects: float,
    dominating: float = 0.0,
    within: bool = False,
    untidy: bool = False,
) -> tuple[float, float]:
    """A measure, partly a row's own, and gains that follow it by `effect` SD; sizes move gains as well.

    One row moves all targets by `dominating` more. `within` takes the slope within rows and targets. Untidy tables have
    ties, and no vectors for a third of the targets.
    """
    gains, measure, controls = gain_table(generator, effect, row_effects, dominating)
    if untidy:
        gains, measure = np.round(gains), np.round(measure)
        kept = (np.ptp(gains, axis=0) > 0) & (np.ptp(measure, axis=0) > 0) & (np.arange(TARGETS) >= TARGETS // 3)
        gains, measure = gains[:, kept], measure[:, kept]
        controls = {name: values[:, kept] for name, values in controls.items()}
    rows, targets = [f"row{n}" for n in range(ROWS)], [f"target{n}" for n in range(gains.shape[1])]
    found = pooled(gains, measure, controls, rows, targets, draw_orders(ROWS, 499, generator))
    slope = found.within_rows if within else found.slope
    return slope.value, slope.p


def gain_table(
    generator: np.random.Generator, effect: float, row_effects: float, dominating: float = 0.0
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Gains and a measure (rows, targets), and the controls."""
    size = np.repeat(generator.normal(size=(ROWS, 1)), TARGETS, axis=1)
    measure = a_measure(generator, size)
    family = (generator.random((ROWS, TARGETS)) < 0.2).astype(float)
    noise = heavy(generator, ROWS, TARGETS) + row_effects * heavy(generator, ROWS, 1)
    noise[0] += dominating
    gains = effect * measure + 0.3 * size + 0.3 * family + noise + 3 * generator.normal(size=(1, TARGETS))
    return gains, measure, {"size": size, "family": family}


def a_measure(generator: np.random.Generator, size: np.ndarray) -> np.ndarray:
    """A measure of similarity (rows, targets), partly a row's own and partly its size."""
    return 0.7 * generator.normal(size=(ROWS, 1)) + 0.7 * generator.normal(size=(ROWS, TARGETS)) + 0.3 * size


def any_measure(generator: np.random.Generator, effect: float) -> tuple[float, float]:
    """The smallest p-value of four measures with two slopes each, adjusted over all; gains follow one of them."""
    gains, first, controls = gain_table(generator, effect, 0.5)
    rows, targets = [f"row{n}" for n in range(ROWS)], [f"target{n}" for n in range(TARGETS)]
    order = draw_orders(ROWS, 499, generator)
    measures = [first, *(a_measure(generator, controls["size"]) for _ in range(3))]
    found = [pooled(gains, each, controls, rows, targets, order) for each in measures]
    slopes = [slope for each in found for slope in (each.slope, each.within_rows)]
    adjusted = max_t([abs(slope.value) for slope in slopes], [np.abs(slope.drawn) for slope in slopes])
    clearest = int(np.argmin(adjusted))
    return slopes[clearest].value, adjusted[clearest]


def heavy(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Noise of variance 1 with heavy tails: Student's t with three degrees of freedom."""
    return generator.standard_t(3, shape) / np.sqrt(3)


def divergence(
    generator: np.random.Generator, own: float, size: tuple[int, int, int], tails: bool = True, ties: bool = False
) -> tuple[float, float]:
    """Two models with a common pattern, a row that dominates, and patterns of their own of SD `own` (noise 1).

    `size` is (rows, targets, seeds). With `tails`, noise has heavy tails and differs by target; with `ties`, gains are
    whole points.
    """
    rows, targets, seeds = size
    common = 2 * heavy(generator, rows, targets)
    common[0] += 4 * heavy(generator, targets)
    scale = np.exp(0.5 * generator.normal(size=targets)) if tails else np.ones(targets)

    def gains() -> np.ndarray:
        pattern = common + own * generator.normal(size=(rows, targets))
        pattern = pattern + 2 * heavy(generator, targets) + 2 * heavy(generator, rows)[:, None]
        noise = heavy(generator, seeds, rows, targets) if tails else generator.normal(size=(seeds, rows, targets))
        rest = 0.7 * heavy(generator, seeds, rows, 1) + 0.7 * heavy(generator, seeds, 1, targets)
        found = pattern + noise * scale + rest
        return np.round(found) if ties else found

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


def sizes(generator: np.random.Generator, size: tuple[int, int, int]) -> tuple[float, float]:
    """Likeness of two models with one pattern of SD 1 and noise of SD 1.5 in a training; (rows, targets, seeds)."""
    rows, targets, seeds = size
    common = heavy(generator, rows, targets)
    gains = [common + 1.5 * heavy(generator, seeds, rows, targets) for _ in range(2)]
    row_names, target_names = [f"row{n}" for n in range(rows)], [f"target{n}" for n in range(targets)]
    families = [[f"family{n // 2}" for n in range(count)] for count in (rows, targets)]
    found = {item.reading: item for item in
             likeness(gains[0], gains[1], Names(row_names, target_names, *families), generator, 299)}  # fmt: skip
    return found["pattern"].correlation, found["pattern"].p


def retrieval(
    generator: np.random.Generator, effect: float, by_language: float, parallel: bool, missing: bool = False
) -> tuple[float, float]:
    """recall@10 of two QA rows and three controls on two targets; `effect` in logits, more in some languages.

    With `missing`, half of the languages lack most of the queries.
    """
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
            some = slice(QUERIES // 5 if missing and language % 2 else QUERIES)
            found.append(LanguageCounts(str(language), clusters[some], counts[some]))
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
        "similarity",
        "slope 0.35 SD, ties, a third of the targets without vectors",
        True,
        partial(similarity, effect=0.6, row_effects=0.5, untidy=True),
    ),
    Case(
        "similarity",
        "none; a dominating row, ties, a third of the targets without vectors",
        False,
        partial(similarity, effect=0.0, row_effects=0.5, dominating=5.0, untidy=True),
    ),
    Case(
        "similarity",
        "slope 0.35 SD of one of four measures, adjusted over all",
        True,
        partial(any_measure, effect=0.6),
    ),
    Case("similarity", "none; the best of four measures, adjusted over all", False, partial(any_measure, effect=0.0)),
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
        "no own patterns, heavy tails, gains in whole points, 5 × 5 × 2 seeds",
        False,
        partial(divergence, own=0.0, size=(5, 5, 2), ties=True),
    ),
    Case(
        "architecture",
        "own patterns of SD 1, heavy tails, 9 × 8 × 2 seeds",
        True,
        partial(divergence, own=1.0, size=(9, 8, 2)),
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
    Case("architecture", "likeness: 72 trainings as 9 × 8 × 1 seed", True, partial(sizes, size=(9, 8, 1))),
    Case("architecture", "likeness: 75 trainings as 5 × 5 × 3 seeds", True, partial(sizes, size=(5, 5, 3))),
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
        "retrieval",
        "none, most queries missing in half of the languages",
        False,
        partial(retrieval, effect=0.0, by_language=0.1, parallel=True, missing=True),
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
    parser.add_argument("--study", help="the cases of one study only")
    options = parser.parse_args()
    write = sys.stdout.write
    write("| study | case | effect planted | simulations | right sign | p ≤ 5 % |\n")
    write("| --- | --- | --- | ---: | ---: | ---: |\n")
    for case in CASES:
        if options.study not in (None, case.study):
            continue
        count = options.simulations * (1 if case.planted else NULL_SIMULATIONS)
        outcome = simulate(case, count)
        sign = f"{100 * outcome.positive:.0f} %" if case.planted else ""
        write(
            f"| {case.study} | {case.name} | {'yes' if case.planted else 'no'} | {count:,} | {sign} | "
            f"{100 * outcome.significant:.1f} % |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Are 5 % tests right 95 % of the time? Simulated grids without any effect, and intervals around known gains.

Each grid has one baseline, rows that are no better (some with a known gain), two languages, several seeds. Rows
differ by example (some questions suit a row, others do not), by seed (training), and by chance. Run from the
repository's root: `python benchmarks/null_simulation.py [--grids 500]`; about a minute a core.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from stiltgrid.analysis.bootstrap import LanguageCounts, Value, gain, replicate
from stiltgrid.analysis.metric_counts import counted_metric
from stiltgrid.analysis.statistics import adjusted_p_values

ROWS = 4  # tested against the baseline in each grid
LANGUAGES = 2
ITEMS = 4  # chunks of a sentence, where the metric is F1
MANY = 200_000  # examples that stand for all


@dataclass(frozen=True)
class Scenario:
    """How scores vary: standard deviations on the logit scale, of seeds, of examples, of examples for one row."""

    name: str
    seeds: int = 3
    examples: int = 200
    training: float = 0.15
    difficulty: float = 1.0
    taste: float = 0.7
    luck: float = 0.5
    parallel: bool = True
    chunks: bool = False


SCENARIOS = (
    Scenario("3 seeds"),
    Scenario("5 seeds", seeds=5),
    Scenario("3 seeds, training varies most", training=0.6, taste=0.1),
    Scenario("3 seeds, training varies least", training=0.0),
    Scenario("3 seeds, nothing but luck", training=0.0, taste=0.0, luck=1.5),
    Scenario("3 seeds, 50 examples", examples=50),
    Scenario("3 seeds, languages not parallel", parallel=False),
    Scenario("3 seeds, chunk F1", chunks=True),
    Scenario("1 seed, training does not vary", seeds=1, training=0.0),
)


@dataclass(frozen=True)
class Outcome:
    """Shares over all grids and rows: tests at 5 % that reject, intervals that hold the true gain; of grids: any."""

    rejected: float
    covered: float
    any_holm: float
    any_bh: float
    tests: int


def simulate(scenario: Scenario, grids: int, draws: int = 300, shift: float = 0.4, seed: int = 0) -> Outcome:
    """Test and estimate `grids` grids: half of the rows have no gain, the others that of `shift` on the logit scale.

    Rejections are counted among rows without a gain, coverage among rows with one.
    """
    generator = np.random.default_rng([seed, scenario.seeds, scenario.examples])
    truth = _true_gain(scenario, shift)
    value = counted_metric("tagging", "f1").value if scenario.chunks else counted_metric("sequence", "accuracy").value
    rejected, covered, holm_errors, bh_errors = [], [], [], []
    for _ in range(grids):
        shifts = np.asarray([0.0] * (ROWS + 1) + [shift] * ROWS)
        replicates = replicate(_grid(scenario, shifts, generator), value, generator, draws)
        found = [gain(replicates.difference(row, 0, range(scenario.seeds))) for row in range(1, len(shifts))]
        p_values = [item.p if item.p is not None else 1.0 for item in found[:ROWS]]
        rejected += [p <= 0.05 for p in p_values]
        covered += [item.low is not None and item.low <= truth <= (item.high or 0.0) for item in found[ROWS:]]
        # Holm's smallest adjusted p-value, by itself: statsmodels collects garbage at every call.
        holm_errors.append(min(p_values) * len(p_values) <= 0.05)
        bh_errors.append(min(adjusted_p_values(p_values, "fdr_bh")) <= 0.05)
    shares = (float(np.mean(each)) for each in (rejected, covered, holm_errors, bh_errors))
    return Outcome(*shares, tests=len(rejected))


def _grid(scenario: Scenario, shifts: np.ndarray, generator: np.random.Generator) -> list[LanguageCounts]:
    """Counts of one grid; rows have the logit `shifts`, the first is the baseline."""
    training = scenario.training * generator.standard_normal((1, len(shifts), scenario.seeds))
    found: list[LanguageCounts] = []
    base: np.ndarray | None = None
    for language in range(LANGUAGES):
        if base is None or not scenario.parallel:
            base = _examples(scenario, len(shifts), scenario.examples, generator)
        logits = base[..., None] + shifts[None, :, None] + training
        first = 0 if scenario.parallel else language * scenario.examples
        clusters = first + np.arange(scenario.examples)
        found.append(LanguageCounts(str(language), clusters, _answers(scenario, logits, generator)))
    return found


def _examples(scenario: Scenario, rows: int, examples: int, generator: np.random.Generator) -> np.ndarray:
    """(examples, rows): how easy each example is for each row, whatever the seed."""
    difficulty = scenario.difficulty * generator.standard_normal((examples, 1))
    return difficulty + scenario.taste * generator.standard_normal((examples, rows))


def _answers(scenario: Scenario, logits: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(examples, rows, seeds, k) counts of answers drawn at these logits."""
    logits = logits + scenario.luck * generator.standard_normal(logits.shape)
    chance = 1 / (1 + np.exp(-logits))
    if not scenario.chunks:
        right = (generator.random(chance.shape) < chance).astype(np.float64)
        return np.stack([right, np.ones_like(right)], axis=-1)
    right = generator.binomial(ITEMS, chance).astype(np.float64)
    given = right + generator.binomial(ITEMS, 0.7 * (1 - chance))
    return np.stack([right, given, np.full_like(right, ITEMS)], axis=-1)


def _true_gain(scenario: Scenario, shift: float) -> float:
    """The gain over all seeds and examples: training variation is drawn anew for every one of many examples."""
    generator = np.random.default_rng(1)
    value: Value = (
        counted_metric("tagging", "f1").value if scenario.chunks else counted_metric("sequence", "accuracy").value
    )
    base = _examples(scenario, 1, MANY, generator)[..., None]
    if not scenario.chunks:
        base = base + scenario.training * generator.standard_normal(base.shape)
        scores = [value(_answers(scenario, base + each, generator).sum(axis=0))[0, 0] for each in (shift, 0.0)]
        return float(scores[0] - scores[1])
    # F1 is no mean over examples, so seeds are averaged after it: many seeds of many examples each.
    runs = scenario.training * generator.standard_normal((1, 1, 64))
    some = base[: MANY // 8]
    scores = [value(_answers(scenario, some + each + runs, generator).sum(axis=0)).mean() for each in (shift, 0.0)]
    return float(scores[0] - scores[1])


def main() -> None:
    """Print one line a scenario."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grids", type=int, default=500)
    parser.add_argument("--draws", type=int, default=300)
    asked = parser.parse_args()
    head = ("scenario", "tests", "rejected", "coverage", "grids with a false alarm: Holm", "BH")
    sys.stdout.write("{:34} {:>6} {:>9} {:>9} {:>31} {:>6}\n".format(*head))
    for scenario in SCENARIOS:
        found = simulate(scenario, asked.grids, asked.draws)
        shares = (found.rejected, found.covered, found.any_holm, found.any_bh)
        sys.stdout.write("{:34} {:6} {:9.1%} {:9.1%} {:31.1%} {:6.1%}\n".format(scenario.name, found.tests, *shares))
        sys.stdout.flush()


if __name__ == "__main__":
    main()

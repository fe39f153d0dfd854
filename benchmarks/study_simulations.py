"""Can the studies be trusted? Score tables with a planted effect and without any, put through the studies' statistics.

Each study makes tables of the size of its default (config.yaml). `found`: the planted effect is significant at 5 % and
has the right sign. `false alarms`: significant at 5 % where nothing was planted. Run from the repository's root:
`python benchmarks/study_simulations.py [--tables 200] [--study diversity] [--effect difference]`; some
minutes a core.
"""

import argparse
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from stiltgrid.grid.designs import diversity, how_many  # noqa: E402
from stiltgrid.studies import curves, mixed  # noqa: E402

Generator = np.random.Generator


@dataclass(frozen=True)
class Simulation:
    """A planted effect of `size` points, and a function of (size, generator) that tells the p-value and the sign."""

    study: str
    effect: str
    size: float
    noise: str
    test: Callable[[float, Generator], tuple[float, float]]


@dataclass(frozen=True)
class Outcome:
    """Shares of tables: planted effect found with the right sign, false alarms without one; with what they are of."""

    simulation: Simulation
    tables: int
    found: float
    false_alarms: float


def simulate(simulation: Simulation, tables: int, seed: int = 0) -> Outcome:
    """Put `tables` tables with the effect and as many without it through the study's statistics."""
    generator = np.random.default_rng([seed, *simulation.effect.encode()])
    planted = [simulation.test(simulation.size, generator) for _ in range(tables)]
    nothing = [simulation.test(0.0, generator) for _ in range(tables)]
    found = np.mean([p <= 0.05 and value * simulation.size > 0 for p, value in planted])
    return Outcome(simulation, tables, float(found), float(np.mean([p <= 0.05 for p, _ in nothing])))


def section(study: str) -> Mapping[str, Any]:
    """The study's section of the default configuration."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    found: Mapping[str, Any] = config["studies"][study]
    return found


# Standard deviations in points: of task sets (sets), of one score (rest).
def diversity_table(which: str, sets: float, rest: float) -> Callable[[float, Generator], tuple[float, float]]:
    """Study 3: `size` points for one standard deviation of log d or log v; the test of it, or of their difference."""
    settings = section("diversity")
    rows = [(row, seed) for row in diversity.rows(settings) for seed in settings["seeds"]]
    predictors = {
        "tasks": mixed.standardised([math.log(row["tasks"]) for row, _ in rows], "tasks"),
        "examples": mixed.standardised([math.log(row["examples"]) for row, _ in rows], "examples"),
    }
    names = [row["set"] for row, _ in rows]
    seeds = [seed for _, seed in rows]
    _, places = np.unique(names, return_inverse=True)

    def test(size: float, generator: Generator) -> tuple[float, float]:
        shift = sets * generator.standard_normal(places.max() + 1)
        outcome = shift[places] + rest * generator.standard_normal(len(rows)) + np.asarray(seeds)
        outcome = outcome + size * predictors["tasks" if which == "difference" else which]
        fit = mixed.fit_mixed(outcome, predictors, names, {"seed": seeds})
        effect = fit.difference("tasks", "examples") if which == "difference" else fit.effects[which]
        return effect.p, effect.value

    return test


def curve_table(rest: float) -> Callable[[float, Generator], tuple[float, float]]:
    """Study 4: `size` points a doubling of the number of tasks."""
    settings = section("how_many")
    sizes = how_many.counts(settings)

    def test(size: float, generator: Generator) -> tuple[float, float]:
        line = size * np.log2(sizes)[:, None] + np.asarray(settings["seeds"])[None, :]
        effect = curves.trend(curves.fit_curve(sizes, line + rest * generator.standard_normal(line.shape)))
        return effect.p, effect.value

    return test


def ranking_table(worth: float, rest: float, alone: bool) -> Callable[[float, Generator], tuple[float, float]]:
    """Study 4: tasks differ in worth; the ranking orders by it, `size` times as strongly as its own error.

    Either the best tasks' mixtures against those of random orders, or every task alone by its place.
    """
    settings = section("how_many")
    tasks, sizes, seeds = settings["tasks"], how_many.random_counts(settings), len(settings["seeds"])

    def test(size: float, generator: Generator) -> tuple[float, float]:
        value = worth * generator.standard_normal(len(tasks))
        ranking = np.argsort(-(size * value / worth + generator.standard_normal(len(tasks))))
        if alone:
            effect = curves.places(value[ranking][:, None] + rest * generator.standard_normal((len(tasks), seeds)))
            return effect.p, effect.value
        orders = [generator.permutation(len(tasks)) for _ in range(settings["draws"])]
        scores = [
            [value[order[:count]].mean() + rest * generator.standard_normal(seeds) for count in sizes]
            for order in (ranking, *orders)
        ]
        effect = curves.against_random(np.asarray(scores[0]), np.asarray(scores[1:]))
        return effect.p, effect.value

    return test


def interaction_table(language: float, rest: float) -> Callable[[float, Generator], tuple[float, float]]:
    """Study 4: `size` points a doubling more for one standard deviation of similarity; eight languages."""
    from stiltgrid.analysis.typology import ENGLISH, TYPOLOGY, similarity
    from stiltgrid.data.sources.minilab.languages import LANGUAGES

    settings = section("how_many")
    sizes = how_many.counts(settings)
    likeness = {code: similarity(code, TYPOLOGY) or 0.0 for code in LANGUAGES if code != ENGLISH}
    place = np.asarray(list(likeness.values()))
    place = (place - place.mean()) / place.std()

    def test(size: float, generator: Generator) -> tuple[float, float]:
        row = rest * generator.standard_normal((len(sizes), len(settings["seeds"])))  # what a row does to all languages
        table = {}
        for code, x in zip(likeness, place, strict=True):
            slope = size * x + language * generator.standard_normal()
            table[code] = slope * np.log2(sizes)[:, None] + row + rest * generator.standard_normal(row.shape)
        effect = curves.interaction(sizes, table, likeness)
        return effect.p, effect.value

    return test


SIMULATIONS: tuple[Simulation, ...] = (
    Simulation("diversity", "more tasks", 2.0, "1 sets, 1 rest", diversity_table("tasks", 1.0, 1.0)),
    Simulation("diversity", "more tasks, sets alike", 1.0, "0 sets, 1 rest", diversity_table("tasks", 0.0, 1.0)),
    Simulation("diversity", "more examples", 1.0, "1 sets, 1 rest", diversity_table("examples", 1.0, 1.0)),
    Simulation("diversity", "difference", 2.0, "1 sets, 1 rest", diversity_table("difference", 1.0, 1.0)),
    Simulation("how_many", "trend", 1.5, "1 rest", curve_table(1.0)),
    Simulation("how_many", "ranked against random", 5.0, "3 tasks, 0.5 rest", ranking_table(3.0, 0.5, False)),
    Simulation("how_many", "ranked alone", 5.0, "3 tasks, 0.5 rest", ranking_table(3.0, 0.5, True)),
    Simulation("how_many", "ranked alone, vaguely", 1.0, "3 tasks, 0.5 rest", ranking_table(3.0, 0.5, True)),
    Simulation("how_many", "interaction", 0.5, "0.2 language, 0.5 rest", interaction_table(0.2, 0.5)),
)


def main() -> None:
    """Print one line of a Markdown table a simulation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--study", help="one study's simulations only")
    parser.add_argument("--effect", help="one effect only, by its name in the table")
    asked = parser.parse_args()
    head = ("study", "effect", "planted (points)", "noise (sd, points)", "tables", "found", "false alarms")
    sys.stdout.write(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}\n")
    for item in SIMULATIONS:
        if asked.study in (None, item.study) and asked.effect in (None, item.effect):
            told = simulate(item, asked.tables)
            cells = (item.study, item.effect, f"{item.size:g}", item.noise, told.tables)
            line = [*map(str, cells), f"{told.found:.1%}", f"{told.false_alarms:.1%}"]
            sys.stdout.write(f"| {' | '.join(line)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

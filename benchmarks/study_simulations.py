"""Simulated score tables for the studies of mixtures (3 and 4): how often planted effects are found, and absent ones.

Tables have the sizes of the default studies (config.yaml; XTREME-R's languages where languages are the units). Noise
has heavy tails (Student's t with three degrees of freedom), tasks differ in what they are worth and in how they
respond to volume, relatives behave alike. `found`: significant at 5 % with the right sign where an effect was planted;
`false alarms`: significant at 5 % where none was, for the unit that the finding speaks of. Run from the repository's
root: `python benchmarks/study_simulations.py [--tables 200] [--study diversity] [--effect difference]`; some minutes
on a core.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from stiltgrid.analysis.language_groups import group_of  # noqa: E402
from stiltgrid.analysis.typology import ENGLISH, MORPHOLOGY, morphologies, similarity  # noqa: E402
from stiltgrid.grid.designs import diversity, how_many  # noqa: E402
from stiltgrid.studies import curves  # noqa: E402
from stiltgrid.studies.diversity_effects import fit_effects  # noqa: E402
from stiltgrid.studies.effects import Effect  # noqa: E402
from stiltgrid.studies.errors import StudyError  # noqa: E402
from stiltgrid.studies.language_slopes import similarity_effect  # noqa: E402

Generator = np.random.Generator
Draw = Callable[[float, Generator], tuple[float, float]]  # planted size, generator -> p-value, estimate


@dataclass(frozen=True)
class Simulation:
    """A planted effect of `size` points; `unit` is what the finding speaks of, `noise` the standard deviations."""

    study: str
    effect: str
    unit: str
    size: float
    noise: str
    test: Draw


@dataclass(frozen=True)
class Outcome:
    """Shares of tables: planted effect found with the right sign, false alarms without one."""

    simulation: Simulation
    tables: int
    found: float
    false_alarms: float


def simulate(simulation: Simulation, tables: int, seed: int = 0) -> Outcome:
    """Analyse `tables` tables with the effect and as many without it."""
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


def heavy(generator: Generator, *shape: int) -> np.ndarray:
    """Noise of variance 1 with heavy tails: Student's t with three degrees of freedom."""
    return generator.standard_t(3, shape) / np.sqrt(3)


def result(effect: Effect) -> tuple[float, float]:
    """P-value and estimate."""
    return effect.p, effect.value


def diversity_table(which: str, worth: float, response: float, sets: float, rest: float) -> Draw:
    """Study 3: `size` points for one standard deviation of log d or log v.

    Standard deviations in points: of what a task is worth, of its response to volume (of mean zero over these tasks),
    of a set, of one score.
    """
    settings = section("diversity")
    rows = [(row, seed) for row in diversity.rows(settings) for seed in settings["seeds"]]
    names = sorted({row["set"] for row, _ in rows})
    place = np.asarray([names.index(row["set"]) for row, _ in rows])
    members = np.asarray([[float(task in name.split("+")) for task in settings["tasks"]] for name in names])
    members = members / members.sum(axis=1, keepdims=True)
    logs = {name: np.log([float(row[name]) for row, _ in rows]) for name in ("tasks", "examples")}
    x = {name: (values - values.mean()) / values.std() for name, values in logs.items()}
    planted = "tasks" if which == "difference" else which

    def test(size: float, generator: Generator) -> tuple[float, float]:
        count = len(settings["tasks"])
        responses = response * heavy(generator, count)
        level = members @ (worth * heavy(generator, count)) + sets * heavy(generator, len(names))
        outcome = level[place] + (members @ (responses - responses.mean()))[place] * x["examples"]
        outcome = outcome + rest * heavy(generator, len(rows)) + size * x[planted]
        table = [
            {"set": row["set"], "tasks": row["tasks"], "examples": row["examples"], "seed": seed, "y": float(value)}
            for (row, seed), value in zip(rows, outcome, strict=True)
        ]
        return result(getattr(fit_effects(table, "y"), which))

    return test


def curve_table(rest: float) -> Draw:
    """Study 4, these tasks in this order: `size` points a doubling of the number of tasks."""
    settings = section("how_many")
    sizes = how_many.counts(settings)

    def test(size: float, generator: Generator) -> tuple[float, float]:
        line = size * np.log2(sizes)[:, None] + np.asarray(settings["seeds"])[None, :]
        return result(curves.trend(curves.fit_curve(sizes, line + rest * heavy(generator, *line.shape))))

    return test


def order_table(worth: float, rest: float) -> Draw:
    """Study 4, any order: `size` points a doubling; tasks differ in worth, and a mixture has the mean of its tasks'."""
    settings = section("how_many")
    sizes, seeds, count = how_many.random_counts(settings), len(settings["seeds"]), len(settings["tasks"])

    def test(size: float, generator: Generator) -> tuple[float, float]:
        value = worth * heavy(generator, count)
        orders = np.asarray([
            [value[order[:k]].mean() + size * np.log2(k) + rest * heavy(generator, seeds) for k in sizes]
            for order in (generator.permutation(count) for _ in range(settings["draws"]))
        ])  # fmt: skip
        return result(curves.order_trend(sizes, orders))

    return test


def ranking_table(worth: float, rest: float) -> Draw:
    """Study 4: tasks differ in worth, the ranking follows it `size` times as strongly as its own error."""
    settings = section("how_many")
    count, seeds = len(settings["tasks"]), len(settings["seeds"])

    def test(size: float, generator: Generator) -> tuple[float, float]:
        value = worth * heavy(generator, count)
        ranking = np.argsort(-(size * value / worth + heavy(generator, count)))
        return result(curves.places(value[ranking][:, None] + rest * heavy(generator, count, seeds)))

    return test


def similarity_table(family: float, language: float, rest: float, relatives: bool = True) -> Draw:
    """Study 4: `size` points a doubling more for one standard deviation of similarity, in Grambank's languages.

    Every target has some of the languages, and gains of its own from more tasks; standard deviations of slopes by
    family and by language.
    """
    settings = section("how_many")
    sizes, seeds = how_many.counts(settings), len(settings["seeds"])
    known = {code: similarity(code, MORPHOLOGY) or 0.0 for code in morphologies() if code != ENGLISH}
    families = {code: group_of(code, "family") if relatives else code for code in known}
    x = np.asarray(list(known.values()))
    x = (x - x.mean()) / x.std()

    def test(size: float, generator: Generator) -> tuple[float, float]:
        own = {name: family * float(heavy(generator, 1)[0]) for name in set(families.values())}
        slope = {
            code: size * place + own[families[code]] + language * float(heavy(generator, 1)[0])
            for code, place in zip(known, x, strict=True)
        }
        table = {}
        for target, share in (("wide", 0.9), ("narrow", 0.3), ("other", 0.5)):
            own_slope = float(heavy(generator, 1)[0])
            for code in known:
                if generator.random() < share:
                    line = (own_slope + slope[code]) * np.log2(sizes)[:, None]
                    table[target, code] = line + rest * heavy(generator, len(sizes), seeds)
        try:
            return result(similarity_effect(sizes, table, known, families))
        except StudyError:  # without an estimate there is neither a finding nor a false alarm
            return 1.0, 0.0

    return test


SETS, ORDER, TASKS, LANGUAGES = "sets of these tasks", "these tasks in this order", "tasks", "languages"
SIMULATIONS: tuple[Simulation, ...] = (
    Simulation("diversity", "more tasks", SETS, 1.5, "2 worth, 1 response, 0.7 sets, 0.7 rest",
               diversity_table("tasks", 2.0, 1.0, 0.7, 0.7)),
    Simulation("diversity", "more tasks, sets alike", SETS, 1.0, "0 worth, 0 response, 0 sets, 1 rest",
               diversity_table("tasks", 0.0, 0.0, 0.0, 1.0)),
    Simulation("diversity", "more examples", SETS, 1.0, "2 worth, 1 response, 0.7 sets, 0.7 rest",
               diversity_table("examples", 2.0, 1.0, 0.7, 0.7)),
    Simulation("diversity", "difference", SETS, 1.5, "2 worth, 1 response, 0.7 sets, 0.7 rest",
               diversity_table("difference", 2.0, 1.0, 0.7, 0.7)),
    Simulation("how_many", "trend", ORDER, 1.5, "1 rest", curve_table(1.0)),
    Simulation("how_many", "trend over random orders", "orders of these tasks", 1.5, "2 worth, 0.7 rest",
               order_table(2.0, 0.7)),
    Simulation("how_many", "ranked alone", TASKS, 5.0, "3 worth, 0.5 rest", ranking_table(3.0, 0.5)),
    Simulation("how_many", "ranked alone, weakly", TASKS, 1.0, "3 worth, 0.5 rest", ranking_table(3.0, 0.5)),
    Simulation("how_many", "similarity", LANGUAGES, 0.5, "0.4 family, 0.3 language, 0.5 rest",
               similarity_table(0.4, 0.3, 0.5)),
    Simulation("how_many", "similarity, no families", LANGUAGES, 0.5, "0 family, 0.3 language, 0.5 rest",
               similarity_table(0.0, 0.3, 0.5)),
)  # fmt: skip


def main() -> None:
    """Print one line of a Markdown table for each simulation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--study", help="the simulations of one study only")
    parser.add_argument("--effect", help="one effect only, by its name in the table")
    asked = parser.parse_args()
    head = ("study", "effect", "unit", "planted (points)", "noise (sd, points)", "tables", "found", "false alarms")
    sys.stdout.write(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}\n")
    for item in SIMULATIONS:
        if asked.study in (None, item.study) and asked.effect in (None, item.effect):
            outcome = simulate(item, asked.tables)
            cells = (item.study, item.effect, item.unit, f"{item.size:g}", item.noise, str(outcome.tables))
            line = [*cells, f"{outcome.found:.1%}", f"{outcome.false_alarms:.1%}"]
            sys.stdout.write(f"| {' | '.join(line)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

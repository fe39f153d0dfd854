"""Simulated score tables for the studies of mixtures (3 and 4): how often planted effects are found, and absent ones.

Tables have the sizes of the default studies (config.yaml; `--config presets/studies.yaml` takes those at real scale;
XTREME-R's languages where languages are the units). Noise has heavy tails (Student's t with three degrees of freedom),
tasks differ in what they are worth and in how they respond to volume, relatives behave alike. Untidy tables have scores
in steps of half a point, and rows that had fewer examples than asked for. `found`: significant at 5 % with the right
sign where an effect was planted; `false alarms`: significant at 5 % where none was, for the unit that the finding
speaks of. Run from the repository's root: `python benchmarks/study_simulations.py [--tables 200] [--study diversity]
[--effect difference]`; some minutes on a core.
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
STEP = 0.5  # points between possible scores of an untidy table
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from stiltgrid.analysis.language_groups import group_of  # noqa: E402
from stiltgrid.analysis.typology import ENGLISH, MORPHOLOGY, morphologies, similarity  # noqa: E402
from stiltgrid.grid.designs import diversity, how_many  # noqa: E402
from stiltgrid.grid.grid import mixture  # noqa: E402
from stiltgrid.grid.target_caps import uncapped  # noqa: E402
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


def section(study: str, config_file: str) -> Mapping[str, Any]:
    """The study's section of a configuration."""
    config = yaml.safe_load((ROOT / config_file).read_text(encoding="utf-8"))
    found: Mapping[str, Any] = config["studies"][study]
    return found


def heavy(generator: Generator, *shape: int) -> np.ndarray:
    """Noise of variance 1 with heavy tails: Student's t with three degrees of freedom."""
    return generator.standard_t(3, shape) / np.sqrt(3)


def result(effect: Effect) -> tuple[float, float]:
    """P-value and estimate."""
    return effect.p, effect.value


def diversity_table(
    settings: Mapping[str, Any], which: str, noise: tuple[float, float, float, float], untidy: bool = False
) -> Draw:
    """Study 3: `size` points for one standard deviation of log d or log v.

    `noise` are standard deviations in points: of what a task is worth, of its response to volume (of mean zero over
    these tasks), of a set, of one score. In untidy tables a third of the single tasks have half of the most examples.
    """
    worth, response, sets, rest = noise
    rows = [(row, seed) for row in diversity.rows(settings) for seed in settings["seeds"]]
    names = sorted({row["set"] for row, _ in rows})
    place = np.asarray([names.index(row["set"]) for row, _ in rows])
    members = np.asarray([[float(task in name.split("+")) for task in settings["tasks"]] for name in names])
    members = members / members.sum(axis=1, keepdims=True)
    if untidy:
        short = sorted(settings["tasks"])[::3]
        most = max(settings["examples"]) // 2
        rows = [({**row, "examples": min(row["examples"], most)} if row["set"] in short else row, seed)
                for row, seed in rows]  # fmt: skip
    logs = {name: np.log([float(row[name]) for row, _ in rows]) for name in ("tasks", "examples")}
    x = {name: (values - values.mean()) / values.std() for name, values in logs.items()}
    planted = "tasks" if which == "difference" else which

    def test(size: float, generator: Generator) -> tuple[float, float]:
        count = len(settings["tasks"])
        responses = response * heavy(generator, count)
        level = members @ (worth * heavy(generator, count)) + sets * heavy(generator, len(names))
        outcome = level[place] + (members @ (responses - responses.mean()))[place] * x["examples"]
        outcome = outcome + rest * heavy(generator, len(rows)) + size * x[planted]
        outcome = np.round(outcome / STEP) * STEP if untidy else outcome
        table = [
            {"set": row["set"], "tasks": row["tasks"], "examples": row["examples"], "seed": seed, "y": float(value)}
            for (row, seed), value in zip(rows, outcome, strict=True)
        ]
        return result(getattr(fit_effects(table, "y"), which))

    return test


def curve_table(settings: Mapping[str, Any], rest: float, untidy: bool = False) -> Draw:
    """Study 4, these tasks in this order: `size` points a doubling of the number of tasks."""
    sizes = how_many.counts(settings)

    def test(size: float, generator: Generator) -> tuple[float, float]:
        line = size * np.log2(sizes)[:, None] + np.asarray(settings["seeds"])[None, :]
        scores = line + rest * heavy(generator, *line.shape)
        scores = np.round(scores / STEP) * STEP if untidy else scores
        return result(curves.trend(curves.fit_curve(sizes, scores)))

    return test


def order_table(settings: Mapping[str, Any], worth: float, rest: float) -> Draw:
    """Study 4, any order: `size` points a doubling; tasks differ in worth, and a mixture has the mean of its tasks'."""
    sizes, seeds, count = how_many.random_counts(settings), len(settings["seeds"]), len(settings["tasks"])

    def test(size: float, generator: Generator) -> tuple[float, float]:
        value = worth * heavy(generator, count)
        orders = np.asarray([
            [value[order[:k]].mean() + size * np.log2(k) + rest * heavy(generator, seeds) for k in sizes]
            for order in (generator.permutation(count) for _ in range(settings["draws"]))
        ])  # fmt: skip
        return result(curves.order_trend(sizes, orders))

    return test


def set_table(settings: Mapping[str, Any], worth: float, sets: float, rest: float, untidy: bool = False) -> Draw:
    """Study 4, independent sets: `size` points a doubling; tasks differ in worth, and sets in how they combine."""
    names = sorted(settings["tasks"])
    drawn = [(size, recipe.tasks) for size, rows in how_many.set_rows(settings).items() for row in rows
             if (recipe := mixture(uncapped(row)))]  # fmt: skip
    sizes, seeds = [size for size, _ in drawn], len(settings["seeds"])

    def test(size: float, generator: Generator) -> tuple[float, float]:
        value = dict(zip(names, worth * heavy(generator, len(names)), strict=True))
        level = np.asarray([np.mean([value[task] for task in tasks]) + size * np.log2(k) for k, tasks in drawn])
        scores = (level + sets * heavy(generator, len(drawn)))[:, None] + rest * heavy(generator, len(drawn), seeds)
        return result(curves.set_trend(sizes, np.round(scores / STEP) * STEP if untidy else scores))

    return test


def ranking_table(settings: Mapping[str, Any], worth: float, rest: float) -> Draw:
    """Study 4: tasks differ in worth, the ranking follows it `size` times as strongly as its own error."""
    count, seeds = len(settings["tasks"]), len(settings["seeds"])

    def test(size: float, generator: Generator) -> tuple[float, float]:
        value = worth * heavy(generator, count)
        ranking = np.argsort(-(size * value / worth + heavy(generator, count)))
        return result(curves.places(value[ranking][:, None] + rest * heavy(generator, count, seeds)))

    return test


def similarity_table(
    settings: Mapping[str, Any], family: float, language: float, rest: float, untidy: bool = False
) -> Draw:
    """Study 4: `size` points a doubling more for one standard deviation of similarity, in Grambank's languages.

    Every target has some of the languages, and gains of its own from more tasks; standard deviations of slopes by
    family and by language.
    """
    sizes, seeds = how_many.counts(settings), len(settings["seeds"])
    known = {code: similarity(code, MORPHOLOGY) or 0.0 for code in morphologies() if code != ENGLISH}
    families = {code: group_of(code, "family") for code in known}
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
                    scores = line + rest * heavy(generator, len(sizes), seeds)
                    table[target, code] = np.round(scores / STEP) * STEP if untidy else scores
        try:
            return result(similarity_effect(sizes, table, known, families))
        except StudyError:  # without an estimate there is neither a finding nor a false alarm
            return 1.0, 0.0

    return test


SETS, ORDER, TASKS, LANGUAGES = "sets of these tasks", "these tasks in this order", "tasks", "languages"
MIXED = "2 worth, 1 response, 0.7 sets, 0.7 rest"


def simulations(config_file: str = "config.yaml") -> tuple[Simulation, ...]:
    """All simulations, at the sizes of a configuration."""
    three, four = (section(study, config_file) for study in ("diversity", "how_many"))
    mixed, alike = (2.0, 1.0, 0.7, 0.7), (0.0, 0.0, 0.0, 1.0)
    return (
        Simulation("diversity", "more tasks", SETS, 1.5, MIXED, diversity_table(three, "tasks", mixed)),
        Simulation("diversity", "more tasks, sets alike", SETS, 1.0, "0 worth, 0 response, 0 sets, 1 rest",
                   diversity_table(three, "tasks", alike)),
        Simulation("diversity", "more examples", SETS, 1.0, MIXED, diversity_table(three, "examples", mixed)),
        Simulation("diversity", "more examples, untidy", SETS, 1.0, MIXED,
                   diversity_table(three, "examples", mixed, untidy=True)),
        Simulation("diversity", "difference", SETS, 1.5, MIXED, diversity_table(three, "difference", mixed)),
        Simulation("diversity", "difference, untidy", SETS, 1.5, MIXED,
                   diversity_table(three, "difference", mixed, untidy=True)),
        Simulation("how_many", "trend", ORDER, 1.5, "1 rest", curve_table(four, 1.0)),
        Simulation("how_many", "trend, untidy", ORDER, 1.5, "1 rest", curve_table(four, 1.0, untidy=True)),
        Simulation("how_many", "trend over random orders", "orders of these tasks", 1.5, "2 worth, 0.7 rest",
                   order_table(four, 2.0, 0.7)),
        Simulation("how_many", "trend over independent sets", SETS, 1.5, "2 worth, 0.7 sets, 0.7 rest",
                   set_table(four, 2.0, 0.7, 0.7)),
        Simulation("how_many", "trend over independent sets, untidy", SETS, 1.5, "2 worth, 0.7 sets, 0.7 rest",
                   set_table(four, 2.0, 0.7, 0.7, untidy=True)),
        Simulation("how_many", "ranked alone", TASKS, 5.0, "3 worth, 0.5 rest", ranking_table(four, 3.0, 0.5)),
        Simulation("how_many", "ranked alone, weakly", TASKS, 1.0, "3 worth, 0.5 rest", ranking_table(four, 3.0, 0.5)),
        Simulation("how_many", "similarity", LANGUAGES, 0.5, "0.4 family, 0.3 language, 0.5 rest",
                   similarity_table(four, 0.4, 0.3, 0.5)),
        Simulation("how_many", "similarity, untidy", LANGUAGES, 0.5, "0.4 family, 0.3 language, 0.5 rest",
                   similarity_table(four, 0.4, 0.3, 0.5, untidy=True)),
        Simulation("how_many", "similarity, no families", LANGUAGES, 0.5, "0 family, 0.3 language, 0.5 rest",
                   similarity_table(four, 0.0, 0.3, 0.5)),
    )  # fmt: skip


def main() -> None:
    """Print one line of a Markdown table for each simulation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--study", help="the simulations of one study only")
    parser.add_argument("--effect", help="one effect only, by its name in the table")
    parser.add_argument("--config", default="config.yaml", help="the configuration whose studies are simulated")
    asked = parser.parse_args()
    head = ("study", "effect", "unit", "planted (points)", "noise (sd, points)", "tables", "found", "false alarms")
    sys.stdout.write(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}\n")
    for item in simulations(asked.config):
        if asked.study in (None, item.study) and asked.effect in (None, item.effect):
            outcome = simulate(item, asked.tables)
            cells = (item.study, item.effect, item.unit, f"{item.size:g}", item.noise, str(outcome.tables))
            line = [*cells, f"{outcome.found:.1%}", f"{outcome.false_alarms:.1%}"]
            sys.stdout.write(f"| {' | '.join(line)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

"""A fast part of benchmarks/study_simulations.py: planted effects are found, nothing is found where nothing is."""

import importlib
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def simulations() -> ModuleType:
    return importlib.import_module("study_simulations")


@pytest.mark.parametrize(
    ("effect", "tables", "found", "false_alarms"),
    # Bounds that a right test breaks once in a thousand: found at 90 %, false alarms at 5 %.
    [
        ("trend over independent sets", 60, 0.75, 0.17),
        ("difference, untidy", 40, 0.7, 0.2),
        ("trend", 60, 0.75, 0.17),
        ("trend over random orders", 60, 0.75, 0.17),
        ("similarity", 40, 0.75, 0.2),
        ("ranked alone", 60, 0.75, 0.17),
        ("more tasks", 40, 0.75, 0.2),
        ("more examples", 40, 0.75, 0.2),
    ],
)
def test_planted_effects_are_found_and_false_alarms_are_rare(
    simulations: ModuleType, effect: str, tables: int, found: float, false_alarms: float
) -> None:
    chosen = next(item for item in simulations.simulations() if item.effect == effect)
    outcome = simulations.simulate(chosen, tables)
    assert outcome.found >= found
    assert outcome.false_alarms <= false_alarms


def test_studies_with_a_planted_truth_are_simulated(simulations: ModuleType) -> None:
    assert {"diversity", "how_many"} <= {item.study for item in simulations.simulations()}

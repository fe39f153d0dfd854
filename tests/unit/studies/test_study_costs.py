"""What presets/studies.yaml says of each study's cost and of what it finds is what is computed and simulated."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PRESET = (ROOT / "presets/studies.yaml").read_text(encoding="utf-8")
STUDIES = ("similarity", "architecture", "retrieval", "diversity", "how_many")
# Words of the simulated line that a study's `Finds` quotes.
SIMULATED = {
    "similarity": "slope 0.35 SD, rows alike on all targets",
    "architecture": "own patterns of SD 1, heavy tails, 9 × 8 × 2 seeds",
    "retrieval": "some 2 points",
    "diversity": "| diversity | difference | 1.5 | 200 |",
    "how_many": "| how_many | trend over random orders | 1.5 | 1,000 |",
}


def comment(study: str, kind: str) -> str:
    found = re.search(rf"^  {study}:\n(?:    #.*\n)*?    # ({kind}.*)\n", PRESET, re.MULTILINE)
    assert found, f"{study} has no comment that begins with {kind}"
    return found.group(1)


@pytest.mark.usefixtures("at_the_root")
def test_costs_are_those_of_the_plans() -> None:
    costs = importlib.import_module("study_costs")
    grid = costs.configured_grid([ROOT / f"presets/{name}.yaml" for name in ("xtreme_r", "studies")])
    assert {name: comment(name, "Cost") for name in STUDIES} == {
        name: costs.study_cost(grid, name).text() for name in STUDIES
    }
    # By hand: nine rows of four models and two seeds; ten rows with `none`; seven tuned models of eight targets:
    # MNLI, SIQa then COPA, POS, NER, SQuAD, TyDiQA, LAReQA; Tatoeba has none.
    assert (costs.study_cost(grid, "architecture").rows, costs.study_cost(grid, "architecture").tuned) == (
        9 * 4 * 2, 10 * 7 * 4 * 2,
    )  # fmt: skip


@pytest.mark.parametrize("study", STUDIES)
def test_what_a_study_finds_is_in_the_table_of_simulations(study: str) -> None:
    (share,) = re.findall(r"(\d+\.\d) %", comment(study, "Finds"))
    readme = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    lines = [line for line in readme.splitlines() if SIMULATED[study] in line]
    assert len(lines) == 1 and f"| {share} % |" in lines[0]

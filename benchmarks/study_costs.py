"""What each study of a configuration takes: the jobs that `snakemake estimate` counts, by study.

`python benchmarks/study_costs.py [presets/xtreme_r.yaml presets/studies.yaml]`. Studies share jobs with each other and
with the grid, so together they take less than the sum. The mixtures of the best tasks (study 4) follow from a ranking:
all of them are counted, though some may be random sets as well. For tokens, hours and disk:
`snakemake --cores 1 estimate studies --configfile …`, once the data is encoded.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from configured_grid import configured_grid  # noqa: E402
from stiltgrid.grid.designs import how_many  # noqa: E402
from stiltgrid.grid.grid import NONE, Grid  # noqa: E402
from stiltgrid.grid.target_caps import uncapped  # noqa: E402


@dataclass(frozen=True)
class Cost:
    """Jobs of a study: rows trained, targets tuned, cells scored."""

    rows: int
    tuned: int
    scored: int

    def text(self) -> str:
        """The cost in words, as presets/studies.yaml has it."""
        return f"Cost: {self.rows:,} rows, {self.tuned:,} target trainings, {self.scored:,} scorings."


def study_cost(grid: Grid, study: str) -> Cost:
    """The jobs of a study's plan, whatever else needs them too."""
    plan = grid.plans[study]
    rows = dict.fromkeys((*plan.intermediates, *plan.trained))
    cells = dict.fromkeys(plan.intermediates)
    if study == "how_many":
        best = how_many.best_rows(grid.studies[study], grid.studies[study]["tasks"]).values()
        rows, cells = rows | dict.fromkeys(best), cells | dict.fromkeys(best)
    runs = len(plan.models) * len(plan.seeds)
    tuned = {grid.cards[target].tuned for target in plan.targets} - {None}
    trained = {uncapped(row) for row in rows} - {NONE}
    return Cost(len(trained) * runs, len(cells) * len(tuned) * runs, len(cells) * len(plan.targets) * runs)


def main() -> None:
    """Print a line for each study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", default=["presets/xtreme_r.yaml", "presets/studies.yaml"])
    grid = configured_grid([ROOT / name for name in parser.parse_args().presets])
    for study in grid.plans:
        sys.stdout.write(f"{study}: {study_cost(grid, study).text()}\n")


if __name__ == "__main__":
    main()

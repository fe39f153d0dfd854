"""The table of a round, `round{r}.tsv`. Read where the workflow decides what to run: nothing heavy is imported."""

import csv
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from stiltgrid.grid.paths import RESULTS, Cell
from stiltgrid.grid.selection import LOW
from stiltgrid.utils.files import atomic_path

FOLDER = f"{RESULTS}/selection"
SYNTHETIC = "synthetic"  # as `analysis.tables` names it, whose import would be slow here


@dataclass(frozen=True)
class ProposedCell:
    """A cell that a round asks for: `cost` in percent of the grid's, `gain` the points that are expected of it."""

    model: str
    intermediate: str
    target: str
    fidelity: str
    seed: int
    cost: float
    gain: float
    reason: str

    @property
    def metrics(self) -> str:
        """Path of the cell's scores: its ordinary one, or one of its own at low fidelity."""
        if self.fidelity == LOW:
            return f"{FOLDER}/scores/{self.model}/{self.intermediate}/{self.target}/seed{self.seed}/metrics.json"
        return Cell(self.model, self.intermediate, self.target, self.seed).metrics

    @property
    def predictions(self) -> str:
        """Path of the cell's predictions."""
        return self.metrics.replace("metrics.json", "predictions.parquet")


COLUMNS = tuple(item.name for item in fields(ProposedCell))


def write_round(cells: Iterable[ProposedCell], path: str | os.PathLike[str], *, synthetic: bool) -> None:
    """Write the cells of a round, atomically. A last column says in every row whether the data is the mini-lab's."""
    names = (*COLUMNS, SYNTHETIC)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, names, delimiter="\t", lineterminator="\n")
        table.writeheader()
        for cell in cells:
            numbers = {"cost": f"{cell.cost:.4f}", "gain": f"{cell.gain:.4f}"}
            table.writerow({**asdict(cell), **numbers, SYNTHETIC: synthetic})


def read_round(path: str | os.PathLike[str]) -> list[ProposedCell]:
    """The cells of a round."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = [{name: row[name] for name in COLUMNS} for row in csv.DictReader(file, delimiter="\t")]
    return [
        ProposedCell(**{**row, "seed": int(row["seed"]), "cost": float(row["cost"]), "gain": float(row["gain"])})  # type: ignore[arg-type]
        for row in rows
    ]

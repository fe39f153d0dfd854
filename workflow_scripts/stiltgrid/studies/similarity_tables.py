"""The matrices of study 1: gains, similarity and controls of one model's rows and targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stiltgrid.analysis.tables import Cell, Transfer
from stiltgrid.evaluation.task_vectors import similarity
from stiltgrid.grid.grid import NONE
from stiltgrid.studies.errors import StudyError


@dataclass(frozen=True)
class Table:
    """One model's numbers for one measure, (rows, targets) each: `scores` and `gains` are zero-shot."""

    rows: tuple[str, ...]
    targets: tuple[str, ...]
    scores: np.ndarray
    gains: np.ndarray
    measure: np.ndarray
    log_size: np.ndarray
    same_family: np.ndarray

    @property
    def controls(self) -> dict[str, np.ndarray]:
        """The controls: how much a row was trained on, and whether it is of the target's family."""
        return {"log training size": self.log_size, "same family": self.same_family}


def read_table(
    transfer: Transfer,
    model: str,
    measure: str,
    files: Mapping[str, Mapping[str, str]],
    sizes: Mapping[tuple[str, str], int],
    families: Mapping[str, str],
) -> Table:
    """One model's matrices for one measure; `files` maps `rows` and `targets` to vectors by name."""
    rows, targets = tuple(files["rows"]), tuple(files["targets"])
    cells = [[transfer.cell(model, row, target) for target in targets] for row in rows]
    base = [_zero_shot(transfer.cell(model, NONE, target)) for target in targets]
    scores = np.asarray([[_zero_shot(cell) for cell in line] for line in cells])
    alike = [[similarity(measure, files["rows"][row], files["targets"][name]) for name in targets] for row in rows]
    size = np.log([[float(sizes[model, row])] * len(targets) for row in rows])
    same = np.asarray([[float(families[row] == families[name]) for name in targets] for row in rows])
    return Table(rows, targets, scores, scores - np.asarray(base), np.asarray(alike), size, same)


def _zero_shot(cell: Cell | None) -> float:
    """The mean over languages other than English and seeds; over all where there is no other."""
    if cell is None:
        return float("nan")
    return (cell.zero_shot or cell.score).value


def informative(table: Table) -> tuple[Table, list[str]]:
    """The targets on which rows differ in gains and in the measure, and a remark on each that is left out."""
    constant = {"gain": np.ptp(table.gains, axis=0) == 0, "similarity": np.ptp(table.measure, axis=0) == 0}
    remarks = [f"all rows have one {what} on {table.targets[n]}; it is left out" for what, each in constant.items()
            for n in np.flatnonzero(each)]  # fmt: skip
    kept = [name for n, name in enumerate(table.targets) if not any(each[n] for each in constant.values())]
    if not kept:
        raise StudyError("similarity: on no target do rows differ in gain and in similarity; nothing can be compared")
    return _part(table, kept), remarks


def common_targets(tables: Mapping[str, Table]) -> Table:
    """The first measure's table, on the targets that every measure has."""
    first = next(iter(tables.values()))
    return _part(first, [name for name in first.targets if all(name in each.targets for each in tables.values())])


def _part(table: Table, targets: Sequence[str]) -> Table:
    names = ("scores", "gains", "measure", "log_size", "same_family")
    matrices = {name: columns_of(table, getattr(table, name), targets) for name in names}
    return Table(table.rows, tuple(targets), **matrices)


def columns_of(table: Table, matrix: np.ndarray, targets: Sequence[str]) -> np.ndarray:
    """The columns of some of a table's targets."""
    return matrix[:, [table.targets.index(name) for name in targets]]

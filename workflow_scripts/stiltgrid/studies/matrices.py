"""Two models' gain matrices side by side: how alike they are, beyond chance and as far as noise allows. Pure numpy.

Matrices are (rows, targets). Three readings of "alike": of the gains as they are, each target standardised
(`within`); of what is left when each row's mean is taken away as well (`pattern`: which row suits which target); and
ranks within targets (`ranks`). The p-value permutes rows and columns of one matrix, each with one order, so that
what rows or targets have in common is not taken for so many independent cells (quadratic assignment, Mantel 1967).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stiltgrid.studies.association import ranks, standardised
from stiltgrid.studies.errors import StudyError, refuse_few, refuse_gaps

PERMUTATIONS = 4999
ROUNDING = 1e-9


def _pattern(gains: np.ndarray) -> np.ndarray:
    within = standardised(gains)
    return within - within.mean(axis=1, keepdims=True)


READINGS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "within": standardised,
    "pattern": _pattern,
    "ranks": lambda gains: standardised(ranks(gains)),
}


@dataclass(frozen=True)
class Likeness:
    """Correlation of two matrices under one reading.

    `p` permutes rows and columns, and the absolute correlation would have had to reach `needed` for p = 0.05.
    `ceiling` is what two runs of the same model would correlate by their seeds (the geometric mean of both models'
    reliabilities), None with one seed; `corrected` is the correlation over it.
    """

    reading: str
    correlation: float
    p: float
    rows: int
    targets: int
    ceiling: float | None
    corrected: float | None
    needed: float


def likeness(
    first: np.ndarray,
    second: np.ndarray,
    rows: Sequence[str],
    targets: Sequence[str],
    generator: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> list[Likeness]:
    """Compare gains (seeds, rows, targets) of two models; the seeds' means are correlated.

    Raises StudyError for missing cells, fewer than four rows or three targets, and where all gains of a model are
    the same.
    """
    means = [item.mean(axis=0) for item in (first, second)]
    for item in means:
        refuse_gaps("gains", item, rows, targets)
    refuse_few("likeness of gain matrices", len(rows), 4, "rows", "fewer can be permuted in too few ways")
    refuse_few("likeness of gain matrices", len(targets), 3, "targets", "two columns show no pattern")
    orders = [_orders(len(names), permutations, generator) for names in (rows, targets)]
    found = []
    for reading, read in READINGS.items():
        a, b = (_unit(read(item)) for item in means)
        correlation = float((a * b).sum())
        moved = np.asarray([(a * b[i][:, j]).sum() for i, j in zip(*orders, strict=True)])
        p = float((1 + (np.abs(moved) >= abs(correlation) - ROUNDING).sum()) / (1 + permutations))
        needed = float(np.quantile(np.abs(moved), 0.95))
        ceiling = _ceiling(reliability(first, reading), reliability(second, reading))
        corrected = correlation / ceiling if ceiling else None
        found.append(Likeness(reading, correlation, p, len(rows), len(targets), ceiling, corrected, needed))
    return found


def reliability(gains: np.ndarray, reading: str) -> float | None:
    """How the mean over seeds would correlate with that of as many new seeds, from (seeds, rows, targets).

    The mean correlation of two seeds, stepped up by Spearman and Brown's formula; None with one seed. All seeds share
    the test set, and a row's and its baseline's seed are one, so this sees training and not the drawing of examples.
    """
    seeds = len(gains)
    if seeds < 2:
        return None
    read = READINGS[reading]
    units = [_unit(read(item)) for item in gains]
    pairs = [float((units[i] * units[j]).sum()) for i in range(seeds) for j in range(i)]
    mean = float(np.mean(pairs))
    return seeds * mean / (1 + (seeds - 1) * mean) if mean > 0 else 0.0


def _ceiling(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else float(np.sqrt(first * second))


def _unit(matrix: np.ndarray) -> np.ndarray:
    moved = matrix - matrix.mean()
    length = float(np.sqrt((moved**2).sum()))
    if length <= ROUNDING:
        raise StudyError("likeness of gain matrices: expected gains that differ, found the same for all rows")
    return moved / length


def _orders(size: int, permutations: int, generator: np.random.Generator) -> np.ndarray:
    return generator.permuted(np.tile(np.arange(size), (permutations, 1)), axis=1)

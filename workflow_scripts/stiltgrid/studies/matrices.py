"""How alike two models' gain matrices are, beyond chance and relative to noise. Pure numpy.

Matrices are (rows, targets). Three readings of "alike": the gains with each target standardised (`within`); these less
each row's mean (`pattern`: which row suits which target); and ranks within targets (`ranks`). Two permutation tests are
made, and the larger p-value counts. One permutes rows and columns of one matrix freely, each with one order, so that a
common effect of a row or a target does not count as many independent cells (quadratic assignment, Mantel 1967). The
other permutes whole task families of rows and of targets, because tasks of a family move together: a family is replaced
by members of another, repeated where it has fewer.
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

    `p` is the larger of both permutation tests; the absolute correlation would have had to reach `needed` for p = 0.05.
    `ceiling` is the correlation that noise over seeds allows (the geometric mean of both models' reliabilities), None
    with one seed; `corrected` is the correlation over it.
    """

    reading: str
    correlation: float
    p: float
    rows: int
    targets: int
    ceiling: float | None
    corrected: float | None
    needed: float


@dataclass(frozen=True)
class Names:
    """Names of the rows and targets of a matrix, and the task family of each."""

    rows: Sequence[str]
    targets: Sequence[str]
    row_families: Sequence[str]
    target_families: Sequence[str]


def likeness(
    first: np.ndarray,
    second: np.ndarray,
    names: Names,
    generator: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> list[Likeness]:
    """Compare gains (seeds, rows, targets) of two models; the seeds' means are correlated.

    Raises StudyError for missing cells, fewer than four rows or three targets, and where all gains of a model are
    the same.
    """
    means = [item.mean(axis=0) for item in (first, second)]
    for item in means:
        refuse_gaps("gains", item, names.rows, names.targets)
    refuse_few("likeness of gain matrices", len(names.rows), 4, "rows", "fewer have too few permutations")
    refuse_few("likeness of gain matrices", len(names.targets), 3, "targets", "two columns show no pattern")
    free = [_orders(len(each), permutations, generator) for each in (names.rows, names.targets)]
    blocks = [family_orders(each, permutations, generator) for each in (names.row_families, names.target_families)]
    found = []
    for reading, read in READINGS.items():
        a, b = (_unit(read(item)) for item in means)
        correlation = float((a * b).sum())
        moved = [np.abs(_moved(a, b, orders)) for orders in (free, blocks)]
        p = max((1 + int((each >= abs(correlation) - ROUNDING).sum())) / (1 + permutations) for each in moved)
        needed = max(float(np.quantile(each, 0.95)) for each in moved)
        ceiling = _ceiling(reliability(first, reading), reliability(second, reading))
        corrected = correlation / ceiling if ceiling else None
        count = len(names.rows), len(names.targets)
        found.append(Likeness(reading, correlation, p, *count, ceiling, corrected, needed))
    return found


def _moved(first: np.ndarray, second: np.ndarray, orders: Sequence[np.ndarray]) -> np.ndarray:
    """Correlations of a unit matrix with the other, its rows and columns in other orders; 0 where it is constant."""
    rows, columns = orders
    moved = second[rows[:, :, None], columns[:, None, :]]
    moved = moved - moved.mean(axis=(1, 2), keepdims=True)
    lengths = np.sqrt((moved**2).sum(axis=(1, 2)))
    products = np.einsum("nij,ij->n", moved, first)
    return np.divide(products, lengths, out=np.zeros_like(products), where=lengths > ROUNDING)


def family_orders(families: Sequence[str], permutations: int, generator: np.random.Generator) -> np.ndarray:
    """(permutations, items): each family's places filled by the members of another family, in random order."""
    members = {name: np.flatnonzero(np.asarray(list(families)) == name) for name in sorted(set(families))}
    order = np.empty((permutations, len(families)), dtype=np.int64)
    for line in order:
        for places, source in zip(members.values(), generator.permutation(len(members)), strict=True):
            drawn = generator.permutation(list(members.values())[source])
            line[places] = np.resize(drawn, len(places))
    return order


def reliability(gains: np.ndarray, reading: str) -> float | None:
    """Expected correlation of the mean over seeds with that of as many new seeds, from (seeds, rows, targets).

    The mean correlation of two seeds, extended by the Spearman-Brown formula; None with one seed. All seeds share the
    test set, so this covers the noise of training and not the choice of examples.
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

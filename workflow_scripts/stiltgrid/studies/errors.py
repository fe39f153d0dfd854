"""What no statistic can answer is refused in one clear sentence, not answered with a number."""

from collections.abc import Mapping, Sequence

import numpy as np

from stiltgrid.utils.errors import StiltgridError


class StudyError(StiltgridError):
    """A study's design, or its table, cannot answer its question; the message says what is missing."""


def refuse_gaps(what: str, matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> None:
    """StudyError naming the cells of a (rows, columns) matrix that are missing (NaN)."""
    gaps = [f"{rows[row]} / {columns[column]}" for row, column in np.argwhere(~np.isfinite(matrix))]
    if gaps:
        raise StudyError(
            f"{what}: expected every row with every target, found {len(gaps)} of {matrix.size} missing "
            f"({', '.join(gaps[:4])}{', …' if len(gaps) > 4 else ''}); run these cells or leave their row or target out"
        )


def refuse_constant(what: str, matrix: np.ndarray, columns: Sequence[str]) -> None:
    """StudyError naming the columns of a (rows, columns) matrix in which all rows are the same."""
    same = [name for name, values in zip(columns, matrix.T, strict=True) if np.ptp(values) == 0]
    if same:
        raise StudyError(f"{what}: expected rows that differ, found one value for all rows in {', '.join(same)}")


def refuse_few(what: str, found: int, needed: int, unit: str, why: str) -> None:
    """StudyError where a design has fewer `unit` than its statistic needs."""
    if found < needed:
        raise StudyError(f"{what}: expected at least {needed} {unit}, found {found}; {why}")


def constant_columns(controls: Mapping[str, np.ndarray]) -> list[str]:
    """Names of controls (rows, targets) that do not differ between the rows of any target: they control nothing."""
    return [name for name, values in controls.items() if not (np.ptp(values, axis=0) > 0).any()]

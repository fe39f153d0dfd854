"""Belebele's English training set: one file, whose column `split` tells training from development rows."""

from stiltgrid.data.rows import RawRow
from stiltgrid.grid.cards import TaskCard


def example(card: TaskCard, row: RawRow, language: str, split: str) -> RawRow | None:
    """The row, if it is of this split; the file calls the splits `train` and `dev`, as we do."""
    return row if row.value("split") == split else None

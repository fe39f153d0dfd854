"""What the studies read of a finished table of scores: complete, or a refusal that names what is missing."""

from collections.abc import Iterator
from typing import Any

from stiltgrid.analysis.tables import AnyPath, Cell, Transfer, read_transfer
from stiltgrid.grid.layout import Layout
from stiltgrid.studies.errors import StudyError

SHOWN = 4


def complete(scores_path: AnyPath, layout: Layout, what: str) -> Transfer:
    """The cells of a layout, all of them; raises StudyError where the table lacks some."""
    transfer = read_transfer(scores_path, layout)
    if transfer.missing:
        shown = "; ".join(transfer.missing[:SHOWN]) + ("; …" if len(transfer.missing) > SHOWN else "")
        raise StudyError(
            f"{what}: expected {transfer.expected} scores (cells times seeds), {len(transfer.missing)} are missing: "
            f"{shown}; run these cells, or leave their rows or targets out of the study"
        )
    return transfer


def long_rows(transfer: Transfer) -> Iterator[dict[str, Any]]:
    """One row a cell, seed and language: model, intermediate, target, seed, language, value (0 to 100)."""
    for cell in transfer:
        for seed, scores in sorted(cell.values.items()):
            for language in cell.column.languages:
                yield {**_place(cell), "seed": seed, "language": language, "value": scores[language]}


def _place(cell: Cell) -> dict[str, Any]:
    return {"model": cell.model, "intermediate": cell.intermediate, "target": cell.column.target}

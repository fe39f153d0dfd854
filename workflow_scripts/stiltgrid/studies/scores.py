"""What the studies read of a finished table of scores: complete, or a refusal that names what is missing."""

from stiltgrid.analysis.tables import AnyPath, Transfer, read_transfer
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

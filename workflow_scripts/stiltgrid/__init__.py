"""Stiltgrid: which intermediate tasks improve zero-shot cross-lingual transfer, and by how much.

In a notebook, `stiltgrid.read_scores("results")` and the other names of `stiltgrid.notebook` read a finished grid. They
are imported when first used, so that `import stiltgrid` is cheap. Keep this file free of statements other than function
definitions: code digests contain what runs when the package is imported, so each one would rerun every job.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stiltgrid.notebook import list_cells as list_cells
    from stiltgrid.notebook import read_metrics as read_metrics
    from stiltgrid.notebook import read_predictions as read_predictions
    from stiltgrid.notebook import read_scores as read_scores
    from stiltgrid.notebook import read_table as read_table
    from stiltgrid.notebook import read_transfer as read_transfer


def __getattr__(name: str) -> Any:
    """The functions for notebooks and the version; AttributeError for any other name."""
    import importlib

    if name == "__version__":
        return importlib.import_module("stiltgrid.version").VERSION
    if name in __dir__():
        return getattr(importlib.import_module("stiltgrid.notebook"), name)
    raise AttributeError(f"module 'stiltgrid' has no attribute '{name}'")


def __dir__() -> list[str]:
    """Names for completion; a test holds them against `stiltgrid.notebook`."""
    return [
        "__version__", "list_cells", "read_metrics", "read_predictions", "read_scores", "read_table", "read_transfer",
    ]  # fmt: skip

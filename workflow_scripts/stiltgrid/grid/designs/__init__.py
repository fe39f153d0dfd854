"""What each study asks of the grid, one module a study, named as its section under `studies:` in the configuration.

A module holds `DESIGN`. It is read while the workflow is parsed: nothing heavy is imported, no file is opened.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stiltgrid.grid.grid import Grid, Plan

NAMES = ("similarity", "architecture", "diversity", "how_many", "retrieval")


@dataclass(frozen=True)
class Design:
    """A study at the door.

    `problems` gets the study's section (which its schema has passed), the grid and the names of all tasks, and yields
    sentences that begin with the key at fault, such as `targets: no such task 'xnly', did you mean 'xnli'?`.
    `plan` is only called without problems; it gets the section and the grid.
    """

    problems: Callable[[Mapping[str, Any], Grid, Sequence[str]], Iterator[str]]
    plan: Callable[[Mapping[str, Any], Grid], Plan]


def design(study: str) -> Design:
    """The design of a study by its name."""
    found: Design = importlib.import_module(f"{__name__}.{study}").DESIGN
    return found

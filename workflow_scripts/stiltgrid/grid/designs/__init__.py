"""The design of each study: which cells of the grid it needs. One module for each section of `studies:`.

A module defines `DESIGN`. It is imported while Snakemake parses, so it imports nothing heavy and opens no file.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stiltgrid.grid.grid import Grid, Plan

NAMES = ("similarity", "architecture", "diversity", "how_many", "retrieval")


@dataclass(frozen=True)
class Design:
    """The checks and the plan of a study.

    `problems` takes the study's section (valid by its schema), the grid and the names of all tasks. It yields sentences
    that begin with the wrong key, such as `targets: no such task 'xnly', did you mean 'xnli'?`.
    `plan` takes the section and the grid, and is called only if there are no problems.
    """

    problems: Callable[[Mapping[str, Any], Grid, Sequence[str]], Iterator[str]]
    plan: Callable[[Mapping[str, Any], Grid], Plan]


def design(study: str) -> Design:
    """The design of a study by its name."""
    found: Design = importlib.import_module(f"{__name__}.{study}").DESIGN
    return found

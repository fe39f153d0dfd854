"""Study 3, diversity against volume: outcomes of every row, a mixed model of them, a plot, a summary."""

from typing import Any

from stiltgrid.studies.refusals import StudyError


def write_study(*arguments: Any) -> None:
    """Write the study's files."""
    raise StudyError("diversity: its statistics are not here yet")

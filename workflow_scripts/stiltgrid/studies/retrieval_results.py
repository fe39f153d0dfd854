"""The contrasts of study 5, read by its summary and its plot."""

from dataclasses import dataclass

from stiltgrid.studies.paired import Contrast


@dataclass(frozen=True)
class TargetContrast:
    """A contrast on one target (`all`: their mean) in one phase, with its numbers of languages and queries."""

    target: str
    phase: str
    metric: str
    name: str
    contrast: Contrast
    languages: int
    queries: int

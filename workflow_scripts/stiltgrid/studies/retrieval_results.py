"""The contrasts of study 5, read by its summary and its plot."""

from dataclasses import dataclass

from stiltgrid.grid.benchmarks import benchmarks
from stiltgrid.studies.effects import Effect
from stiltgrid.studies.paired import Contrast

HEADLINE = "recall@10"
JUDGED = benchmarks()["xtreme_r"].groups["retrieval"]  # other targets (BUCC) are shown apart
ENGLISH_OVER_CONTROLS, MULTILINGUAL_OVER_CONTROLS = "english over controls", "multilingual over controls"
MULTILINGUAL_OVER_ENGLISH = "multilingual over the same task in English"
SINGLE_OVER_ENGLISH = "one other language over the same task in English"
OVER_ENGLISH = {"multilingual": MULTILINGUAL_OVER_ENGLISH, "single": SINGLE_OVER_ENGLISH}


@dataclass(frozen=True)
class RowEffect:
    """A difference between kinds of rows with rows as units; None with a remark where there are too few."""

    model: str
    phase: str
    name: str
    first: int
    second: int
    effect: Effect | None
    remark: str = ""


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

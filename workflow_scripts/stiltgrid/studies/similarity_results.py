"""What study 1 computes for a model, read by its summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stiltgrid.studies.association import PooledAssociation
from stiltgrid.studies.ranking import Choice, Verdict


@dataclass(frozen=True)
class SimilarityResults:
    """One model's pooled association of each measure, strategies with their first choices, and remarks.

    `weights[measure]` are the coefficients of a regression on all targets, to rank rows for a target outside the grid;
    `adjusted` p-values of (measure, slope) and (strategy, lost1), over all of them.
    """

    model: str
    associations: Mapping[str, PooledAssociation]
    verdicts: Sequence[Verdict]
    choices: Sequence[Choice]
    remarks: Sequence[str]
    weights: Mapping[str, Mapping[str, float]]
    adjusted: Mapping[tuple[str, str], float]

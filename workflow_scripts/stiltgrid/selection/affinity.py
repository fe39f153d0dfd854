"""How near the tasks of a row are to a target: the share of them that are of the target's kind.

A row that trains what the target trains, spans for questions or tags for sentences, helps it more often than not. How
much, in standardised effects, is one coefficient for all rows and targets. It starts from what a published table shows
and is learned by ridge regression, from earlier grids and from the cells of the other targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# TaskWeb (Kim et al. 2023): 0.30 for kinds as coarse as families here, 0.54 for finer ones (sentiment, paraphrases, …).
SLOPE = 0.35
SLOPE_SPREAD = 0.5  # standard deviation of the coefficient around it


@dataclass(frozen=True)
class Slope:
    """The coefficient of the affinity: its expected value and variance."""

    mean: float = SLOPE
    variance: float = SLOPE_SPREAD**2

    def seeing(self, products: float, squares: float) -> "Slope":
        """After effects y with affinities x and variances v, given Σ x·y / v and Σ x² / v."""
        precision = 1 / self.variance + squares
        return Slope((self.mean / self.variance + products) / precision, 1 / precision)


def same_kind(rows: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]) -> np.ndarray:
    """(targets, rows) share of a row's tasks that are of a kind that the target is tuned on; 0 without training.

    `rows` and `targets` hold the kinds of the tasks of each.
    """
    shares = [[np.mean([kind in target for kind in row]) if row else 0.0 for row in rows] for target in targets]
    return np.array(shares, dtype=float).reshape(len(targets), len(rows))


def affinities(shares: np.ndarray) -> np.ndarray:
    """The shares of `same_kind` centred over rows, as effects are."""
    centred: np.ndarray = shares - shares.mean(axis=1, keepdims=True)
    return centred


def fit_slope(effects: np.ndarray, affinity: np.ndarray, variance: float, start: Slope | None = None) -> Slope:
    """The coefficient from effects (targets, rows), NaN where there is none, of a common variance."""
    seen = ~np.isnan(effects)
    number = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    x = np.where(seen, affinity, 0.0)
    x = np.where(seen, x - x.sum(axis=1, keepdims=True) / number, 0.0)
    products, squares = (x * np.nan_to_num(effects)).sum(), (x**2).sum()
    return (start or Slope()).seeing(float(products) / variance, float(squares) / variance)

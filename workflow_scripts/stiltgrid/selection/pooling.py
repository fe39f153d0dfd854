"""What several earlier grids say together: more from those that agree with the others, less from near copies.

Grid g shows a_g · b + d_g of a shared effect b. The loadings a_g say how much of what the others share is in a grid;
the covariance of the d_g, between grids, says which of them repeat each other, as tunings of one backbone do. Both are
estimated by moments over all cells, as a factor analysis with one factor, and shrunken half-way to grids that are
alike.
"""

from dataclasses import dataclass

import numpy as np

LEAST_VARIANCE = 0.05  # of effects that are a target's or a backbone's own
LEAST_LOADING = 0.05
KEPT = 0.5  # share that is kept of what the moments say of a grid
ABSENT = 1e9  # variance of an entry that is missing
STEPS = 50


@dataclass(frozen=True)
class Pooling:
    """Loadings (grids,) of what backbones share, and covariance (grids, grids) of what is each grid's own."""

    loadings: np.ndarray
    own: np.ndarray

    def pooled(self, z: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rows,) generalised least squares of the shared effects, and their precision, which is 0 without an entry.

        `z` and the variance of its `noise` are (grids, rows).
        """
        absent = np.isnan(z)
        variance = self.own + np.where(absent, ABSENT, noise).T[..., None] * np.eye(len(z))
        loadings = np.broadcast_to(self.loadings[:, None], (*variance.shape[:-1], 1))
        weights = np.linalg.solve(variance, loadings)[..., 0]
        precision = np.where(absent.all(axis=0), 0.0, weights @ self.loadings)
        observed = (weights * np.nan_to_num(z).T).sum(axis=-1) / np.maximum(precision, 1e-12)
        return observed, precision


def fit_pooling(z: np.ndarray, noise: np.ndarray, shared: float, between: float) -> Pooling:
    """Loadings and own covariance of the grids of `z` (grids, targets, rows), NaN where an entry is missing.

    `shared` and `between` are the variance of what grids share and of what is their own, means over grids. One or two
    grids show no difference between them, so they count alike.
    """
    number = len(z)
    if number < 3:
        return Pooling(np.ones(number), max(between, LEAST_VARIANCE) * np.eye(number))
    weights = np.where(np.isnan(z), 0.0, 1 / (1 + noise)).reshape(number, -1)
    flat = np.nan_to_num(z).reshape(number, -1)
    pairs = np.maximum(weights @ weights.T, 1e-9)
    products = (weights * flat) @ (weights * flat).T / pairs
    np.fill_diagonal(products, 0.0)
    factor = _factor(products, shared)
    loadings = 1 + KEPT * (factor - 1)
    own = KEPT * (products - shared * np.outer(factor, factor))
    signal = (weights * (flat**2 - noise.reshape(number, -1))).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
    alone = signal - shared * factor**2
    np.fill_diagonal(own, np.maximum(between + KEPT * (alone - alone.mean()), LEAST_VARIANCE))
    values, vectors = np.linalg.eigh(own)
    return Pooling(loadings, (vectors * np.maximum(values, LEAST_VARIANCE)) @ vectors.T)


def _factor(products: np.ndarray, shared: float) -> np.ndarray:
    """Loadings of one factor of variance `shared` that fit the products of different grids by least squares."""
    found = np.full(len(products), np.sqrt(shared))
    for _ in range(STEPS):
        fitted = products @ found / np.maximum((found**2).sum() - found**2, 1e-9)
        found = np.maximum((found + fitted) / 2, LEAST_LOADING)
    loadings: np.ndarray = found / np.sqrt(shared)
    return loadings

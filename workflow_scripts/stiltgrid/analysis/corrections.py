"""P-values of many tests at once: Holm (any false alarm) and Benjamini-Hochberg (the share of false alarms)."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: rejecting those up to 5 % makes any false rejection at most 5 % likely (Holm 1979).

    Needs no assumption on how the tests depend on each other.
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return _restored(raised, order)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: of those up to 5 %, on average at most 5 % are false (Benjamini and Hochberg 1995).

    Holds for independent tests and for such as share their baseline (positive dependence).
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    return _restored(np.minimum.accumulate(scaled[::-1])[::-1], order)


def _checked(p_values: Sequence[float]) -> np.ndarray:
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"expected p-values from 0 to 1, found {p.tolist()}")
    return p


def _restored(adjusted: np.ndarray, order: np.ndarray) -> list[float]:
    result = np.empty(len(order))
    result[order] = np.minimum(adjusted, 1)
    found: list[float] = result.tolist()
    return found

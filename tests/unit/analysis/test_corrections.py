"""Corrected p-values against a calculation by hand and scipy."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control
from stiltgrid.analysis.corrections import benjamini_hochberg, holm


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, then never falling.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.6]) == pytest.approx([1, 1])


def test_benjamini_hochberg_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.04, 0.9 times 4/1, 4/2, 4/3, 4/4, then the lowest from above.
    assert benjamini_hochberg([0.02, 0.9, 0.01, 0.04]) == pytest.approx([0.04, 0.9, 0.04, 0.16 / 3])


def test_benjamini_hochberg_is_scipys() -> None:
    generator = np.random.default_rng(0)
    for size in (1, 2, 17, 200):
        p = generator.random(size) ** 3
        assert benjamini_hochberg(p.tolist()) == pytest.approx(false_discovery_control(p).tolist())


def test_no_tests_have_no_corrections() -> None:
    assert holm([]) == benjamini_hochberg([]) == []


def test_what_is_no_probability_is_refused() -> None:
    for correct in (holm, benjamini_hochberg):
        with pytest.raises(ValueError, match="from 0 to 1"):
            correct([0.5, 1.2])
        with pytest.raises(ValueError, match="from 0 to 1"):
            correct([float("nan")])

"""Means, spreads and differences, against numbers worked out by hand."""

import math

import pytest
from stiltgrid.analysis.statistics import Estimate, estimate, paired_gain, unweighted_mean


def test_estimate_is_mean_and_sample_deviation():
    found = estimate([2.0, 4.0, 9.0])
    assert found.value == 5.0
    assert found.sd == pytest.approx(math.sqrt(13.0))  # (9 + 1 + 16) / 2
    assert found.n == 3


def test_one_draw_shows_no_spread():
    assert estimate([3.5]) == Estimate(3.5, None, 1)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_nothing_and_nan_are_refused(values):
    with pytest.raises(ValueError):
        estimate(values)


def test_gains_are_paired_by_seed():
    # Differences +1, +1, +1: no spread, although both rows vary by 20 points over seeds.
    gain = paired_gain({1: 41.0, 2: 51.0, 3: 61.0}, {1: 40.0, 2: 50.0, 3: 60.0})
    assert gain == Estimate(1.0, 0.0, 3)


def test_only_shared_seeds_are_compared():
    assert paired_gain({1: 41.0, 2: 99.0}, {1: 40.0, 3: 0.0}) == Estimate(1.0, None, 1)
    assert paired_gain({1: 41.0}, {2: 40.0}) is None


def test_languages_count_once_each():
    assert unweighted_mean({"de": 10.0, "en": 20.0, "zh": 60.0}) == 30.0

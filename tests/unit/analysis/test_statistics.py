"""Means, spreads and differences, against numbers worked out by hand."""

import math

import pytest
from stiltgrid.analysis.statistics import (
    Estimate,
    adjusted_p_values,
    estimate,
    paired_gain,
    t_p_value,
    t_quantile,
    unweighted_mean,
)


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


def test_students_t_is_that_of_printed_tables() -> None:
    # The usual table of Student's t, two-sided 5 % and 1 %, and the normal distribution as its limit.
    for confidence, df, value in ((0.95, 1, 12.706), (0.95, 4, 2.776), (0.99, 10, 3.169), (0.95, math.inf, 1.960)):
        assert t_quantile(confidence, df) == pytest.approx(value, abs=5e-4)
        assert t_p_value(t_quantile(confidence, df), df) == pytest.approx(1 - confidence)
    assert t_p_value(-2.0, 2) == pytest.approx(1 - 2 / math.sqrt(6))  # closed form for two degrees of freedom
    assert t_p_value(math.inf, 3) == 0


def test_numbers_without_a_t_distribution_raise() -> None:
    with pytest.raises(ValueError, match="found NaN"):
        t_p_value(math.nan, 3.0)
    for df in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="degrees of freedom"):
            t_p_value(1.0, df)
    with pytest.raises(ValueError, match="confidence"):
        t_quantile(95, 3)


def test_adjusted_p_values_by_hand() -> None:
    # Holm: sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, then never falling.
    assert adjusted_p_values([0.03, 0.01, 0.04, 0.02], "holm") == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert adjusted_p_values([0.5, 0.6], "holm") == pytest.approx([1, 1])
    # Benjamini-Hochberg: sorted 0.01, 0.02, 0.04, 0.9 times 4/1, 4/2, 4/3, 4/4, then the lowest from above.
    assert adjusted_p_values([0.02, 0.9, 0.01, 0.04], "fdr_bh") == pytest.approx([0.04, 0.9, 0.04, 0.16 / 3])
    assert adjusted_p_values([], "holm") == adjusted_p_values([], "fdr_bh") == []


def test_p_values_outside_0_and_1_raise() -> None:
    for wrong in (1.2, -0.1, math.nan):
        with pytest.raises(ValueError, match="from 0 to 1"):
            adjusted_p_values([0.5, wrong], "holm")

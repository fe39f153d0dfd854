"""Student's t against scipy."""

import math

import pytest
from scipy import stats
from stiltgrid.analysis import student

DF = (1.0, 2.0, 2.7, 4.0, 10.5, 99.0, 5000.0, 1e6)


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("statistic", [0.0, 0.3, -1.0, 1.96, -4.3, 12.7, 60.0])
def test_tail_probabilities_are_scipys(df: float, statistic: float) -> None:
    assert student.two_sided_p(statistic, df) == pytest.approx(2 * stats.t.sf(abs(statistic), df), rel=1e-8, abs=1e-280)


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_quantiles_are_scipys(df: float, confidence: float) -> None:
    assert student.quantile(confidence, df) == pytest.approx(stats.t.ppf(0.5 + confidence / 2, df), rel=1e-8)


def test_infinitely_many_degrees_of_freedom_are_the_normal() -> None:
    assert student.quantile(0.95, math.inf) == pytest.approx(1.959964, abs=1e-6)
    assert student.two_sided_p(math.inf, 3) == 0


def test_nonsense_is_refused() -> None:
    for statistic, df in ((1.0, 0.0), (math.nan, 3.0), (1.0, math.nan)):
        with pytest.raises(ValueError, match="degrees of freedom"):
            student.two_sided_p(statistic, df)
    with pytest.raises(ValueError, match="confidence"):
        student.quantile(95, 3)

"""Effects with sets, orders or rows as units, against scipy and statsmodels."""

import numpy as np
import pytest
import scipy.stats
import statsmodels.api
from stiltgrid.studies.diversity_effects import EXAMPLES, TASKS, fit_effects
from stiltgrid.studies.effects import Effect, difference, group_difference, mean_effect, slope_effect
from stiltgrid.studies.errors import StudyError


def test_a_mean_is_the_one_sample_t_test() -> None:
    values = [1.0, 2.5, -0.5, 3.0, 0.7]
    effect, test = mean_effect("slopes", values), scipy.stats.ttest_1samp(values, 0)
    interval = test.confidence_interval()
    assert (effect.value, effect.p, effect.df) == pytest.approx((np.mean(values), test.pvalue, 4))
    assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high))
    with pytest.raises(StudyError, match="slopes: expected 3 units at least, found 2"):
        mean_effect("slopes", values[:2])
    with pytest.raises(StudyError, match="all 3 units have the value 1"):
        mean_effect("slopes", [1.0, 1.0, 1.0])


def test_a_slope_is_least_squares_with_hc3_errors() -> None:
    draw = np.random.default_rng(3)
    x, y = draw.normal(size=12), draw.normal(size=12)
    effect = slope_effect("tasks", x, y)
    fitted = statsmodels.api.OLS(y, statsmodels.api.add_constant(x)).fit(cov_type="HC3")
    assert (effect.value, effect.se, effect.df) == pytest.approx((fitted.params[1], fitted.bse[1], 10))
    with pytest.raises(StudyError, match="differ in tasks"):
        slope_effect("tasks", np.ones(12), y)


def test_a_difference_of_groups_is_welchs() -> None:
    one, two = [3.0, 4.0, 4.5], [1.0, 2.5, 0.5, 2.0]
    effect, test = group_difference("rows", one, two), scipy.stats.ttest_ind(one, two, equal_var=False)
    assert (effect.value, effect.p, effect.df) == pytest.approx((np.mean(one) - np.mean(two), test.pvalue, test.df))


def test_intervals_and_power_are_those_of_students_t() -> None:
    effect = Effect("d", 1.0, 0.5, 7.0)
    assert effect.low == pytest.approx(1 - 0.5 * scipy.stats.t.ppf(0.975, 7))
    assert effect.p == pytest.approx(2 * scipy.stats.t.sf(2, 7)) and not effect.clear
    # Nine in ten of the estimates around this effect lie beyond the critical value.
    assert (effect.detectable / 0.5 - scipy.stats.t.ppf(0.975, 7)) == pytest.approx(scipy.stats.t.ppf(0.9, 7))
    both = difference(effect, Effect("v", 0.25, 1.2, 5.0))
    assert (both.value, both.se, both.df) == pytest.approx((0.75, 1.3, 5.0))


def test_volume_is_tested_on_each_sets_own_slope() -> None:
    slopes = {"a": (1, 2.0), "b": (1, -1.0), "a+b": (2, 0.5), "a+c": (2, 1.5), "a+b+c+d": (4, 1.0)}
    rows = [
        {"set": name, "tasks": d, "examples": v, "seed": seed, "y": 3 * np.log2(d) + slope * np.log2(v / 400) + seed}
        for name, (d, slope) in slopes.items()
        for v in (400, 1600)
        for seed in (1, 2)
    ]
    found = fit_effects(rows, "y")
    test = scipy.stats.ttest_1samp([slope for _, slope in slopes.values()], 0)
    assert found.examples.p == pytest.approx(test.pvalue)
    assert found.examples.value * found.doublings[EXAMPLES] == pytest.approx(np.mean([s for _, s in slopes.values()]))
    line = scipy.stats.linregress(
        [np.log2(d) for d, _ in slopes.values()], [3 * np.log2(d) + s for d, s in slopes.values()]
    )
    assert found.tasks.value * found.doublings[TASKS] == pytest.approx(line.slope)
    assert (found.sets, found.rows) == (5, 20)

"""The mixed model: closed forms in balanced designs, the null rejected as often as promised, bad input refused."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.mixed import MixedFit, NoConvergence, fit_mixed

COUNTS, VOLUMES, SETS, SEEDS = (1, 2, 4, 8), (500, 2000), 3, 2


def design() -> dict[str, Any]:
    places = [(d, v, s, r) for d in COUNTS for s in range(SETS) for v in VOLUMES for r in range(SEEDS)]
    return {
        "d": scipy.stats.zscore([math.log(place[0]) for place in places]),
        "v": scipy.stats.zscore([math.log(place[1]) for place in places]),
        "sets": [f"{place[0]}-{place[2]}" for place in places],
    }


def simulated(generator: np.random.Generator, d: float = 0.0, v: float = 0.0, between: float = 1.0) -> MixedFit:
    made = design()
    names = sorted(set(made["sets"]))
    shift = dict(zip(names, between * generator.standard_normal(len(names)), strict=True))
    noise = generator.standard_normal(len(made["sets"]))
    outcome = d * made["d"] + v * made["v"] + np.asarray([shift[name] for name in made["sets"]]) + noise
    return fit_mixed(outcome, {"d": made["d"], "v": made["v"]}, made["sets"])


def test_in_a_balanced_design_it_is_the_regression_of_set_means_and_the_paired_comparison_of_volumes() -> None:
    made, generator = design(), np.random.default_rng(4)
    sets = np.asarray(made["sets"])
    names = sorted(set(made["sets"]))
    shift = dict(zip(names, 2 * generator.standard_normal(len(names)), strict=True))
    outcome = made["d"] + 0.5 * made["v"] + np.asarray([shift[name] for name in sets])
    outcome = outcome + 0.7 * generator.standard_normal(len(sets))
    fit = fit_mixed(outcome, {"d": made["d"], "v": made["v"]}, made["sets"])
    means = [outcome[sets == name].mean() for name in names]
    line = scipy.stats.linregress([made["d"][sets == name][0] for name in names], means)
    effect = fit.effects["d"]
    assert effect.value == pytest.approx(line.slope, rel=1e-4)
    assert effect.se == pytest.approx(line.stderr, rel=1e-3)
    assert effect.df == len(names) - 2
    assert effect.p == pytest.approx(line.pvalue, rel=5e-3)
    # Within sets: ordinary least squares of what is left after each set's mean.
    centred = outcome - np.asarray([outcome[sets == name].mean() for name in sets])
    slope = (centred @ made["v"]) / (made["v"] @ made["v"])
    rest = centred - slope * made["v"]
    inner = len(sets) - len(names) - 1
    assert fit.effects["v"].value == pytest.approx(slope, rel=1e-4)
    assert fit.effects["v"].se == pytest.approx(math.sqrt(rest @ rest / inner / (made["v"] @ made["v"])), rel=1e-3)
    assert fit.effects["v"].df == inner
    assert fit.residual_sd == pytest.approx(math.sqrt(rest @ rest / inner), rel=1e-3)


def test_a_planted_effect_is_found_and_nothing_is_found_where_nothing_is() -> None:
    generator = np.random.default_rng(2)
    fits = [simulated(generator, d=2.5, between=0.5) for _ in range(30)]
    assert sum(fit.effects["d"].low > 0 for fit in fits) >= 27
    assert sum(fit.effects["v"].p <= 0.05 for fit in fits) <= 5  # P(more than 5 of 30 at 5 %) = 0.3 %


def test_no_variance_between_sets_is_said() -> None:
    generator = np.random.default_rng(3)
    fits = [simulated(generator, between=0.0) for _ in range(6)]
    flat = [fit for fit in fits if fit.group_sd == 0]
    assert flat and all("no variance between groups" in fit.remarks[-1] for fit in flat)
    # Then it is ordinary least squares with all rows for the variance.
    assert flat[0].effects["d"].se == pytest.approx(flat[0].residual_sd / math.sqrt(flat[0].rows))


MADE = design()
HILLS = np.unique(MADE["sets"], return_inverse=True)[1] ** 2.0  # groups that differ
NOISE = np.random.default_rng(5).standard_normal(len(MADE["sets"]))


@pytest.mark.parametrize(
    ("outcome", "predictors", "groups", "said"),
    [
        (np.zeros(48), {"d": MADE["d"]}, MADE["sets"], "the outcome is 0 in all 48 rows"),
        (np.where(np.arange(48) == 3, np.nan, NOISE), {"d": MADE["d"]}, MADE["sets"], "some are missing"),
        (NOISE, {"d": np.ones(48)}, MADE["sets"], "are collinear"),
        (NOISE, {"d": MADE["d"], "v": MADE["d"]}, MADE["sets"], "are collinear"),
        (
            NOISE[:4],
            {"d": MADE["d"][::12], "v": MADE["v"][:4]},
            MADE["sets"][:4],
            "4 rows cannot estimate 5 parameters",
        ),
        (
            NOISE,
            {"d": np.sign(MADE["d"])},
            [str(d) for d in MADE["d"] > 0],
            "2 groups cannot estimate 1 effects between groups",
        ),
        (NOISE, {"d": MADE["d"]}, [str(n) for n in range(48)], "no variance within groups"),
    ],
)
def test_what_cannot_be_answered_is_refused(outcome: Any, predictors: Any, groups: Any, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        fit_mixed(outcome, predictors, groups)


def test_a_fit_that_does_not_converge_gives_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    from statsmodels.regression.mixed_linear_model import MixedLM

    def fails(*arguments: Any, **options: Any) -> None:
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr(MixedLM, "fit", fails)
    with pytest.raises(NoConvergence, match="no estimate, not a null result"):
        fit_mixed(HILLS, {"d": MADE["d"], "v": MADE["v"]}, MADE["sets"])

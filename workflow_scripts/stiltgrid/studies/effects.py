"""An effect with its 95 % interval, p-value and detectable size; tests whose units are sets, orders, tasks or rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stiltgrid.analysis.statistics import t_p_value, t_quantile
from stiltgrid.studies.errors import StudyError

CONFIDENCE = 0.95
POWER = 0.9


@dataclass(frozen=True)
class Effect:
    """An estimate in units of the outcome with its standard error and degrees of freedom."""

    name: str
    value: float
    se: float
    df: float

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval."""
        return t_quantile(CONFIDENCE, self.df) * self.se

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + self.half_width

    @property
    def p(self) -> float:
        """Two-sided p-value of no effect."""
        return t_p_value(self.value / self.se, self.df) if self.se else float(self.value == 0)

    @property
    def clear(self) -> bool:
        """Whether the 95 % interval excludes 0."""
        return self.low > 0 or self.high < 0

    @property
    def detectable(self) -> float:
        """The true effect that a test at 5 % finds with 90 % power at this precision."""
        return (t_quantile(CONFIDENCE, self.df) + t_quantile(2 * POWER - 1, self.df)) * self.se


def mean_effect(name: str, values: Sequence[float]) -> Effect:
    """The mean of one value per unit, n - 1 degrees of freedom; StudyError for fewer than three or equal values."""
    array = _checked(name, values, 3)
    return Effect(name, float(array.mean()), float(array.std(ddof=1)) / math.sqrt(len(array)), len(array) - 1.0)


def slope_effect(name: str, x: Sequence[float], values: Sequence[float]) -> Effect:
    """The slope of one value per unit on `x`, n - 2 degrees of freedom.

    The standard error is HC3 (MacKinnon and White 1985), since units may vary unequally: small sets of tasks differ
    more than large ones. Raises StudyError for fewer than four units, equal values and a constant `x`.
    """
    array, place = _checked(name, values, 4), np.asarray(x, dtype=np.float64)
    if np.ptp(place) == 0:
        raise StudyError(f"{name}: expected units that differ in {name}, found one value for all {len(place)}")
    place = place - place.mean()
    spread = float(place @ place)
    value = float(place @ array) / spread
    leverage = 1 / len(array) + place**2 / spread
    rest = (array - array.mean() - value * place) / np.maximum(1 - leverage, 1e-9)
    return Effect(name, value, math.sqrt(float((place**2) @ (rest**2))) / spread, len(array) - 2.0)


def group_difference(name: str, first: Sequence[float], second: Sequence[float]) -> Effect:
    """Mean of `first` less mean of `second`, by Welch; StudyError where either has fewer than two units."""
    one, two = (_checked(name, values, 2) for values in (first, second))
    parts = [float(item.var(ddof=1)) / len(item) for item in (one, two)]
    total = sum(parts)
    df = total**2 / sum(part**2 / (len(item) - 1) for part, item in zip(parts, (one, two), strict=True) if part)
    return Effect(name, float(one.mean() - two.mean()), math.sqrt(total), df)


def difference(first: Effect, second: Effect) -> Effect:
    """The difference of two uncorrelated effects, with the fewer degrees of freedom of the two."""
    return Effect(
        f"{first.name} \u2212 {second.name}",
        first.value - second.value,
        math.hypot(first.se, second.se),
        min(first.df, second.df),
    )


def _checked(name: str, values: Sequence[float], least: int) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if len(array) < least:
        raise StudyError(f"{name}: expected {least} units at least, found {len(array)}")
    if not np.isfinite(array).all():
        raise StudyError(f"{name}: expected a value of every unit, found {int((~np.isfinite(array)).sum())} missing")
    if np.ptp(array) == 0:
        raise StudyError(f"{name}: all {len(array)} units have the value {array[0]:g}, so nothing can be tested")
    return array

"""Student's t distribution without scipy: the regularised incomplete beta function, its tail, its quantiles."""

import math

MAX_TERMS = 500
TINY = 1e-300
STEPS = 200  # of bisection, far more than a double can tell apart


def two_sided_p(statistic: float, df: float) -> float:
    """P(|T| >= |statistic|) for T with `df` degrees of freedom (any positive number, infinity for the normal)."""
    if df <= 0 or math.isnan(statistic) or math.isnan(df):
        raise ValueError(f"expected a number and positive degrees of freedom, found {statistic} and {df}")
    if math.isinf(statistic):
        return 0.0
    if math.isinf(df):
        return math.erfc(abs(statistic) / math.sqrt(2))
    return incomplete_beta(df / 2, 0.5, df / (df + statistic * statistic))


def quantile(confidence: float, df: float) -> float:
    """The half-width t with P(|T| <= t) = `confidence`, 0.95 for a 95 % interval."""
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, found {confidence}")
    low, high = 0.0, 1.0
    while two_sided_p(high, df) > 1 - confidence:
        high *= 2
    for _ in range(STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if two_sided_p(middle, df) > 1 - confidence else (low, middle)
    return (low + high) / 2


def incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b), by the continued fraction of Abramowitz and Stegun 26.5.8 on its fast side."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return math.exp(log_front) * _fraction(a, b, x) / a
    return 1 - math.exp(log_front) * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction, evaluated from the front (Lentz's way of avoiding divisions by zero)."""
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value


def _away_from_zero(number: float) -> float:
    return number if abs(number) > TINY else TINY

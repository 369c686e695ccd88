"""Distribution functions that the standard library lacks: beta, binomial, Student's t.

The incomplete beta function by Lentz's continued fraction (Numerical Recipes 6.4); quantiles by bisection on it.
"""

from __future__ import annotations

import functools
import math
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-300
_STEPS = 500


def z_value(confidence: float) -> float:
    """Return how many standard deviations a two-sided interval of ``confidence`` reaches."""
    return _NORMAL.inv_cdf(0.5 + confidence / 2)


def normal_tail(z: float) -> float:
    """Return the probability of more than ``z`` standard deviations, exact far out as well."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b)."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    front = math.exp(log_front)
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    value = d
    for m in range(1, _STEPS):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + step * d
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = 1.0 + step / c
            c = c if abs(c) > _TINY else _TINY
            value *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return value


def beta_quantile(p: float, a: float, b: float) -> float:
    """Return x with I_x(a, b) = p."""
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if beta_cdf(middle, a, b) < p else (low, middle)
    return (low + high) / 2


def binomial_cdf(k: int, n: int, p: float) -> float:
    """Return the probability of at most ``k`` successes among ``n`` with chance ``p`` each."""
    if k < 0:
        return 0.0
    return 1.0 if k >= n else 1.0 - beta_cdf(p, k + 1, n - k)


def binomial_quantile(q: float, n: int, p: float) -> int:
    """Return the smallest k of which ``binomial_cdf(k, n, p)`` is at least ``q``."""
    low, high = _near_quantile(q, n, p)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if binomial_cdf(middle, n, p) >= q else (middle, high)
    return high


def _near_quantile(q: float, n: int, p: float) -> tuple[int, int]:
    """Return two bounds around the quantile: a guess from the normal distribution, corrected for skewness, is rarely
    off by more than one, and one bound is moved until they enclose it.
    """
    if not (0 < q < 1 and 0 < p < 1):
        return -1, n
    z, step = _NORMAL.inv_cdf(q), 1
    guess = n * p + z * math.sqrt(n * p * (1 - p)) + (z * z - 1) * (1 - 2 * p) / 6
    low = high = max(0, min(n, round(guess)))
    if binomial_cdf(high, n, p) >= q:
        low = high - 1
        while low >= 0 and binomial_cdf(low, n, p) >= q:
            low, high, step = low - step, low, step * 2
        return max(-1, low), high
    while high < n and binomial_cdf(high, n, p) < q:
        low, high, step = high, high + step, step * 2
    return low, min(n, high)


def student_two_sided(t: float, freedom: float) -> float:
    """Return the two-sided p-value of ``t`` with ``freedom`` degrees of freedom."""
    return beta_cdf(freedom / (freedom + t * t), freedom / 2, 0.5) if math.isfinite(t) else 0.0


@functools.lru_cache(maxsize=1024)
def student_value(confidence: float, freedom: float) -> float:
    """Return how many standard errors a two-sided interval of ``confidence`` reaches with so few values."""
    if freedom > 1e6:
        return z_value(confidence)
    x = beta_quantile(1 - confidence, freedom / 2, 0.5)
    return math.sqrt(freedom * (1 - x) / x) if x > 0 else math.inf

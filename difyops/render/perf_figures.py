"""How figures of performance are said: durations, percentiles, shares, amounts, each with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from difyops.counting import counted

if TYPE_CHECKING:
    from difyops.perf.success import SuccessRate
    from difyops.statistics import Estimate, Interval, Quantile


def seconds(value: float | None) -> str | None:
    """Return a duration for people."""
    if value is None:
        return None
    if value >= 100:
        return f"{value:.0f} s"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"


def percentile(found: Quantile) -> str | None:
    """Return a percentile with its interval, where it has one."""
    return known_to(found.value, found.interval)


def known_to(value: float | None, bounds: Interval | None) -> str | None:
    """Return a duration with its interval, where it has one."""
    if value is None or bounds is None:
        return seconds(value)
    return f"{seconds(value)} [{seconds(bounds.low)}, {seconds(bounds.high)}]"


def rate(found: SuccessRate) -> str | None:
    """Return a share with its interval."""
    if found.share is None:
        return None
    text = f"{100 * found.share:.1f} %"
    if found.interval is not None:
        text += f" [{100 * found.interval.low:.1f}, {100 * found.interval.high:.1f}]"
    return f"{text} of {found.n}"


def money(found: Estimate | None, currency: str) -> str | None:
    """Return an amount with its interval; an estimate says so."""
    if found is None:
        return None
    text = f"{found.total:.6g} {currency}"
    if found.exact or found.interval is None:
        return text + ("" if found.exact else f" (from {counted(found.n, 'run')}, no interval)")
    return f"about {text} [{found.interval.low:.6g}, {found.interval.high:.6g}] from {counted(found.n, 'run')}"


def share(found: Quantile) -> str | None:
    """Return a median share."""
    if found.value is None:
        return None
    text = f"{100 * found.value:.1f} % of a run"
    if found.interval is not None:
        text += f" [{100 * found.interval.low:.1f}, {100 * found.interval.high:.1f}]"
    return text

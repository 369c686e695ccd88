"""``runs.latency``: how long an app's production runs took."""

from __future__ import annotations

from difyops.api.runs import RunWindow, percentile
from difyops.counting import counted
from difyops.errors import DifyopsError
from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn
from difyops.runbook.traffic import Traffic, traffic


async def check(
    resources: Resources,
    *,
    app: str,
    window: str = "1h",
    max_p50: Duration | None = None,
    max_p95: Duration | None = None,
    max_p99: Duration | None = None,
    max_ratio: float | None = None,
    warn_ratio: float | None = None,
    min_runs: int = 20,
) -> Result:
    """Hold p50, p95 and p99 of one app's run times to limits, or its p95 to that of the window before.

    ``max_ratio`` 2 fails when p95 is more than twice that of the window before; both windows need ``min_runs`` runs
    that came to a result, else the check is inconclusive. Run times are the server's own (nearest-rank percentiles).
    """
    now = await traffic(resources, [app], window)
    (chosen, window_now), *others = now.windows
    if others or now.unread:
        count = len(now.windows) + len(now.unread)
        return Inconclusive(text=f"{app!r} means {counted(count, 'app')}; latency is held per app{now.unread_text}")
    times = window_now.durations
    if len(times) < min_runs:
        text = f"{chosen.name}: {counted(len(times), 'run')} with a result in {window}, at least {min_runs} are needed"
        return Inconclusive(text=text, values=(Value(name="runs", value=len(times), unit="runs"),))
    values = [
        _value("p50", times, 0.50, max_p50),
        _value("p95", times, 0.95, max_p95),
        _value("p99", times, 0.99, max_p99),
        Value(name="runs", value=len(times), unit="runs"),
    ]
    said = f"{chosen.name}: p50 {values[0].value} s, p95 {values[1].value} s, p99 {values[2].value} s in {window}"
    said += "" if window_now.complete else "; only the newest 20000 runs were read"
    broken = [value.name for value in values if _is_over(value)]
    ratio, why_not = None, f"the window before has fewer than {counted(min_runs, 'run')}"
    if max_ratio is not None or warn_ratio is not None:
        try:
            ratio = _ratio(window_now, await traffic(resources, [app], window, back=1), min_runs)
        except DifyopsError as error:  # a limit that is broken now is broken all the same
            why_not = f"the window before could not be read: {error.message}"
        if ratio is not None:
            values.append(Value(name="ratio", value=ratio, warn=warn_ratio, fail=max_ratio))
            said += f", {ratio:g} times the p95 of the window before"
    if broken or (ratio is not None and max_ratio is not None and ratio > max_ratio):
        return Fail(text=said, values=tuple(values), hint=f"difyops app show {chosen.name!r}")
    if ratio is None and (max_ratio is not None or warn_ratio is not None):
        return Inconclusive(text=f"{said}; {why_not}", values=tuple(values))
    if ratio is not None and warn_ratio is not None and ratio > warn_ratio:
        return Warn(text=said, values=tuple(values))
    return Pass(text=said, values=tuple(values))


def _value(name: str, times: list[float], share: float, limit: float | None) -> Value:
    found = percentile(times, share)
    return Value(name=name, value=None if found is None else round(found, 3), unit="s", fail=limit)


def _is_over(value: Value) -> bool:
    return value.fail is not None and isinstance(value.value, int | float) and value.value > value.fail


def _ratio(now: RunWindow, before: Traffic, min_runs: int) -> float | None:
    times = before.windows[0][1].durations if before.windows else []
    former, current = percentile(times, 0.95), percentile(now.durations, 0.95)
    if len(times) < min_runs or not former or current is None:
        return None
    return round(current / former, 3)

"""``runs.failure_rate``: how many of an app's production runs failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from difyops.api.model import App
from difyops.api.runs import CUT_OFF, DEAD, DEAD_AFTER, FAILED, PARTIAL, RUNNING, STOPPED, SUCCEEDED, RunWindow
from difyops.counting import counted
from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Skipped, Value, Warn
from difyops.runbook.traffic import traffic

_MOST_NAMED = 8


async def check(
    resources: Resources,
    *,
    apps: list[str],
    window: str = "1h",
    max_percent: float = 5.0,
    warn_percent: float | None = None,
    min_runs: int = 20,
    dead_after: Duration = DEAD_AFTER,
    besides: list[str] | None = None,
    few: Literal["inconclusive", "skip"] = "inconclusive",
) -> Result:
    """Hold the share of failed runs of each app to a limit; API, webhook and scheduled runs, not the debugger's.

    A run that says running for longer than ``dead_after`` counts as failed: nobody will ever end it. Stopped runs and
    answers that their reader left count as neither. An app with fewer than ``min_runs`` ended runs is not judged; when
    that is all of them, the check is inconclusive, or with ``few: skip`` skipped: a quiet day is no fault. ``besides``
    are apps that are left out. ``window``: 1h, 7d, today, yesterday (the account's time zone).
    """
    left_out = {app.id for app in await resources.chosen(besides)} if besides else set()
    chosen = [app.id for app in await resources.chosen(apps) if app.id not in left_out]
    if not chosen:
        return Skipped(text=f"there is no app besides {', '.join(besides or ())}")
    seen = await traffic(resources, chosen, window, dead_after=dead_after)
    judged = [(app, item) for app, item in seen.windows if _counted(item) >= min_runs]
    total = sum(_counted(item) for _, item in seen.windows)
    if not judged:
        running = sum(item.count(RUNNING) for _, item in seen.windows)
        said = f"{total} ended runs in {window}, at least {min_runs} per app are needed ({running} running)"
        nothing: type[Result] = Skipped if few == "skip" and not seen.unread else Inconclusive
        return nothing(text=said + seen.unread_text, values=(Value(name="runs", value=total, unit="runs"),))
    app, worst = max(judged, key=lambda pair: _percent(pair[1]))
    values = _values(worst, max_percent, warn_percent)
    percent = _percent(worst)
    over = sorted((pair for pair in judged if _percent(pair[1]) > max_percent), key=lambda pair: -_percent(pair[1]))
    text = _text(app, worst, window, len(judged), over) + seen.unread_text
    if percent > max_percent:
        return Fail(text=text, values=values, excerpt=_why(worst), hint=f"difyops app show {app.name!r}")
    if seen.unread:
        return Inconclusive(text=text, values=values)
    if warn_percent is not None and percent > warn_percent:
        return Warn(text=text, values=values, excerpt=_why(worst))
    return Pass(text=text, values=values)


def _counted(window: RunWindow) -> int:
    return len(window.ended) - window.count(STOPPED) + window.count(DEAD)


def _bad(window: RunWindow) -> int:
    return window.count(FAILED, DEAD)


def _percent(window: RunWindow) -> float:
    counted = _counted(window)
    return round(100.0 * _bad(window) / counted, 2) if counted else 0.0


def _values(window: RunWindow, limit: float, warn: float | None) -> tuple[Value, ...]:
    return (
        Value(name="percent", value=_percent(window), unit="%", warn=warn, fail=limit),
        Value(name="failed", value=_bad(window), unit="runs"),
        Value(name="runs", value=_counted(window), unit="runs"),
        Value(name="dead", value=window.count(DEAD), unit="runs"),
        Value(name="cut_off", value=window.count(CUT_OFF), unit="runs"),
    )


def _text(app: App, window: RunWindow, length: str, judged: int, over: Sequence[tuple[App, RunWindow]]) -> str:
    """Say what the worst app did, and name every app above the limit: nobody may read several where it is one."""
    said = f"{app.name}: {_percent(window):g} % of {counted(_counted(window), 'run')} failed in {length}"
    if judged > 1:
        named = ", ".join(f"{item.name} ({_percent(seen):g} %)" for item, seen in over[:_MOST_NAMED])
        more = f" and {len(over) - _MOST_NAMED} more" if len(over) > _MOST_NAMED else ""
        said += f"; above the limit, of {counted(judged, 'app')}: {named or 'none'}{more}"
    return said if window.complete else said + "; only the newest 20000 were read"


def _why(window: RunWindow) -> str:
    """Return the commonest errors, and the failures by version: most spikes begin with a release."""
    errors = [run.error.strip().splitlines()[-1] for run in window.runs if run.error.strip()]
    ranked = sorted(set(errors), key=lambda text: -errors.count(text))
    said = [f"{errors.count(text)}x {text[:160]}" for text in ranked[:3]]
    by_version = [f"{version}: {bad} of {count}" for version, bad, count in _by_version(window)]
    return "; ".join([*said, *(["failed by version " + ", ".join(by_version)] if len(by_version) > 1 else [])])


def _by_version(window: RunWindow) -> list[tuple[str, int, int]]:
    counted = [run for run in window.runs if run.status in (SUCCEEDED, PARTIAL, FAILED, DEAD) and run.version]
    versions = sorted({run.version for run in counted}, reverse=True)[:4]
    return [
        (version, sum(run.version == version and run.status in (FAILED, DEAD) for run in counted),
         sum(run.version == version for run in counted))
        for version in versions
    ]  # fmt: skip

"""``runs.attempts``: how many runs callers make for one that succeeds."""

from __future__ import annotations

from difyops.api.model import App
from difyops.api.runs import CUT_OFF, DEAD, FAILED, PARTIAL, SUCCEEDED, RunWindow
from difyops.counting import counted
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn
from difyops.runbook.traffic import traffic


async def check(
    resources: Resources,
    *,
    apps: list[str],
    window: str = "1h",
    max_attempts: float = 2.0,
    max_growth: float = 3.0,
    min_runs: int = 20,
) -> Result:
    """Hold the runs per success of each app to ``max_attempts``: callers that repeat what fails make a storm of it.

    An app whose runs grew to more than ``max_growth`` times those of the window before, while fewer of them succeed, is
    a failure, too. Growth alone is a warning: it may be custom. What the server refuses before it runs (its limit of
    requests at once) is in no log. Apps with fewer than ``min_runs`` runs are not judged; when that is all of them, the
    check is inconclusive.
    """
    now = await traffic(resources, apps, window)
    judged = [(app, item) for app, item in now.windows if _ended(item) >= min_runs]
    if not judged:
        total = sum(_ended(item) for _, item in now.windows)
        said = f"{total} ended runs in {window}, at least {min_runs} per app are needed{now.unread_text}"
        return Inconclusive(text=said, values=(Value(name="runs", value=total, unit="runs"),))
    former = await traffic(resources, [app.id for app, _ in judged], window, back=1)
    before = {app.id: item for app, item in former.windows}
    found = [_judged(app, item, before.get(app.id), max_attempts, max_growth, min_runs) for app, item in judged]
    app, worst = max(judged, key=lambda pair: _attempts(pair[1]))
    values = (
        Value(name="attempts", value=_attempts(worst), fail=max_attempts),
        Value(name="runs", value=_ended(worst), unit="runs"),
        Value(name="apps", value=len(judged), unit="apps"),
    )
    bad = [text for kind, text in found if kind == "storm"]
    grown = [text for kind, text in found if kind == "grown"]
    if bad:
        hint = "Lower the callers' limits and let them back off; protect users: difyops app disable APP"
        return Fail(text="; ".join(bad[:4]) + now.unread_text, values=values, excerpt="; ".join(bad), hint=hint)
    if now.unread or former.unread:
        return Inconclusive(text=(now.unread_text or former.unread_text).removeprefix("; "), values=values)
    if grown:
        return Warn(text="; ".join(grown[:4]), values=values, excerpt="; ".join(grown))
    return Pass(
        text=f"{_attempts(worst):g} runs per success at most ({app.name}), of {counted(len(judged), 'app')}",
        values=values,
    )


def _judged(
    app: App, now: RunWindow, before: RunWindow | None, most: float, growth: float, min_runs: int
) -> tuple[str, str]:
    attempts = _attempts(now)
    if attempts > most:
        return "storm", f"{app.name}: {attempts:g} runs for one that succeeds ({_good(now)} of {_ended(now)})"
    if before is None or _ended(before) < min_runs:
        return "", ""
    times = _ended(now) / _ended(before)
    if times <= growth:
        return "", ""
    text = f"{app.name}: {times:.1f} times the runs of the window before"
    if _good(now) < _good(before):
        return "storm", f"{text}, and fewer of them succeed ({_good(now)}, {_good(before)} before)"
    return "grown", text


def _ended(window: RunWindow) -> int:
    return window.count(SUCCEEDED, PARTIAL, FAILED, DEAD, CUT_OFF)


def _good(window: RunWindow) -> int:
    return window.count(SUCCEEDED, PARTIAL)


def _attempts(window: RunWindow) -> float:
    return round(_ended(window) / max(1, _good(window)), 2)

"""``runs.tokens``: how many tokens the apps use, and whether that is more than before."""

from __future__ import annotations

from difyops.api.model import App
from difyops.api.runs import RunWindow
from difyops.counting import counted
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn
from difyops.runbook.traffic import traffic

_MOST_NAMED = 5


async def check(
    resources: Resources,
    *,
    apps: list[str],
    window: str = "1d",
    max_tokens: int | None = None,
    max_ratio: float | None = None,
    min_tokens: int = 10000,
) -> Result:
    """Add up the tokens of all runs in the window, app by app: to ``max_tokens``, and to the window before.

    ``max_ratio`` 3 fails when an app uses more than three times what it used in the window before; apps below
    ``min_tokens`` are too small to alarm. The server's own figures, no prices; completion apps of older servers do not
    tell theirs. The largest users are named. Without any limit this only counts.
    """
    now = await traffic(resources, apps, window)
    used = {app.id: (app, _tokens(item)) for app, item in now.windows}
    total = sum(count for _, count in used.values())
    top = sorted(used.values(), key=lambda pair: -pair[1])[:_MOST_NAMED]
    named = ", ".join(f"{app.name} {count}" for app, count in top if count)
    values = [Value(name="tokens", value=total, unit="tokens", fail=max_tokens)]
    text = f"{counted(total, 'token')} in {window}" + (f" ({named})" if named else "")
    grown, ratio, whole = [], None, True
    if max_ratio is not None:
        former = await traffic(resources, apps, window, back=1)
        whole = not former.unread
        before = {app.id: _tokens(item) for app, item in former.windows}
        ratios = [(app, count, count / before[app.id]) for app, count in used.values() if before.get(app.id)]
        judged = [item for item in ratios if item[1] >= min_tokens]
        ratio = max((item[2] for item in judged), default=None)
        values.append(Value(name="ratio", value=None if ratio is None else round(ratio, 2), fail=max_ratio))
        grown = [f"{app.name}: {times:.1f} times the window before" for app, _, times in judged if times > max_ratio]
        fresh = [app for app, count in used.values() if count >= min_tokens and app.id in before and not before[app.id]]
        values.append(Value(name="new_users", value=len(fresh), unit="apps"))
    return _judged(text, tuple(values), grown, over=max_tokens is not None and total > max_tokens,
                   unread=now.unread_text or ("" if whole else "; the window before could not be read"),
                   fresh=_names(fresh) if max_ratio is not None else "")  # fmt: skip


def _judged(text: str, values: tuple[Value, ...], grown: list[str], *, over: bool, unread: str, fresh: str) -> Result:
    said = text + unread
    if over or grown:
        hint = "Which version, node or user? Cap it: difyops app disable APP, or trigger.disable."
        return Fail(text="; ".join([*grown[:_MOST_NAMED], said]), values=values, excerpt="; ".join(grown), hint=hint)
    if unread:
        return Inconclusive(text=said, values=values)
    if fresh:
        return Warn(text=f"{text}; {fresh} used none in the window before", values=values)
    return Pass(text=text, values=values)


def _names(apps: list[App]) -> str:
    return ", ".join(app.name for app in apps[:_MOST_NAMED])


def _tokens(window: RunWindow) -> int:
    return sum(run.tokens for run in window.runs)

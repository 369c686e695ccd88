"""A file of goals to begin with, from what the history holds: what is there today, not what one wishes for."""

from __future__ import annotations

from collections.abc import Sequence

from difyops.counting import counted
from difyops.history.apps import TIMED
from difyops.history.store import History
from difyops.perf.facts import RunFact, Scope, runs
from difyops.slo.status import kept_apps
from difyops.statistics import quantile
from difyops.targets import slug

_STEPS = (99.9, 99.5, 99.0, 98.0, 95.0, 90.0, 80.0)
_SECONDS = (0.5, 1, 2, 3, 5, 8, 10, 15, 20, 30, 45, 60, 90, 120, 300, 600, 1200)
_HEAD = """\
# Goals of the apps of {context}. Kinds: availability, latency (within), validity (schema), cost (most).
# What is judged, and how: docs/goals.md. Check them: difyops slo check --goals {file}
goals:
"""


def starting_file(history: History, context: str, *, file: str, since: float, until: float, most: int = 20) -> str:
    """Return the text of a file with goals that the busiest apps held lately; for none, an example."""
    found: list[tuple[int, str]] = []
    used: set[str] = set()
    for app in kept_apps(history, context):
        scope = Scope(context=context, app=app.id, name=app.name, since=since, until=until)
        timed = [run for run in runs(history, scope) if run.status in TIMED]
        if timed:
            name = _name(app.name, used)
            found.append((len(timed), _goals(name, app.id, app.name, timed)))
    busiest = sorted(found, key=lambda item: -item[0])[:most]
    return _HEAD.format(context=_comment(context), file=file) + ("".join(text for _, text in busiest) or _example())


def _goals(name: str, app: str, shown: str, timed: Sequence[RunFact]) -> str:
    good = sum(run.status != "failed" for run in timed)
    share = 100 * good / len(timed)
    target = next((step for step in _STEPS if step <= share - 0.05), _STEPS[-1])
    text = f"  # {_comment(shown)}: {good} of {counted(len(timed), 'run')} succeeded\n"
    text += f'  - name: {name}-availability\n    apps: ["{app}"]\n    target: {target:g}\n    period: 28d\n'
    p95 = quantile(sorted(run.elapsed or 0.0 for run in timed if run.elapsed is not None), 0.95)
    if p95.value is not None:
        within = next((step for step in _SECONDS if step >= p95.value * 1.2), _SECONDS[-1])
        text += f"  # {_comment(shown)}: 95 of 100 took at most {p95.value:.2f} s\n"
        text += f'  - name: {name}-latency\n    apps: ["{app}"]\n    kind: latency\n    within: {within:g}s\n'
        text += "    target: 95\n    period: 28d\n"
    return text


def _name(shown: str, used: set[str]) -> str:
    plain = "".join(letter for letter in slug(shown) if letter.isascii())[:40].strip("-") or "app"
    name, number = plain, 2
    while name in used:
        name, number = f"{plain}-{number}", number + 1
    used.add(name)
    return name


def _comment(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _example() -> str:
    return '  - name: everything-availability\n    apps: ["all"]\n    target: 99\n    period: 28d\n'

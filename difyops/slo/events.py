"""Events of a goal out of history: one a run, good or bad, by when it began. What does not burn is counted apart.

availability   good runs, and the failures that the goal counts
latency        runs that succeeded and whose time is known; of versions that wait for people, none
validity       answers that were kept (``history sync --content``), as they came: the first pass
cost           runs whose price is known; drawn ones stand for those that were not
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from difyops.counting import counted
from difyops.errors import ConfigError
from difyops.history.apps import PRODUCTION
from difyops.history.failures import ASKS_MODELS, GOOD, OURS, FailedRun, by_status, whose
from difyops.history.store import History
from difyops.perf.facts import RunFact, Scope, failing_nodes, runs, sampled, shapes
from difyops.perf.summary import price_of
from difyops.slo.goals_file import ENDPOINTS, Goal
from difyops.slo.model import GoalEvent

_NOT_SPLIT = "calls of the service API and of the web page are not told apart"


@dataclass(slots=True)
class EventsFound:
    """The events of one goal in one app, all its runs by whose they are, causes of bad ones, what is to be said."""

    events: list[GoalEvent] = field(default_factory=list)
    classes: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    runs: list[RunFact] = field(default_factory=list)


def events_of(history: History, scope: Scope, mode: str, goal: Goal) -> EventsFound:
    """Return the events of a goal in the app of a scope."""
    found = EventsFound()
    found.runs = runs(history, scope, sources=_sources(found, goal, mode, scope.name))
    classes = _classes(history, scope, mode, found.runs)
    found.classes.update(classes[run.id] for run in found.runs)
    read: Callable[[EventsFound, History, Scope, Goal, dict[str, str]], None] = {
        "availability": _availability, "latency": _latency, "validity": _validity, "cost": _cost,
    }[goal.kind]  # fmt: skip
    read(found, history, scope, goal, classes)
    return found


def _sources(found: EventsFound, goal: Goal, mode: str, name: str) -> tuple[str, ...]:
    if not goal.endpoints:
        return PRODUCTION
    if mode != "workflow" and not {"service-api", "web-app"}.isdisjoint(goal.endpoints):
        found.warnings.append(f"{name}: {_NOT_SPLIT} in a {mode} app; both count")
        return tuple({*PRODUCTION} - {"webhook", "schedule", "plugin"})
    return tuple(source for word in goal.endpoints for source in ENDPOINTS[word])


def _classes(history: History, scope: Scope, mode: str, found: Sequence[RunFact]) -> dict[str, str]:
    """Return whose each run is."""
    known = {run.id: by_status(run.status) for run in found}
    failed = [run for run in found if known[run.id] is None]
    nodes = failing_nodes(history, scope) if failed and mode in ("workflow", "advanced-chat") else {}
    told = {
        run.id: FailedRun(
            kind=run.error_kind, has_nodes=mode in ("workflow", "advanced-chat"),
            node_type=nodes.get(run.id, ("", ""))[0], node_kind=nodes.get(run.id, ("", ""))[1],
        )
        for run in failed
    }  # fmt: skip
    judged = whose(told)
    return {run.id: known[run.id] or judged[run.id] for run in found}


def _availability(found: EventsFound, history: History, scope: Scope, goal: Goal, classes: dict[str, str]) -> None:
    for run in found.runs:
        name = classes[run.id]
        if name == GOOD or name in goal.counts:
            found.events.append(GoalEvent(run.started, scope.app, name != GOOD))
            if name != GOOD:
                found.causes[run.error_kind or "failed"] += 1


def _latency(found: EventsFound, history: History, scope: Scope, goal: Goal, classes: dict[str, str]) -> None:
    waiting = {
        version
        for version, shape in shapes(history, scope).items()
        if any(node.get("type") == "human-input" for node in shape.get("nodes", ()))
    }
    limit = goal.within or 0.0
    for run in found.runs:
        if classes[run.id] != GOOD or run.elapsed is None:
            continue
        if run.version in waiting:
            found.classes["waits for people"] += 1
            continue
        found.events.append(GoalEvent(run.started, scope.app, run.elapsed > limit))
        if run.elapsed > limit:
            found.causes[f"over {limit:g} s"] += 1


def _validity(found: EventsFound, history: History, scope: Scope, goal: Goal, classes: dict[str, str]) -> None:
    from difyops.validation import enforce, read_schema
    from difyops.validation.verdict import STRICT, EnforceOptions

    assert goal.schema is not None  # noqa: S101  (the file's reader requires it)
    try:
        schema = read_schema(goal.schema.read_bytes(), what=str(goal.schema))
    except OSError as error:
        raise ConfigError(f"Goal {goal.name}: {goal.schema} cannot be read: {error.strerror}.") from error
    kept = _kept_answers(history, scope)
    missing = 0
    for run in found.runs:
        if classes[run.id] != GOOD:
            continue
        if not kept.get(run.id):
            missing += 1
            continue
        verdicts = [enforce(text, schema, options=EnforceOptions()) for text in _answers(kept[run.id])]
        good = any(verdict.ok and verdict.rung == STRICT for verdict in verdicts)
        found.events.append(GoalEvent(run.started, scope.app, not good))
        if not good:
            found.causes[next((item.error for item in verdicts if item.error), "repaired")] += 1
    if missing:
        found.warnings.append(
            f"{scope.name}: {counted(missing, 'answer was', 'answers were')} not kept and are not judged"
            " (difyops history sync --content)"
        )


def _kept_answers(history: History, scope: Scope) -> dict[str, str]:
    """Return what apps answered, by run: the outputs of their last nodes, or their messages."""
    of_nodes = history.all(
        "SELECT node.run, content.outputs FROM node JOIN content ON content.context = node.context AND content.app ="
        " node.app AND content.kind = 'node' AND content.id = node.id WHERE node.context = ? AND node.app = ?"
        " AND node.type IN ('end', 'answer') AND node.started >= ? AND node.started < ?",
        [scope.context, scope.app, scope.since - 1, scope.until + 86400],
    )
    of_messages = history.all(
        "SELECT CASE message.run WHEN '' THEN message.id ELSE message.run END, content.outputs FROM message"
        " JOIN content ON content.context = message.context AND content.app = message.app AND content.kind = 'message'"
        " AND content.id = message.id WHERE message.context = ? AND message.app = ? AND message.started >= ?",
        [scope.context, scope.app, scope.since],
    )
    return {**dict(of_nodes), **dict(of_messages)}


def _answers(text: str) -> list[str]:
    """Return the answers in what was kept: the text itself, or each output of a workflow, and all of them together."""
    try:
        body: Any = json.loads(text)
    except ValueError:
        return [text]
    if not isinstance(body, dict):
        return [text]
    each = [item if isinstance(item, str) else json.dumps(item) for item in body.values()]
    return [text, *each]


def _cost(found: EventsFound, history: History, scope: Scope, goal: Goal, classes: dict[str, str]) -> None:
    most = goal.most or Decimal(0)
    prices, other = _prices(history, scope, goal.currency)
    for run in found.runs:
        if run.id in prices and classes[run.id] in (GOOD, OURS):
            price, weight = prices[run.id]
            found.events.append(GoalEvent(run.started, scope.app, price > most, weight))
            if price > most:
                found.causes[f"over {most} {goal.currency}"] += 1
    unpriced = sum(run.id not in prices for run in found.runs)
    if unpriced:
        found.warnings.append(
            f"{scope.name}: {unpriced} of {counted(len(found.runs), 'run')} have no price that was read"
        )
    if other:
        found.warnings.append(
            f"{scope.name}: {counted(other, 'run is', 'runs are')} priced in another currency than {goal.currency}"
        )


def _prices(history: History, scope: Scope, currency: str) -> tuple[dict[str, tuple[Decimal, float]], int]:
    """Return price and weight by run, and how many had another currency. Dify writes RMB for CNY."""
    wanted = {currency, "RMB"} if currency == "CNY" else {currency}
    prices: dict[str, tuple[Decimal, float]] = {}
    other = 0
    for read in sampled(history, scope):
        price = price_of(read)
        if price is None or not any(row.type in ASKS_MODELS or row.price for row in read.nodes):
            continue
        if {row.currency for row in read.nodes if row.currency} <= wanted:
            prices[read.run.id] = (price, 1 / read.chance)
        else:
            other += 1
    rows = history.all(
        "SELECT id, price, currency FROM message WHERE context = ? AND app = ? AND started >= ? AND started < ?"
        " AND price <> ''",
        [scope.context, scope.app, scope.since, scope.until],
    )
    for message, text, unit in rows:
        try:
            prices.setdefault(message, (Decimal(text), 1.0)) if unit in wanted else None
        except InvalidOperation:
            continue
    return prices, other


def merged(parts: Iterable[EventsFound]) -> EventsFound:
    """Return several apps' events as one, in the order of time."""
    whole = EventsFound()
    for part in parts:
        whole.events += part.events
        whole.classes.update(part.classes)
        whole.causes.update(part.causes)
        whole.warnings += part.warnings
    whole.events.sort(key=lambda event: event.at)
    return whole

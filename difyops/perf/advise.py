"""``perf advise``: all rules over one app; what was dismissed is kept apart until its time is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from difyops.clock import iso
from difyops.errors import UsageError
from difyops.history.apps import TIMED
from difyops.history.store import History
from difyops.ledger import Event, Ledger
from difyops.perf.advice import CATEGORIES, SEVERITIES, AdviceCase, AdviceFinding, Gain, rules
from difyops.perf.facts import Scope, runs, sampled, shapes
from difyops.perf.timeline import plan, timeline

_DISMISSED = "perf.dismissed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissal:
    """Why and until when a piece of advice is not shown."""

    reason: str
    until: datetime
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One finding with its rule; the same fields that a web page would show."""

    id: str
    rule: str
    category: str
    severity: str
    title: str
    why: str
    n: int
    evidence: Mapping[str, float | int | str]
    gain: Gain | None
    steps: tuple[str, ...]
    example: str
    dismissed: Dismissal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """The advice for an app, gravest first. ``not_enough``: rules that need more runs than the ``read`` ones."""

    app: str
    name: str
    runs: int
    read: int
    advice: tuple[Advice, ...]
    dismissed: tuple[Advice, ...]
    not_enough: tuple[str, ...]


def advise(history: History, scope: Scope, ledger: Ledger | None, *, now: datetime) -> Advised:
    """Ask every rule."""
    case = case_of(history, scope)
    silenced = dismissals(ledger, scope, now=now)
    found: list[Advice] = []
    not_enough: list[str] = []
    for name, rule in rules().items():
        if len(case.reads) < rule.LEAST and len(case.runs) < rule.LEAST:
            not_enough.append(name)
            continue
        why = (rule.__doc__ or "").strip().splitlines()[0]
        found += [_advice(item, name, rule.CATEGORY, why, silenced.get(item.id)) for item in rule.advise(case)]
    found.sort(key=lambda item: (SEVERITIES.index(item.severity), CATEGORIES.index(item.category), item.id))
    return Advised(
        app=scope.app, name=scope.name, runs=len(case.runs), read=len(case.reads),
        advice=tuple(item for item in found if item.dismissed is None),
        dismissed=tuple(item for item in found if item.dismissed is not None), not_enough=tuple(not_enough),
    )  # fmt: skip


def case_of(history: History, scope: Scope) -> AdviceCase:
    """Gather what the rules look at; the graph is that of the newest version that ran."""
    graphs = shapes(history, scope)
    everything = runs(history, scope)
    reads = [read for read in sampled(history, scope) if read.nodes and read.run.status in TIMED]
    plans = [plan(read.run, read.nodes, graphs.get(read.run.version)) for read in reads]
    newest = max((run.version for run in everything if run.version in graphs), default=None)
    return AdviceCase(
        runs=everything, reads=reads, plans=plans, lines=[timeline(item) for item in plans],
        shape=graphs.get(newest) if newest is not None else None,
    )  # fmt: skip


def dismiss(ledger: Ledger, scope: Scope, finding: str, *, reason: str, now: datetime, until: datetime) -> Dismissal:
    """Write that a piece of advice is not to be shown until a day, and why.

    Raises:
        UsageError: there is no such rule, or no reason.
    """
    known = rules()
    if finding.split(":")[0] not in known:
        raise UsageError(f"{finding!r} is no advice.", hint=f"Ids begin with one of: {', '.join(known)}.")
    if not reason.strip():
        raise UsageError("A dismissal needs a reason.", hint='--reason "the provider has no cache"')
    data = {"reason": reason, "until": iso(until)}
    subject = f"{scope.app}:{finding}"
    ledger.append(Event(kind=_DISMISSED, subject=subject, when=now, context=scope.context, data=data))
    return Dismissal(reason=reason, until=until, at=now)


def dismissals(ledger: Ledger | None, scope: Scope, *, now: datetime) -> dict[str, Dismissal]:
    """Return the dismissals of an app that still hold, by id; the last word counts."""
    found: dict[str, Dismissal] = {}
    events = ledger.events(_DISMISSED, context=scope.context, limit=10_000) if ledger else []
    for event in events:
        app, _, finding = event.subject.partition(":")
        if app == scope.app:
            until = datetime.fromisoformat(str(event.data.get("until")))
            found[finding] = Dismissal(reason=str(event.data.get("reason")), until=until, at=event.when)
    return {finding: item for finding, item in found.items() if item.until > now}


def _advice(found: AdviceFinding, rule: str, category: str, why: str, dismissed: Dismissal | None) -> Advice:
    return Advice(
        id=found.id, rule=rule, category=category, severity=found.severity, title=found.title, why=why, n=found.n,
        evidence=found.evidence, gain=found.gain, steps=found.steps, example=found.example, dismissed=dismissed,
    )  # fmt: skip

"""``perf trend``: run times over time, where they changed, and what was done shortly before.

Change points are those of the medians of equal stretches (E-divisive). The moment is then narrowed down among the runs
around it, and matched with the last thing before it that could be the cause: a version that was published (its name is
its time), or a line of our own audit log about this app or about the whole instance.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from difyops.clock import from_unix
from difyops.history.apps import TIMED
from difyops.history.store import History
from difyops.ledger import AuditEntry, Ledger
from difyops.perf.facts import RunFact, Scope, runs
from difyops.perf.tallies import TimedStretch, merged, timed_stretches
from difyops.statistics import ChangePoint, Quantile, change_points, quantile

_STRETCHES = (300, 900, 3600, 6 * 3600, 86400)
_MOST_BUCKETS = 120
_LOOK_BACK = 24 * 3600.0
_RELATED = ("snapshot.", "app.", "trigger.", "provider.", "rotation.", "release.", "secret.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The runs of one stretch of time; p95 only where there are enough."""

    at: datetime
    n: int
    failed: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What was done before a change: ``seconds`` before it, by whom if known. Near in time; no more is claimed."""

    what: str
    subject: str
    by: str
    at: datetime
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendChange:
    """Run times changed at ``at``: medians of the stretches before and after, with p95 where there are enough."""

    at: datetime
    n_before: int
    n_after: int
    before: Quantile
    after: Quantile
    p95_before: Quantile
    p95_after: Quantile
    p: float
    cause: Cause | None

    @property
    def ratio(self) -> float | None:
        """Return the median after over the median before."""
        if not self.before.value or self.after.value is None:
            return None
        return self.after.value / self.before.value


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPublication:
    """A version that runs were of, when it was published, and its first run here."""

    version: str
    at: datetime
    first_run: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The series of an app and its changes. ``seconds`` is the length of a bucket."""

    app: str
    name: str
    seconds: float
    buckets: tuple[Bucket, ...]
    changes: tuple[TrendChange, ...]
    versions: tuple[TrendPublication, ...]


def trend(history: History, scope: Scope, ledger: Ledger | None, *, max_p: float = 0.001) -> Trend:
    """Look for changes in the run times of a scope."""
    width = next((s for s in _STRETCHES if (scope.until - scope.since) / s <= _MOST_BUCKETS), _STRETCHES[-1])
    groups, first = timed_stretches(history, scope, width)
    points = change_points([statistics.median(group.times) for group in groups], max_p=max_p, min_magnitude=0.05)
    known = _Known(versions=_published(first), lines=_audit(ledger, scope), blur=float(width))
    edges = [0, *(point.index for point in points), len(groups)]
    changes = []
    for place, point in enumerate(points):
        before, after = (merged(g.times for g in groups[edges[n] : edges[n + 1]]) for n in (place, place + 1))
        low, high = (groups[number].number for number in (max(0, point.index - 1), point.index))
        near = replace(scope, since=scope.since + low * width, until=scope.since + (high + 1) * width)
        changes.append(_change(before, after, _moment_of(_timed(history, near)), point, known))
    return Trend(
        app=scope.app, name=scope.name, seconds=float(width), changes=tuple(changes), versions=tuple(known.versions),
        buckets=tuple(_bucket(scope.since + group.number * width, group) for group in groups),
    )  # fmt: skip


def _timed(history: History, scope: Scope) -> list[RunFact]:
    return [run for run in runs(history, scope) if run.status in TIMED and run.elapsed is not None]


def cause_before(found: Sequence[RunFact], scope: Scope, ledger: Ledger | None, at: float) -> Cause | None:
    """Return the last thing before a moment that could be its cause; a moment that is exact to a few minutes."""
    return _cause(at, _Known(versions=publications(found), lines=_audit(ledger, scope), blur=300.0))


def _bucket(at: float, group: TimedStretch) -> Bucket:
    p50, p95 = (quantile(group.times, share).value for share in (0.5, 0.95))
    return Bucket(at=_date(at), n=len(group.times), failed=group.failed, p50=p50, p95=p95)


def _moment_of(near: Sequence[RunFact]) -> float:
    """Return the beginning of the first run after the change: the split that explains most of the spread of logs."""
    logs = [math.log(max(1e-6, run.elapsed or 0.0)) for run in near]
    total, n, left = math.fsum(logs), len(logs), 0.0
    best, place = -1.0, 0
    for number in range(1, n):
        left += logs[number - 1]
        between = (left / number - (total - left) / (n - number)) ** 2 * number * (n - number)
        if between > best:
            best, place = between, number
    return near[place].started


def _change(
    before: Sequence[float], after: Sequence[float], at: float, point: ChangePoint, known: _Known
) -> TrendChange:  # fmt: skip
    one, two = ([quantile(times, share) for share in (0.5, 0.95)] for times in (before, after))
    cause = _cause(at, known)
    if cause is not None and cause.seconds < 0:  # it cannot have changed before: the moment is known to a stretch only
        at, cause = cause.at.timestamp(), replace(cause, seconds=0.0)
    return TrendChange(
        at=_date(at), n_before=len(before), n_after=len(after), before=one[0], after=two[0], p95_before=one[1],
        p95_after=two[1], p=point.p, cause=cause,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What was done: versions that runs were of, lines of our audit log; ``blur`` is how exact a moment is."""

    versions: Sequence[TrendPublication]
    lines: Sequence[AuditEntry]
    blur: float


def _cause(at: float, known: _Known) -> Cause | None:
    """Return what was done nearest before the change; our own line about it where there is one within minutes."""
    found = [
        Cause(what="version", subject=item.version, by="", at=item.at, seconds=at - item.at.timestamp())
        for item in known.versions
    ] + [
        Cause(what=line.action, subject=line.subject, by=line.actor, at=line.when, seconds=at - line.when.timestamp())
        for line in known.lines
    ]
    near = [cause for cause in found if -known.blur <= cause.seconds <= _LOOK_BACK]
    if not near:
        return None
    last = min(near, key=lambda cause: abs(cause.seconds))
    same = [cause for cause in near if cause.by and abs(cause.seconds - last.seconds) < 300]
    return min(same, key=lambda cause: abs(cause.seconds), default=last)


def publications(found: Sequence[RunFact]) -> list[TrendPublication]:
    """Return the versions of runs in the order of their publication: a version's name is when it was published."""
    first: dict[str, float] = {}
    for run in found:
        first[run.version] = min(run.started, first.get(run.version, run.started))
    return _published(first)


def _published(first: Mapping[str, float]) -> list[TrendPublication]:
    listed = [
        TrendPublication(version=version, at=_date(published(version) or started), first_run=_date(started))
        for version, started in first.items()
        if version and version != "draft"
    ]
    return sorted(listed, key=lambda item: item.at)


def published(version: str) -> float | None:
    """Return when a version was published (UTC), ``None`` when its name is no time."""
    try:
        return datetime.fromisoformat(version).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _audit(ledger: Ledger | None, scope: Scope) -> list[AuditEntry]:
    if ledger is None:
        return []
    lines = ledger.audit_trail(since=_date(scope.since - _LOOK_BACK), context=scope.context, limit=10_000)
    own = (scope.app, scope.name)
    return [
        line
        for line in lines
        if line.action.startswith(_RELATED)
        and (line.subject in own or not line.action.startswith(("snapshot.", "app.", "trigger.")))
        and line.outcome in ("done", "found done")
    ]


def _date(seconds: float) -> datetime:
    found = from_unix(seconds)
    assert found is not None  # noqa: S101  (only None gives None)
    return found

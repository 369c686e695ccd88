"""One app as it is seen in an incident, the whole picture, and an incident on record."""

from __future__ import annotations

from dataclasses import dataclass

SUSPECT, FAILING, CHANGED, WELL, UNREAD = "suspect", "failing", "changed", "well", "unread"
VERDICTS = (SUSPECT, FAILING, UNREAD, CHANGED, WELL)
EVENT = "incident.ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many of the runs that came to an end failed. Stopped runs and answers that were left count as neither."""

    failed: int = 0
    runs: int = 0

    @property
    def rate(self) -> float:
        """Return the share that failed, 0 to 1; 0 of nothing."""
        return self.failed / self.runs if self.runs else 0.0

    def __str__(self) -> str:
        return f"{self.failed} of {self.runs}" if self.runs else "no runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSeen:
    """One app. ``verdict``: suspect (it fails more since it was changed), failing (no change explains it), changed,
    well, unread (``why`` says why).

    ``before`` and ``now``: failures of our own making under the versions before and since the last change; of an app
    that did not change, ``now`` is the whole time. ``provider``: runs that failed for a model provider's sake.
    ``error``: what most failed runs say. ``back_to``: what follows ``rollback --to``; ``None`` where there is no way.
    ``live``: what was live when it was looked at, as ``live_mark`` tells it.
    Times are ISO with zone.
    """

    id: str
    name: str
    mode: str
    verdict: str
    why: str
    changed_at: str | None = None
    changed_by: str | None = None
    change: str = ""
    before: Share | None = None
    now: Share = Share()
    provider: int = 0
    error: str = ""
    back_to: str | None = None
    live: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One line of our own audit trail: who did what to what."""

    at: str
    actor: str
    action: str
    subject: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What changed and what fails in an instance from ``since`` to ``until``.

    ``apps``: worst first. ``not_looked_at``: apps whose runs were not read, for nobody changed them and there are many.
    """

    context: str
    url: str
    since: str
    until: str
    apps: tuple[AppSeen, ...]
    acts: tuple[Act, ...]
    not_looked_at: int = 0

    def of(self, verdict: str) -> tuple[AppSeen, ...]:
        """Return the apps of one verdict."""
        return tuple(app for app in self.apps if app.verdict == verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One app that was chosen to go back, where to, and how that ended.

    ``live`` is what was judged; when something else is live by then, it is left alone. ``state``: planned, a
    rollback's own word (rolled back, nothing to do), or failed.
    """

    app_id: str
    app: str
    to: str
    live: str | None = None
    state: str = "planned"
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An incident on record: who looked at what, chose which apps, and how it ended."""

    id: str
    began: str
    ended: str | None
    actor: str
    picture: Picture
    ways: tuple[Way, ...] = ()

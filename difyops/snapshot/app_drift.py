"""How one app drifted: what was read of it now against what a snapshot holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from difyops.api.model import App
from difyops.api.shapes import moment
from difyops.clock import from_unix, iso
from difyops.dsl.diff import Difference, diff
from difyops.dsl.marks import agree, shown
from difyops.snapshot.layout import RecordedApp, parsed
from difyops.snapshot.reading import AppReading, Before

LIVE, SECRET, DRAFT, FLAGS = "live changed", "secret changed", "draft edited", "flags changed"
SETTINGS, TRIGGERS, NEW, DELETED, UNREADABLE = "settings changed", "triggers changed", "new", "deleted", "unreadable"
_LABELS = {
    "name": "name",
    "description": "description",
    "icon": "icon",
    "site": "web page",
    "tags": "tags",
    "max_active_requests": "limit of concurrent requests",
}
_LONGEST = 40
Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDrift:
    """How one app drifted.

    ``kind``: live changed, secret changed (only sealed values), draft edited, flags changed (API and site), settings
    changed (name, description, icon, web page, tags, limit), triggers changed, new, deleted, unreadable.
    """

    id: str
    name: str
    kind: str
    who: str | None = None
    when: str | None = None
    what: str = ""
    changes: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldApp:
    """What a snapshot holds of one app; its documents are read only where they are needed."""

    before: Before
    document: Callable[[str], Document | None]

    @property
    def record(self) -> RecordedApp:
        """Return its record."""
        return self.before.record


def app_drift(held: HeldApp, reading: AppReading, *, live_only: bool) -> list[AppDrift]:
    """Return how an app drifted; nothing where all that was read is what the snapshot holds."""
    now = reading.record
    found = [
        item for item in (_flags(held.record, now), _settings(held.record, now), _triggers(held.record, now)) if item
    ]
    live = _parsed(reading.files.get("live.json"))
    if live is not None or now.live_version is None:
        found += _live(held, live, now)
    if not live_only and "draft.json" in reading.files:
        found += _draft(held, reading, live)
    return found


def new_app(app: App) -> AppDrift:
    """Return the drift of an app that the snapshot does not know."""
    when = _when(app.created_at)
    return AppDrift(id=app.id, name=app.name, kind=NEW, who=app.author, when=when, what="not in the snapshot")


def _live(held: HeldApp, live: Document | None, now: RecordedApp) -> list[AppDrift]:
    """Return what differs in what is live; ``live`` is ``None`` where nothing is live any more."""
    if live is None and held.record.live_version is None:
        return []
    changes = diff(held.document("live.json") or {}, live or {})
    if not changes:
        return []
    kind, what = LIVE, f"{len(changes)} change{'s' * (len(changes) != 1)}"
    if all(change.is_secret_variable for change in changes):
        kind, what = SECRET, f"{what} of a sealed value"
    version: Mapping[str, Any] = now.live or {"at": now.updated_at}
    who, when = version.get("by"), _when(version.get("at"))
    return [AppDrift(id=now.id, name=now.name, kind=kind, who=who, when=when, what=what, changes=changes)]


def _draft(held: HeldApp, reading: AppReading, live: Document | None) -> list[AppDrift]:
    """Return the edits of a draft that nobody published; one that equals what the snapshot holds as live is none."""
    kept_live = live or held.document("live.json") or {}  # what was published since is no edit
    kept = held.document("draft.json") or kept_live
    now = _parsed(reading.files.get("draft.json")) or {}
    changes = diff(kept, now)
    if not changes or not diff(kept_live, now):
        return []
    edited, record = reading.edited, reading.record
    who, when = (edited.by, _when(edited.at)) if edited else (None, None)
    what = f"{len(changes)} unpublished change{'s' * (len(changes) != 1)}"
    return [AppDrift(id=record.id, name=record.name, kind=DRAFT, who=who, when=when, what=what, changes=changes)]


def _flags(before: RecordedApp, now: RecordedApp) -> AppDrift | None:
    moved = [
        f"{label} switched {'on' if is_on else 'off'}"
        for label, was_on, is_on in (
            ("API", before.enable_api, now.enable_api),
            ("site", before.enable_site, now.enable_site),
        )
        if was_on != is_on
    ]
    return _told(now, FLAGS, moved)


def _settings(before: RecordedApp, now: RecordedApp) -> AppDrift | None:
    moved = [f"{label}: {_move(before, now, name)}" for name, label in _LABELS.items() if _differs(before, now, name)]
    return _told(now, SETTINGS, moved)


def _differs(before: RecordedApp, now: RecordedApp, name: str) -> bool:
    """Say whether a setting differs. A server of another version shows more, or fewer: what both show counts."""
    one, other = getattr(before, name), getattr(now, name)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return any(not agree(one[key], other[key]) for key in one.keys() & other.keys())
    if name == "tags":
        return sorted(one) != sorted(other)
    return not agree(one, other)


def _move(before: RecordedApp, now: RecordedApp, name: str) -> str:
    one, other = getattr(before, name), getattr(now, name)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return ", ".join(sorted(key for key in one.keys() & other.keys() if not agree(one[key], other[key])))
    return f"{_shown(one)} -> {_shown(other)}"


def _shown(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple | list) else shown(str("" if value is None else value))
    return repr(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _triggers(before: RecordedApp, now: RecordedApp) -> AppDrift | None:
    was = {item["node_id"]: item for item in before.triggers}
    moved = [
        f"{item['title'] or item['node_id']}: {was[item['node_id']]['status']} -> {item['status']}"
        for item in now.triggers
        if item["node_id"] in was and was[item["node_id"]]["status"] != item["status"]
    ]
    return _told(now, TRIGGERS, moved)


def _told(now: RecordedApp, kind: str, moved: list[str]) -> AppDrift | None:
    if not moved:
        return None
    return AppDrift(id=now.id, name=now.name, kind=kind, when=_when(now.updated_at), what="; ".join(moved))


def _parsed(content: bytes | None) -> Document | None:
    if content is None:
        return None
    body: Document = parsed(content)
    return body


def _when(seconds: object) -> str | None:
    found = from_unix(moment(seconds))
    return iso(found) if found else None

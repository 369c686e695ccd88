"""One app's history: the snapshots in which something of it changed, and what one of them holds of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from difyops.dsl.model import iter_nodes
from difyops.errors import SelectorError
from difyops.git_store import GitStore, Touched
from difyops.snapshot.former import former_ids
from difyops.snapshot.history import Kept, apps_of, load_app
from difyops.snapshot.layout import Manifest, app_file, read_manifest, record_of
from difyops.targets import pick

_WORDS = {"live.json": "live", "live.dsl.yml": "live", "draft.json": "draft", "app.json": "settings"}
_ORDER = ("live", "draft", "settings")
_DRAFT_GONE = "draft published or dropped"
_FAR = 10_000  # snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class AppChange:
    """One snapshot in which something of an app changed. ``what``: first kept, live, draft, settings, removed.

    ``version``, ``name``, ``comment``, ``by``, ``published``: what was live in it. ``app_id`` is another one where the
    app was restored from that.
    """

    commit: str
    when: datetime
    tags: tuple[str, ...]
    app_id: str
    what: tuple[str, ...]
    version: str | None = None
    name: str = ""
    comment: str = ""
    by: str | None = None
    published: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppLog:
    """The history of one app, newest first."""

    app_id: str
    app: str
    changes: tuple[AppChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppShown:
    """What one snapshot holds of one app. Secrets are marks. ``sealed``: how many values the age file holds."""

    commit: str
    taken_at: str
    record: Mapping[str, Any]
    live: Mapping[str, Any] | None
    draft: Mapping[str, Any] | None
    dsl: str | None
    nodes: tuple[str, ...]
    sealed: bool


def app_log(store: GitStore, branch: str, selector: str, *, limit: int) -> AppLog:
    """Return the history of an app, named by id, name or slug; one that is gone is looked for in older snapshots.

    What was kept of the app that it was restored from belongs to it.

    Raises:
        SelectorError: no snapshot holds it. StoreError: there is no snapshot yet.
    """
    store.resolve("latest", branch=branch)
    app_id, name = _known(store, branch, selector)
    found: list[AppChange] = []
    for each in (app_id, *former_ids(store, branch, app_id)):
        rows = store.touching(branch, f"apps/{each}/", limit=limit - len(found))
        found += [_change(store, each, row) for row in rows]
        if len(found) >= limit:
            break
    return AppLog(app_id=app_id, app=name, changes=tuple(found))


def app_in(store: GitStore, branch: str, revision: str, selector: str) -> AppShown:
    """Return what a snapshot holds of an app, or of the one that it was restored from.

    Raises:
        SelectorError: nothing. StoreError: there is no such snapshot, or it could not read the app.
    """
    commit = store.resolve(revision, branch=branch)
    manifest = read_manifest(store, commit)
    kept = _kept_in(store, branch, commit, manifest, selector)
    record = kept.record
    return AppShown(
        commit=commit,
        taken_at=manifest.taken_at,
        record={name: getattr(record, name) for name in record.__slots__},
        live=kept.live,
        draft=kept.draft,
        dsl=kept.dsl,
        nodes=tuple(f"{node.name} ({node.type})" for node in iter_nodes(kept.live or {})),
        sealed=kept.age is not None,
    )


def _kept_in(store: GitStore, branch: str, commit: str, manifest: Manifest, selector: str) -> Kept:
    try:
        return load_app(store, commit, manifest, pick(apps_of(manifest), selector).id)
    except SelectorError as error:
        try:
            app_id, _ = _known(store, branch, selector)
        except SelectorError:
            raise SelectorError(f"Snapshot {commit[:10]}: {error.message}", hint=error.hint) from error
        for former in (app_id, *former_ids(store, branch, app_id)):
            if former in manifest.apps:
                return load_app(store, commit, manifest, former)
        hint = f"difyops snapshot log {app_id}"
        raise SelectorError(f"Snapshot {commit[:10]} does not hold {selector!r}.", hint=hint) from error


def _known(store: GitStore, branch: str, selector: str) -> tuple[str, str]:
    """Return id and name of an app that the newest snapshot holds, or the newest of those that did."""
    first: SelectorError | None = None
    for info in store.log(branch, limit=_FAR):
        manifest = read_manifest(store, info.id)
        try:
            app = pick(apps_of(manifest), selector)
        except SelectorError as error:
            if "means" in error.message:
                raise
            first = first or error
        else:
            return app.id, app.name
    raise SelectorError(f"No snapshot of {branch} holds {selector!r}.", hint=first.hint if first else None)


def _change(store: GitStore, app_id: str, row: Touched) -> AppChange:
    files = {change.path.rpartition("/")[2]: change.status for change in row.files}
    live: Mapping[str, Any] = {}
    if files.get("app.json") != "D":
        record = record_of(store.read(row.commit.id, app_file(app_id, "app.json")))
        live = record.live or {}
    return AppChange(
        commit=row.commit.id,
        when=row.commit.when,
        tags=row.commit.tags,
        app_id=app_id,
        what=_what(files),
        version=live.get("id"),
        name=live.get("name") or "",
        comment=live.get("comment") or "",
        by=live.get("by"),
        published=live.get("at"),
    )


def _what(files: Mapping[str, str]) -> tuple[str, ...]:
    if files.get("app.json") == "A":
        return ("first kept",)
    if files.get("app.json") == "D":
        return ("removed",)
    words = {_WORDS[name] for name, status in files.items() if name in _WORDS and not _is_dropped(name, status)}
    if files.get("draft.json") == "D":
        return (*_in_order(words - {"settings"} if "live" in words else words), _DRAFT_GONE)
    if {"live", "draft"} & words:
        words -= {"settings"}  # a new version, or another draft, is named in the record as well
    return _in_order(words) or ("sealed anew",)


def _is_dropped(name: str, status: str) -> bool:
    return name == "draft.json" and status == "D"


def _in_order(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word in _ORDER if word in words)

"""The layout of the store: one branch a context, one commit a snapshot, one manifest in each commit.

    manifest.json                   what this snapshot is, what it holds, what it could not read
    workspace/<part>.json           plugins, models, tools, datasets
    apps/<app id>/app.json          name, mode, flags, tags, live version, triggers
    apps/<app id>/live.json         the live version exactly: graph, features, variables (or the model config)
    apps/<app id>/live.dsl.yml      the portable DSL of the live version
    apps/<app id>/draft.json        the draft, where it differs from the live version
    apps/<app id>/sealed.json       the marks in them and where they stand        (where there are any)
    apps/<app id>/sealed.age        the values of these marks, encrypted          (where the store has recipients)
    seal/…                          the store's key, encrypted, and its recipients (``sealing.store``)

Secrets are marks in all of it. Ids name the folders because names change and are not unique.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from difyops.api.shapes import Shape, anything, count, each, filled, flag, maybe, obj, rows, some_object, text, when
from difyops.dsl.canonical import canonical
from difyops.errors import StoreError
from difyops.git_store import GitStore, ObjectReader
from difyops.secret_text import scrub

FORMAT = "difyops-snapshot/2"
_READABLE = (FORMAT, "difyops-snapshot/1")  # 1: without sealed values
MANIFEST = "manifest.json"
WHOLE = "all"
PARTS = ("plugins", "models", "tools", "datasets")


_MANIFEST = obj(
    {
        "context": text,
        "instance": text,
        "workspace_id": text,
        "workspace_name": maybe(text),
        "server_version": maybe(text),
        "taken_at": filled,
        "tool": maybe(text),
        "selection": rows(text),
        "live_only": flag,
        "complete": flag,
        "counts": each(count),
        "apps": each(obj({"name": text, "mode": text}, state=text, error=text, seal=text)),
        "failed": rows(some_object),
        "files": each(text),
    },
    coverage=rows(text),
)
_LIVE = obj({"id": filled}, name=text, comment=text, by=text, at=when)
_RECORD = obj(
    {"id": filled, "name": text, "mode": text, "tags": rows(text), "triggers": rows(some_object)},
    description=text, icon=some_object, enable_api=flag, enable_site=flag, max_active_requests=anything,
    site=some_object, live=_LIVE, draft=some_object, updated_at=when,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    """One app in a manifest. ``state``: ok (as it was at ``taken_at``), failed (older content carried), carried.

    ``seal``: the state of the store's seal that its content was written with.
    """

    name: str
    mode: str
    state: str = "ok"
    error: str | None = None
    seal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a snapshot says about itself. ``complete`` only when all of the whole workspace was asked for and read.

    ``selection``: what this one asked for; ``coverage``: what it and those before it asked for, together.
    """

    context: str
    instance: str
    workspace_id: str
    workspace_name: str
    server_version: str
    taken_at: str
    tool: str
    selection: tuple[str, ...]
    live_only: bool
    complete: bool
    counts: Mapping[str, int]
    apps: Mapping[str, ManifestEntry]
    failed: tuple[Mapping[str, str], ...]
    files: Mapping[str, str]
    coverage: tuple[str, ...] = ()
    format: str = FORMAT

    @property
    def covers_all(self) -> bool:
        """Say whether the whole workspace was ever asked for; older manifests do not say, and mostly were."""
        return not self.coverage or WHOLE in self.coverage

    @property
    def state(self) -> str:
        """Return the word for people: complete, live only (drafts and switches are older), or partial."""
        if self.complete:
            return "complete"
        return "live only" if self.live_only and "all" in self.selection and not self.failed else "partial"

    def encoded(self) -> bytes:
        """Return the manifest's bytes."""
        return canonical({**_members(self), "apps": {app_id: _members(entry) for app_id, entry in self.apps.items()}})

    def same_content(self, other: Manifest | None) -> bool:
        """Say whether ``other``, the snapshot before, already says all that this one says.

        When it was taken and which part was asked for do not count, unless this one is complete and that one is not.
        """
        if other is None or (self.complete and not other.complete):
            return False
        return self._content() == other._content()

    def _content(self) -> tuple[object, ...]:
        names = {app_id: (entry.name, entry.mode, entry.seal) for app_id, entry in self.apps.items()}
        where = (self.instance, self.workspace_id, self.server_version)
        covered = (WHOLE,) if self.covers_all else self.coverage
        return (where, names, dict(self.files), [dict(item) for item in self.failed], covered)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedApp:
    """``app.json``: everything about an app that is not its content. No secrets, no addresses that are secrets."""

    id: str
    name: str
    mode: str
    description: str = ""
    icon: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    enable_api: bool | None = None
    enable_site: bool | None = None
    max_active_requests: int | None = None
    site: Mapping[str, Any] = field(default_factory=dict)
    live: Mapping[str, Any] | None = None
    draft: Mapping[str, Any] | None = None
    triggers: tuple[Mapping[str, str], ...] = ()
    updated_at: float | None = None

    @property
    def live_version(self) -> str | None:
        """Return the id of the live version."""
        return str(self.live["id"]) if self.live else None

    def encoded(self) -> bytes:
        """Return the bytes of ``app.json``."""
        return canonical(_members(self))


def _members(record: Manifest | ManifestEntry | RecordedApp) -> dict[str, Any]:
    """Return the fields of a record by name; ``asdict`` would copy what is in them, value by value."""
    return {item.name: getattr(record, item.name) for item in fields(record)}


def app_file(app_id: str, name: str) -> str:
    """Return the path of one file of an app."""
    return f"apps/{app_id}/{name}"


def app_files(files: Iterable[str], app_id: str) -> list[str]:
    """Return those of ``files`` that belong to an app."""
    start = f"apps/{app_id}/"
    return [path for path in files if path.startswith(start)]


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's bytes in hex."""
    return hashlib.sha256(content).hexdigest()


def read_manifest(store: GitStore, revision: str) -> Manifest:
    """Return the manifest of a snapshot.

    Raises:
        StoreError: the commit has none, or one that this version cannot read.
    """
    what = f"The manifest of snapshot {revision[:10]}"
    body = parsed(store.read(revision, MANIFEST), some_object, what)
    if body.get("format") not in _READABLE:
        raise StoreError(
            f"Snapshot {revision[:10]} has format {body.get('format')!r}, this version reads {FORMAT!r}.",
            hint="Upgrade difyops.",
        )
    _check(body, _MANIFEST, what)
    try:
        body["apps"] = {app_id: ManifestEntry(**_given(entry)) for app_id, entry in body["apps"].items()}
        body["selection"], body["failed"] = tuple(body["selection"]), tuple(body["failed"])
        body["coverage"] = tuple(body.get("coverage") or ())
        return Manifest(**_given(body))
    except TypeError as error:
        raise _damaged(what) from error


def record_of(content: bytes) -> RecordedApp:
    """Read ``app.json``.

    Raises:
        StoreError: it is damaged.
    """
    body = parsed(content, _RECORD, "An app.json in the store")
    try:
        body["tags"], body["triggers"] = tuple(body["tags"]), tuple(body["triggers"])
        return RecordedApp(**_given(body))
    except TypeError as error:
        raise _damaged("An app.json in the store") from error


def read_json(files: ObjectReader, path: str) -> Any:
    """Return the parsed content of a JSON file of a snapshot: the object that every one of an app is.

    Raises:
        StoreError: missing or damaged.
    """
    return parsed(files.read(path), some_object, f"{path} in snapshot {files.commit[:10]}")


def parsed(content: bytes, shape: Shape = some_object, what: str = "A file of the snapshot") -> Any:
    """Return the JSON of a file of a snapshot: whoever can write to the store can have written anything.

    Raises:
        StoreError: it is none, or not of the shape.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(what) from error
    _check(body, shape, what)
    return body


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that say something; the others have their defaults."""
    return {name: value for name, value in body.items() if value is not None}


def _check(body: Any, shape: Shape, what: str) -> None:
    if (complaint := shape(body)) is not None:
        place = scrub(complaint.partition(": ")[0].lstrip("."))[:100]
        raise _damaged(f"{what} ({place})" if place else what)


def _damaged(what: str) -> StoreError:
    return StoreError(f"{what} is damaged.", hint="difyops snapshot verify")

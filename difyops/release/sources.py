"""Where a new version comes from, as a whole document with the secrets that are alive here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from difyops.dsl.diff import describe, diff
from difyops.dsl.load import load_dsl
from difyops.dsl.marks import MARKER
from difyops.dsl.model import AGENT_MODE, DslError, as_dict, env_variables
from difyops.dsl.secrets import redact
from difyops.errors import NotSupported, Refused, UsageError
from difyops.publishing.putting import Now
from difyops.release.plan import DRAFT, FILE, SNAPSHOT, Version, hash_of
from difyops.sealing.store import seal_to_compare
from difyops.snapshot.history import Kept, kept_app
from difyops.snapshot.layout import RecordedApp
from difyops.snapshot.plan import read_situation
from difyops.snapshot.situation import PlanOptions
from difyops.workspace import Workspace

JsonObject = dict[str, Any]
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseTarget:
    """The new version: its whole document (secrets in clear), what the plan says of it, what stands in its way."""

    document: JsonObject = field(repr=False)
    version: Version
    problems: tuple[str, ...] = ()


async def target_of(workspace: Workspace, now: Now, source: str, word: str) -> ReleaseTarget:
    """Read the new version of an app.

    Raises:
        Refused: there is nothing new in the draft. NotSupported: this mode has no draft. UsageError: the file is none
        of this app. StoreError, SelectorError: the snapshot does not hold it.
    """
    match source:
        case "draft":
            return _draft(now)
        case "snapshot":
            return await _snapshot(workspace, now, word)
        case "file":
            return await _file(workspace, now, Path(word))
    raise UsageError(f"A new version comes from a draft, a snapshot or a file; not from {source!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """Both sides with their secrets as marks: reading them out takes time, so it is done once."""

    live: JsonObject
    target: JsonObject

    @classmethod
    def of(cls, now: Now, target: JsonObject) -> Plain:
        """Return the two sides of a release."""
        return cls(live=redact(now.live or {}).document, target=redact(target).document)


def changes_of(plain: Plain) -> tuple[str, ...]:
    """Say what differs, secrets apart."""
    found = diff(plain.live, plain.target)
    more = (f"and {len(found) - _MOST_NAMED} more",) if len(found) > _MOST_NAMED else ()
    return (*(describe(item) for item in found[:_MOST_NAMED]), *more)


def _draft(now: Now) -> ReleaseTarget:
    if not now.app.has_workflow and not now.app.is_agent:
        raise NotSupported(
            f"{now.app.name!r} is a {now.app.mode} app and has no draft.",
            hint="Release a snapshot (--snapshot TAG) or a file (--file PATH).",
        )
    if now.draft is None:
        raise Refused(f"{now.app.name!r} has no draft.")
    return ReleaseTarget(document=now.draft, version=Version(hash=hash_of(now.draft), source=DRAFT))


async def _snapshot(workspace: Workspace, now: Now, tag: str) -> ReleaseTarget:
    store, instance = workspace.store, workspace.instance
    if store is None:
        raise UsageError("A release of a snapshot needs the store.", hint="--store PATH")
    kept = kept_app(store, store.resolve(tag, branch=instance.name), now.app.id)
    seal = seal_to_compare(store, instance.name, workspace.access)
    return await _kept(workspace, kept, tag, SNAPSHOT, PlanOptions(seal=seal, access=workspace.access))


async def _file(workspace: Workspace, now: Now, path: Path) -> ReleaseTarget:
    if now.app.mode == AGENT_MODE:
        raise NotSupported("An agent app cannot be released from a file.", hint="Release its draft, or a snapshot.")
    raw = _bytes_of(path)
    document = document_in(raw, now, str(path))
    record = RecordedApp(id=now.app.id, name=now.app.name, mode=now.app.mode)
    commit = hashlib.sha256(raw).hexdigest()
    kept = Kept(commit=commit, record=record, live=document, draft=None, dsl=None)
    return await _kept(workspace, kept, str(path), FILE, PlanOptions())


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error


async def _kept(workspace: Workspace, kept: Kept, word: str, source: str, options: PlanOptions) -> ReleaseTarget:
    situation, problems = await read_situation(workspace.instance, kept, word, options)
    document = situation.filled.document
    version = Version(hash=hash_of(document), source=source, word=word)
    return ReleaseTarget(document=document, version=version, problems=problems)


def document_in(raw: bytes, now: Now, what: str) -> JsonObject:
    """Return the document of a DSL export; secrets that an export leaves blank are marks.

    Raises:
        UsageError: it is no export, or of an app of another mode.
    """
    try:
        dsl = load_dsl(raw, what=what)
    except DslError as error:
        raise UsageError(error.message, hint=error.hint) from error
    mode = as_dict(dsl.get("app")).get("mode")
    if mode != now.app.mode:
        raise UsageError(f"{what}: this is a {mode} app; {now.app.name!r} is a {now.app.mode} app.")
    part = "workflow" if now.app.has_workflow else "model_config"
    body = dsl.get(part)
    if not isinstance(body, dict):
        raise UsageError(f"{what}: {part}: expected a mapping.")
    if not now.app.has_workflow:
        return {"model_config": body}
    return {
        "graph": as_dict(body.get("graph")),
        "features": as_dict(body.get("features")),
        "environment_variables": [_marked(item) for item in env_variables(body)],
        "conversation_variables": list(body.get("conversation_variables") or ()),
    }


def _marked(variable: Mapping[str, Any]) -> JsonObject:
    is_blank = variable.get("value_type") == "secret" and not variable.get("value")
    return {**variable, "value": MARKER} if is_blank else dict(variable)

"""Rollbacks that difyops 0.1.0 left cut off: one JSON file an app under ``rollbacks/`` in the state folder.

They become changes of the one journal, with the documents that finishing or undoing needs; then the old file goes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.api.model import Workflow
from difyops.changes import Change, ChangeRecord
from difyops.config import Context
from difyops.dsl.secrets import Location, redact
from difyops.errors import NotFound, StoreError
from difyops.publishing import Content
from difyops.publishing.config import SENT, WRITTEN
from difyops.publishing.content import aligned, draft_content, version_content
from difyops.publishing.held import FORMER, PARKED, TARGET, WANTED
from difyops.secret_text import SecretText
from difyops.snapshot.carry import Pool, fill, fill_config, old_secrets_of, secrets_of
from difyops.snapshot.owners import owned
from difyops.snapshot.reading import config_of
from difyops.workspace import Workspace

JsonObject = dict[str, Any]
KIND = "snapshot.rollback"
_NOT_BEGUN = "begun"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstJournalEntry:
    """One rollback as 0.1.0 wrote it. ``parked`` and ``former`` hold markers; their secrets stand beside them."""

    context: str
    app_id: str
    app_name: str
    mode: str
    started_at: str
    target: str
    target_version: str | None
    target_document: JsonObject
    enable_api: bool | None
    enable_site: bool | None
    triggers: Mapping[str, str] = field(default_factory=dict)
    live_before: str | None
    phase: str = _NOT_BEGUN
    parked: JsonObject | None = None
    parked_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    former: JsonObject | None = None
    former_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    written: JsonObject | None = None
    identity: JsonObject | None = None
    former_identity: JsonObject | None = None
    with_old_secrets: bool = False
    given: tuple[str, ...] = ()
    smoke: bool = False
    allow_missing: bool = False
    publish_name: str = ""
    publish_comment: str = ""


def left_behind(state: Path, context: Context) -> tuple[list[Path], dict[str, StoreError]]:
    """Return the files of a context that 0.1.0 left, and by app id what is wrong with those that cannot be read."""
    whole: list[Path] = []
    damaged: dict[str, StoreError] = {}
    folders = [state / "rollbacks" / name for name in (context.name, *context.former_names)]
    for path in sorted(path for folder in folders for path in folder.glob("*.json")):
        try:
            _read(path)
        except StoreError as error:
            damaged[path.stem] = error
        else:
            whole.append(path)
    return whole, damaged


async def take_over(workspace: Workspace) -> list[ChangeRecord]:
    """Turn what 0.1.0 left cut off on this instance into changes of the journal; twice is the same as once.

    Raises:
        StoreError: a file of 0.1.0 is damaged. LockHeld: another process works on the app. DifyopsError: the app could
        not be read, and the file stays.
    """
    found, _ = left_behind(workspace.state, workspace.instance.context)
    records = []
    for path in found:
        entry = _read(path)
        with workspace.journal.lock(f"app/{entry.app_id}", holding=f"a change of {entry.app_name!r}"):
            if path.exists():
                records.append(await _taken_over(workspace, entry))
                atomic_file.remove(path)
    return records


def _read(path: Path) -> FirstJournalEntry:
    try:
        return FirstJournalEntry(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"The rollback journal {path} is damaged.", hint="Look at it, then remove it.") from error


async def _taken_over(workspace: Workspace, entry: FirstJournalEntry) -> ChangeRecord:
    journal, subject = workspace.journal, f"app/{entry.app_id}"
    record = next((item for item in journal.open() if item.facts.get("taken_over") == entry.started_at), None)
    if record is None:
        record = journal.begin(
            KIND, subject=subject, label=entry.app_name, url=workspace.instance.context.url, facts=_facts(entry)
        )
    change = Change(journal, record)
    try:
        await (_workflow if entry.mode in ("workflow", "advanced-chat") else _config)(workspace, entry, change)
    except NotFound:  # the app is gone: there is nothing to finish, and undo closes the record
        change.note(app_is_gone=True)
    return change.record


def _facts(entry: FirstJournalEntry) -> JsonObject:
    return {
        "app_id": entry.app_id,
        "app_name": entry.app_name,
        "mode": entry.mode,
        "target": entry.target,
        "target_commit": "",
        "enable_api": entry.enable_api,
        "enable_site": entry.enable_site,
        "triggers": dict(entry.triggers),
        "identity": entry.identity,
        "former_identity": entry.former_identity,
        "publish_name": entry.publish_name,
        "publish_text": entry.publish_comment,
        "wait_for_slots": True,
        "taken_over": entry.started_at,
    }


async def _workflow(workspace: Workspace, entry: FirstJournalEntry, change: Change) -> None:
    console = workspace.instance.console
    versions = [item async for item in console.versions(entry.app_id)]
    former = next((item for item in versions if item.id == entry.live_before), None)
    draft = await draft_content(console, entry.app_id)
    target = await _target(workspace, entry, draft)
    change.keep(TARGET, target.as_kept())
    if former is not None:
        change.keep(FORMER, (await version_content(console, entry.app_id, former)).as_kept())
    if entry.parked is not None:
        change.keep(PARKED, (await _parked(workspace, entry)).as_kept())
    if draft is not None and entry.phase != _NOT_BEGUN and draft.means(target):
        change.keep(WANTED, draft.as_kept())
    newer = versions[: versions.index(former)] if former in versions else []
    change.note(
        live_before=entry.live_before,
        live_before_at=former.version if former else None,
        published=[item.id for item in reversed(newer) if _is_ours(item, entry)],
    )


def _is_ours(version: Workflow, entry: FirstJournalEntry) -> bool:
    """Say whether 0.1.0 published a version for this rollback: its comment and name are all that tells."""
    return bool(entry.publish_comment) and (version.marked_name, version.marked_comment) == (
        entry.publish_name[:20],
        entry.publish_comment[:100],
    )


async def _target(workspace: Workspace, entry: FirstJournalEntry, draft: Content | None) -> Content:
    """Fill the target with values again: from the former live version, the saved draft, the old version."""
    console = workspace.instance.console
    now = Pool(name="live now", secrets=await secrets_of(console, entry.app_id, entry.live_before))
    parked = Pool(name="the draft", secrets=_unpacked(entry.parked_secrets))
    old = Pool(name="the old version", secrets=await old_secrets_of(console, entry.app_id, entry.target_version))
    pools = [old, now, parked] if entry.with_old_secrets else [now, parked, old]
    workflow = await console.draft(entry.app_id) if draft is not None else None
    return Content(document=fill(aligned(entry.target_document, workflow), pools).document)


async def _parked(workspace: Workspace, entry: FirstJournalEntry) -> Content:
    console = workspace.instance.console
    saved = Pool(name="saved", secrets=_unpacked(entry.parked_secrets))
    former = Pool(name="former", secrets=await secrets_of(console, entry.app_id, entry.live_before))
    return Content(document=fill(entry.parked or {}, [saved, former]).document)


async def _config(workspace: Workspace, entry: FirstJournalEntry, change: Change) -> None:
    app = await workspace.instance.console.app(entry.app_id)
    raw, current = dict(app.model_config or {}), config_of(app)
    now = Pool(name="live now", secrets=owned(current, redact(current).secrets))
    kept = Pool(name="kept", secrets=_unpacked(entry.former_secrets))
    target = fill_config(entry.target_document, current, kept, now).document["model_config"]
    former = fill_config(entry.former or {"model_config": {}}, current, kept, now).document["model_config"]
    shown = redact(current).document
    is_former = entry.former is not None and shown == entry.former
    change.keep(TARGET, target)
    change.keep(FORMER, raw if is_former else former)
    if not is_former and (shown == entry.written or entry.written is None):
        change.keep(SENT, target)
        if entry.written is not None:
            change.keep(WRITTEN, raw)


def _unpacked(kept: Mapping[str, str]) -> dict[Location, SecretText]:
    return {Location.parse(key): SecretText(value) for key, value in kept.items()}

"""Releases as they are shown, and taking one back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from difyops.changes.journal import ChangeRecord
from difyops.changes.recovery import Ended, Recovery
from difyops.clock import iso
from difyops.errors import DifyopsError, LockHeld, Refused, SelectorError
from difyops.release.recovery import Releases
from difyops.release.run import Released, told
from difyops.release.work import KIND
from difyops.workspace import Workspace

_TRIES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRow:
    """One release. ``text``: what it waits for or how it ended; ``events`` of ``wanted`` runs were counted."""

    id: str
    app: str
    app_id: str
    began_at: str
    target: str
    state: str
    verdict: str
    events: int
    wanted: int
    e: float | None
    text: str


async def status(workspace: Workspace, wanted: str | None = None, *, limit: int = 20) -> tuple[ReleaseRow, ...]:
    """Return the newest releases of this context, newest first; of open ones with what is live now.

    Raises:
        SelectorError: no release of an app of this id or name is known.
    """
    found = [item for item in workspace.journal.all(limit=10_000) if item.kind == KIND]
    if wanted is not None:
        found = [item for item in found if wanted in (item.label, item.facts.get("app_id")) or item.id == wanted]
        if not found:
            raise SelectorError(f"No release of {wanted!r} is known here.", hint="difyops release status")
    return tuple([await _row(workspace, record) for record in found[::-1][:limit]])


def newest_of(workspace: Workspace, app_id: str) -> ChangeRecord | None:
    """Return the newest release of an app, ``None`` where none is known."""
    found = [
        item for item in workspace.journal.all(limit=10_000) if item.kind == KIND and item.facts.get("app_id") == app_id
    ]
    return found[-1] if found else None


def open_of(workspace: Workspace, app_id: str) -> ChangeRecord | None:
    """Return the release of an app that is under way or held, ``None`` where there is none."""
    found = newest_of(workspace, app_id)
    return found if found is not None and found.is_open else None


async def abort(workspace: Workspace, wanted: str) -> tuple[ChangeRecord, Ended]:
    """Go back to the version that was live before an open release.

    Raises:
        SelectorError: no release of it is open. Refused: what is live is not ours any more; it is left alone.
    """
    record, ended = await _ended(workspace, wanted, keeps=False)
    if ended.state == "overtaken":
        raise Refused(f"{record.label!r}: {ended.text}", hint=f"difyops app show {record.label}")
    return record, ended


async def decide(workspace: Workspace, wanted: str, *, keeps: bool) -> Released:
    """End a held release by a person's word: keep the new version, or go back; return how it stands then.

    Raises:
        SelectorError: it is open no more. DifyopsError: a call failed.
    """
    record, _ = await _ended(workspace, wanted, keeps=keeps)
    return told(workspace, workspace.journal.read(record.id, record.subject))


def open_releases(workspace: Workspace, wanted: str) -> list[ChangeRecord]:
    """Return the releases under way or held that an app's name or id means, or their own id.

    Raises:
        SelectorError: none is open.
    """
    found = [
        item
        for item in workspace.journal.open()
        if item.kind == KIND and (wanted in (item.label, item.facts.get("app_id")) or item.id.startswith(wanted))
    ]
    if not found:
        raise SelectorError(
            f"No release of {wanted!r} is under way or held.",
            hint="difyops release status; one that passed: difyops snapshot rollback APP --to previous",
        )
    return found


async def _ended(workspace: Workspace, wanted: str, *, keeps: bool) -> tuple[ChangeRecord, Ended]:
    found = open_releases(workspace, wanted)
    recovery = Recovery(journal=workspace.journal, kinds={KIND: Releases()})
    end = recovery.finish if keeps else recovery.undo
    for left in range(_TRIES, 0, -1):
        try:
            return found[-1], await end(workspace.instance, found[-1])
        except LockHeld:  # somebody looks at it just now
            if left == 1:
                raise
            await asyncio.sleep(0.5)
    raise AssertionError  # the last try returned or raised


async def _row(workspace: Workspace, record: ChangeRecord) -> ReleaseRow:
    shown = told(workspace, record)
    state, text = shown.state, shown.text
    if record.is_open:
        state = "held" if record.memo.get("since") else "cut off"
        try:
            recovery = Recovery(journal=workspace.journal, kinds={KIND: Releases()})
            text = await recovery.tell(workspace.instance, record)
        except DifyopsError as error:
            text = error.message
    plan = record.facts["plan"]
    looks = shown.looks
    return ReleaseRow(
        id=record.id, app=record.label, app_id=shown.app_id, began_at=iso(record.began),
        target=f"{plan['target']['source']} {plan['target']['word']}".strip(), state=state,
        verdict="open" if record.is_open else shown.verdict, events=looks[-1]["events"] if looks else 0,
        wanted=plan["watch"]["events"], e=looks[-1]["e"] if looks else None, text=text,
    )  # fmt: skip

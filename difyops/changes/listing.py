"""Changes as they are shown: one row a change, the same for one and for ten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from difyops.api.instance import Instance
from difyops.changes.journal import ChangeRecord
from difyops.changes.recovery import Ended, Recovery
from difyops.clock import iso
from difyops.errors import DifyopsError


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """One change that was cut off, or just ended. ``state`` is a sentence about the instance as it is now.

    ``ended``: finished, undone, overtaken, gone; ``None`` while it is open. ``missed``: scheduled runs that did not
    come meanwhile (among the warnings, too). ``error``: why it could not be ended, or why its journal cannot be read.
    """

    id: str
    kind: str
    subject: str
    label: str
    context: str
    began_at: str
    actor: str
    phase: str
    state: str
    ended: str | None = None
    warnings: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    data: Mapping[str, Any] | None = None
    error: str | None = None

    @classmethod
    def of(
        cls, record: ChangeRecord, state: str, *, ended: Ended | None = None, error: DifyopsError | None = None
    ) -> ChangeRow:
        """Return a record as it is shown."""
        return cls(
            id=record.id,
            kind=record.kind,
            subject=record.subject,
            label=record.label,
            context=record.context,
            began_at=iso(record.began),
            actor=record.actor,
            phase=record.phase,
            state=state,
            ended=(ended.state or None) if ended else None,
            warnings=(*ended.warnings, *ended.missed) if ended else (),
            missed=ended.missed if ended else (),
            kept=tuple(str(item["place"]) for item in record.memo.get("set_aside") or ()),
            data=ended.data if ended else None,
            error=error.message if error else None,
        )

    @classmethod
    def damaged(cls, app_id: str, error: DifyopsError) -> ChangeRow:
        """Return the row of a journal that cannot be read."""
        return cls(
            id="",
            kind="snapshot.rollback",
            subject=f"app/{app_id}",
            label=app_id,
            context="",
            began_at="",
            actor="",
            phase="damaged",
            state="unknown",
            error=f"{error.message} {error.hint or ''}".strip(),
        )


async def row(recovery: Recovery, instance: Instance, record: ChangeRecord) -> ChangeRow:
    """Return one change as it is shown: an open one with the state that the instance is in now.

    Nothing is raised where the instance cannot be asked: that is told in place of its state.
    """
    if not record.is_open:
        return replace(ChangeRow.of(record, f"ended: {record.state}"), ended=record.state)
    if recovery.journal.is_worked_on(record.subject):
        return ChangeRow.of(record, f"somebody works on it now, begun on {record.host}")
    try:
        return ChangeRow.of(record, await recovery.tell(instance, record))
    except DifyopsError as error:
        return ChangeRow.of(record, "unknown", error=error)

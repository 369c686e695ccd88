"""Drills as auditors want them: every one that ended, out of the ledger, newest last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from difyops.drill.model import EVENT
from difyops.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillReport:
    """The drills of a context since a moment; ``last`` is the newest in full, ``last_passed`` when one passed."""

    context: str
    since: datetime
    drills: tuple[dict[str, Any], ...]
    last: dict[str, Any] | None
    last_passed: str | None


def report(ledger: Ledger, context: str, since: datetime) -> DrillReport:
    """Read the drills of a context."""
    events = ledger.events(EVENT, context=context, since=since, limit=10_000)
    rows = tuple(_row(dict(event.data)) for event in events)
    passed = [row["ended"] for row in rows if row["verdict"] == "pass"]
    return DrillReport(
        context=context, since=since, drills=rows, last=dict(events[-1].data) if events else None,
        last_passed=passed[-1] if passed else None,
    )  # fmt: skip


def _row(data: dict[str, Any]) -> dict[str, Any]:
    apps = data.get("apps") or []
    return {
        "id": data.get("id"), "began": data.get("began"), "ended": data.get("ended"), "into": data.get("into"),
        "commit": data.get("commit"), "verdict": data.get("verdict"), "apps": len(apps),
        "proven": sum(bool(app.get("proven")) for app in apps), "rpo": data.get("rpo"), "rto": data.get("rto"),
        "failed": sum(item.get("word") == "fail" for item in data.get("findings") or ()),
    }  # fmt: skip

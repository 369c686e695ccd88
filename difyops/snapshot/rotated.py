"""Whose doing a changed secret is: the rotations in this machine's own journal, said beside the drift."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

from difyops.clock import iso
from difyops.dsl.diff import Difference
from difyops.ledger import AuditEntry, Ledger
from difyops.snapshot.app_drift import AppDrift
from difyops.snapshot.drift import Drift

_VARIABLE = re.compile(r'environment variable "(.*)"')


def explained(found: Drift, ledger: Ledger) -> Drift:
    """Return a drift with who rotated which secret variable since the snapshot, as far as this machine's journal says.

    Raises:
        StoreError: the ledger cannot be read.
    """
    since = datetime.fromisoformat(found.taken_at)
    return replace(found, apps=tuple(_explained(item, ledger, since) for item in found.apps))


def _explained(item: AppDrift, ledger: Ledger, since: datetime) -> AppDrift:
    told = []
    for change in item.changes:
        name = _name_of(change)
        if name is None:
            continue
        entries = ledger.audit_trail(subject=f"env/{item.id}/{name}", since=since)
        if entries:
            told.append(f"{name} rotated by {_who(entries[-1])} at {iso(entries[-1].when)}")
    return replace(item, what="; ".join([item.what, *told])) if told else item


def _name_of(change: Difference) -> str | None:
    match = _VARIABLE.fullmatch(change.place) if change.is_secret_variable else None
    return match.group(1) if match else None


def _who(entry: AuditEntry) -> str:
    return f"difyops, {entry.actor}" if entry.actor else "difyops"

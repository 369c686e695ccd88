"""How far the history of other machines is, where several share the ledger: rows and what they cover stay together.

A machine believes only its own coverage, for the rows are there; of the others it is told until when they have read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from difyops.ledger import Event, Ledger, this_host

SYNCED = "history.synced"
_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """The newest sync of another machine. ``is_whole``: it left no gap and no app out."""

    host: str
    until: datetime
    is_whole: bool


def tell_others(ledger: Ledger, context: str, now: datetime, *, until: float, is_whole: bool) -> None:
    """Write until when this machine has read."""
    data = {"host": this_host(), "until": until, "is_whole": is_whole}
    ledger.append(Event(kind=SYNCED, subject="history", when=now, context=context, data=data))


def elsewhere(ledger: Ledger, context: str) -> list[Elsewhere]:
    """Return the newest sync of each other machine, by its name."""
    found: dict[str, Elsewhere] = {}
    for event in ledger.events(SYNCED, context=context, limit=_MOST):
        host, until = str(event.data.get("host")), event.data.get("until")
        if isinstance(until, int | float):
            whole = bool(event.data.get("is_whole"))
            found[host] = Elsewhere(host=host, until=datetime.fromtimestamp(until, UTC), is_whole=whole)
    return [found[host] for host in sorted(found) if host != this_host()]

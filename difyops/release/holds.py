"""What was taken back by itself is held: the same content is not released over the app again unasked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from difyops.clock import iso
from difyops.errors import Refused
from difyops.ledger import Event, Ledger

KIND = "release.held"
_MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One content that was taken back: which, of which change, why and when."""

    app: str
    hash: str
    change: str
    why: str
    when: datetime


def hold(ledger: Ledger, context: str, held: Hold) -> None:
    """Write down that a content is held."""
    data = {"hash": held.hash, "change": held.change, "why": held.why}
    ledger.append(Event(kind=KIND, subject=f"app/{held.app}", when=held.when, context=context, data=data))


def holds(ledger: Ledger, app: str) -> list[Hold]:
    """Return what is held of an app, oldest first, under whatever context name."""
    return [
        Hold(
            app=app, hash=str(event.data.get("hash")), change=str(event.data.get("change")),
            why=str(event.data.get("why")), when=event.when,
        )
        for event in ledger.events(KIND, subject=f"app/{app}", limit=_MOST)
    ]  # fmt: skip


def refuse_held(ledger: Ledger, app: str, name: str, content: str) -> None:
    """Refuse a content that was taken back before.

    Raises:
        Refused: it says when and why.
    """
    found = [item for item in holds(ledger, app) if item.hash == content]
    if found:
        raise Refused(
            f"This content of {name!r} was taken back at {iso(found[-1].when)}: {found[-1].why}",
            hint="--again releases it all the same.",
        )

"""Incidents in the ledger: one event when the first app is about to go back, one at the end; no secrets."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from difyops.clock import Clock
from difyops.counting import counted
from difyops.errors import SelectorError
from difyops.incident.model import EVENT, Act, AppSeen, Incident, Picture, Share, Way
from difyops.ledger import Event, Ledger

_MOST = 1000


def keep(ledger: Ledger, incident: Incident, clock: Clock) -> None:
    """Write an incident down."""
    context = incident.picture.context
    ledger.append(Event(kind=EVENT, subject=incident.id, when=clock.now(), context=context, data=asdict(incident)))


def kept(ledger: Ledger, context: str | None, *, since: datetime | None = None) -> list[Incident]:
    """Return the incidents of a context, oldest first, each as it was last written down."""
    events = ledger.events(EVENT, since=since, context=context, limit=_MOST)
    return list({item.id: item for item in (_read(dict(event.data)) for event in events)}.values())


def find(ledger: Ledger, context: str | None, given: str) -> Incident:
    """Return the one incident whose id begins with ``given``; ``latest`` is the newest.

    Raises:
        SelectorError: there is none, or several.
    """
    every = kept(ledger, context)
    if not every:
        raise SelectorError("No incident is on record.", hint="difyops incident")
    found = every[-1:] if given == "latest" else [item for item in every if item.id.startswith(given)]
    if len(found) != 1:
        word = f"{counted(len(found), 'incident begins', 'incidents begin')}" if found else "No incident begins"
        raise SelectorError(f"{word} with {given!r}.", hint="difyops incident --list")
    return found[0]


def _read(data: dict[str, Any]) -> Incident:
    picture = data["picture"]
    apps = tuple(_app(item) for item in picture["apps"])
    acts = tuple(Act(**item) for item in picture["acts"])
    ways = tuple(Way(**item) for item in data["ways"])
    return Incident(**{**data, "picture": Picture(**{**picture, "apps": apps, "acts": acts}), "ways": ways})


def _app(data: dict[str, Any]) -> AppSeen:
    before = Share(**data["before"]) if data.get("before") else None
    return AppSeen(**{**data, "before": before, "now": Share(**data["now"])})

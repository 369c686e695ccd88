"""Rotations that older versions wrote down as ``rotation.*``, in a journal of their own.

They are read as if they stood in the journal of changes, and an open one is written there before it is gone on with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.changes import Journal
from difyops.changes.journal import BEGUN, ENDED, NOTE, STEP
from difyops.errors import StoreError
from difyops.ledger import Event, Ledger
from difyops.rotation.record import KIND, SUBJECT

_MOST = 1_000_000
_KINDS = {"rotation.begun": BEGUN, "rotation.step": STEP, "rotation.ended": ENDED}
_ENDS = {"done": "done", "rolled_back": "undone"}
_NOTED = {"set_aside": "left_out", "kept_drafts": "set_aside"}  # what changes call a fact has another name here


def first_events(ledger: Ledger, subject: str | None, context: str | None) -> list[Event]:
    """Return the lines of older versions as lines of the journal of changes, oldest first.

    ``subject``: of one secret; ``context``: of one context; ``None``: of all.
    """
    found = ledger.events("rotation.*", subject=subject, context=context, limit=_MOST)
    return [_as_change(event) for event in found if event.kind in _KINDS]


def take_over(journal: Journal, identity: str, subject: str) -> None:
    """Write an open rotation of an older version into the journal of changes, with what is held for it.

    Its former lines stay where they are; twice is the same as once. The caller may act on the rotation.
    """
    events = first_events(journal.ledger, subject, None)
    mine = [event for event in events if event.data["change"] == identity]
    begun = journal.ledger.events(BEGUN, subject=SUBJECT + subject, limit=_MOST)
    if mine and not any(event.data.get("change") == identity for event in begun):
        _bring_documents(journal, identity)
        journal.take_in(mine)


def _as_change(event: Event) -> Event:
    data = dict(event.data)
    told: dict[str, Any] = {"change": str(data.pop("rotation", ""))}
    match event.kind:
        case "rotation.begun":
            told |= {name: data.pop(name, "") for name in ("label", "url", "host")}
            told |= {"kind": KIND, "facts": {**data, "secret": data.get("kind", "")}}
        case "rotation.ended":
            told["state"] = _ENDS.get(str(data.get("state")), "undone")
        case _:
            told |= {**data, "name": data.get("step", ""), "entry": data.get("entry", NOTE)}
            told["memo"] = {_NOTED.get(name, name): fact for name, fact in _mapping(data.get("memo")).items()}
            if data.get("state"):
                told["memo"] |= {"phase": data["state"]}
    return replace(event, kind=_KINDS[event.kind], subject=SUBJECT + event.subject, data=told)


def _bring_documents(journal: Journal, identity: str) -> None:
    """Move the documents that lie beside the held values to where those of changes are."""
    for path in sorted((journal.state / "rotation-secrets" / identity).glob("*.json")):
        journal.files(identity).keep(path.stem, _whole(path))
        atomic_file.remove(path)


def _whole(path: Path) -> dict[str, Any]:
    """Return a held document. 0.1.0 kept the values of variables beside it.

    Raises:
        StoreError: the file is damaged (it is never deleted for that).
    """
    try:
        held: dict[str, Any] = json.loads(atomic_file.read_private(path))
        if "values" not in held:
            return held
        items: Iterable[Any] = held["document"].get("environment_variables") or ()
        variables = [{**item, "value": held["values"].get(item.get("name"), item.get("value"))} for item in items]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"The held document {path} is damaged.", hint="Look at it.") from error
    document = {**held["document"], "environment_variables": variables}
    return {**{name: part for name, part in held.items() if name != "values"}, "document": document}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

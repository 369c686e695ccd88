"""One JSON object from all: objects are merged key by key, lists joined without repeats. Where two agents differ, the
one earlier in the plan is kept and the difference is listed. A partial result merges what came and is not decided.
"""

from __future__ import annotations

import json
from typing import Any

from difyops.broadcast.aggregate import Answers, Combined
from difyops.broadcast.json_answer import json_of

_MOST_NOTES = 50


def aggregate(answers: Answers) -> Combined:
    """Return the merged object; answers that are no JSON object are left out and named."""
    merged: dict[str, Any] = {}
    owners: dict[str, str] = {}
    notes: list[str] = []
    used = 0
    for item in answers.given:
        found, value = json_of(item)
        if not found or not isinstance(value, dict):
            notes.append(f"{item.app}: not a JSON object, left out")
            continue
        used += 1
        _into(merged, value, item.app, "", owners, notes)
    shown = notes[:_MOST_NOTES]
    if len(notes) > _MOST_NOTES:
        shown.append(f"and {len(notes) - _MOST_NOTES} more")
    return Combined(
        how="merge",
        value=merged if used else None,
        text=_as_text(merged) if used else "",
        used=used,
        asked=answers.asked,
        decided=used == answers.asked and not notes,
        notes=tuple(shown),
        details={"conflicts": len([note for note in notes if " kept" in note])},
    )


def _into(
    merged: dict[str, Any], value: dict[str, Any], app: str, place: str, owners: dict[str, str], notes: list[str]
) -> None:
    for key, new in value.items():
        here = f"{place}.{key}" if place else key
        if key not in merged:
            merged[key] = _copied(new)
            owners[here] = app
            continue
        old = merged[key]
        if isinstance(old, dict) and isinstance(new, dict):
            _into(old, new, app, here, owners, notes)
        elif isinstance(old, list) and isinstance(new, list):
            old.extend(item for item in new if not any(_same(item, known) for known in old))
        elif not _same(old, new):
            notes.append(f"{here}: {owners.get(here, 'an earlier agent')}'s value kept, {app} says otherwise")


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _same(one: Any, other: Any) -> bool:
    """Compare as JSON does: ``true`` is not ``1``."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _as_text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)

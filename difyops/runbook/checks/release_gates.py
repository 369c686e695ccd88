"""``release.gates``: how the newest release of an app stands."""

from __future__ import annotations

from difyops.release.status import newest_of
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value


async def check(resources: Resources, *, app: str) -> Result:
    """Fail while the newest release of an app is live and its last look at the gates failed; pass when it passed, was
    taken back, or there is none. A release that is held undecided is inconclusive. Reads the journal of this machine.
    """
    found = await resources.app(app)
    record = newest_of(await resources.workspace(), found.id)
    if record is None:
        return Pass(text=f"no release of {found.name} is known here")
    looks = record.memo.get("looks") or []
    last = looks[-1] if looks else {}
    values = tuple(
        Value(name=name, value=last[key]) for name, key in (("failed", "failed"), ("runs", "events")) if last
    )
    if not record.is_open:
        verdict = (record.memo.get("verdict") or {}).get("state") or record.state
        return Pass(text=f"the release of {found.name} has ended: {verdict}", values=values)
    if last.get("word") == "fail":
        return Fail(
            text=f"{found.name}: {looks[-1]['text']}", values=values, hint=f"difyops release abort {found.name}"
        )
    said = looks[-1]["text"] if looks else "no look was taken yet"
    return Inconclusive(text=f"the release of {found.name} is held: {said}")

"""``knowledge.indexing``: documents in error, or waiting for too long."""

from __future__ import annotations

from difyops.api.datasets import documents
from difyops.api.run_records import moment
from difyops.clock import MAY_DIFFER
from difyops.counting import counted
from difyops.runbook.datasets import datasets_named
from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Pass, Result, Value, Warn

_DONE = ("completed", "paused")


async def check(
    resources: Resources,
    *,
    datasets: list[str] | None = None,
    max_age: Duration = 1800.0,
    max_errors: int = 0,
    most: int = 5000,
) -> Result:
    """Look at the indexing of every document in the datasets (ids or names; all without them).

    A document in error fails; so does one that is neither ready nor in error ``max_age`` after it was made: a stale
    flag in Redis or a queue nobody consumes holds indexing up without any error. Younger ones are being worked on.
    One that was made in the future counts as late. ``most`` documents are read; more make a warning that says so.
    """
    instance = await resources.instance()
    chosen = await datasets_named(instance, datasets)
    now = resources.clock.now().timestamp()
    errors: list[str] = []
    late: list[str] = []
    seen = working = 0
    for dataset in chosen:
        async for row in documents(instance.console, str(dataset.get("id"))):
            if seen >= most:
                break
            seen += 1
            status = str(row.get("indexing_status"))
            label = f"{dataset.get('name')}/{row.get('name')}"
            if status == "error":
                errors.append(f"{label}: {row.get('error') or 'no reason given'}")
            elif status not in _DONE:
                age = now - (moment(row.get("created_at")) or now)
                working += 1
                if age < -MAY_DIFFER:
                    late.append(f"{label}: {status}, and made {-age / 60:.0f} min from now")
                elif age > max_age:
                    late.append(f"{label}: {status} for {age / 60:.0f} min")
    values = (
        Value(name="errors", value=len(errors), unit="documents", fail=max_errors),
        Value(name="late", value=len(late), unit="documents", fail=0),
        Value(name="working", value=working, unit="documents"),
        Value(name="documents", value=seen, unit="documents"),
    )
    text = f"{len(errors)} of {counted(seen, 'document')} in error, {len(late)} late, {working} being worked on"
    if len(errors) > max_errors or late:
        excerpt = "; ".join([*errors[:6], *late[:6]])
        return Fail(text=text, values=values, excerpt=excerpt, hint="knowledge.retry_indexing; queue.depth of dataset")
    if seen >= most:
        return Warn(text=f"{text}; only {counted(most, 'document was', 'documents were')} read", values=values)
    return Pass(text=text, values=values)

"""What is told of the end of a run: how it ended, in one word, and the call back that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from difyops.api.run_answer import Answer
from difyops.api.run_faults import CUT_OFF, PAUSED, STOPPED, RunFailed, was_never_sent
from difyops.errors import DifyopsError, ServerFault, Unreachable
from difyops.webhook import events, outbox
from difyops.webhook.outbox import OutboxMessage, RunRow


class NotBegun(Unreachable):
    """The app was not asked: nothing can have been begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEnd:
    """How a run ended, and when that was seen: with an answer, or with an error."""

    status: str
    when: float
    answer: Answer | None = None
    error: DifyopsError | None = None


def not_begun(error: DifyopsError) -> bool:
    """Say whether nothing can have been begun: the call was never sent, or a limit refused it."""
    refused = isinstance(error, RunFailed) and not error.was_begun
    return refused or isinstance(error, NotBegun) or was_never_sent(error)


def is_open(error: DifyopsError) -> bool:
    """Say whether it is unknown whether the app ran: the connection was lost, or a proxy gave up waiting (504)."""
    lost = isinstance(error, Unreachable) or (isinstance(error, ServerFault) and error.retryable)
    return lost and not not_begun(error)


def status_of(answer: Answer | None, error: DifyopsError | None) -> str:
    """Return how a run ended: succeeded, partial-succeeded, failed, stopped, paused, or unknown."""
    if answer is not None:
        return answer.status
    if isinstance(error, RunFailed):
        return {CUT_OFF: "unknown", PAUSED: "paused", STOPPED: "stopped"}.get(error.kind, "failed")
    return "unknown" if error is not None and is_open(error) else "failed"


def message_of(row: RunRow, seen: SeenEnd, *, content: bool) -> OutboxMessage | None:
    """Return the call back that a run owes, ``None`` when nobody is to be called."""
    if row.callback is None:
        return None
    answer, error = seen.answer, seen.error
    facts: dict[str, Any] = {
        "run_id": (answer.run_id if answer else None) or row.run_id,
        "task_id": row.task_id,
        "message_id": answer.message_id if answer else None,
        "conversation_id": answer.conversation_id if answer else None,
        "user": row.user,
        "session_id": row.request.get("session_id"),
        "metadata": row.request.get("metadata"),
        "accepted_at": events.stamp(row.accepted),
        "seconds": round(seen.when - row.accepted, 3),
        "tokens": answer.tokens if answer else None,
        "error": error.message if error else None,
    }
    said = {"answer": answer.text, "outputs": dict(answer.outputs)} if answer is not None and content else {}
    body = events.body_of(
        events.RunTold(run=row.id, app=row.app, status=seen.status, when=seen.when, facts=facts, content=said)
    )
    which = row.id if seen.status != "paused" else f"{row.id}\npaused"
    return OutboxMessage(
        id=outbox.message_id(which, row.callback), run=row.id, type=events.type_of(seen.status), url=row.callback,
        body=body, made=seen.when, hops=row.hops + 1,
    )  # fmt: skip

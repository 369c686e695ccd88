"""What was asked and answered: from the history where content was kept, else from the server's own log.

In the history a workflow's inputs are what its start node put out, a chat's question stands in its message. On the
server a workflow's run tells its inputs; a chatflow's question is among them as ``sys.query``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_answer import text_of
from difyops.api.run_feed import completion, conversations_page, log_page, messages_page, run_detail, runs_page
from difyops.api.run_records import LoggedRun, MessageRecord, moment
from difyops.errors import NotFound
from difyops.history.store import History

_MOST_PAGES = 200
_FAILED = ("failed", "partial-succeeded", "error", "exception")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastQuestion:
    """One run of the past. ``id`` is the run's, or a message's; ``answer`` what came, ``error`` why it did not."""

    id: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""
    answer: str = ""
    error: str = ""
    status: str = ""
    conversation: str = ""
    started: float = 0.0

    @property
    def is_failed(self) -> bool:
        """Say whether the run failed, or a part of it."""
        return self.status in _FAILED or bool(self.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRuns:
    """Which runs: by id, of one conversation, only failed ones, begun between two moments; at most ``most``."""

    runs: Sequence[str] = ()
    conversation: str = ""
    failed: bool = False
    since: float = 0.0
    until: float = 0.0
    most: int = 100

    def takes(self, found: PastQuestion) -> bool:
        """Say whether a run is one of these."""
        if self.runs:
            return found.id in self.runs
        in_time = self.since <= found.started <= self.until
        return in_time and (not self.conversation or found.conversation == self.conversation) and (
            not self.failed or found.is_failed
        )  # fmt: skip


def from_history(history: History, context: str, app: App, wanted: WantedRuns) -> tuple[list[PastQuestion], int]:
    """Return the runs of which the content is kept, newest first, and how many there are without."""
    tests, values = ["run.context = ?", "run.app = ?", "run.source <> 'debugging'"], [context, app.id]
    if wanted.runs:
        tests.append(f"run.id IN ({', '.join('?' * len(wanted.runs))})")
        values += wanted.runs
    else:
        tests.append("run.started BETWEEN ? AND ?")
        values += [wanted.since, wanted.until]  # type: ignore[list-item]
        if wanted.conversation:
            tests.append("run.conversation = ?")
            values.append(wanted.conversation)
        if wanted.failed:
            tests.append("(run.status IN ('failed', 'partial-succeeded') OR run.error_kind <> '')")
    rows = history.all(
        "SELECT id, status, started, conversation, message FROM run"  # noqa: S608
        f" WHERE {' AND '.join(tests)} AND status NOT IN ('running', 'paused') ORDER BY started DESC, id",
        values,
    )
    found: list[PastQuestion] = []
    without = 0
    for run, status, started, conversation, message in rows:
        told = _kept(history, context, app, run, message or run)
        if told is None:
            without += 1
        elif len(found) < wanted.most:
            found.append(PastQuestion(id=run, status=status, started=started, conversation=conversation or "", **told))
    return found, without


def _kept(history: History, context: str, app: App, run: str, message: str) -> dict[str, Any] | None:
    """Return what is kept of a run, ``None`` when its content is not."""
    if app.mode != "workflow":
        row = history.all(
            "SELECT inputs, outputs, error FROM content WHERE context = ? AND app = ? AND kind = 'message'"
            " AND (id = ? OR id IN (SELECT id FROM message WHERE context = ? AND app = ? AND run = ?))",
            [context, app.id, message, context, app.id, run],
        )
        body = _object(row[0][0]) if row else {}
        if not row or not (body.get("query") or body.get("inputs")):
            return None
        return {"inputs": _own(_object(body.get("inputs"))), "query": str(body.get("query") or ""),
                "answer": row[0][1] or "", "error": row[0][2] or ""}  # fmt: skip
    query = (
        "SELECT node.type, content.outputs, content.error FROM node JOIN content ON content.context = node.context"
        " AND content.app = node.app AND content.kind = 'node' AND content.id = node.id"
        " WHERE node.context = ? AND node.app = ? AND node.run = ? AND node.attempt = 0 ORDER BY node.idx"
    )
    rows = history.all(query, [context, app.id, run])
    start = next((_object(row[1]) for row in rows if row[0] == "start"), None)
    if start is None:
        return None
    end = next((_object(row[1]) for row in rows if row[0] == "end"), {})
    error = next((str(row[2]) for row in rows if row[2]), "")
    return {"inputs": _own(start), "answer": text_of(end), "error": error}


async def from_log(instance: Instance, app: App, wanted: WantedRuns) -> AsyncIterator[PastQuestion]:
    """Yield the runs that the server's log holds, newest first.

    Raises:
        NotFound: a run that was named is not there. DifyopsError: the log cannot be read.
    """
    count = 0
    if app.has_workflow and wanted.runs:
        for run in wanted.runs:
            yield _of_run(await run_detail(instance, app.id, run))
        return
    missing = set(wanted.runs)
    source = _runs(instance, app, wanted) if app.has_workflow and not wanted.conversation else _talks(
        instance, app, wanted
    )  # fmt: skip
    async for found in source:
        if wanted.takes(found):
            missing.discard(found.id)
            yield found
            count += 1
            if count >= wanted.most or (wanted.runs and not missing):
                return
    if missing:
        raise NotFound(
            f"{app.name} has no message {sorted(missing)[0]!r} in that time.", hint="--since looks further back."
        )


async def _runs(instance: Instance, app: App, wanted: WantedRuns) -> AsyncIterator[PastQuestion]:
    last: str | None = None
    for number in range(1, _MOST_PAGES):
        if app.mode == "workflow":
            page = await log_page(instance, app.id, page=number, after=wanted.since, before=wanted.until)
            records = [record for row in page.rows if (record := LoggedRun.of_log(row))]
        else:
            page = await runs_page(instance, app, source="app-run", last_id=last)
            records = [LoggedRun.of_run(row, "app-run") for row in page.rows]
        for record in records:
            summary = PastQuestion(id=record.id, status=record.status, error=record.error, started=record.started)
            if wanted.takes(summary) and record.status not in ("running", "paused"):
                yield _of_run(await run_detail(instance, app.id, record.id))
        if not page.more or not records or records[-1].started < wanted.since:
            return
        last = records[-1].id


async def _talks(instance: Instance, app: App, wanted: WantedRuns) -> AsyncIterator[PastQuestion]:
    async for conversation in _conversations(instance, app, wanted):
        first: str | None = None
        for _ in range(_MOST_PAGES):
            if app.mode == "completion":
                row = await completion(instance, app.id, conversation)
                rows, more = [{**row, "conversation_id": conversation}] if row else [], False
            else:
                page = await messages_page(instance, app, conversation, first_id=first)
                rows, more = page.rows, page.more
            records = [MessageRecord.of(row) for row in rows]
            for record in reversed(records):
                yield _of_message(record)
            if not more or not records:
                break
            first = records[0].id


async def _conversations(instance: Instance, app: App, wanted: WantedRuns) -> AsyncIterator[str]:
    if wanted.conversation:
        yield wanted.conversation
        return
    for number in range(1, _MOST_PAGES):
        page = await conversations_page(instance, app, page=number)
        changed = 0.0
        for row in page.rows:
            changed = moment(row.get("updated_at")) or moment(row.get("created_at")) or 0.0
            if changed >= wanted.since:
                yield str(row.get("id"))
        if not page.more or not page.rows or changed < wanted.since:
            return


def _of_run(body: Mapping[str, Any]) -> PastQuestion:
    record = LoggedRun.of_run(body, "app-run")
    inputs = _object(body.get("inputs"))
    return PastQuestion(
        id=record.id, inputs=_own(inputs), query=str(inputs.get("sys.query") or ""), status=record.status,
        answer=text_of(_object(body.get("outputs"))), error=record.error, started=record.started,
        conversation=str(inputs.get("sys.conversation_id") or record.conversation),
    )  # fmt: skip


def _of_message(record: MessageRecord) -> PastQuestion:
    body = _object(record.inputs)
    return PastQuestion(
        id=record.run or record.id, inputs=_own(_object(body.get("inputs"))), query=str(body.get("query") or ""),
        answer=str(record.outputs or ""), error=record.error, status=record.status, started=record.started,
        conversation=record.conversation,
    )  # fmt: skip


def _own(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that a caller gave: none of the platform's own."""
    return {name: value for name, value in inputs.items() if not name.startswith("sys.") and value is not None}


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}

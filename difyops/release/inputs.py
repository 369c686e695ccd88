"""The inputs that are replayed: of the newest runs of an app, each once, or of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_feed import completion, conversations_page, messages_page, run_detail
from difyops.api.run_records import MessageRecord
from difyops.api.runs import runs_in
from difyops.clock import SystemClock
from difyops.errors import DifyopsError, UsageError
from difyops.release.plan import ReleasePlan
from difyops.replay import RecordedInput

_HOUR = timedelta(hours=1)


async def inputs_of(instance: Instance, app: App, plan: ReleasePlan) -> list[RecordedInput]:
    """Return the inputs to replay: those of a file, or those of the newest runs, each once.

    Raises:
        UsageError: the file is not what it should be.
    """
    if plan.shadow.inputs:
        return read_inputs(Path(plan.shadow.inputs))[: plan.shadow.calls]
    if app.mode == "workflow":
        return await _of_runs(instance, app, plan)
    return await _of_messages(instance, app, plan)


async def _of_runs(instance: Instance, app: App, plan: ReleasePlan) -> list[RecordedInput]:
    now, found, seen = SystemClock().now(), list[RecordedInput](), set[str]()
    for back in (_HOUR, 24 * _HOUR, timedelta(seconds=plan.watch.back)):
        window = await runs_in(instance, app, now - back, now + timedelta(minutes=1))
        if len(window.runs) >= plan.shadow.calls:
            break
    for run in window.runs:
        if len(found) == plan.shadow.calls:
            break
        try:
            inputs = _own((await run_detail(instance, app.id, run.id)).get("inputs"))
        except DifyopsError:
            continue
        _add(found, seen, RecordedInput(id=run.id, inputs=inputs))
    return found


async def _of_messages(instance: Instance, app: App, plan: ReleasePlan) -> list[RecordedInput]:
    """Return first questions of conversations: what follows one depends on the answers before."""
    found: list[RecordedInput] = []
    seen: set[str] = set()
    page = await conversations_page(instance, app, page=1)
    for row in page.rows:
        if len(found) == plan.shadow.calls:
            break
        try:
            record = await _first(instance, app, row)
        except DifyopsError:
            continue
        if record is not None and isinstance(record.inputs, Mapping):
            asked = record.inputs
            query = str(asked.get("query") or "")
            _add(found, seen, RecordedInput(id=record.id, inputs=_own(asked.get("inputs")), query=query))
    return found


async def _first(instance: Instance, app: App, row: Mapping[str, Any]) -> MessageRecord | None:
    if app.mode == "completion":
        message = await completion(instance, app.id, str(row.get("id")))
        return MessageRecord.of(message) if message else None
    page = await messages_page(instance, app, str(row.get("id")), first_id=None)
    records = sorted((MessageRecord.of(item) for item in page.rows), key=lambda item: item.started)
    return records[0] if records and not page.more else None


def _add(found: list[RecordedInput], seen: set[str], recorded: RecordedInput) -> None:
    key = json.dumps([dict(recorded.inputs), recorded.query], sort_keys=True, default=str)
    if key not in seen:
        seen.add(key)
        found.append(recorded)


def _own(inputs: Any) -> dict[str, Any]:
    """Return the inputs that a caller gave; the server adds its own, named ``sys.…``."""
    if isinstance(inputs, str):
        try:
            inputs = json.loads(inputs)
        except ValueError:
            return {}
    return {key: item for key, item in inputs.items() if not key.startswith("sys.")} if isinstance(inputs, dict) else {}


def read_inputs(path: Path) -> list[RecordedInput]:
    """Return the inputs in a JSON lines file: ``{"inputs": {…}, "query": "…"}`` a line.

    Raises:
        UsageError: it cannot be read, or a line is something else.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            body = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{path}:{number}: not JSON: {error}.") from error
        if not isinstance(body, dict) or not isinstance(body.get("inputs", {}), dict):
            raise UsageError(f"{path}:{number}: expected an object with inputs (an object) and query (a text).")
        query = body.get("query") or ""
        if not isinstance(query, str):
            raise UsageError(f"{path}:{number}: query: expected a text.")
        found.append(RecordedInput(id=str(body.get("id") or number), inputs=body.get("inputs") or {}, query=query))
    return found

"""``app.answers``: a real run of an app, and whether its answer is what it should be."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from difyops.api.run_faults import BAD_INPUT, CONCURRENCY, RunFailed
from difyops.api.service import Answer, Question
from difyops.asking import ExpectedAnswer, ask_app, complaint, shown
from difyops.errors import Forbidden, NotAuthenticated, TimedOut, UsageError
from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Skipped, Value
from difyops.runbook.threads import apart
from difyops.validation.answers import judge_answer


async def check(
    resources: Resources,
    *,
    app: str,
    inputs: dict[str, Any] | None = None,
    query: str = "ping",
    expect: list[str] | None = None,
    never: list[str] | None = None,
    schema: dict[str, Any] | None = None,
    schema_file: str | None = None,
    max_seconds: Duration | None = None,
    silence: Duration = 30.0,
    user: str = "difyops-runbook",
) -> Result:
    """Run the app once through its own API, with one of its keys, and look at the answer.

    It costs what a run costs; required inputs that are left out are filled in. ``expect`` are texts that the answer
    must hold, ``never`` texts it must not; ``schema`` is a JSON schema for the answer (or a workflow's outputs),
    ``schema_file`` the file that holds it.
    Silence of ``silence`` seconds is a failure: pings come every ten. A wrong input, a missing key and the app's own
    concurrency limit are inconclusive.
    """
    chosen = await resources.app(app)
    if schema_file:
        schema = await apart(lambda: _schema_in(schema_file))
    if resources.dry_run:
        return Skipped(text=f"dry run: {chosen.name} is not run")
    question = Question(inputs=inputs or {}, query=query, user=user)
    began = time.monotonic()
    try:
        answer = await ask_app(await resources.instance(), chosen, question, silence=silence)
    except TimedOut as error:
        return Fail(text=f"{chosen.name}: {error.message}", hint="Is a worker running? Look at queue.depth.")
    except (Forbidden, NotAuthenticated) as error:
        return Fail(text=f"{chosen.name}: {error.message}", hint=error.hint or f"difyops app show {chosen.name!r}")
    except RunFailed as error:
        took = Value(name="seconds", value=round(time.monotonic() - began, 3), unit="s")
        kind: type[Result] = Inconclusive if error.kind in (BAD_INPUT, CONCURRENCY) else Fail
        return kind(text=f"{chosen.name}: {error.message} ({error.kind})", values=(took,), hint=error.hint)
    values = _values(answer, max_seconds)
    expected = ExpectedAnswer(
        texts=tuple(expect or ()), never=tuple(never or ()), schema=schema, max_seconds=max_seconds
    )
    wrong = complaint(answer, expected, judge_answer)
    if wrong is not None:
        return Fail(text=f"{chosen.name}: {wrong}", values=values, excerpt=shown(answer))
    return Pass(text=f"{chosen.name} answered in {answer.seconds:.2f} s", values=values, excerpt=shown(answer)[:200])


def _schema_in(file: str) -> dict[str, Any]:
    """Return the schema in a file.

    Raises:
        UsageError: it cannot be read, or is no JSON object.
    """
    try:
        found = json.loads(Path(file).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"schema_file: {file} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise UsageError(f"schema_file: {file} does not hold a JSON object.")
    return found


def _values(answer: Answer, limit: float | None) -> tuple[Value, ...]:
    found = [Value(name="seconds", value=round(answer.seconds, 3), unit="s", fail=limit)]
    if answer.first_token is not None:
        found.append(Value(name="first_token", value=round(answer.first_token, 3), unit="s"))
    if answer.tokens is not None:
        found.append(Value(name="tokens", value=answer.tokens, unit="tokens"))
    return tuple(found)

"""``http``: one page, and everything about its answer."""

from __future__ import annotations

import json
from typing import Any, Literal

from difyops.api.probe import Fetched, Probe, fetch
from difyops.errors import TimedOut, Unreachable
from difyops.runbook.parameters import Duration, Reference
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Pass, Result, Value, Warn


async def check(
    resources: Resources,
    *,
    url: str,
    method: Literal["GET", "HEAD", "POST"] = "GET",
    status: list[str] | None = None,
    contains: str | None = None,
    json_has: dict[str, Any] | None = None,
    max_seconds: Duration | None = None,
    min_certificate_days: float = 14.0,
    bearer: Reference | None = None,
    ca_file: str | None = None,
    patience: Duration = 10.0,
) -> Result:
    """Ask for one page: its status, its text, fields of its JSON, its time, the days its certificate is still good.

    ``status`` are good ones (``200``, ``2xx``; 2xx without it). ``json_has`` maps dotted paths to expected values
    (``status: ok``, ``data.0.id: 7``). No answer is a failure here. A certificate that ends within
    ``min_certificate_days`` is a warning, one that is not valid a failure. ``bearer`` is a reference to a token.
    """
    headers = {"Authorization": f"Bearer {(await resources.secret(bearer)).reveal()}"} if bearer else {}
    try:
        answer = await fetch(url, Probe(method=method, headers=headers, timeout=patience, ca_file=ca_file))
    except (Unreachable, TimedOut) as error:
        return Fail(text=error.message, hint=error.hint)
    values = [
        Value(name="status", value=answer.status),
        Value(name="seconds", value=round(answer.seconds, 4), unit="s", fail=max_seconds),
    ]
    days = answer.certificate_days
    if days is not None:
        days_left = Value(
            name="certificate_days", value=round(days, 1), unit="days", warn=min_certificate_days, floor=True
        )
        values.append(days_left)
    wrong = _wrong(answer, status or ["2xx"], contains, json_has or {})
    if wrong is None and max_seconds is not None and answer.seconds > max_seconds:
        wrong = f"answered after {answer.seconds:.2f} s, {max_seconds:g} s are allowed"
    if wrong is not None:
        return Fail(text=f"{url}: {wrong}", values=tuple(values), excerpt=answer.text[:300])
    if days is not None and days < min_certificate_days:
        return Warn(text=f"{url}: the certificate ends in {days:.1f} days", values=tuple(values))
    return Pass(text=f"{url} answered {answer.status} in {answer.seconds * 1000:.0f} ms", values=tuple(values))


def _wrong(answer: Fetched, status: list[str], contains: str | None, fields: dict[str, Any]) -> str | None:
    if not any(_fits(answer.status, item) for item in status):
        return f"answered {answer.status}, {' or '.join(status)} is expected"
    if contains is not None and contains not in answer.text:
        return f"the answer does not hold {contains!r}"
    if not fields:
        return None
    try:
        body = json.loads(answer.text)
    except (ValueError, RecursionError):
        return "the answer is not JSON"
    for path, wanted in fields.items():
        found = _at(body, path)
        if found != wanted:
            return f"{path} is {found!r}, {wanted!r} is expected"
    return None


def _fits(status: int, pattern: str) -> bool:
    return pattern == str(status) or (pattern.endswith("xx") and pattern[:-2] == str(status)[:1])


def _at(body: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(body, dict):
            body = body.get(part)
        elif isinstance(body, list) and part.isdecimal() and int(part) < len(body):
            body = body[int(part)]
        else:
            return None
    return body

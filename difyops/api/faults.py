"""Seven error shapes in, one error tree out.

The platform answers errors as ``{code,message,status}``, as ``{code:"unknown"}`` for unhandled exceptions, as an HTML
page, as ``{error:{type,message}}``, as ``{result:"fail",message}``, as ``{message}`` or ``{custom,message}``, and as
an Import object with ``status:"failed"`` (that one is read by ``console.import_dsl``). Match on ``code``, never on
``message``: 404 messages have a tail of suggested addresses appended.
"""

from __future__ import annotations

import email.utils
import re
import time
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from difyops.api import in_front
from difyops.api.messages import HttpAnswer
from difyops.errors import (
    AccountLocked,
    Conflict,
    DifyopsError,
    Forbidden,
    NotAuthenticated,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerFault,
)
from difyops.secret_text import scrub

NO_ROUTE = "no_route"
_LONGEST = 400
_READ = 100_000  # of a message, before it is cleaned
_NOT_IN = "difyops context check (with an admin key, an unknown workspace_id looks the same)"
_SUGGESTIONS = "You have requested this URI "
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What an error answer says, whatever its shape: HTTP status, the server's own code, one clean line of text."""

    status: int
    code: str
    message: str


def read(response: HttpAnswer) -> Fault:
    """Read the body of an error answer; unknown shapes give code ``""`` and the first words of the text."""
    if "json" not in response.headers.get("content-type", ""):
        code = NO_ROUTE if response.status_code in (404, 405) else ""
        return Fault(status=response.status_code, code=code, message=f"HTTP {response.status_code}")
    body = _body(response)
    if body is None:
        return Fault(status=response.status_code, code="", message="an answer that is not JSON")
    code, message = _code_and_message(body)
    return Fault(status=response.status_code, code=code, message=clean(message) or f"HTTP {response.status_code}")


def error_for(response: HttpAnswer, *, doing: str) -> DifyopsError:
    """Return the error that fits an answer of status 300 or above. ``doing`` reads like "list apps"."""
    fault = read(response)
    status, said = fault.status, f"{doing}: {_sentence(fault)}"
    if (found := in_front.refusal(response, doing)) is not None:
        return found
    if status == 401:
        return NotAuthenticated(said, hint=_NOT_IN)
    if status == 403:
        return Forbidden(said, hint=_forbidden_hint(fault))
    if status == 429 and fault.code == "email_code_login_limit":
        return AccountLocked(said, hint="Wait (24 hours by default) or reset the lock on the server; do not retry.")
    if status == 429 or is_concurrency_limit(fault):
        return RateLimited(said, retry_after=retry_after(response))
    if status in (404, 405):
        return NotFound(said, status=status, server_code=NO_ROUTE if status == 405 else fault.code)
    if status == 409:
        return Conflict(said, status=409, server_code=fault.code, retryable=True)
    if status >= 500:
        said = said if f"HTTP {status}" in said else f"{said.removesuffix('.')} (HTTP {status})"
        return ServerFault(said, retryable=status in (502, 503, 504))
    rejected = RequestRejected(said, status=status, server_code=fault.code)
    rejected.body = _body(response)
    return rejected


def _sentence(fault: Fault) -> str:
    if fault.message != f"HTTP {fault.status}":
        return fault.message
    if fault.status == 429:
        return "the server asks for fewer calls (HTTP 429)."
    return f"the server answered HTTP {fault.status} and gave no reason."


def is_concurrency_limit(fault: Fault) -> bool:
    """Say whether a 400 is the app's ``max_active_requests`` limit; only its text tells."""
    return fault.status == 400 and "maximum concurrent requests allowed" in fault.message


def retry_after(response: HttpAnswer) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (both forms), or ``None``."""
    text = response.headers.get("retry-after", "").strip()
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # "-0000" parses without a zone and means UTC
    return max(0.0, moment.timestamp() - time.time())


def clean(message: object) -> str:
    """Return one line without control characters, suggested addresses or secrets, at most 400 characters."""
    text = str(message or "")[:_READ].partition(_SUGGESTIONS)[0]
    return scrub(_CONTROL.sub(" ", text).strip())[:_LONGEST]


def _body(response: HttpAnswer) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _code_and_message(body: Any) -> tuple[str, object]:
    if not isinstance(body, dict):
        return "", body if isinstance(body, str) else ""
    nested = body.get("error")
    if isinstance(nested, dict):
        return str(nested.get("type", "")), nested.get("message", "")
    code = body.get("code") or body.get("custom") or ("fail" if body.get("result") == "fail" else "")
    return str(code), body.get("message") or (nested if isinstance(nested, str) else "")


def _forbidden_hint(fault: Fault) -> str | None:
    if "API service has been disabled" in fault.message:
        return "difyops app enable APP"
    return "This needs another role: editor to export and publish, admin or owner for keys and credentials."

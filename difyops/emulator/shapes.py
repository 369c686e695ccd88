"""How the server says things: JSON answers, its seven error shapes, its HTML pages, its pydantic texts.

Nothing here knows an endpoint. Handlers return what ``answer`` and ``empty`` make, or raise a ``Problem``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

JsonDict = dict[str, Any]

JSON = "application/json"
JSON_UTF8 = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
_FORBIDDEN = (
    "You don't have the permission to access the requested resource. "
    "It is either read-protected or not readable by the server."
)
_NOT_FOUND = (
    "The requested URL was not found on the server. "
    "If you entered the URL manually please check your spelling and try again."
)
_METHOD = "The method is not allowed for the requested URL."
_OVERLOADED = (
    "The server encountered an internal error and was unable to complete your request. "
    "Either the server is overloaded or there is an error in the application."
)


class Problem(Exception):
    """A refusal: raised by handlers, turned into ``response`` by the router."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def dumps(body: object) -> bytes:
    """Return ``body`` as the JSON bytes that go on the wire."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def answer(body: object, status: int = 200, *, media: str = JSON, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(dumps(body), status, dict(headers or {}), media_type=media)


def raw(body: bytes, status: int = 200) -> Response:
    """Return JSON that is serialised already."""
    return Response(body, status, media_type=JSON)


def success(status: int = 200) -> Response:
    """Return ``{"result": "success"}``."""
    return raw(b'{"result":"success"}', status)


def empty() -> Response:
    """Return 204 without a body."""
    return Response(b"", 204, media_type=JSON)


def problem(code: str, message: str, status: int) -> Problem:
    """Make the usual error: ``{"code", "message", "status"}``; a 401 carries ``WWW-Authenticate``."""
    headers = {"www-authenticate": 'Bearer realm="api"'} if status == 401 else None
    return Problem(answer({"code": code, "message": message, "status": status}, status, headers=headers))


def invalid_param(message: str) -> Problem:
    """Make the 400 that stands for every unmapped ``ValueError`` of the server."""
    return problem("invalid_param", message, 400)


def forbidden(message: str = _FORBIDDEN) -> Problem:
    """Make a 403."""
    return problem("forbidden", message, 403)


def unauthorized(message: str) -> Problem:
    """Make a 401."""
    return problem("unauthorized", message, 401)


def not_found(message: str, code: str = "not_found") -> Problem:
    """Make a JSON 404."""
    return problem(code, message, 404)


def not_found_with_help(path: str, message: str, code: str = "not_found") -> Problem:
    """Make the 404 of flask-restx, whose message has a tail of guesses appended: match on ``code``, never on text."""
    tail = f" You have requested this URI [{path}] but did you mean {path} or {path}/run ?"
    return not_found(message + tail, code)


def internal_error() -> Problem:
    """Make the 500 of an unhandled exception (console and most of /v1)."""
    return Problem(answer({"message": "Internal Server Error", "code": "unknown", "status": 500}, 500))


def run_error() -> Problem:
    """Make the 500 that /v1 runs answer instead."""
    return problem("internal_server_error", _OVERLOADED, 500)


def bare_message(message: str, status: int, **extra: str) -> Problem:
    """Make the shape without code and status: ``{"message"}``, or ``{"custom", "message"}``."""
    return Problem(answer({**extra, "message": message}, status))


def refresh_failed(message: str) -> Problem:
    """Make the 401 of ``/refresh-token``: ``{"result": "fail", "message"}``, without ``WWW-Authenticate``."""
    return Problem(answer({"result": "fail", "message": message}, 401))


def fastopenapi(kind: str, message: str, status: int, details: str | None = None) -> Problem:
    """Make the shape of ``/setup`` and ``/version``: ``{"error": {...}}``."""
    error: JsonDict = {"type": kind, "message": message, "status": status}
    if details is not None:
        error["details"] = details
    return Problem(answer({"error": error}, status))


def html_page(status: int, title: str, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a werkzeug page."""
    body = f"<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n"
    return Response(body, status, dict(headers or {}), media_type="text/html")


def html_404(text: str = _NOT_FOUND) -> Problem:
    """Make the HTML 404 of unknown URLs, malformed ids and absent webhooks."""
    return Problem(html_page(404, "Not Found", text))


def json_404() -> Problem:
    """Make the JSON twin of it."""
    return not_found(_NOT_FOUND)


def method_not_allowed(allow: str, *, html: bool = False) -> Problem:
    """Make a 405: JSON nearly everywhere, HTML on the fastopenapi routes."""
    if html:
        return Problem(html_page(405, "Method Not Allowed", _METHOD, {"allow": allow}))
    body = {"code": "method_not_allowed", "message": _METHOD, "status": 405}
    return Problem(answer(body, 405, headers={"allow": allow}))


def validation(model: str, field: str, text: str, kind: str, value: object) -> Problem:
    """Make the 400 whose message is raw pydantic text, several lines long."""
    shown = f"[type={kind}, input_value={value!r}, input_type={type(value).__name__}]"
    link = f"https://errors.pydantic.dev/2.12/v/{kind}"
    return invalid_param(
        f"1 validation error for {model}\n{field}\n  {text} {shown}\n    For further information visit {link}"
    )


def missing_field(model: str, field: str, value: object) -> Problem:
    """Make the pydantic text for a field that is not there."""
    return validation(model, field, "Field required", "missing", value)


def too_long(model: str, field: str, limit: int, value: str) -> Problem:
    """Make the pydantic text for a string longer than ``limit``."""
    return validation(model, field, f"String should have at most {limit} characters", "string_too_long", value)

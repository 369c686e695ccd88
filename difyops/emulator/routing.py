"""How a request finds its handler, and what a handler gets to see.

Routes are plain tables in ``routes/``; this file turns them into a tree keyed by path segment, so that finding one of
two hundred costs the same as finding one of two. ``{name}`` takes any segment, ``{name:uuid}`` only a UUID (anything
else is an HTML 404, as on the server).
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from difyops.emulator import shapes
from difyops.emulator.shapes import JsonDict

if TYPE_CHECKING:
    from difyops.emulator.instance import Instance
    from difyops.emulator.store import Account, ApiKey, App
    from difyops.emulator.versions import Release

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BAD_JSON = "The browser (or proxy) sent a request that this server could not understand."
_NO_JSON = "Did not attempt to load JSON data because the request Content-Type was not 'application/json'."
_BAD_MEDIA = "The server does not support the media type transmitted in the request."

Handler = Callable[["Call"], "Response | Awaitable[Response]"]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of a route table.

    ``access`` is ``console`` (session or admin key), ``app`` (app key), ``dataset`` (dataset key) or ``public``;
    ``role`` the least role a console caller needs (``any``, ``editor``, ``admin``); ``when`` limits it to releases.
    """

    method: str
    path: str
    handler: Handler
    access: str = "console"
    role: str = "any"
    when: Callable[[Release], bool] | None = None
    html_405: bool = False

    @property
    def template(self) -> str:
        """Return ``GET /console/api/apps/{app_id}``: the name under which calls are counted."""
        return f"{self.method} {self.path.replace(':uuid', '')}"


@dataclass(slots=True)
class Call:
    """One request, on its way through the emulator."""

    instance: Instance
    request: Request
    route: Route
    params: dict[str, str]
    body: bytes
    account: Account | None = None
    app_key: ApiKey | None = None
    _app: App | None = field(default=None, repr=False)

    @property
    def app(self) -> App:
        """Return the app named in the path, or the one the service key belongs to.

        Raises:
            Problem: 404 ``app_not_found``.
        """
        if self._app is None:
            self._app = self.instance.app_by_id(self.params["app_id"])
        return self._app

    @app.setter
    def app(self, app: App) -> None:
        self._app = app

    @property
    def actor(self) -> Account:
        """Return the console account behind this call."""
        if self.account is None:
            raise RuntimeError("a console route was called without an account")
        return self.account

    @property
    def path(self) -> str:
        """Return the path asked for."""
        return str(self.request.url.path)

    def query(self, name: str, default: str = "") -> str:
        """Return a query parameter."""
        return str(self.request.query_params.get(name, default))

    def number(self, name: str, default: int, *, model: str, low: int = 1, high: int | None = None) -> int:
        """Return a whole-number query parameter within its limits, else a pydantic 400."""
        text = self.query(name)
        if not text:
            return default
        if not text.lstrip("-").isdigit():
            message = "Input should be a valid integer, unable to parse string as an integer"
            raise shapes.validation(model, name, message, "int_parsing", text)
        value = int(text)
        if value < low:
            message = f"Input should be greater than or equal to {low}"
            raise shapes.validation(model, name, message, "greater_than_equal", text)
        if high is not None and value > high:
            message = f"Input should be less than or equal to {high}"
            raise shapes.validation(model, name, message, "less_than_equal", text)
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean query parameter."""
        return self.query(name).lower() in {"1", "true", "yes", "on", "t", "y"}

    def json(self, *, text_too: bool = False) -> JsonDict:
        """Return the JSON object in the body.

        ``text_too`` also takes ``text/plain``, as saving a draft does.

        Raises:
            Problem: 415 without a JSON content type, 400 when it is not JSON.
        """
        kind = self.request.headers.get("content-type", "").split(";")[0].strip()
        if not (kind == "application/json" or kind.endswith("+json") or (text_too and kind == "text/plain")):
            raise shapes.problem("unsupported_media_type", _BAD_MEDIA if text_too else _NO_JSON, 415)
        return self._decoded()

    def json_or_empty(self) -> JsonDict:
        """Return the JSON object in the body, or ``{}`` when there is no body."""
        return self._decoded() if self.body.strip() else {}

    def _decoded(self) -> JsonDict:
        try:
            payload = json.loads(self.body)
        except ValueError:
            raise shapes.problem("bad_request", _BAD_JSON, 400) from None
        return payload if isinstance(payload, dict) else {}

    def require(self, payload: JsonDict, name: str, model: str) -> Any:
        """Return ``payload[name]``, else the pydantic 400 for a missing field."""
        if name not in payload:
            raise shapes.missing_field(model, name, payload)
        return payload[name]


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    wild: list[tuple[str, bool, _Node]] = field(default_factory=list)
    routes: dict[str, Route] = field(default_factory=dict)


class Router:
    """The tree of all routes of one release."""

    def __init__(self, routes: Iterable[Route], release: Release) -> None:
        self._root = _Node()
        for route in routes:
            is_later = any(re.search(pattern, route.path) for pattern in release.lacks)
            if not is_later and (route.when is None or route.when(release)):
                self._add(route)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route and its parameters.

        Raises:
            Problem: HTML 404 for a path nobody knows, 405 for a method it has not.
        """
        best: _Node | None = None
        for node, params in _walk(self._root, path.split("/")[1:], 0, {}):
            route = node.routes.get(method) or (node.routes.get("GET") if method == "HEAD" else None)
            if route is not None:
                return route, params
            best = best or node
        if best is None:
            raise shapes.html_404()
        html = any(route.html_405 for route in best.routes.values())
        raise shapes.method_not_allowed(", ".join([*sorted(best.routes), "OPTIONS", "HEAD"]), html=html)

    async def run(self, call: Call) -> Response:
        """Call the handler of ``call.route``."""
        result = call.route.handler(call)
        return await result if inspect.isawaitable(result) else result

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.path.split("/")[1:]:
            node = _child(node, segment)
        for method in route.method.split("|"):
            node.routes[method] = route


def _child(node: _Node, segment: str) -> _Node:
    if not segment.startswith("{"):
        return node.literals.setdefault(segment, _Node())
    name, _, kind = segment[1:-1].partition(":")
    for known, is_uuid, child in node.wild:
        if known == name and is_uuid == (kind == "uuid"):
            return child
    child = _Node()
    node.wild.append((name, kind == "uuid", child))
    return child


def _walk(node: _Node, segments: list[str], at: int, params: dict[str, str]) -> Iterable[tuple[_Node, dict[str, str]]]:
    if at == len(segments):
        if node.routes:
            yield node, dict(params)
        return
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        yield from _walk(literal, segments, at + 1, params)
    for name, is_uuid, child in node.wild:
        if segment and (not is_uuid or _UUID.fullmatch(segment)):
            yield from _walk(child, segments, at + 1, {**params, name: segment})

"""Answers damaged on the way: every place of every answer dropped, emptied, retyped, cut, turned round, another id.

``Damaged`` is a carrier around the emulator. It damages one route always in the same way, as a broken proxy or a server
gone wrong does; all the other answers of the run are true, so that they can contradict it.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from difyops.emulator import Emulator

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One damage: where in the answers of which route, and what happens to it."""

    route: str
    place: Place
    how: str


@dataclass(slots=True)
class Damaged(httpx.AsyncBaseTransport):
    """The emulator in process. Without a case it keeps one answer of each route."""

    emulator: Emulator
    case: Case | None = None
    seen: dict[str, Any] = field(default_factory=dict)
    hits: int = 0
    _inner: httpx.ASGITransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on and damage the answer."""
        if self._inner is None:
            self._inner = httpx.ASGITransport(self.emulator.app, raise_app_exceptions=False)
        answer = await self._inner.handle_async_request(request)
        if answer.status_code != 200 or "json" not in answer.headers.get("content-type", ""):
            return answer
        await answer.aread()
        route = route_of(request)
        body = answer.json()
        if self.case is None:
            self.seen.setdefault(route, body)
        elif self.case.route == route:
            self.hits += 1
            kept = {"content-type": "application/json", "x-version": answer.headers.get("x-version", "")}
            return httpx.Response(200, headers=kept, content=broken(answer.content, body, self.case))
        return httpx.Response(200, headers=answer.headers, content=answer.content)


def route_of(request: httpx.Request) -> str:
    """Return method and path with ids left out."""
    kind = request.url.params.get("model_type", "")
    return f"{request.method} {_ID.sub('ID', request.url.path)}{kind and '?' + kind}"


def broken(content: bytes, body: Any, case: Case) -> bytes:
    """Return an answer with the damage of ``case`` done to it."""
    if case.how in _OF_BYTES:
        return _OF_BYTES[case.how](content)
    changed = copy.deepcopy(body)
    if not case.place:
        return json.dumps(_CHANGES[case.how](changed)).encode()
    holder = changed
    for step in case.place[:-1]:
        holder = _inside(holder, step)
    last = case.place[-1]
    if _inside(holder, last) is None and not (isinstance(holder, dict) and last in holder):
        return content
    if case.how == "drop":
        del holder[last]
    else:
        holder[last] = _CHANGES[case.how](holder[last])
    return json.dumps(changed).encode()


def _inside(holder: Any, step: str | int) -> Any:
    try:
        return holder[step]
    except (KeyError, IndexError, TypeError):
        return None


def cases(seen: Mapping[str, Any]) -> list[Case]:
    """Return every damage of every place of the answers that were seen."""
    found = [Case(route=route, place=(), how=how) for route in seen for how in (*_OF_BYTES, *_CHANGES)]
    for route, body in seen.items():
        for place, value in _places(body, ()):
            found += [Case(route=route, place=place, how=how) for how in _fitting(value)]
    return found


def _places(value: Any, before: Place) -> Iterator[tuple[Place, Any]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*before, step), inner
        if len(before) < 7:
            yield from _places(inner, (*before, step))


def _fitting(value: Any) -> Iterator[str]:
    yield from (
        "drop",
        "null",
        "to text",
        "to number",
        "to flag",
        "to list",
        "to object",
        "to nan",
        "to huge",
        "to vast",
        "empty",
    )
    if isinstance(value, list | str) and len(value) > 1:
        yield "truncate"
    if isinstance(value, list) and len(value) > 1:
        yield from ("reverse", "twice", "a row of nothing")
    if isinstance(value, str) and _ID.fullmatch(value):
        yield "other id"


def _empty(value: Any) -> Any:
    return type(value)() if value is not None else ""


_CHANGES: Mapping[str, Callable[[Any], Any]] = {
    "null": lambda value: None,
    "empty": _empty,
    "to text": lambda value: "7",
    "to number": lambda value: 7,
    "to flag": lambda value: True,
    "to list": lambda value: [value],
    "to object": lambda value: {"value": value},
    "to nan": lambda value: float("nan"),
    "to huge": lambda value: 1e30,
    "to vast": lambda value: 10**400,
    "truncate": lambda value: value[: len(value) // 2] if isinstance(value, list | str) else value,
    "reverse": lambda value: value[::-1] if isinstance(value, list) else value,
    "twice": lambda value: [*value, *value] if isinstance(value, list) else value,
    "a row of nothing": lambda value: [None, *value] if isinstance(value, list) else value,
    "other id": lambda value: "00000000-0000-4000-8000-000000000000",
}
_OF_BYTES: Mapping[str, Callable[[bytes], bytes]] = {
    "half": lambda content: content[: len(content) // 2],
    "nothing": lambda content: b"",
    "a page": lambda content: b"<!doctype html><html>login</html>",
    "not unicode": lambda content: content.replace(b'"', b'\xff"'),
    "a mark before": lambda content: b"\xef\xbb\xbf" + content,
}

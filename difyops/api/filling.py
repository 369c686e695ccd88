"""What a call asks and holds, as bytes: the query of its address, JSON, forms with files."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx

from difyops.api.messages import HttpCall
from difyops.errors import UnreadableAnswer

_LONGEST = 60_000


def addressed(path: str, params: Mapping[str, Any] | None) -> str:
    """Return path and query as they stand in a call; texts are quoted, ``None`` is left empty.

    Raises:
        UnreadableAnswer: an id in it cannot stand in an address.
    """
    if params:
        asked = [(name, _plain(item)) for name, value in params.items() for item in _several(value)]
        path = f"{path}{'&' if '?' in path else '?'}{urlencode(asked, errors='surrogatepass')}"
    if len(path) > _LONGEST or not path.isascii() or not path.isprintable() or " " in path:
        raise UnreadableAnswer("An id that the server gave cannot stand in an address.")
    return path


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def fill(call: HttpCall, *, json: Any = None, content: bytes | str | None = None, **form: Any) -> None:
    """Give a call its body: JSON, bytes, or a form of ``data`` and ``files``.

    Raises:
        UnreadableAnswer: the JSON holds a number that is none (a server's NaN, sent back to it).
    """
    if json is not None:
        call.content = _as_json(json)
        call.headers["Content-Type"] = "application/json"
    elif content is not None:
        call.content = content.encode() if isinstance(content, str) else content
    elif form:
        encoded = httpx.Request(call.method, "http://form", **form)  # rare, and its boundaries are httpx's craft
        call.content = encoded.read()
        call.headers["Content-Type"] = encoded.headers["Content-Type"]


def _as_json(value: Any) -> bytes:
    try:
        return jsonlib.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:  # half a surrogate is no character, and JSON can say it all the same
        return jsonlib.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise UnreadableAnswer("The server gave a number that cannot be sent back (NaN or Infinity).") from error

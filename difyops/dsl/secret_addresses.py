"""Where the secrets are inside addresses: user and password, query and fragment, the paths of hooks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from difyops.dsl import secret_rules as rules
from difyops.dsl.secret_shapes import is_of_a_thing
from difyops.dsl.suspicion import (
    NONE,
    SETTING,
    WEAK,
    SuspicionHit,
    has_both,
    is_mixed_password,
    is_placeholder,
    looks_like_password,
    looks_random,
    strength,
)

_ADDRESS = re.compile(r"""[^\s"'<>`\\|\0，。；）】」»”]{1,2000}""")
_USERINFO = re.compile(r"""([^\s/@:?#{}\0]{0,100})(?::([^\s/{}"'<>\0]{0,200}))?@(?=[\w\[{.-])""")
_QUERY = re.compile(r"""[?&#;]([\w.\-\[\]]{1,64})=((?:\{\{[^{}]*\}\}|[^&#\s"'<>\\`{}|)\],;\0])+)""", re.ASCII)
_PATH_VALUE = re.compile(r"(?:^|;)([\w.-]{1,40})=([^;=]{6,400})$")


def in_addresses(text: str) -> Iterator[SuspicionHit]:
    """Yield the user's password and the secret parts of the path of every address."""
    at = text.find("://")
    while at >= 0:
        found = _ADDRESS.match(text, at + 3)
        end = found.end() if found else at + 3
        if found:
            yield from _in_address(text, at + 3, end)
        at = text.find("://", end)


def in_queries(text: str, place: str) -> Iterator[SuspicionHit]:
    """Yield the values of secret parameters, wherever ``?name=value`` stands."""
    for match in _QUERY.finditer(text):
        name, value = match.groups()
        level = strength(name)
        if is_placeholder(value) or (name.lower() == "appid" and value.startswith("wx")):
            continue
        if level == NONE:
            good = place == SETTING and not is_of_a_thing(name) and len(value) >= 20 and looks_random(value)
        elif level == WEAK:
            good = looks_random(value) or is_mixed_password(value)
        else:
            good = place == SETTING or looks_like_password(value) or len(value) >= 16
        if good:
            yield SuspicionHit(*match.span(2), "query_parameter", name)


def is_given(password: str) -> bool:
    """Return whether what stands after ``user:`` is a password: no placeholder, and no short number (a port, a uid)."""
    return not is_placeholder(password) and not (password.isdigit() and len(password) <= 5)


def _in_address(text: str, start: int, end: int) -> Iterator[SuspicionHit]:
    user = _USERINFO.match(text, start, end)
    if user:
        if user.group(2):
            if looks_random(user.group(1)):
                yield SuspicionHit(*user.span(1), "url_userinfo", "userinfo")
            if is_given(user.group(2)):
                yield SuspicionHit(*user.span(2), "url_userinfo", "userinfo")
        elif looks_random(user.group(1)):
            yield SuspicionHit(*user.span(1), "url_userinfo", "userinfo")
        start = user.end()
    path = re.split(r"[?#]", text[start:end], maxsplit=1)[0].rstrip(".,:!)")
    secrets = list(_secret_parts(path))
    if secrets:
        yield SuspicionHit(start + secrets[0][0], start + secrets[-1][1], "hook_path", "path")


def _secret_parts(path: str) -> Iterator[tuple[int, int]]:
    """Yield where the secret parts of a host and path are."""
    host, *parts = path.split("/")
    is_host = any(known in path.lower() for known in rules.HOOK_HOSTS)
    is_named = bool(parts) and parts[-1].lower() in ("sse", "mcp")
    offset = len(host) + 1
    for part in parts:
        valued = _PATH_VALUE.search(part) if "=" in part else None
        if valued and strength(valued[1]) != NONE and looks_random(valued[2]):
            yield offset + valued.start(2), offset + len(part)
        elif (
            (part[:3] == "bot" and len(part) > 24 and looks_random(part[3:]))
            or (is_host and _is_secret_of_host(part))
            or (is_named and looks_random(part) and not is_placeholder(part))
        ):
            yield offset, offset + len(part)
        is_named = is_named or part.lower() in rules.HOOK_PARTS or part.lower().startswith("bot")
        offset += len(part) + 1


def _is_secret_of_host(part: str) -> bool:
    """Return whether a part of the path of a known host is its secret: no id of digits, no word."""
    if len(part) < 6 or is_placeholder(part) or part.isdigit() or "{" in part or "\x01" in part:
        return False
    return looks_random(part) or (has_both(part) and (len(part) >= 8 or part.isalnum()))

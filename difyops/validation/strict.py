"""Strict JSON (RFC 8259), with a stated rule for everything the RFC leaves open. It changes nothing, ever.

    a repeated key            refused (``duplicate_keys``)
    NaN, Infinity, 1e999      refused (``not_finite``)
    integers                  exact up to 4,300 digits, above refused (``huge_number``)
    fractions                 the nearest double, as everywhere in JSON
    half a surrogate pair     refused (``lone_surrogate``)
    nesting, size             refused above the limits of the options (``too_deep``, ``too_large``)
    a byte order mark         not JSON; the ladder drops one at the start and says so

The options that let a repeated key or NaN pass are for the repairing reader, which lists what it did.

The common case pays for none of this: the C scanner builds the value, and a count of colons proves that no key was
lost. Only when the proof fails (a colon inside a string) is the text read again with a check on every object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from difyops.validation.faults import fault
from difyops.validation.verdict import EnforceOptions

Scan = Callable[[str, int], tuple[Any, int]]

WHITE = re.compile(r"[ \t\n\r]*")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_HALF = re.compile(r"[\ud800-\udfff]")


def _finite(digits: str) -> float:
    number = float(digits)
    if number - number != 0.0:
        raise fault("not_finite")
    return number


def _refuse_constant(name: str) -> None:
    raise fault("not_finite", f"The answer holds {name}, which is not JSON.")


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise fault("duplicate_keys", f"An object in the answer names {twice[:80]!r} twice.")
    return members


_PLAIN: Scan = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse_constant).scan_once
_CAREFUL: Scan = json.JSONDecoder(
    object_pairs_hook=_object_without_repeats, parse_float=_finite, parse_constant=_refuse_constant
).scan_once


def loads(text: str, options: EnforceOptions) -> Any:
    """Return the value of a text that is one JSON document.

    Raises:
        AnswerError: a rule above refuses it.
        ValueError: it is not JSON (``json.JSONDecodeError`` says where).
    """
    if len(text) > options.max_chars:
        raise fault("too_large", f"The answer has {len(text):,} characters; {options.max_chars:,} are allowed.")
    start = WHITE.match(text).end()  # type: ignore[union-attr]  # matches everywhere
    value, end = scan(text, start, options)
    if end != len(text) and WHITE.match(text, end).end() != len(text):  # type: ignore[union-attr]
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def scan(text: str, start: int, options: EnforceOptions) -> tuple[Any, int]:
    """Return the JSON value that starts exactly at ``start``, and the index after it. Raises as ``loads`` does."""
    value, end = _guarded(_PLAIN, text, start)
    kind = type(value)
    if kind is dict or kind is list:
        body = text if start == 0 and end == len(text) else text[start:end]
        if not _no_key_was_lost(value, body):
            value, end = _guarded(_CAREFUL, text, start)
        check_depth(body, options.max_depth)
    if "\\" in text or not text.isascii():
        check_surrogates(text[start:end])
    return value, end


def _guarded(scanner: Scan, text: str, start: int) -> tuple[Any, int]:
    """Run a scanner; its ways to fail become ours."""
    try:
        return scanner(text, start)
    except StopIteration as stop:
        raise json.JSONDecodeError("Expecting value", text, stop.value or 0) from None
    except RecursionError:
        raise fault("too_deep") from None
    except json.JSONDecodeError:
        raise
    except ValueError:  # int() refuses more than 4,300 digits
        raise fault("huge_number") from None


def _no_key_was_lost(value: Any, text: str) -> bool:
    """Prove that no object named a member twice: there are as many members as colons. ``False`` proves nothing."""
    colons = text.count(":")
    members = 0
    level = [value]
    while True:
        below: list[Any] = []
        for node in level:
            if type(node) is dict:
                members += len(node)
                below.extend(node.values())
            else:
                below.extend(node)
        if members == colons:
            return True
        level = [node for node in below if type(node) is dict or type(node) is list]
        if not level:
            return False


def check_depth(text: str, limit: int) -> None:
    """Refuse a valid JSON text that nests deeper than ``limit``; brackets inside strings may count.

    Raises:
        AnswerError: ``too_deep``.
    """
    if text.count("[") + text.count("{") <= limit:
        return
    brackets = text.encode("utf-8", "replace").translate(None, _NOT_BRACKETS)
    for _ in range(limit):  # each round takes the innermost pairs away
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return
    if depth_of_text(text) > limit:
        raise fault("too_deep", f"The answer is nested deeper than {limit} levels.")


def depth_of_text(text: str) -> int:
    """Return how deep the brackets outside strings nest."""
    deepest = level = 0
    for bracket in re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text, re.DOTALL):
        if bracket in "[{":
            level += 1
            deepest = max(deepest, level)
        elif bracket in "]}":
            level -= 1
    return deepest


def check_surrogates(text: str) -> None:
    """Refuse halves of surrogate pairs, raw or escaped.

    Raises:
        AnswerError: ``lone_surrogate``.
    """
    if not text.isascii() and _HALF.search(text):
        raise fault("lone_surrogate")
    if "\\u" in text and _has_escaped_half(text):
        raise fault("lone_surrogate")


_ESCAPES = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL)


def _has_escaped_half(text: str) -> bool:
    return any((high and not low) or alone for high, low, alone in _ESCAPES.findall(text))

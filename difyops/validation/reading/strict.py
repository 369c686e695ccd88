"""Strict JSON (RFC 8259), with a stated rule for everything the RFC leaves open. It changes nothing, ever.

    a repeated key            refused (``duplicate_keys``)
    NaN, Infinity, 1e999      refused (``not_finite``)
    integers                  exact up to 4,300 digits, above refused (``huge_number``)
    fractions                 the nearest double, as everywhere in JSON
    half a surrogate pair     refused (``lone_surrogate``)
    nesting, size             refused above the limits of the options (``too_deep``, ``too_large``)
    a byte order mark         not JSON; the ladder drops one at the start and says so

The options that let a repeated key or NaN pass are for the repairing reader, which lists what it did.

Several ways to the same value, the cheapest that is certain first. A whole document is read by a parser that is as
strict but keeps the last of repeated keys. An object with as many members as the text has colons lost none; else as
many colons in what was read, written again, as in the text prove that no key was lost (a key that is lost takes its
colon with it; those inside of texts stand in both). Short texts without escapes are read by a parser that reads long
integers exactly; the others by one that is faster there, but rounds integers beyond 64 bits: what was rounded is
written with an exponent, and read again. When the proof fails, a short text is read with a check on every object for
repeated keys; a long one without, and a count of members proves that no key was lost, or it is read again with the
check.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import msgspec
import orjson

from difyops.validation.reading.model import EnforceOptions, RefusedText

_parse, _write = orjson.loads, orjson.dumps
_parse_exactly, _write_exactly = msgspec.json.decode, msgspec.json.encode
Scan = Callable[[str, int], tuple[Any, int]]

WHITE = re.compile(r"[ \t\n\r]*")
_BEGINS = frozenset('{["-0123456789tfnNI \t\r\n')
_NO_WHITE = frozenset('{["')
_E = ord("e")
_EXPONENT = ord("+") if b"e+" in orjson.dumps(2.0**64) else _E
"""What is in every number that is written for an integer beyond 64 bits. A byte is found faster than a text."""
_FAR = re.compile(rb"e[+-]?[23]\d\d")
"""A number so large or small that one parser takes some microseconds for each."""
_COLON_ESCAPED = re.compile(r"(?<!\\)(?:\\\\)*\\u003[aA]")
_SHORT = 4_000
_LONG = 64_000
_WINDOW = 8_000
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_HALF = re.compile(r"[\ud800-\udfff]")


def _finite(digits: str) -> float:
    number = float(digits)
    if number - number != 0.0:
        raise RefusedText("not_finite")
    return number


def _refuse_constant(name: str) -> None:
    raise RefusedText("not_finite", f"The answer holds {name}, which is not JSON.")


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    names = [name for name, _ in pairs]
    twice = next(name for name in names if names.count(name) > 1)
    raise RefusedText("duplicate_keys", f"An object in the answer names {twice[:80]!r} twice.")


def _scanner(**hooks: Any) -> Scan:
    """Return the C scanner behind ``json.JSONDecoder``: a quarter faster for short texts than its Python wrapping."""
    scan_once: Scan = json.JSONDecoder(**hooks).scan_once  # type: ignore[attr-defined]  # not in the stubs
    return scan_once


_PLAIN = _scanner(parse_float=_finite, parse_constant=_refuse_constant)
_RAW = _scanner()
"""For a text that the other parser took, and that repeats no key: it is strict, only long integers were rounded."""
_CAREFUL = _scanner(parse_float=_finite, parse_constant=_refuse_constant, object_pairs_hook=_object_without_repeats)


def loads(text: str, options: EnforceOptions, *, mends: bool = False) -> Any:
    """Return the value of a text that is one JSON document.

    ``mends``: the caller goes on with a text that is no JSON, repeats a key or holds what is no number; which of the
    three it is need not be found out.

    Raises:
        Refused: a rule above refuses it.
        ValueError: it is not JSON.
    """
    size = len(text)
    if size > options.max_chars:
        raise RefusedText("too_large", f"The answer has {size:,} characters; {options.max_chars:,} are allowed.")
    if mends and text[:1] not in _BEGINS:
        raise ValueError("no JSON begins so")
    try:
        if size < _LONG and text.isascii() and "\\" not in text:
            value, names = _parse_exactly(text), text.count(":")
            lost = (type(value) is not dict or len(value) != names) and names != _written(value).count(b":")
        else:
            value, names, lost = _rounded(text)
    except (ValueError, TypeError, RecursionError):  # no JSON, too deep, or a rule forbids it: the careful way tells
        if mends and not _may_break_rule(text, options):
            raise ValueError("no JSON, or a rule forbids it") from None
        return _whole(text, options)
    if lost:
        return _whole(text, options)
    limit = options.max_depth
    if size > 2 * limit and (names >= limit or names + text.count("[") >= limit):
        check_depth(text, limit)
    return value


def _written(value: Any) -> bytes:
    try:
        return _write(value)
    except TypeError:  # an integer beyond 64 bits
        return _write_exactly(value)


def _rounded(text: str) -> tuple[Any, int, bool]:
    """Return the value of any text that is JSON, the colons in it, and whether a name may be lost."""
    value = _parse(text)
    again = _write(value)
    names = text.count(":")
    lost = (type(value) is not dict or len(value) != names) and names + _colons_escaped(text) != again.count(b":")
    if _EXPONENT in again and (mark := _first_exponent(again)) >= 0:
        far = _FAR.match(again, mark) if len(text) < _LONG else _FAR.search(again)
        value = _RAW(text, _begin(text))[0] if far else _parse_exactly(text)
    return value, names, lost


def _colons_escaped(text: str) -> int:
    if "\\" not in text or "\\u003" not in text:
        return 0
    if "\\\\u003" in text:
        return len(_COLON_ESCAPED.findall(text))
    return text.count("\\u003a") + text.count("\\u003A")


def is_json(text: str) -> bool:
    """Return whether a text is one JSON document, whatever rules it may break; "yes" is certain."""
    try:
        _parse(text)
    except ValueError:
        return False
    return True


def _may_break_rule(text: str, options: EnforceOptions) -> bool:
    """Return whether a text that is no JSON may be refused whatever repair makes of it; "no" is certain."""
    return (
        not options.repair
        or len(text) > _SHORT
        or "\\ud" in text
        or "\\uD" in text
        or text.count("[") + text.count("{") > options.max_depth
        or not (text.isascii() or _is_encodable(text))
    )


def _first_exponent(again: bytes) -> int:
    """Return where the first positive exponent stands in JSON that was written again; -1, when there is none."""
    at = again.find(_EXPONENT)
    while at > 0 and again[at - 1] != _E and _EXPONENT != _E:
        at = again.find(_EXPONENT, at + 1)
    return at if _EXPONENT == _E else max(at - 1, -1)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _begin(text: str) -> int:
    return WHITE.match(text).end()  # type: ignore[union-attr]  # matches everywhere


def _whole(text: str, options: EnforceOptions) -> Any:
    """Return the value of a text that is one JSON document, read by the parser of the standard library."""
    value, end = scan(text, 0 if text[:1] in _NO_WHITE else _begin(text), options)
    if end != len(text) and text[end:].strip(" \t\n\r"):
        raise ValueError("more text follows the JSON")
    return value


def scan(text: str, start: int, options: EnforceOptions) -> tuple[Any, int]:
    """Return the JSON value that starts exactly at ``start``, and the index after it. Raises as ``loads`` does."""
    try:
        found = _CAREFUL(text, start) if len(text) < _SHORT else _scan_long(text, start)
    except StopIteration:
        raise ValueError("no value") from None
    except RecursionError:
        raise RefusedText("too_deep") from None
    except json.JSONDecodeError:
        raise
    except ValueError:  # int() refuses more than 4,300 digits
        raise RefusedText("huge_number") from None
    end = found[1]
    if end - start > 2 * options.max_depth:
        check_depth(text[start:end], options.max_depth)
    if not text.isascii() or ("\\" in text and text.find("\\u", start, end) >= 0):
        check_surrogates(text[start:end])
    return found


def scan_inside(text: str, start: int, options: EnforceOptions) -> tuple[Any, int]:
    """Return what ``scan`` does, from the middle of a long text at a cost that does not grow with the text.

    The decoder counts the lines of the whole text for each error it raises; a text may hold thousands of bad locations.
    """
    window = text[start : start + _WINDOW]
    if len(window) == _WINDOW:
        try:
            value, end = scan(window, 0, options)
        except json.JSONDecodeError as error:
            if error.pos < _WINDOW - 100:
                raise
        except ValueError:
            pass
        else:
            return value, start + end
    return scan(text, start, options)


def sound_part(text: str, at: int, limit: int) -> tuple[Any, int] | None:
    """Return the value that starts at ``at`` and the index after it if it is strict JSON and shallow, else ``None``."""
    try:
        value, end = _CAREFUL(text, at)
    except (ValueError, StopIteration, RecursionError, RefusedText):
        return None
    if end - at > 2 * limit and text.count("[", at, end) + text.count("{", at, end) > limit:
        return None
    return value, end


def _scan_long(text: str, start: int) -> tuple[Any, int]:
    value, end = _PLAIN(text, start)
    colons = text.count(":", start, end)
    if colons == 0 or (text.count('":', start, end) == colons and _has_members(value, colons)):
        return value, end
    return _CAREFUL(text, start)


def _has_members(value: Any, wanted: int) -> bool:
    """Return whether a value has ``wanted`` members in all. As many as colons: no key was lost. Stops when it knows."""
    found = 0
    level: Iterable[Any] = (value,)
    while True:
        below: list[Iterable[Any]] = []
        for node in level:
            if type(node) is dict:
                found += len(node)
                below.append(node.values())
            elif type(node) is list:
                below.append(node)
        if found == wanted:
            return True
        if not below:
            return False
        level = chain.from_iterable(below)


def check_depth(text: str, limit: int) -> None:
    """Refuse a valid JSON text that nests deeper than ``limit``; brackets inside strings may count.

    Raises:
        Refused: ``too_deep``.
    """
    brackets = text.encode("utf-8", "replace").translate(None, _NOT_BRACKETS)
    if len(brackets) <= 2 * limit:
        return
    for _ in range(limit):  # each round takes the innermost pairs away
        fewer = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not fewer:
            return
        if len(fewer) == len(brackets):
            break
        brackets = fewer
    if depth_of_text(text) > limit:
        raise RefusedText("too_deep", f"The answer is nested deeper than {limit} levels.")


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
        Refused: ``lone_surrogate``.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RefusedText("lone_surrogate") from None
    if "\\u" in text and has_escaped_half(text):
        raise RefusedText("lone_surrogate")


def may_hold_half(text: str, start: int, end: int) -> bool:
    """Return whether a value read from a part of a text can hold half of a surrogate pair; "no" is certain."""
    return text.find("\\u", start, end) >= 0 or (not text.isascii() and _HALF.search(text, start, end) is not None)


def holds_half(value: object) -> bool:
    """Return whether any text in a value holds half of a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


_ESCAPES = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def has_escaped_half(text: str) -> bool:
    """Return whether a text holds an escape that is half of a surrogate pair."""
    return any((high and not low) or alone for high, low, alone in _ESCAPES.findall(text))

"""Completing a text that is cut off, for callers that allow made-up values. Every one is marked as invented."""

from __future__ import annotations

from difyops.validation.reading.effort import Effort
from difyops.validation.reading.grammar import (
    AFTER_KEY,
    CLOSE_ARRAY,
    CLOSE_OBJECT,
    COMMA,
    ELEMENT,
    END,
    KEY,
    MEMBER,
    OBJECT,
    SCALAR,
    START,
    Automaton,
)
from difyops.validation.reading.lenient import canonical
from difyops.validation.reading.load import load
from difyops.validation.reading.model import Edit, EnforceOptions, Judge, Path, RefusedText, pointer_of, shown
from difyops.validation.reading.places import paths_at
from difyops.validation.reading.quotes import positions
from difyops.validation.reading.shape import is_required
from difyops.validation.reading.tokens import UNKNOWN, split


def completed(
    body: str, judge: Judge, options: EnforceOptions, effort: Effort
) -> tuple[object, tuple[Edit, ...]] | None:
    """Return the value of a cut text with its end made up, and the edits; ``None`` where that may not stand."""
    text, is_cut = _closed_text(body, effort)
    whole = _with_nulls(text, is_cut)
    if whole is None:
        return None
    final, made_up, closers = whole
    try:
        value, _ = load(final, options)
    except (RefusedText, ValueError):
        return None
    if not judge.accepts(value):
        return None
    paths = paths_at(final, made_up)
    if options.invented == "optional" and any(_is_needed(judge.document, path) for path in paths):
        return None
    edits = [Edit(pointer_of(path), "", shown(_at(value, path)), "cut off", True) for path in paths]
    edits += [Edit("", "", mark, "cut off", True) for mark in closers]
    return value, tuple(edits)


def _closed_text(body: str, effort: Effort) -> tuple[str, bool]:
    """Close a string that the text ends in; say whether its last value is cut."""
    if len(positions(body)) % 2:
        cut = body[:-1] if body.endswith("\\") and not body.endswith("\\\\") else body
        canon = canonical(cut + '"', frozenset(), effort)
        return (cut + '"' if canon.tangled else canon.text), True
    text = canonical(body, frozenset(), effort).text.rstrip()
    codes = split(text).codes
    return text, bool(codes) and codes[-1] == SCALAR


def _with_nulls(text: str, is_cut: bool) -> tuple[str, list[int], list[str]] | None:
    """Put null where a value is missing and close what is open; return the text, where the nulls are, the closers."""
    tokens = split(text)
    machine = Automaton()
    state, parts, made, size = START, [], [], 0
    for number, code in enumerate(tokens.codes):
        if code == UNKNOWN:
            return None
        after = machine.step(state, code)
        if after < 0 and state & 15 == MEMBER and code in (COMMA, CLOSE_OBJECT, CLOSE_ARRAY):
            made.append(size)
            parts.append("null")
            size += 4
            after = machine.step(machine.step(state, SCALAR), code)
        if after < 0:
            return None
        piece = text[tokens.starts[number] : tokens.ends[number]]
        if is_cut and number == len(tokens.codes) - 1:
            made.append(size)
        parts.append(piece)
        size += len(piece)
        state = after
    mode = state & 15
    if mode in (KEY, ELEMENT):
        parts.pop()
    elif mode == AFTER_KEY:
        made.append(size)
        parts.append(":null")
    elif mode == MEMBER:
        made.append(size)
        parts.append("null")
    closers = ["}" if kind == OBJECT else "]" for kind in machine.open_kinds(state)]
    return ("".join([*parts, *closers]), made, closers) if mode != START and (closers or mode == END) else None


def _is_needed(document: object, path: Path) -> bool:
    while path and isinstance(path[-1], int):
        path = path[:-1]
    return is_required(document, path)


def _at(value: object, path: Path) -> object:
    for step in path:
        value = value[step]  # type: ignore[index]  # the path comes from the value
    return value

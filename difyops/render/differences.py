"""Differences between two versions as lines for a person: pairs of a mark (``+``, ``-``, ``~``, ``#``) and a text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from difyops.counting import counted
from difyops.dsl.diff import Difference, describe
from difyops.dsl.diff_text import word_diff

_MARKS = {"added": "+", "removed": "-", "changed": "~"}
_MOST_LINES = 40


def headed(name: str, changes: Sequence[Difference]) -> list[tuple[str, str]]:
    """Return the lines of an app's differences under its name; none where there is none."""
    return [("#", name), *change_lines(changes)] if changes else []


def change_lines(changes: Sequence[Difference]) -> list[tuple[str, str]]:
    """Return a line for each difference, and below it the lines of a text that changed."""
    lines: list[tuple[str, str]] = []
    for change in changes:
        lines.append((_MARKS.get(change.action, "~"), describe(change)))
        lines += [(mark, f"    {line}") for mark, line in _in_words(change.lines)]
    return lines


def _in_words(lines: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return lines in which a changed line is shown once, its changed words marked, where both sides are alike."""
    shown: list[tuple[str, str]] = []
    rest = list(lines)
    while rest:
        gone = list(itertools.takewhile(lambda line: line[0] == "-", rest))
        come = list(itertools.takewhile(lambda line: line[0] == "+", rest[len(gone) :]))
        if not gone or len(gone) != len(come):
            taken = len(gone) + len(come) or 1
            shown += rest[:taken]
        else:
            taken = len(gone) + len(come)
            pairs = list(zip(gone, come, strict=True))
            words = [word_diff(old, new) for (_, old), (_, new) in pairs]
            if None in words:
                shown += rest[:taken]
            else:
                shown += [("~", text) for text in words if text is not None]
        rest = rest[taken:]
    return shown


def limited(lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return no more lines than a person reads; the last one says how many more there are."""
    if len(lines) <= _MOST_LINES:
        return lines
    return [*lines[:_MOST_LINES], ("", f"... and {counted(len(lines) - _MOST_LINES, 'more line')} (-o json has all)")]


def short_version(version: str | None) -> str:
    """Return the first letters of a version's id, a dash where there is no version."""
    return version[:8] if version else "-"

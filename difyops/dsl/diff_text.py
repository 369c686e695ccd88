"""Line differences of prompts, code and templates, with a ceiling on the work that hostile texts can cause.

Only texts here; what is compared with what is decided in ``diff``.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

Line = tuple[str, str]

CONTEXT = 3
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_NEAR_WORDS = 12  # words, blanks and signs next to a change
_MOST_WORDS = 2000
_ALIKE = 0.5
_SHOWN_WHOLE = 20  # lines of each side shown when the texts are too large to align


@dataclass(slots=True)
class LineBudget:
    """Comparisons of line pairs still allowed. ``difflib`` is quadratic and worse; one budget serves one diff."""

    pairs: int = 4_000_000

    def allows(self, pairs: int) -> bool:
        """Take ``pairs`` off the budget, or return False and leave it."""
        if pairs > self.pairs:
            return False
        self.pairs -= pairs
        return True


def line_diff(before: str, after: str, budget: LineBudget) -> tuple[Line, ...]:
    """Return ``(mark, text)`` lines: ``-`` removed, ``+`` added, empty for context, ``~`` for what was left out.

    Unchanged lines further than three from a change are left out. Texts too large to align are shown as a removed and
    an added block, shortened.
    """
    old, new = before.splitlines(), after.splitlines()
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    old_core, new_core = old[head : len(old) - tail], new[head : len(new) - tail]
    if budget.allows(len(old_core) * len(new_core)):
        core = _aligned(old_core, new_core)
    else:
        core = [*_block("-", old_core), *_block("+", new_core)]
    lines = [*_kept(old[:head], at_end=True), *core, *_kept(old[len(old) - tail :], at_end=False)]
    return tuple(lines) or (("~", "only line endings differ"),)


def word_diff(before: str, after: str) -> str | None:
    """Return two versions of a line as one, ``[-removed-]`` and ``{+added+}`` in it; far unchanged words are left out.

    ``None`` where they have too little in common for that, or too many words.
    """
    old, new = _WORD.findall(before), _WORD.findall(after)
    if max(len(old), len(new)) > _MOST_WORDS:
        return None
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return None
    parts = matcher.get_opcodes()
    shown = []
    for number, (tag, old_start, old_end, new_start, new_end) in enumerate(parts):
        if tag == "equal":
            shown.append(_near(old[old_start:old_end], first=number == 0, last=number == len(parts) - 1))
            continue
        gone, come = "".join(old[old_start:old_end]), "".join(new[new_start:new_end])
        shown.append((f"[-{gone}-]" if gone else "") + (f"{{+{come}+}}" if come else ""))
    return "".join(shown)


def _near(same: list[str], *, first: bool, last: bool) -> str:
    """Return the unchanged words next to a change; what is further off is one sign."""
    if len(same) <= 2 * _NEAR_WORDS:
        return "".join(same)
    head = "" if first else "".join(same[:_NEAR_WORDS]) + " "
    tail = "" if last else " " + "".join(same[-_NEAR_WORDS:])
    return f"{head}…{tail}"


def _common(first: list[str], second: list[str]) -> int:
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count


def _aligned(old: list[str], new: list[str]) -> list[Line]:
    lines: list[Line] = []
    matcher = difflib.SequenceMatcher(None, old, new)
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            same = old[old_start:old_end]
            lines += [("", line) for line in same] if len(same) <= 2 * CONTEXT else _shortened(same)
        else:
            lines += [("-", line) for line in old[old_start:old_end]]
            lines += [("+", line) for line in new[new_start:new_end]]
    return lines


def _shortened(same: list[str]) -> list[Line]:
    left_out = _left_out(len(same) - 2 * CONTEXT)
    return [*(("", line) for line in same[:CONTEXT]), left_out, *(("", line) for line in same[-CONTEXT:])]


def _kept(same: list[str], *, at_end: bool) -> list[Line]:
    """Return the three unchanged lines next to the change, and what stands for the others."""
    near = same[-CONTEXT:] if at_end else same[:CONTEXT]
    rest = [_left_out(len(same) - CONTEXT)] if len(same) > CONTEXT else []
    shown: list[Line] = [("", line) for line in near]
    return [*rest, *shown] if at_end else [*shown, *rest]


def _block(mark: str, lines: list[str]) -> list[Line]:
    rest = [_left_out(len(lines) - _SHOWN_WHOLE, "more")] if len(lines) > _SHOWN_WHOLE else []
    return [*((mark, line) for line in lines[:_SHOWN_WHOLE]), *rest]


def _left_out(count: int, what: str = "unchanged") -> Line:
    return ("~", f"... {count} {what} line{'s' if count != 1 else ''}")

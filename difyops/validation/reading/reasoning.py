"""What models write while they think: never the answer. One table; a further kind is one more line."""

from __future__ import annotations

import re
from bisect import bisect_right

_TAGS = (
    r"(?:[\w:.-]{0,40}(?:think|thought|monologue|scratch|reflection)[\w:.-]{0,40}|reason|reasoning(?:[_-]\w{1,30})?"
    r"|reflect|rationale|planning|analysis|deliberation|internal|cot|chain[_-]of[_-]\w{1,30})"
)
BLOCKS: tuple[tuple[str, str], ...] = (
    (rf"<\s?{_TAGS}(?:\s[^<>]*)?>", rf"</\s?{_TAGS}\s*>"),
    (r"◁(?:think|thinking)▷", r"◁/(?:think|thinking)▷"),
    (r"\[(?:THINK|THINKING|REASONING)\]", r"\[/(?:THINK|THINKING|REASONING)\]"),
    (r"<details\b[^<>]*>\s*<summary>[^<>]*(?:think|thought|reason|思考|推理)[^<>]*</summary>", r"</details>"),
    (r"<\|(?:begin_of_thought|start_of_thought|thinking|think)\|>", r"<\|(?:end_of_thought|/thinking|/think)\|>"),
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),
    (r"<\|channel\|>(?:analysis|commentary)[^<]{0,80}<\|message\|>", r"<\|channel\|>final[^<]{0,40}<\|message\|>"),
    (r"<unused94>", r"<unused95>"),
    (r"```(?:thinking|thought|think|reasoning)[ \t]*\n", r"\n```"),
    (r"<reflexion>", r"</reflexion>"),
)
"""Pairs of patterns: what opens a block, what ends it."""
MARKS = ("<", "◁", "```", "THINK", "REASONING")
"""One of them is in whatever opens or ends a block, in capitals: a text without any holds no reasoning."""
_OPENS = re.compile("|".join(f"(?P<b{number}>{opens})" for number, (opens, _) in enumerate(BLOCKS)), re.IGNORECASE)
_CLOSES = tuple(re.compile(closes, re.IGNORECASE) for _, closes in BLOCKS)
_ANY_CLOSE = re.compile("|".join(f"(?:{closes})" for _, closes in BLOCKS if "```" not in closes), re.IGNORECASE)

_LONGEST_LINE = 2_000


def may_hold_reasoning(text: str) -> bool:
    """Return whether a text may hold a block of reasoning; "no" is certain."""
    capitals = text.upper()
    return any(mark in capitals for mark in MARKS)


def without_reasoning(text: str) -> tuple[int, list[tuple[int, int]]]:
    """Return where the answer begins, and the blocks of reasoning behind that; an open block goes to the end.

    A tag inside a text in quotes is none. The end of a block without its start makes all before it reasoning.
    """
    if not may_hold_reasoning(text):
        return 0, []
    blocks: list[tuple[int, int]] = []
    at = begin = 0
    while (opens := _OPENS.search(text, at)) is not None:
        if _in_quotes(text, at, opens.start()):
            at = opens.end()
            continue
        number = int((opens.lastgroup or "b0")[1:])
        closes = _CLOSES[number].search(text, opens.end())
        end = len(text) if closes is None else closes.end()
        blocks.append((opens.start(), end))
        at = end
    starts = [start for start, _ in blocks]
    for closes in _ANY_CLOSE.finditer(text):
        number = bisect_right(starts, closes.start()) - 1
        if (number < 0 or closes.start() >= blocks[number][1]) and not _in_quotes(text, 0, closes.start()):
            begin = closes.end()
    return begin, [block for block in blocks if block[0] >= begin]


def _in_quotes(text: str, start: int, at: int) -> bool:
    """Return whether a place in a line lies behind an odd number of quotes."""
    line = max(start, at - _LONGEST_LINE, text.rfind("\n", max(start, at - _LONGEST_LINE), at) + 1)
    return text.count('"', line, at) % 2 == 1 or text[at - 1 : at] == '"'

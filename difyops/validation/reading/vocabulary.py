"""Words that say something about the answer: parts were left out, the text goes on elsewhere, this one is final."""

from __future__ import annotations

import re

_CUT_OFF = {
    "truncat": "truncat", "omitted": "omitted", "omis": r"omis\b", "omitid": "omitid", "ausgelassen": "ausgelassen",
    "gekürzt": "gekürzt", "abgeschnitten": "abgeschnitten", "tronqu": "tronqu", "truncad": "truncad",
    "cut ": "cut (?:off|short|here)", "cont": r"cont(?:inued|inues|inuing|'d)\b|continúa|continuará|continua n",
    "to be c": "to be continued", "fort": "fortsetzung|(?:wird|folgt) fortgesetzt", "suite ": r"suite (?:au|dans)\b",
    "à suivre": "à suivre", "max": "max(?:imum)? (?:tokens|length)", "limit": "token limit|length limit",
    "for brevity": "for brevity", "для краткости": "для краткости", "пропущен": "пропущен",
    "продолжение": "продолжение", "略": "省略|略\\b", "其余": "其余", "余下": "余下", "未完": "未完", "待续": "待续",
    "续": "续", "截断": "截断", "以下同": "以下同", "残り": "残り", "続く": "続く", "つづく": "つづく", "생략": "생략",
    "계속": "계속",
    **{f" {things}": rf"\b(?:remaining|other|more|further|additional|\d+ more) {things}\b" for things in (
        "items", "entries", "rows", "records", "elements", "results", "objects", "lines", "fields", "keys", "members",
    )},
    "[": r"\[\s*(?:\.\.\.|…)\s*\]",
}  # fmt: skip
"""What says that something is not there, behind letters that are in each of them: a text without any says nothing."""
_ANY_CUT_OFF = "|".join(_CUT_OFF.values())
_ASCII_STEMS = tuple(stem for stem in _CUT_OFF if stem.isascii())
_CUT = re.compile(rf"(?i){_ANY_CUT_OFF}")
LEFT_OUT = re.compile(
    rf"(?i)\.\.\.|…|{_ANY_CUT_OFF}|\bmore\b|\betc\b|\band so on\b|\band so forth\b|\brest of\b|\bthe rest\b|\bto ?do\b"
    r"|\bfill in\b|\bsame (?:as|for)\b|\bsimilar(?:ly)?\b|\brepeat|\badd .{0,20}here\b|\bplaceholder|\babbreviat|\bskip"
    r"|\bund so weiter\b|\busw\b|\bweitere\b|\brest(?:liche)?\b"
    r"|\bet ?c(?:aetera)?\b|\bainsi de suite\b|\bplus\b.{0,9}\bà\b"
    r"|\by así\b|\bdemás\b|\bresto\b|\baltri\b|\be così via\b"
    r"|\bи т\.? ?д|\bостальн|等等|同上|其他|以此类推|など|以下略|등등|나머지"
)
"""Says it in a comment or a bare word inside JSON, where less is enough."""
DECLARES = re.compile(
    r"(?i)(?:\b(?:finale?|correct(?:ed)?|revised|fixed|updated|amended)\b[^.\n{}\[\]]{0,60}[:：]\s*(?:\W{0,8}\n)?\s*\Z)"
    r"|(?:\b(?:finale?|corrected|revised|fixed|updated|amended)\b[^.\n{}\[\]]{0,60}\s*\Z)"
    r"|(?:korrigiert|korrektur|endgültig|corrigé|corregid|修正|最终|更正|最終|정정|최종)[^.\n{}\[\]]{0,40}\Z"
)
"""Ends right before an answer, and marks it as the one that counts."""


_ANNOUNCES = re.compile(
    r"[:：][ \t*_]*(?:\n\s*)?(?:`{1,3}|~{1,3})\w{0,10}\s*\Z"
    r"|(?i:\b(?:after|afterwards|instead|becomes|new|better|improved)\b[^\n:：]{0,40}[:：][ \t*_]*\s*\Z)"
    r"|(?im:^\W*(?:wait|actually|oops|hmm|correction|sorry)\b[^\n{}\[\]]{0,80}\Z)"
    r"|(?m:^Observation:[ \t]*\S)"
)
"""Words behind the last value that lead to another one, which is not there: an open fence, second thoughts."""


def announces(words: str) -> bool:
    """Return whether words behind the last value of an answer announce another one."""
    end = words[-400:].rstrip(" \t\r\n*_")
    return _ANNOUNCES.search(end) is not None or (end[-1:] in (":", "：") and DECLARES.search(end[-150:]) is not None)


def says_cut(words: str) -> bool:
    """Return whether prose or a comment says that something is not there."""
    small = words.lower()
    return any(stem in small for stem in (_ASCII_STEMS if words.isascii() else _CUT_OFF)) and bool(_CUT.search(words))

"""Words that say something about the answer: parts were left out, the text goes on elsewhere, this one is final."""

from __future__ import annotations

import re

_CUT_OFF = (
    r"truncat|omitted|omis\b|omitid|ausgelassen|gekürzt|abgeschnitten|tronqu|truncad|cut (?:off|short|here)"
    r"|cont(?:inued|inues|inuing|'d)\b|to be continued|fortsetzung|(?:wird|folgt) fortgesetzt|suite (?:au|dans)\b"
    r"|à suivre|continúa|continuará|continua n|для краткости|пропущен|продолжение|省略|略\b|其余|余下|未完|待续|续"
    r"|截断|以下同|残り|続く|つづく|생략|계속|for brevity|max(?:imum)? (?:tokens|length)|token limit|length limit"
    r"|\b(?:remaining|other|more|further|additional|\d+ more) (?:items|entries|rows|records|elements|results|objects"
    r"|lines|fields|keys|members)\b|\[\s*(?:\.\.\.|…)\s*\]"
)
CUT = re.compile(rf"(?i){_CUT_OFF}")
"""Says in prose or in a comment that something is not there."""
LEFT_OUT = re.compile(
    rf"(?i)\.\.\.|…|{_CUT_OFF}|\bmore\b|\betc\b|\band so on\b|\band so forth\b|\brest of\b|\bthe rest\b|\bto ?do\b"
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

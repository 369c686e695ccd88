"""What a secret's name inside a text names: the value after it, the content of its element, the argument of its call.

``API_KEY = "…"``, ``password: …``, ``the token is …``, ``<apiKey>…</apiKey>``, ``auth=("bob", "…")``, ``Bearer …``. A
value is taken for the secret when it looks like one; how much it must look like one depends on how it is joined to the
name, on the name, and on the place: code speaks of names all the time, a setting gives values.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple

from difyops.dsl import foreign_names
from difyops.dsl import secret_rules as rules
from difyops.dsl.secret_calls import fields, handed_over, in_mappings, logged_in, of_call
from difyops.dsl.secret_words import words_in
from difyops.dsl.suspicion import (
    CODE,
    NONE,
    PROSE,
    SETTING,
    STRONG,
    WEAK,
    SuspicionHit,
    has_both,
    is_literal,
    is_mixed_password,
    is_odd,
    is_password_name,
    is_placeholder,
    is_plain_word,
    is_strong_password,
    is_uuid,
    looks_like_password,
    looks_random,
    strength,
)

SCHEME = re.compile(
    r"(?i)(?:bearer|basic|token|apikey|api-key|bot|key|digest|oauth|[a-z][\w-]{1,30}-key|ssws)[ \t]{1,8}"
)
_KEYWORD = re.compile("|".join("pass(?!wort)" if word == "pass" else re.escape(word) for word in rules.KEYWORDS))
_FOREIGN_KEYWORD = re.compile(rf"{foreign_names.IN_TEXTS}|{rules.FOREIGN_LOGINS}")
_SHORT_KEYWORD = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(rules.SHORT_KEYWORDS)})(?![a-z0-9])")
_FOREIGN = re.compile(foreign_names.IN_TEXTS)
_FOREIGN_LOGIN = re.compile(rules.FOREIGN_LOGINS)
_TAIL = re.compile(r"[\w-]{0,64}", re.ASCII)
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-$")
_ALONE = frozenset({"key", "keys", "code", "pass"})  # judged with the word before: API key, access code
_SEPARATOR = re.compile(
    r"""(?:\\{0,3}["'`”’」»]|[\])*_}]){0,4}[ \t]{0,4}(?:[(（][^()（）\n]{0,40}[)）])?"""
    r"""(?:(?P<beside>[ \t]{0,4}[,{]?\s{0,8}\\{0,3}["']?\b(?:value|val|content|default)\\{0,3}["']?\s{0,4}[:=])"""
    r"""|(?P<pair>[ \t]{0,4},)"""
    r"""|[ \t]{0,8}(?P<other>\|\||\?\?|\bor\b|\|)"""
    r"""|(?P<assigned>(?:[ \t]{0,4}[:：][ \t]{0,4}[A-Za-z][\w.]{0,20}(?:\[[^\]\n]{0,20}\])?[ \t]{0,4})?"""
    r"""[ \t]{0,8}(?:!?={1,3}>?|:=|[:：＝]|->|→))"""
    r"""|(?P<spoken>[ \t]{1,4}(?:for|of)\b[^\n.:=;]{0,40}?[ \t]{1,4}[–—-](?=[ \t])"""
    r"""|[ \t]{1,4}(?:for|of|to|in|on|at|from|with|used)\b[^\n.:=;]{0,40}?[ \t]{0,4}[:：=]"""
    r"""|(?:[ \t]{1,4}(?:for|of|to|in|on|at|used|here|now|below)\b[^\n.:=;]{0,40}?)?[ \t]{0,4}"""
    r"""(?:[ \t](?:word|phrase|string))?[ \t]{0,4}"""
    r"""(?:\b(?:is|are|was|equals|lautet|ist|es|est|é|è)\b(?:[ \t]{1,4}set[ \t]{1,4}to\b)?|['’]s\b|为|為|是|は|는|은)"""
    r"""[ \t]{0,4}[:：]?)"""
    r"""|(?P<blank>[ \t]{1,4}(?:[–—][ \t]{1,4})?))[ \t*_]{0,8}(?:\n[ \t]{0,16}(?=["']))?"""
)
_OPENING = re.compile(r"""(?:[bBrRfFuU]{1,2}(?=["']))?(\\{0,3}(?:\"{3}|'{3}|["'`])|[“‘「『«])""")
_CLOSING = {"“": "”", "‘": "’", "「": "」", "『": "』", "«": "»"}
_LETTERS = "\u00c0-\u024f\u0370-\u052f"  # Latin with marks, Greek, Cyrillic
_TO_BLANK = re.compile(rf"[!#-%&(-;=?-\[\]-_a-~{_LETTERS}]{{1,400}}")
_TO_JOINT = re.compile(rf"(?:[!#-%(-:=?-\[\]-_a-z~{_LETTERS}]|&(?![\w.\-\[\]]{{1,40}}=|[a-z]{{2,6}};)){{1,400}}")
_TO_END = re.compile(r"[^\n\r\"'`\0]{1,2000}")
_ELEMENT = re.compile(r"(?:[\"']?\s?[^<>]{0,200})?>\s{0,8}(?:<!\[CDATA\[)?([^<\]\0]{1,2000})")
_NEXT_ITEM = re.compile(r"""["'`]\s{0,4},\s{0,4}b?["'`]([\w\-.~+/=]{12,200})["'`]""", re.ASCII)
_AFTER_SCHEME = re.compile(
    r"""(?:[ \t]{1,4}|%20|[ \t]?["']\s{0,2}[+.]\s{0,2}b?)["'`“]?([\w\-.~+/=:!$*^@#]{6,2000})""", re.ASCII
)
_FURTHER = re.compile(r"[^\n.:=;,\"'|]{1,40}?(?=[ \t]{0,4}(?:[:：=»→—–]|->))")
_NEAR = re.compile(r"[A-Za-z0-9][\w\-+/=.~]{15,400}", re.ASCII)
_NEAR_PASSWORD = re.compile(rf"[\s\"'`“‘「『（(:：=>]([!#-&(-;=?-~{_LETTERS}]{{8,64}})(?![^\s\"'`”’」』）),.;<])")
_QUOTED = re.compile(r"""(["'`])([^"'`\s\0]{7,64})\1(?!\s{0,3}:)""")
_BARE_PASSWORD = re.compile(r"[ \t]{1,4}([A-Za-z0-9!@#$^*?~_.\-+]{8,64})(?=\s|$)")
_REACH = 100  # so many characters after its name a value that looks generated is taken for the secret
_WORDS = re.compile(r"[a-z]{1,12}|[A-Z_]+(?:=[A-Z_]+)?")  # of an option: what the next sentence says, a metavariable
_DIGITS = re.compile(r"[0-9]{2,}")
_OWN_MARKS = re.compile(r"[!?*_]{1,3}|[.!]{1,2}(?=[ \t]{0,3}(?:\n|$))")
_STOPS = ".,;:!?)]}*_、"


def in_names(text: str, place: str) -> list[SuspicionHit]:
    """Return what the secret names in ``text`` name."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a letter that has two in lower case
        lowered = "".join(char if len(char.lower()) > 1 else char.lower() for char in text)
    words = words_in(lowered)
    hits: list[SuspicionHit] = []
    for pattern, starts in (
        (_KEYWORD, words.keywords),
        (_FOREIGN_KEYWORD, words.foreign),
        (_SHORT_KEYWORD, words.short),
    ):
        last = 0
        for start in starts:
            match = pattern.match(lowered, start) if start >= last else None
            if match:
                last, found = _at_keyword(text, match, place)
                hits += found
    if place == CODE:
        hits += handed_over(text, lowered)
    if words.of_mappings:
        hits += in_mappings(text, lowered, place)
    return [*hits, *fields(text, lowered)]


def after_name(text: str, end: int, name: str, place: str, level: int = STRONG) -> list[SuspicionHit]:
    """Return the value that is joined to the name which ends at ``end``, when it looks like a secret."""
    separator = _SEPARATOR.match(text, end)
    how = separator.lastgroup or "" if separator else ""
    first = separator.end() if separator else end
    if separator is None and not (name and _FOREIGN.fullmatch(name.lower())):
        return []
    opening = _OPENING.match(text, first)
    span = _quoted(text, opening) if opening else _unquoted(text, first, how, name)
    if span is None:
        return []
    scheme = SCHEME.match(text, *span)
    if scheme and scheme.end() == span[1] and not opening:
        return []
    if scheme and scheme.end() < span[1]:
        span = (scheme.end(), span[1])
    value = text[slice(*span)]
    if is_placeholder(value) or value.lower() == name.lower():
        return []
    is_option = text[end - len(name) - 2 : end - len(name)] == "--"
    last = span[1] if opening else _with_marks(text, *span)
    place = PROSE if place == CODE and _is_in_text(text, end) else place
    judged = _Judged(value=value, name=name, level=level, how=how, is_quoted=opening is not None, is_option=is_option)
    whole = judged._replace(value=text[span[0] : last])
    if not _is_accepted(judged, place) and (last == span[1] or not (has_both(value) and _is_accepted(whole, place))):
        return []
    hits = [SuspicionHit(span[0], last, "assigned_secret", name)]
    if opening:
        hits += _next_items(text, span[1])
    return hits


def _at_keyword(text: str, match: re.Match[str], place: str) -> tuple[int, list[SuspicionHit]]:
    """Return where to go on, and what the name at a keyword names."""
    start, end = match.span()
    word = match.group()
    if _FOREIGN.fullmatch(word):
        return end, _after_foreign(text, start, end, place)
    if _FOREIGN_LOGIN.fullmatch(word):
        return end, list(logged_in(text, end))
    while start and match.start() - start < 64 and text[start - 1] in _NAME:
        start -= 1
    end = _tail(text, end)
    name = text[start:end].lstrip("-$")
    if word in ("bearer", "basic") and len(name) == len(word):
        return end, _after_scheme(text, end, word)
    hits = list(of_call(text, name.lower(), end))
    if word in ("credential", "login"):
        hits += logged_in(text, match.end())
    level = STRONG if word == "identified by" else NONE if word == "pin" else strength(name)
    if level == WEAK and name.lower() in _ALONE and text[start - 1 : start] == " ":
        level, name = _with_word_before(text, start, name, level)
    if level == NONE and word not in ("pin", "hmac", "fernet", "cipher", "aes.new"):
        return end, hits
    if level != NONE and _is_element(text, start):
        hits += _of_element(text, end, name, level)
    found = after_name(text, end, text[start:end].lstrip("-$") if level == NONE else name, place, level)
    if not found:
        found = list(_near(text, end, level, place))
    if not found and level == STRONG:
        found = list(_near_password(text, end) if place != CODE else _of_line(text, end))
    return end, hits + found


def _after_foreign(text: str, start: int, end: int, place: str) -> list[SuspicionHit]:
    """Return what a name in another language names: joined to it, after some words and a colon, or close behind."""
    hits = [*after_name(text, end, text[start:end], place), *logged_in(text, end)]
    if not hits:
        further = _FURTHER.match(text, end)
        hits = after_name(text, further.end(), "", place) if further else []
    return hits or list(_near_password(text, end))


def _tail(text: str, end: int) -> int:
    found = _TAIL.match(text, end)
    return found.end() if found else end


def _with_word_before(text: str, start: int, name: str, level: int) -> tuple[int, str]:
    """Judge ``key`` in ``API key`` and ``code`` in ``access code`` with the word before."""
    first = start - 1
    while first and start - first < 24 and text[first - 1] in _NAME:
        first -= 1
    both = f"{text[first : start - 1]}_{name}"
    found = strength(both)
    return (found, both) if found > level else (level, name)


class _Judged(NamedTuple):
    value: str
    name: str
    level: int
    how: str
    is_quoted: bool
    is_option: bool


def _is_accepted(it: _Judged, place: str) -> bool:
    value = it.value
    if it.level == NONE:  # a PIN, or an argument of a cipher
        return value.isdigit() and 4 <= len(value) <= 12 if it.name.lower() == "pin" else False
    if it.level == WEAK:
        if place != CODE and it.how in ("spoken", "assigned", "blank") and not it.is_option:
            return is_odd(value)
        is_key = it.is_quoted and it.how == "assigned" and it.name.lower() == "key"
        if not looks_random(value) or (is_uuid(value) and not is_key) or it.how in ("spoken", "blank", "other"):
            return False
        return it.is_quoted or (place != CODE and len(value) >= 20)
    if it.is_option and (it.how in ("blank", "assigned") or (it.how == "pair" and it.is_quoted)):
        return not value.startswith(("-", "{", "<", "[")) and not _WORDS.fullmatch(value)
    if it.is_quoted:
        return _is_quoted_accepted(it, place)
    if it.how in ("pair", "other"):
        is_cell = place != CODE and it.level == STRONG and len(value) >= 8 and looks_like_password(value)
        return it.how == "other" and (looks_random(value) or (is_cell and has_both(value)))
    if it.how == "blank":
        return place != CODE and len(value) >= 6 and looks_like_password(value) and has_both(value)
    if place == CODE:
        is_expression = "(" in value or "[" in value or "{" in value
        return looks_random(value) or (looks_like_password(value) and not (is_expression or value.isidentifier()))
    if value[0] in "{[(" and "." in value:
        return False
    if value.isdigit():
        return is_password_name(it.name) and len(value) >= 4
    return looks_like_password(value) or looks_random(value) or (value.count("-") >= 3 and is_plain_word(value))


def _is_quoted_accepted(it: _Judged, place: str) -> bool:
    value = it.value
    if it.how == "pair":
        return looks_random(value) or (len(value) >= 7 and looks_like_password(value))
    if place == SETTING and it.how in ("assigned", "beside") and " " not in value:
        return is_literal(value) and not re.match(r"\w{2,20}://", value)
    if looks_like_password(value) or looks_random(value):
        return True
    if value.isdigit():
        return len(value) >= 6
    return is_password_name(it.name) and is_plain_word(value)


def _is_in_text(text: str, at: int) -> bool:
    """Return whether a place in code is inside a quoted text or a comment, as far as its line says."""
    line = text[max(text.rfind("\n", 0, at) + 1, at - 300) : at]
    return (
        line.lstrip().startswith(("#", "//"))
        or line.count('"') % 2 == 1
        or line.count("'") % 2 == 1
        or line.count("`") % 2 == 1
    )


def _quoted(text: str, opening: re.Match[str]) -> tuple[int, int] | None:
    """Return where the quoted value is; the closing quote is escaped as often as the opening one."""
    quote = opening.group(1)
    closing = _CLOSING.get(quote, quote)
    start = opening.end()
    limit = min(len(text), start + 1000)
    end = text.find(closing, start, limit)
    while end > start and "\\" not in closing and text[end - 1] == "\\" and closing != "`":
        end = text.find(closing, end + 1, limit)
    if end < 0:
        found = _TO_BLANK.match(text, start)
        return found.span() if found else None
    value = text[start:end]
    return (start, end) if value and "\0" not in value and "\n" not in value else None


def _unquoted(text: str, start: int, how: str, name: str) -> tuple[int, int] | None:
    if how == "assigned" and name.lower() in ("cookie", "cookies", "set-cookie"):
        pattern = _TO_END
    else:
        pattern = _TO_JOINT if how == "assigned" and "=" in text[start - 2 : start] else _TO_BLANK
    found = pattern.match(text, start)
    if found is None:
        return None
    value = found.group().rstrip()
    return (start, start + len(value.rstrip(_STOPS))) if value.rstrip(_STOPS) else None


def _next_items(text: str, end: int) -> Iterator[SuspicionHit]:
    """Yield what follows a secret in the same list, when it looks like another."""
    found = _NEXT_ITEM.match(text, end)
    while found:
        if looks_random(found[1]) and not is_placeholder(found[1]):
            yield SuspicionHit(*found.span(1), "assigned_secret")
        found = _NEXT_ITEM.match(text, found.end(1))


def _near(text: str, end: int, level: int, place: str) -> Iterator[SuspicionHit]:
    """Yield the values that look generated and stand close after a strong name, though nothing joins them to it."""
    reach = end + _REACH
    line = text.find("\n\n", end, reach)
    line = line if line < 0 else text.find("\n", line + 2, reach)
    for found in _NEAR.finditer(text, end, reach if line < 0 else line):
        after = _NEAR.match(text, found.start())  # past the reach, when it began before it
        start, last = after.span() if after else found.span()
        value = text[start:last].rstrip(_STOPS)
        if is_uuid(value) and (level != STRONG or place == CODE):
            continue
        is_part = (
            text[start - 1] in "/@#" or text[last : last + 1] in ("(", "/", "@") or "://" in text[start - 12 : start]
        )
        if is_part or is_placeholder(value) or not looks_random(value) or "/" in value[:1]:
            continue
        is_quoted = text[start - 1] in "\"'`" and text[last : last + 1] == text[start - 1]
        if level == STRONG or (len(value) >= 20 and (is_quoted or place != CODE)):
            yield SuspicionHit(start, start + len(value), "assigned_secret", "near")


def _near_password(text: str, end: int) -> Iterator[SuspicionHit]:
    """Yield what only a password is written like, close after a strong name in the same line of prose."""
    last = text.find("\n", end, end + _REACH)
    for found in _NEAR_PASSWORD.finditer(text, end, end + _REACH if last < 0 else last):
        value = found[1].rstrip(_STOPS)
        start = found.start(1)
        last = _with_marks(text, start, start + len(value))
        if is_placeholder(value):
            continue
        is_whole = has_both(value) and len(_DIGITS.findall(value)) == 1 and is_strong_password(text[start:last])
        if is_strong_password(value) or is_mixed_password(value) or is_whole:
            yield SuspicionHit(start, last, "assigned_secret", "near")


def _with_marks(text: str, start: int, end: int) -> int:
    """Return where a value ends with the marks behind it: the sentence's or its own, and sealing them is free."""
    found = _OWN_MARKS.match(text, end)
    if found is None or text[start - 1 : start] == found[0][0]:
        return end
    return found.end()


def _of_line(text: str, end: int) -> Iterator[SuspicionHit]:
    """Yield the word that follows a strong name in code (a comment, a line for a shell), or a literal in its line."""
    last = text.find("\n", end, end + _REACH)
    for quoted in _QUOTED.finditer(text, end, end + _REACH if last < 0 else last):
        value = quoted[2]
        if is_odd(value):
            yield SuspicionHit(*quoted.span(2), "assigned_secret", "near")
    found = _BARE_PASSWORD.match(text, end)
    if found and (is_strong_password(found[1]) or is_mixed_password(found[1])) and not is_placeholder(found[1]):
        yield SuspicionHit(*found.span(1), "assigned_secret", "near")


def _after_scheme(text: str, end: int, scheme: str) -> list[SuspicionHit]:
    """Return what stands after Bearer or Basic: a token, or a user and password in base64."""
    found = _AFTER_SCHEME.match(text, end)
    if found is None:
        return []
    value = found.group(1).rstrip(".:")
    start = found.start(1)
    if is_placeholder(value):
        return []
    if scheme == "basic":
        good = _is_user_and_password(value) or looks_random(value)
    else:
        good = looks_random(value) or (len(value) >= 8 and looks_like_password(value))
    kind = "bearer" if scheme == "bearer" else "basic_auth"
    return [SuspicionHit(start, start + len(value), kind, "authorization")] if good else []


def _is_user_and_password(value: str) -> bool:
    try:
        plain = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(plain) >= 3 and b":" in plain and plain.isascii() and plain.decode().isprintable()


def _is_element(text: str, start: int) -> bool:
    """Return whether a name is that of an XML element (``<``, ``<ns:``), or stands in an attribute of one."""
    before = text[start - 1 : start]
    if before == ":":
        return re.search(r"</?\w{1,40}:$", text[max(0, start - 44) : start]) is not None
    return before == "<" or (before in ('"', "'") and "<" in text[max(0, start - 100) : start])


def _of_element(text: str, end: int, name: str, level: int) -> Iterator[SuspicionHit]:
    """Yield the content of an XML element with a secret's name, or with an attribute that says it."""
    found = _ELEMENT.match(text, end)
    if found:
        value = found[1].strip()
        start = found.start(1) + len(found[1]) - len(found[1].lstrip())
        is_attribute = text[end : end + 1] in ('"', "'")
        if (
            " " in value
            or is_placeholder(value)
            or not (looks_like_password(value) if is_attribute else is_literal(value))
            or (level == WEAK and not (looks_random(value) or is_mixed_password(value)))
        ):
            return
        if value:
            yield SuspicionHit(start, start + len(value), "element", name)

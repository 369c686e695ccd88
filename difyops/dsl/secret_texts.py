"""Where the secrets are inside one text: formats, addresses, header lines, and what stands after a secret's name.

A text is read as what it is: a *setting* (parameters, bodies, configuration: a value is given), *code*, or *prose*
(prompts, templates, descriptions), where a name is often only spoken of and the value must look like one. Each function
gives hits: the secret itself, without the name of its header, the word Bearer, or template references.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from difyops.dsl import secret_rules as rules
from difyops.dsl.suspicion import (
    NONE,
    STRONG,
    WEAK,
    credentials,
    is_literal,
    is_password_name,
    is_placeholder,
    is_plain_word,
    is_suspicious,
    is_uuid,
    looks_like_password,
    looks_random,
    strength,
)

SETTING: Final = "setting"
CODE: Final = "code"
PROSE: Final = "prose"


class Hit(NamedTuple):
    """One secret inside a text; ``name`` is what named it, if anything did."""

    start: int
    end: int
    kind: str
    name: str = ""


_SHORTEST = 6
_SCHEME = re.compile(
    r"(?i)(?:bearer|basic|token|apikey|api-key|bot|key|digest|oauth|[a-z][\w-]{1,30}-key|ssws)[ \t]{1,8}"
)
_KEYWORD = re.compile(
    "token|secret|passw|passphrase|passcode|passkey|pwd|pass|key|auth|cookie|credential|bearer|basic|jwt|sessdata"
    rf"|session|signature|login|hmac|fernet|b64encode|btoa|identified by|\bpin\b|\bpat\b|{rules.FOREIGN_NAMES}"
)
_FOREIGN = re.compile(rules.FOREIGN_NAMES)
_TAIL = re.compile(r"[\w-]{0,64}", re.ASCII)
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-$")
_SEPARATOR = re.compile(
    r"""(?:\\{0,3}["'`”’」]|[\])*_}]){0,4}(?:[ \t]{1,4}[(（][^()（）\n]{0,40}[)）])?"""
    r"""(?:(?P<beside>[ \t]{0,4},?\s{0,8}\\{0,3}["']?(?:value|val|content|default)\\{0,3}["']?\s{0,4}[:=])"""
    r"""|(?P<pair>[ \t]{0,4},)"""
    r"""|[ \t]{0,8}(?P<other>\|\||\?\?|\bor\b|\|)"""
    r"""|(?P<assigned>(?:[ \t]{0,4}[:：][ \t]{0,4}[A-Za-z][\w.]{0,20}(?:\[[^\]\n]{0,20}\])?[ \t]{0,4})?"""
    r"""[ \t]{0,8}(?:!?={1,3}>?|:=|[:：＝]|->|→))"""
    r"""|(?P<spoken>(?:[ \t]{1,4}(?:for|of|to|in|on|at|used|here|now|below)\b[^\n.:=;]{0,40}?)?[ \t]{0,4}"""
    r"""(?:\b(?:is|are|was|equals|lautet|ist|es|est|é)\b(?:[ \t]{1,4}set[ \t]{1,4}to\b)?|为|為|是|は)"""
    r"""[ \t]{0,4}[:：]?)"""
    r"""|(?P<blank>[ \t]{1,4}))[ \t*_]{0,8}(?:\n[ \t]{0,16}(?=["']))?"""
)
_OPENING = re.compile(r"""(?:[bBrRfFuU]{1,2}(?=["']))?(\\{0,3}(?:\"{3}|'{3}|["'`])|[“‘「『])""")
_CLOSING = {"“": "”", "‘": "’", "「": "」", "『": "』"}
_TO_BLANK = re.compile(r"[!#-%&(-;=?-\[\]-_a-~]{1,400}")
_TO_JOINT = re.compile(r"[!#-%(-:=?-\[\]-_a-z~]{1,400}")
_TO_END = re.compile(r"[^\n\r\"'`\0]{1,2000}")
_ELEMENT = re.compile(r"(?:\s[^<>]{0,200})?>\s{0,8}(?:<!\[CDATA\[)?([^<\]\0]{1,2000})")
_AFTER_SCHEME = re.compile(r"""[ \t]{1,4}["'`“]?([\w\-.~+/=:]{6,2000})""", re.ASCII)
_LOGIN = re.compile(
    r"""\w{0,20}\s{0,4}[=:]?\s{0,4}[(\[]\s{0,4}b?["'][^"'\n\0]{0,100}["']\s{0,4},\s{0,4}b?["']([^"'\n\0]{1,200})["']"""
)
_CALL = re.compile(r"""(?:\.new|\w{0,12})\(\s{0,4}(?:["']\w{1,12}["']\s{0,2},\s{0,4})?b?["']([^"'\n\0]{6,300})["']""")
_USER_OPTION = re.compile(
    r"""(?<![\w-])(?:-u|-U|--user|--proxy-user)[ =]{0,2}\\{0,3}["']?[^\s:"'@/{}\\]{1,64}:([^\s"'{}\\\0]{1,200})"""
)
_LOGGED_IN = re.compile(
    r"""s?(?:[ \t]{1,3}(?:are|is))?[ \t]{0,3}[:：]?[ \t]{1,3}[^\s/:：]{1,64}[ \t]{0,2}[/:：][ \t]{0,2}([!-~]{4,200})"""
)
_ADDRESS = re.compile(r"""[^\s"'<>`\\|\0，。；）】」]{1,2000}""")
_USERINFO = re.compile(r"""([^\s/@:?#{}\0]{0,100})(?::([^\s/{}"'<>\0]{1,200}))?@(?=[\w\[{.-])""")
_QUERY = re.compile(r"""[?&#;]([\w.\-\[\]]{1,64})=((?:\{\{[^{}]*\}\}|[^&#\s"'<>\\`{}|)\],;\0])+)""", re.ASCII)
_JSON_PAIR = re.compile(r'"([^"\\]{1,100})"\s{0,8}:\s{0,8}"((?:[^"\\]|\\.)*)"')
_STOPS = ".,;:!?)]}*_、"


def in_text(text: str, place: str = PROSE) -> list[Hit]:
    """Return everything in ``text`` that is a secret wherever it stands."""
    if len(text) < _SHORTEST:
        return []
    hits = [Hit(*found) for found in credentials(text)]
    if "://" in text:
        hits += _in_addresses(text, place)
    if "=" in text:
        hits += _in_queries(text, place)
    if "-u" in text or "-U" in text:
        hits += [
            Hit(*found.span(1), "basic_auth") for found in _USER_OPTION.finditer(text) if _is_given(found.group(1))
        ]
    lowered = text.lower()
    if len(lowered) != len(text):  # a letter that has two in lower case
        lowered = "".join(char if len(char.lower()) > 1 else char.lower() for char in text)
    last = 0
    for match in _KEYWORD.finditer(lowered):
        if match.start() >= last:
            last, found = _at_keyword(text, match, place)
            hits += found
    return hits


def bare(text: str, start: int = 0, end: int | None = None) -> tuple[int, int] | None:
    """Return where a value is without the blanks around it and the word Bearer, Basic or Token."""
    value = text[start:end]
    if not is_literal(value):
        return None
    first = start + len(value) - len(value.lstrip())
    last = start + len(value.rstrip())
    scheme = _SCHEME.match(text, first, last)
    return (scheme.end() if scheme and scheme.end() < last else first, last)


def in_lines(text: str, kind: str) -> list[Hit]:
    """Return the secrets of a text with one ``Name:value`` on each line (headers, parameters, older form bodies)."""
    hits = in_text(text, SETTING)
    start = 0
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        end = start + len(line)
        if colon and is_suspicious(name.strip(), value.strip()):
            hits += whole(text, kind, name.strip(), end - len(value), end)
        start = end + 1
    return hits


def in_json(text: str) -> list[Hit]:
    """Return the values of strong names in a JSON text, which need not be valid: it may hold template references."""
    hits: list[Hit] = []
    for match in _JSON_PAIR.finditer(text):
        if strength(match.group(1)) == STRONG:
            hits += whole(text, "body_field", match.group(1), *match.span(2))
    return hits


def under(text: str, name: str) -> list[Hit]:
    """Return the values that stand after ``name``, which is no secret's by itself: a policy says so."""
    spelled = re.sub(r"(?:\\[-_ ]|[-_ ])+", "[-_ ]", re.escape(name))
    hits: list[Hit] = []
    for match in re.finditer(rf"(?<![\w-]){spelled}(?![\w-])", text, re.IGNORECASE | re.ASCII):
        end = text.find("\n", match.end())
        line = slice(match.end(), None if end < 0 else end)
        if text[match.start() - 1 : match.start()] in ("", "\n") and text[line].lstrip().startswith(":"):
            hits += whole(text, "policy", name, text.index(":", match.end()) + 1, line.stop)
        else:
            hits += _after_name(text, match.end(), match.group(), SETTING)
    return hits


def whole(text: str, kind: str, name: str = "", start: int = 0, end: int | None = None) -> list[Hit]:
    """Return the whole value as one hit, unless it is blank, a reference or a placeholder."""
    span = bare(text, start, end)
    return [Hit(*span, kind, name)] if span and not is_placeholder(text[slice(*span)]) else []


def _at_keyword(text: str, match: re.Match[str], place: str) -> tuple[int, list[Hit]]:
    """Return where to go on, and what the name at a keyword names."""
    start, end = match.span()
    word = match.group()
    if _FOREIGN.fullmatch(word):
        return end, _after_name(text, end, text[start:end], place)
    while start and match.start() - start < 64 and text[start - 1] in _NAME:
        start -= 1
    end = _tail(text, end)
    name = text[start:end].lstrip("-$")
    if word in ("bearer", "basic") and len(name) == len(word):
        return end, _after_scheme(text, end, word)
    hits = _of_call(text, word, match.end())
    if word == "credential" or word == "login":
        hits += _pair_after(text, match.end())
    level = strength(name)
    if level == WEAK and name.lower() in ("key", "keys", "code", "pass") and text[start - 1 : start] == " ":
        level, name = _with_word_before(text, start, name, level)
    if word == "pin":
        level = NONE
    elif level == NONE and word != "identified by":
        return end, hits
    if text[start - 1 : start] in ("<", ":") and level == STRONG:
        hits += _of_element(text, end, name)
    is_option = text[start : start + 2] == "--"
    return end, hits + _after_name(text, end, name, place, level=level, is_option=is_option)


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


def _after_name(
    text: str, end: int, name: str, place: str, *, level: int = STRONG, is_option: bool = False
) -> list[Hit]:
    separator = _SEPARATOR.match(text, end)
    if separator is None:
        return []
    how = separator.lastgroup or ""
    first = separator.end()
    opening = _OPENING.match(text, first)
    span = _quoted(text, opening) if opening else _unquoted(text, first, how, name)
    if span is None:
        return []
    scheme = _SCHEME.match(text, *span)
    if scheme and scheme.end() == span[1] and not opening:
        return []
    if scheme and scheme.end() < span[1]:
        span = (scheme.end(), span[1])
    elif not opening and re.fullmatch(r"(?i)bearer|basic|token", text[slice(*span)]):
        return []  # what follows the scheme is found by the scheme
    value = text[slice(*span)]
    if is_placeholder(value) or value.lower() == name.lower():
        return []
    judged = _Judged(value=value, name=name, level=level, how=how, is_quoted=opening is not None, is_option=is_option)
    return [Hit(*span, "assigned_secret", name)] if _is_accepted(judged, place) else []


class _Judged(NamedTuple):
    value: str
    name: str
    level: int
    how: str
    is_quoted: bool
    is_option: bool


def _is_accepted(it: _Judged, place: str) -> bool:
    value = it.value
    if it.level == NONE:  # a PIN
        return value.isdigit() and 4 <= len(value) <= 12 and it.how != "blank"
    if it.level == WEAK:
        if not looks_random(value) or is_uuid(value) or it.how in ("spoken", "blank", "other"):
            return False
        return it.is_quoted or (place != CODE and len(value) >= 20)
    if it.is_option and it.how in ("blank", "assigned", "pair"):
        return not value.startswith("-") and not is_placeholder(value)
    if it.is_quoted:
        return _is_quoted_accepted(it, place)
    if it.how in ("pair", "other", "beside"):
        return it.how == "other" and looks_random(value)
    if it.how == "blank":
        return place != CODE and len(value) >= 6 and looks_like_password(value) and _has_both(value)
    if place == CODE:
        return looks_random(value) or (looks_like_password(value) and not value.isidentifier())
    if value.isdigit():
        return is_password_name(it.name) and len(value) >= 4
    return looks_like_password(value) or looks_random(value) or (value.count("-") >= 3 and is_plain_word(value))


def _is_quoted_accepted(it: _Judged, place: str) -> bool:
    value = it.value
    if it.how == "pair":
        return looks_random(value) or (len(value) >= 8 and looks_like_password(value))
    if place == SETTING and it.how in ("assigned", "beside") and " " not in value:
        return is_literal(value) and not re.match(r"\w{2,20}://", value)
    if looks_like_password(value) or looks_random(value):
        return True
    if value.isdigit():
        return len(value) >= 6
    return is_password_name(it.name) and is_plain_word(value)


def _has_both(value: str) -> bool:
    return any(char.isdigit() for char in value) and any(char.isalpha() for char in value)


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


def _after_scheme(text: str, end: int, scheme: str) -> list[Hit]:
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
    return (
        [Hit(start, start + len(value), "bearer" if scheme == "bearer" else "basic_auth", "authorization")]
        if good
        else []
    )


def _is_user_and_password(value: str) -> bool:
    try:
        plain = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(plain) >= 3 and b":" in plain and plain.isascii() and plain.decode().isprintable()


def _of_call(text: str, word: str, end: int) -> list[Hit]:
    """Return the secret that is handed to a call: ``auth=("bob", "…")``, ``login(…)``, ``hmac.new(b"…")``."""
    if word in ("auth", "login", "credential"):
        found = _LOGIN.match(text, end)
        if found and not is_placeholder(found.group(1)):
            return [Hit(*found.span(1), "basic_auth")]
    if word in ("hmac", "fernet", "b64encode", "btoa"):
        found = _CALL.match(text, end)
        if found:
            value = found.group(1)
            _, colon, password = value.partition(":")
            if word in ("b64encode", "btoa"):
                good = (
                    bool(colon) and " " not in value and looks_like_password(password) and not is_placeholder(password)
                )
            else:
                good = looks_like_password(value) and not is_placeholder(value)
            return [Hit(*found.span(1), "assigned_secret")] if good else []
    return []


def _pair_after(text: str, end: int) -> list[Hit]:
    """Return the password of ``credentials: admin / …``."""
    found = _LOGGED_IN.match(text, end)
    if found is None:
        return []
    value = found.group(1).rstrip(_STOPS)
    good = looks_like_password(value) and not is_placeholder(value)
    return [Hit(found.start(1), found.start(1) + len(value), "assigned_secret", "credentials")] if good else []


def _of_element(text: str, end: int, name: str) -> list[Hit]:
    """Return the content of an XML element with a secret's name."""
    found = _ELEMENT.match(text, end)
    if found is None:
        return []
    span = bare(text, *found.span(1))
    value = text[slice(*span)] if span else ""
    return [Hit(*span, "element", name)] if span and " " not in value and not is_placeholder(value) else []


def _in_queries(text: str, place: str) -> Iterator[Hit]:
    for match in _QUERY.finditer(text):
        name, value = match.groups()
        level = strength(name)
        if level == NONE or is_placeholder(value) or (name.lower() == "appid" and value.startswith("wx")):
            continue
        good = (
            looks_random(value) if level == WEAK else place == SETTING or looks_like_password(value) or len(value) >= 16
        )
        if good:
            yield Hit(*match.span(2), "query_parameter", name)


def _in_addresses(text: str, place: str) -> Iterator[Hit]:
    """Yield the user's password and the secret parts of the path of every address."""
    at = text.find("://")
    while at >= 0:
        found = _ADDRESS.match(text, at + 3)
        end = found.end() if found else at + 3
        if found:
            yield from _in_address(text, at + 3, end)
        at = text.find("://", end)


def _in_address(text: str, start: int, end: int) -> Iterator[Hit]:
    user = _USERINFO.match(text, start, end)
    if user:
        if user.group(2):
            if _is_given(user.group(2)):
                yield Hit(*user.span(2), "url_userinfo", "userinfo")
        elif looks_random(user.group(1)):
            yield Hit(*user.span(1), "url_userinfo", "userinfo")
        start = user.end()
    address = text[start:end]
    path = re.split(r"[?#]", address, maxsplit=1)[0]
    parts = path.split("/")
    if len(parts) < 2:
        return
    lowered = path.lower()
    is_hook = any(host in lowered for host in rules.HOOK_HOSTS)
    first = last = -1
    offset, named = start + len(parts[0]) + 1, False
    for part in parts[1:]:
        secret = _is_path_secret(part) if is_hook else named and looks_random(part) and not is_placeholder(part)
        if secret:
            first, last = (offset if first < 0 else first), offset + len(part)
        named = named or part.lower() in rules.HOOK_PARTS or part.lower().startswith("bot")
        offset += len(part) + 1
    if first >= 0:
        yield Hit(first, last, "hook_path", "path")


def _is_path_secret(part: str) -> bool:
    if len(part) < 6 or is_placeholder(part) or part.isdigit() or "{" in part:
        return False
    return looks_random(part) or (_has_both(part) and (len(part) >= 8 or part.isalnum()))


def _is_given(password: str) -> bool:
    return not is_placeholder(password) and not (password.isdigit() and len(password) <= 5)

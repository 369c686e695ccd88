"""Where the secrets are inside one text: formats, addresses, options of programs, names; lines of headers, JSON, forms.

A text is read as what it is: a *setting* (parameters, bodies, configuration: a value is given), *code*, or *prose*
(prompts, templates, descriptions), where a name is often only spoken of and the value must look like one. Each function
gives hits: the secret itself, without the name of its header, the word Bearer, or template references.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from difyops.dsl.secret_addresses import in_addresses, in_queries, is_given
from difyops.dsl.secret_names import SCHEME, after_name, in_names
from difyops.dsl.secret_shapes import is_of_a_thing
from difyops.dsl.suspicion import (
    NONE,
    PROSE,
    SETTING,
    STRONG,
    SuspicionHit,
    credentials,
    is_literal,
    is_mixed_password,
    is_odd,
    is_placeholder,
    is_strong_password,
    is_suspicious,
    is_uuid,
    strength,
)

_SHORTEST, _SHORT, _LONGER = 6, 120, 8192
_USER_OPTION = re.compile(
    r"""-(?<![\w-]-)(?:u|U|-user|-proxy-user)[ =]{0,2}\\{0,3}["']?[^\s:"'@/{}\\]{1,64}:([^\s"'{}\\\0]{1,200})"""
)
_PROGRAM = re.compile(
    r"""(?:\b(?:mysql|mysqldump|mysqladmin|mariadb)\b[^\n|;]{0,120}?\s-p|\bredis-cli\b[^\n|;]{0,120}?\s-a[ ]"""
    r"""|\bhttps?[ ][^\n|;:]{0,80}?(?:-a|--auth)[ =]["']?[^\s:"'@/]{1,64}:"""
    r"""|(?:\bsshpass|\b(?:docker|podman|az|oc|helm registry|cf)[ ]login)\b[^\n|;]{0,120}?\s-p[ ]?)"""
    r"""["']?([^\s"'\0-][^\s"'\0]{2,200})"""
)
_PROGRAMS = ("http -", "https -", "http --", "mysql", "mariadb", "redis-cli", "sshpass", " login")
_OPTION = re.compile(r"""(?<=[\s"'])-(?:[pPwWk]|pw|pass)[ \t]{1,3}["']?([^\s"'`\0\\]{8,64})""")
_AFTER_COLON = re.compile(r""":([^\s:"'`@/\0,;(){}\[\]<>+#\\][^\s:"'`@/\0,;(){}\[\]<>+\\]{7,63})(?![^\s"'`@,;)])""")
_USER = re.compile(r"(?:^|[^\w./-])([A-Za-z][\w.@-]{0,60})$")
_ORACLE = re.compile(r"""(?:jdbc:oracle:\w{2,6}:|\bsqlplus )[^\s/@"'{}]{1,64}/([^\s/@"'{}\0]{1,200})@""")
_JSON_PAIR = re.compile(r'"([^"\\]{1,100})"\s{0,8}:\s{0,8}"((?:[^"\\]|\\.)*)"')


def in_text(text: str, place: str = PROSE) -> list[SuspicionHit]:
    """Return everything in ``text`` that is a secret wherever it stands."""
    if len(text) < _SHORTEST:
        return []
    known = _in_short if len(text) <= _SHORT else _in_longer if len(text) <= _LONGER else _looked_through
    return list(known(text, place))


def _looked_through(text: str, place: str) -> list[SuspicionHit]:
    """Return what ``in_text`` finds."""
    hits = [SuspicionHit(*found) for found in credentials(text)]
    if "://" in text:
        hits += in_addresses(text)
    if "=" in text:
        hits += in_queries(text, place)
    if "jdbc:oracle:" in text or "sqlplus " in text:
        hits += [SuspicionHit(*found.span(1), "url_userinfo") for found in _ORACLE.finditer(text) if is_given(found[1])]
    if " -" in text or text.startswith("-"):
        hits += _in_options(text)
    if ":" in text:
        hits += _logins(text)
    return hits + in_names(text, place)


# Titles, types and names of models are the same in app after app; prompts and code in live version, draft and export.
_in_short = lru_cache(maxsize=16384)(_looked_through)
_in_longer = lru_cache(maxsize=1024)(_looked_through)


def forget() -> None:
    """Forget what was found in the texts seen so far; for measuring."""
    _in_short.cache_clear()
    _in_longer.cache_clear()


def bare(text: str, start: int = 0, end: int | None = None) -> tuple[int, int] | None:
    """Return where a value is without the blanks around it and the word Bearer, Basic or Token."""
    value = text[start:end]
    if not is_literal(value):
        return None
    first = start + len(value) - len(value.lstrip())
    last = start + len(value.rstrip())
    scheme = SCHEME.match(text, first, last)
    return (scheme.end() if scheme and scheme.end() < last else first, last)


def in_lines(text: str, kind: str) -> list[SuspicionHit]:
    """Return the secrets of a text with one ``Name:value`` on each line (headers, parameters, older form bodies)."""
    hits = in_text(text, SETTING)
    start = 0
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        end = start + len(line)
        is_header_key = kind == "header" and is_uuid(value.strip()) and not is_of_a_thing(name.strip())
        if colon and (is_header_key or is_suspicious(name.strip(), value.strip())):
            hits += whole(text, kind, name.strip(), end - len(value), end)
        start = end + 1
    return hits


def in_json(text: str) -> list[SuspicionHit]:
    """Return the values of strong names in a JSON text, which need not be valid: it may hold template references."""
    hits: list[SuspicionHit] = []
    for match in _JSON_PAIR.finditer(text):
        if strength(match.group(1)) == STRONG:
            hits += whole(text, "body_field", match.group(1), *match.span(2))
    return hits


def under(text: str, name: str) -> list[SuspicionHit]:
    """Return the values that stand after ``name``, which is no secret's by itself: a policy says so."""
    spelled = re.sub(r"(?:\\[-_ ]|[-_ ])+", "[-_ ]", re.escape(name))
    hits: list[SuspicionHit] = []
    for match in re.finditer(rf"(?<![\w-]){spelled}(?![\w-])", text, re.IGNORECASE | re.ASCII):
        end = text.find("\n", match.end())
        line = slice(match.end(), None if end < 0 else end)
        if text[match.start() - 1 : match.start()] in ("", "\n") and text[line].lstrip().startswith(":"):
            hits += whole(text, "policy", name, text.index(":", match.end()) + 1, line.stop)
        else:
            hits += after_name(text, match.end(), match.group(), SETTING)
    return hits


def whole(text: str, kind: str, name: str = "", start: int = 0, end: int | None = None) -> list[SuspicionHit]:
    """Return the whole value as one hit, unless it is blank, a reference or a placeholder."""
    span = bare(text, start, end)
    return [SuspicionHit(*span, kind, name)] if span and not is_placeholder(text[slice(*span)]) else []


def _in_options(text: str) -> list[SuspicionHit]:
    """Return the passwords that programs are given: ``curl -u bob:…``, ``mysql -p…``."""
    found = [*_USER_OPTION.finditer(text)] if "-u" in text or "-U" in text or "-user" in text else []
    if any(program in text for program in _PROGRAMS):
        found += _PROGRAM.finditer(text)
    odd = [match for match in _OPTION.finditer(text) if is_odd(match[1])]
    return [SuspicionHit(*match.span(1), "basic_auth") for match in (*found, *odd) if is_given(match.group(1))]


def _logins(text: str) -> Iterator[SuspicionHit]:
    """Yield the passwords of ``user:password``; what stands behind a field's name is judged by it."""
    for found in _AFTER_COLON.finditer(text):
        password = found[1]
        if is_placeholder(password) or not (is_mixed_password(password) or is_strong_password(password)):
            continue
        user = _USER.search(text[max(0, found.start() - 62) : found.start()])
        if user and strength(user[1]) == NONE and not is_of_a_thing(user[1]):
            yield SuspicionHit(*found.span(1), "basic_auth")

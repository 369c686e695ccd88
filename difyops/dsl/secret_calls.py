"""Secrets that are handed over: arguments of calls that sign, encrypt or connect, accounts in a table, a login said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from difyops.dsl.secret_shapes import is_of_a_thing
from difyops.dsl.suspicion import (
    CODE,
    SuspicionHit,
    is_odd,
    is_placeholder,
    is_uuid,
    looks_like_password,
    looks_random,
)

_LOGIN = re.compile(
    r"""[\"']?\s{0,4}[=:]?\s{0,4}[(\[]\s{0,4}b?["'][^"'\n\0]{0,100}["']\s{0,4},\s{0,4}b?["']([^"'\n\0]{1,200})["']"""
)
_ENCODED = re.compile(r"""\w{0,12}\(\s{0,4}b?["']([^"'\n\0:]{0,100}):([^"'\n\0]{1,200})["']""")
_LOGGED_IN = re.compile(
    r"""s?(?:[ \t]{1,3}(?:are|is))?[ \t]{0,3}[:：]?[ \t]{0,3}[^\s/:：]{1,64}[ \t]{0,2}[/:：][ \t]{0,2}([!-~]{4,200})"""
)
_CALL = re.compile(r"([a-z_][\w.]{1,60})\(|convertto-securestring[ \t]")
_OF_SECRETS = re.compile(  # the whole name of a call, in small letters
    r"(?:.*\.)?(?:jwt|hmac|aes|des3?|arc4|redis|keyring|fernet|ldap3?|chacha20\w*)(?:\..*)?"
    r"|(?:.*\.)?(?:\w*_)?(?:hmac|crypt|encrypt|decrypt|cipher|decipher|sign(?!al|ific)|login|log_in|signin|auth(?!or(?!iz))|connect|passw|pwd"
    r"|passphrase|credential|secret|bind|deriv|unlock|checkpw|securestring|pbkdf|comparesync|ftp|smtp|imap4|pop3|apikey|api_key"
    r"|pdo|mysqli|sha\d|md5|set_token|settoken|verify_pass)\w*"
    r"|.*(?:cipher(?:iv)?|hmac|signature|crypt|login|connection|connect|password|credentials|secret|apikey|authenticate)"
)
_MAPPING = re.compile(r"[:=]\s{0,3}([\[{(])")
_AROUND_NAME = "\"' \t\\"
_LONGEST_NAME = 24
_OF_ACCOUNTS = (
    "cred", "creds", "credential", "credentials", "users", "accounts", "login", "logins", "passwords", "tokens", "auth",
    "authentication", "authorization",
)  # fmt: skip
_OF_FIELDS = ("env", "headers")
_LITERAL = re.compile(r"""b?(["'])([^"'\s\0]{6,200})\1(?!\s{0,3}:)""")
_FIELD = re.compile(
    r"""(?i)(?<![\w-])(x-[a-z][\w-]{1,40})["'`]?\]?\s{0,3}(?:[:=,：]|\bto\b|\bis\b)\s{0,3}["'`]?([^\s"'`\0,;)}<\\]{8,400})"""
)
_NAMED = re.compile(r"""\\{0,3}["']([\w-]{1,60})\\{0,3}["']\s{0,3}:\s{0,3}\\{0,3}["']([^"'\s\0\\]{8,400})""")
_FIELDS = 800  # so many characters of a mapping are looked through
_CLOSING = {"[": "]", "{": "}", "(": ")"}
_PUBLIC_ARGUMENT = re.compile(  # algorithms, encodings, hosts
    r"(?i:(?:[hreps]{2}\d{3}|hmac|sha|md\d|aes|des|utf|rsa|ecdsa|pkcs|ascii|latin|base\d|blowfish|x509|ed\d|gcm|cbc)[\w./-]{0,40}"
    r"|[\w.-]{1,60}:\d{2,5}|(?:cn|dc|ou|uid)=.{0,200}|[^A-Za-z]{1,40})"
    r"|[a-z0-9_-]{1,60}(?:\.[a-z0-9_-]{1,60})*\.[a-z]{2,24}(?::\d{2,5})?"
)
_ARGUMENTS = 200  # so many characters of a call are looked through
_STOPS = ".,;:!?)]}*_、"


def of_call(text: str, name: str, end: int) -> Iterator[SuspicionHit]:
    """Yield the password that is handed over: ``auth=("bob", "…")``, ``login("bob", "…")``, ``b64encode(b"bob:…")``."""
    if text[end : end + 1] not in ("(", "=", ":", " "):
        return
    if any(word in name for word in ("auth", "login", "credential", "signin")):
        found = _LOGIN.match(text, end)
        if found and not is_placeholder(found[1]) and " " not in found[1]:
            yield SuspicionHit(*found.span(1), "basic_auth")
    elif name.endswith(("b64encode", "btoa", "from")):
        found = _ENCODED.match(text, end)
        if found and not is_placeholder(found[2]) and looks_like_password(found[2]):
            yield SuspicionHit(found.start(1), found.end(2), "basic_auth")


def handed_over(text: str, lowered: str) -> Iterator[SuspicionHit]:
    """Yield the literals that look secret in a call that encrypts, signs or connects."""
    for call in _CALL.finditer(lowered):
        if call[1] and not _takes_secret(call[1]):
            continue
        begin = call.end()
        end = text.find("\n\n", begin, begin + _ARGUMENTS)
        for found in _LITERAL.finditer(text, begin, begin + _ARGUMENTS if end < 0 else end):
            if text.count(")", begin, found.start()) > text.count("(", begin, found.start()):
                break
            value = found[2]
            if is_placeholder(value) or _PUBLIC_ARGUMENT.fullmatch(value):
                continue
            if value.islower() and value.isidentifier() and "_" in value:
                continue
            if is_uuid(value) or looks_random(value) or looks_like_password(value):
                yield SuspicionHit(*found.span(2), "argument", "argument")


def fields(text: str, lowered: str) -> Iterator[SuspicionHit]:
    """Yield what looks secret after the name of a header of one's own, ``X-…``, wherever it stands."""
    if "x-" in lowered:
        yield from (_header(found) for found in _FIELD.finditer(text) if _is_key(found[1], found[2]))


def in_mappings(text: str, lowered: str, place: str) -> Iterator[SuspicionHit]:
    """Yield what looks secret in lists and mappings of accounts, headers and variables."""
    for opening in _MAPPING.finditer(lowered):
        name = lowered[max(0, opening.start() - _LONGEST_NAME) : opening.start()].rstrip(_AROUND_NAME)
        if name.endswith(_OF_ACCOUNTS):
            yield from _of_accounts(text, opening, place)
        elif name.endswith(_OF_FIELDS) and opening[1] == "{":
            end = text.find("}", opening.end(), opening.end() + _FIELDS)
            for found in _NAMED.finditer(text, opening.end(), opening.end() + _FIELDS if end < 0 else end):
                if _is_key(found[1], found[2]):
                    yield _header(found)


def _header(found: re.Match[str]) -> SuspicionHit:
    return SuspicionHit(*found.span(2), "header", found[1])


def _is_key(name: str, value: str) -> bool:
    return is_odd(value) and "=" not in value and not is_of_a_thing(name)


def _of_accounts(text: str, opening: re.Match[str], place: str) -> Iterator[SuspicionHit]:
    """Yield the passwords of a list or mapping of accounts; outside code only what is written like nothing else."""
    begin, reach = opening.end(), opening.end() + _ARGUMENTS
    end = text.find(_CLOSING[opening[1]], begin, reach)
    if end > 0 and opening[1] == "[" and text.count("(", begin, end):
        end = text.find("])", begin, reach)
    for found in _LITERAL.finditer(text, begin, reach if end < 0 else end):
        value = found[2]
        if is_placeholder(value) or _PUBLIC_ARGUMENT.fullmatch(value):
            continue
        if is_odd(value) or (place == CODE and looks_like_password(value)):
            yield SuspicionHit(*found.span(2), "argument", "argument")


@lru_cache(maxsize=4096)
def _takes_secret(name: str) -> bool:
    """Return whether a call of this name encrypts, signs, connects or logs in."""
    return _OF_SECRETS.fullmatch(name) is not None


def logged_in(text: str, end: int) -> Iterator[SuspicionHit]:
    """Yield the password of ``credentials: admin / …``."""
    found = _LOGGED_IN.match(text, end)
    if found:
        value = found[1].rstrip(_STOPS)
        if looks_like_password(value) and not is_placeholder(value):
            last = found.start(1) + len(found[1].rstrip(".,;:)]}、"))
            yield SuspicionHit(found.start(1), last, "assigned_secret", "credentials")

"""What is written like nothing but a secret, whatever stands around it, in whatever language.

A long word that a machine made up, and a password with small letters, capitals, digits and marks. In public apps one
file of sixteen holds such a word, and nearly all of them are keys; so this costs next to nothing, and needs no list of
names. Ids, digests and versions are made by machines, too: what a name or an address calls so is left alone.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator
from functools import lru_cache

from difyops.dsl import secret_rules as rules
from difyops.dsl.runs import class_of, runs, words_with
from difyops.dsl.suspicion import SuspicionHit, is_placeholder, is_strong_password, is_uuid, looks_random

_LETTERS = string.ascii_letters + string.digits
_IN_WORD = class_of(_LETTERS + "_-+/=.~@#%")
_IN_PASSWORD = class_of(_LETTERS + "!@#$^*?~_.-+")
_MARKS = "!@#$^*?~+"
_BEFORE = frozenset("\"'`“‘「:：，。（(>/= \t\r\n\u3000\xa0")
_BEHIND = frozenset("\"'`”’」,;，。、)）< \t\r\n\u3000\xa0")
_QUOTES = frozenset("\"'`“‘「")
_SURE_MARKS = "!@#$^?~"  # the others are operators of a program as well
_NUMBER = re.compile(r"[\d.]+[eE][+-]?\d+")
_LOCALE = re.compile(r"[A-Za-z]{2}_[A-Za-z]{2}(?:\.[\w-]{2,12})?(?:@\w{2,12})?")
_WORD = re.compile(r"[A-Za-z0-9+/][\w\-+/=.~]{18,400}", re.ASCII)
_NAME_BEFORE = re.compile(r"""([\w-]{1,40})\\?["'`”]?[ \t]{0,3}[:=：]{1,2}[ \t]{0,3}\\?["'`“]?$""", re.ASCII)
_OF_A_THING = re.compile(
    r"(?i)(?:.*[\W_]|.*(?=[A-Z]))?(?:u?id|ids|guid|hash|digest|checksum|fingerprint|sha\d*|md5|etag|commit|revision|rev|version"
    r"|model|models|name|names|path|file|files|filename|folder|url|uri|href|link|src|image|ref|branch|tag|tags|class|voice|format"
    r"|base64|cursor|trace|span|nonce)",
)
_SPOKEN_ID = re.compile(r"(?i)(?:\bid|\bids|编号|账号|号码|番号)[\"'`]?[ \t]{0,3}[:：=]?(?:[ \t]{1,3}is)?[ \t]{0,3}$")
_STOPS = ".!?*_~-"  # marks of a sentence, or of Markdown
_REACH = 60
_LEAST, _LONGEST_PASSWORD = 19, 64
_DIGIT = re.compile(r"[0-9]")
_LONG = 20  # a shorter word has capitals, small letters and digits, or is none
_SHORTEST, _SHORT, _LONGER = 8, 120, 8192
_LONGEST_PATH = 40


def standing_alone(text: str, names: Iterable[str] = ()) -> Iterator[SuspicionHit]:
    """Yield what looks made by a machine, or by somebody for a password. ``names`` are those of the whole text."""
    if len(text) < _SHORTEST:
        return
    found = (_in_short if len(text) <= _SHORT else _in_longer if len(text) <= _LONGER else _found)(text)
    if found and not any(_is_of_a_thing(name) for name in names):
        yield from found


def _found(text: str) -> tuple[SuspicionHit, ...]:
    return (*_words(text), *_passwords(text))


# The same texts are in the live version, the draft and the export.
_in_short = lru_cache(maxsize=16384)(_found)
_in_longer = lru_cache(maxsize=1024)(_found)


def forget() -> None:
    """Forget what was found in the texts seen so far; for measuring."""
    _in_short.cache_clear()
    _in_longer.cache_clear()


def _words(text: str) -> Iterator[SuspicionHit]:
    for start, end in runs(text, _IN_WORD, _LEAST):
        if _WORD.fullmatch(text, start, end) is None or text[end : end + 1] in ("(", "{"):
            continue
        value = text[start:end] if text[end - 1] == "=" else text[start:end].rstrip(".-~")
        if ("/" in value and len(value) < _LONGEST_PATH) or (len(value) < _LONG and not _is_mixed(value)):
            continue
        if is_uuid(value) or not looks_random(value) or is_placeholder(value) or _is_named_thing(text, start):
            continue
        yield SuspicionHit(start, start + len(value), "generated")


def _passwords(text: str) -> Iterator[SuspicionHit]:
    for start, end in words_with(text, _IN_PASSWORD, _MARKS):
        if end - start < _SHORTEST or end - start > _LONGEST_PASSWORD or not _DIGIT.search(text, start, end):
            continue
        if (start and text[start - 1] not in _BEFORE) or (end < len(text) and text[end] not in _BEHIND):
            continue
        value = text[start:end].rstrip(_STOPS)
        if not is_strong_password(value) or not _is_mixed(value) or is_placeholder(value):
            continue
        is_quoted = start > 0 and text[start - 1] in _QUOTES
        if not _is_computed(value, is_quoted) and not _is_in_path(text, start):
            yield SuspicionHit(start, start + len(value), "generated")


def _is_computed(value: str, is_quoted: bool) -> bool:
    """Return whether a word is a sum, a power, a number or a locale and no password."""
    if not is_quoted and not any(mark in value for mark in _SURE_MARKS):
        return True
    return _NUMBER.fullmatch(value) is not None or _LOCALE.fullmatch(value) is not None


def _is_in_path(text: str, start: int) -> bool:
    """Return whether a word that follows a slash is a part of a longer path."""
    if text[start - 1 : start] != "/":
        return False
    before = text[max(0, start - _REACH) : start - 1]
    return "/" in re.split(r"[\s\"'<>()]", before)[-1]


def _is_mixed(value: str) -> bool:
    """Return whether a word has small letters, capitals and digits."""
    return value.lower() != value and value.upper() != value and any(map(str.isdigit, value))


def _is_named_thing(text: str, start: int) -> bool:
    """Return whether what stands before a word calls it an id, a digest, a version; or it is part of an address."""
    before = text[max(0, start - _REACH) : start]
    if "://" in before and not re.search(r"[\s\"'<>()]", before.rpartition("://")[2]):
        return True
    named = _NAME_BEFORE.search(before)
    return (named is not None and _is_of_a_thing(named[1])) or _SPOKEN_ID.search(before) is not None


def _is_of_a_thing(name: str) -> bool:
    joined = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).lower()
    return joined in rules.PUBLIC_NAMES or _OF_A_THING.fullmatch(joined) is not None

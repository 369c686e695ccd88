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
from difyops.dsl.suspicion import (
    SuspicionHit,
    is_placeholder,
    is_short_random,
    is_strong_password,
    is_uuid,
    looks_random,
)

_LETTERS = string.ascii_letters + string.digits
_IN_WORD = class_of(_LETTERS + "_-+/=.~@#%")
_IN_SHORT = class_of(_LETTERS)
_IN_PRODUCT_KEY = class_of(string.ascii_uppercase + string.digits + "-")
_IN_PASSWORD = class_of(_LETTERS + "!@#$%&^*?~_.-+")
_MARKS = "!@#$%&^*?~+"
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
_CHOSEN = re.compile(r"[a-z]{4,12}\d{3,4}[!#$&*@]{1,2}|[a-z]{3,12}[!#$][a-z]{1,12}\d{1,4}|[a-z]{6,12}[!#$]\d{2,4}")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}.*%[0-9A-Fa-f]{2}|&[a-z]{2,6}$|&#\d")
_REACH = 60
_LEAST, _LONGEST_PASSWORD = 19, 64
_DIGIT = re.compile(r"[0-9]")
_LONG = 20  # a shorter word has capitals, small letters and digits, or is none
_SHORTEST, _SHORT, _LONGER = 8, 120, 8192
_LONGEST_PATH = 40
_LEAST_SHORT, _LONGEST_NAME, _SHORTEST_PRODUCT_KEY = 8, 15, 14
_UNLIKE_A_NAME = re.compile(r"[a-z][A-Z]{2}|[A-Z]{3}[a-z]|[0-9][A-Za-z]+[0-9]|[A-Z][a-z][A-Z]|[a-z][0-9][A-Za-z]")


def standing_alone(text: str, names: Iterable[str] = ()) -> Iterator[SuspicionHit]:
    """Yield what looks made by a machine, or by somebody for a password. ``names`` are those of the whole text."""
    if len(text) < _SHORTEST:
        return
    found = (_in_short if len(text) <= _SHORT else _in_longer if len(text) <= _LONGER else _found)(text)
    if found and not any(is_of_a_thing(name) for name in names):
        yield from found


def _found(text: str) -> tuple[SuspicionHit, ...]:
    if _DIGIT.search(text) is None:
        return (*_words(text),)
    return (*_words(text), *_passwords(text), *_short_words(text), *_product_keys(text))


# The same texts are in the live version, the draft and the export.
_in_short = lru_cache(maxsize=16384)(_found)
_in_longer = lru_cache(maxsize=1024)(_found)


def forget() -> None:
    """Forget what was found in the texts seen so far; for measuring."""
    _in_short.cache_clear()
    _in_longer.cache_clear()


def _words(text: str) -> Iterator[SuspicionHit]:
    for start, end in runs(text, _IN_WORD, _LEAST):
        while text[start] in "-_.~@#%=" and end - start > _LEAST:  # an option: ``-p…``, ``--token=…`` is named
            start += 1
        if _WORD.fullmatch(text, start, end) is None or text[end : end + 1] in ("(", "{"):
            continue
        value = text[start:end] if text[end - 1] == "=" else text[start:end].rstrip(".-~")
        if ("/" in value and len(value) < _LONGEST_PATH and not _is_no_path(value)) or (
            len(value) < _LONG and not _is_mixed(value)
        ):
            continue
        if is_uuid(value) or not looks_random(value) or is_placeholder(value) or _is_named_thing(text, start):
            continue
        yield SuspicionHit(start, start + len(value), "generated")


def _is_no_path(value: str) -> bool:
    """Return whether a word with slashes is no path: one long part or every part is mixed as no name is."""
    parts = [part for part in value.strip("/").split("/") if len(part) > 4]
    longest = max(parts, key=len, default="")
    if len(longest) > _LONGEST_NAME and _is_mixed(longest) and looks_random(longest):
        return True
    return len(value) >= _LEAST and bool(parts) and all(_UNLIKE_A_NAME.search(part) for part in parts)


def _short_words(text: str) -> Iterator[SuspicionHit]:
    for start, end in runs(text, _IN_SHORT, _LEAST_SHORT):
        if end - start > _LEAST or not _DIGIT.search(text, start, end):
            continue
        first = start + 1 if text[max(0, start - 1) : start + 1] in ("-p", "-P") else start  # mysql -p…
        before = text[start - 1 : start] if first == start else text[start - 2 : start - 1]
        if (before and before not in _BEFORE) or (end < len(text) and text[end] not in _BEHIND):
            continue
        value = text[first:end]
        if is_short_random(value) and not is_placeholder(value) and not _is_named_thing(text, start):
            yield SuspicionHit(first, end, "generated")


def _product_keys(text: str) -> Iterator[SuspicionHit]:
    if "-" not in text:
        return
    for start, end in runs(text, _IN_PRODUCT_KEY, _SHORTEST_PRODUCT_KEY):
        value = text[start:end]
        groups = value.split("-")
        if len(groups) < 3 or not 4 <= len(groups[0]) <= 6 or any(len(group) != len(groups[0]) for group in groups):
            continue
        digits = len(_DIGIT.findall(value))
        is_alone = not (start and text[start - 1].isalnum()) and not text[end : end + 1].isalnum()
        if is_alone and 2 <= digits < len(value) - len(groups) - 2 and not is_placeholder(value):
            yield SuspicionHit(start, end, "generated")


def _passwords(text: str) -> Iterator[SuspicionHit]:
    for start, end in words_with(text, _IN_PASSWORD, _MARKS):
        if end - start < _SHORTEST or end - start > _LONGEST_PASSWORD or not _DIGIT.search(text, start, end):
            continue
        if (start and text[start - 1] not in _BEFORE) or (end < len(text) and text[end] not in _BEHIND):
            continue
        while end - start > _SHORTEST and text[start] == text[end - 1] and text[start] in "*_~":
            start, end = start + 1, end - 1  # of Markdown
        value = text[start:end].rstrip(".~-")
        if not _is_password(value) or is_placeholder(value):
            continue
        is_given = (start > 0 and text[start - 1] in _QUOTES) or text[max(0, start - 4) : start].rstrip(" ").endswith(
            (":", "：")
        )
        if not _is_computed(value, is_given or end - start == len(text)) and not _is_in_path(text, start):
            yield SuspicionHit(start, start + len(value), "generated")


def _is_password(value: str) -> bool:
    """Return whether a word is written like a password; a mark at its end may be that of a sentence."""
    if _CHOSEN.fullmatch(value):
        return True
    bare = value.rstrip(_STOPS)
    if not _is_mixed(bare) or _ENCODED.search(value):
        return False
    return is_strong_password(bare) or (is_strong_password(value) and len(_DIGIT.findall(value)) > 1)


def _is_computed(value: str, is_given: bool) -> bool:
    """Return whether a word is a sum, a power, a number or a locale and no password."""
    if not is_given and not any(mark in value for mark in _SURE_MARKS):
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
    return (named is not None and is_of_a_thing(named[1])) or _SPOKEN_ID.search(before) is not None


def is_of_a_thing(name: str) -> bool:
    """Return whether a name is that of an id, a digest, a version or a file, which anybody may see."""
    joined = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).lower()
    return joined in rules.PUBLIC_NAMES or _OF_A_THING.fullmatch(joined) is not None

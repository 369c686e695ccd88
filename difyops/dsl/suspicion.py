"""What looks like a secret: by the name of its field, or by its own shape. The words and formats are ``secret_rules``.

Names come in two strengths. A *strong* name (``api_key``, ``clientSecret``) says it alone; a *weak* one (``key``,
``sig``) needs a value that looks generated. Values are placeholders, plain words, like a password, or random. Deciding
where to look is for ``secret_places``.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from difyops.dsl import foreign_names
from difyops.dsl import secret_rules as rules
from difyops.dsl.model import word_set
from difyops.dsl.runs import class_of, runs

NONE, WEAK, STRONG = 0, 1, 2
SETTING: Final = "setting"
CODE: Final = "code"
PROSE: Final = "prose"
HIDDEN = "[__HIDDEN__]"

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_FOREIGN = re.compile(foreign_names.NAMES, re.I)
_SUSPICIOUS = re.compile(
    r"token|secret|key|passw|passphrase|pwd|auth|credential|cookie|session|signature|\bsig\b|\bsign\b|\bcode\b", re.I
)
_BENIGN = re.compile(
    r"keyword|author(?!iz)|authority|max.?tokens?|token.?(count|limit|type|usage)|key.?(id|name|type)$|auth.?type", re.I
)
_NOT_VALUES = word_set(
    "none null true false string number integer boolean object array basic bearer oauth oauth2 api-key api_key apikey"
    " custom no-auth noauth default required optional enabled disabled constant variable mixed text secret-input"
    " text-input select"
)
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}|\x01+")
_TO_VARIABLE = re.compile(r"\{\{[ \t]{0,4}#?[\w.\- ]{1,100}#?[ \t]{0,4}\}\}")
_REFERENCE = re.compile(r"""\{\{[^{}]*\}\}|\{%[^{}%]*%\}|\$\{[^{}]*\}|\{[A-Za-z_][\w.\[\]()'"]*\}|%s|%\(\w{1,40}\)s""")
_SCHEME = re.compile(r"(?i)(?:bearer|basic|token|apikey|api-key|bot|key)(?=\s|$|\{)")
_MASKED = re.compile(r"\*{8}")
_MARKED = re.compile(r"<difyops:(?:secret|sealed:[0-9a-f]{8}:[0-9a-f]{32})>")
_PLACEHOLDER = re.compile(rules.PLACEHOLDER)
_LETTERS = re.compile(r"[^\W\d_]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_GENERATED = re.compile(r"[\w\-+/=.~:%!@#$^*]+", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{16,}|[0-9A-F]{16,}")
_NO_PASSWORD = re.compile(
    r"(?i)[a-z][a-z0-9+.-]{1,20}://.*|\.{0,2}/.*|[a-z]:\\.*|[\w-]{1,40}\.(?:py|js|ts|json|ya?ml|txt|md|html?|csv|xlsx?|pdf|png|jpe?g)"
    r"|v?\d+(?:\.\d+)+|\d+(?:[.,]\d+)?\s?[a-z%]{0,3}|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,24}"
    r"|(?=.{3,7}$)(?:[a-z]{2,6}[-_ ]?\d|[a-z]{2,4}[-_ ]?\d\d)"
    r"|(?![A-Z]?[a-z]{0,20}[013457][a-z]|.*\d\d$)[a-z_]\w*(?:\.[a-z_]\w*)+|#[0-9a-f]{3,8}"
)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LONGEST_PIECE = 3  # characters on average between changes of case or to a digit; words are longer
_IN_LONG_WORD = class_of(string.ascii_letters + string.digits + "_.:~/+$=-")  # no format has another character
_SHORTEST_FORMAT = 14
_MARKS = re.compile(r"[!@#$%^&*+=?~]")
_DIGIT = re.compile(r"[0-9]")
_DIGITS = re.compile(r"[0-9]+")
_ODD = re.compile(r"[!@#$%^&*+=?~_.-]|[a-z][0-9][a-z]")
_VERSIONED = re.compile(
    r"[A-Za-z]+(?:[-_ ][A-Za-z]+)*[-_ ]?v?\d{1,2}(?:\.\d+)+.*"
    r"|[A-Z][a-z]+\d{1,2}|[A-Z]+[-_]\d+(?:[-_]\d+)*"
)
_PIECE = re.compile(r"[A-Z]+|[a-z]+|[0-9]+")
_MIXED = re.compile(
    r"[a-z]{2,10}[-_][\w-]*[A-Z][\w-]*", re.ASCII
)  # a key of letters alone, after what its provider begins with
_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+=])([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])")
_AWS_IDS = ("AKIA", "ASIA")  # one in thirty has no digit
_CONSONANTS = re.compile(r"[b-df-hj-np-tv-xz]{7}", re.I)  # words of no language run so
_BASE32 = re.compile(r"(?=[^2-7]{0,12}[2-7])(?=.{0,20}[B-DF-HJ-NP-TV-XZ2-7]{5})[A-Z2-7]{16,64}={0,6}")
_CHOSEN = re.compile(r"[A-Z]?[a-z]+[!@#$%&*+]\d{3,6}[!?]?|[A-Z][a-z]+\d{2,6}[!@#$%&*]")
_SEED = re.compile(r"(?=[A-Z]*[2-7][A-Z]*[2-7])[A-Z2-7]{16,64}")
_CAP = 256  # of a value this much is looked at when it is judged

_FORMAT = "|".join(f"(?P<{item.kind}>{item.pattern})" for item in rules.FORMATS)
_RANDOM_ONLY = frozenset(item.kind for item in rules.FORMATS if item.random)


class SuspicionHit(NamedTuple):
    """One secret inside a text; ``name`` is what named it, if anything did."""

    start: int
    end: int
    kind: str
    name: str = ""


@lru_cache(maxsize=1)
def _formats() -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?=[A-Za-z0-9])(?:{_FORMAT})", re.ASCII)


@lru_cache(maxsize=1)
def _private_keys() -> re.Pattern[str]:
    return re.compile(rules.PRIVATE_KEY)


@lru_cache(maxsize=16384)
def strength(name: str) -> int:
    """Return how much a field's name says: ``STRONG`` for ``api_key``, ``WEAK`` for ``key``, else ``NONE``."""
    words = [word.lower() for word in _WORD.findall(name)]
    while len(words) > 1 and (words[-1] in rules.NAME_TAILS or words[-1].isdigit() or words[-1] == "x"):
        words.pop()
    if _FOREIGN.search(name):
        return STRONG
    if not words or _is_public("_".join(words), name):
        return NONE
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last in ("token", "tokens"):
        if before in rules.NOT_TOKENS:
            return NONE
        return STRONG if last == "token" or before in rules.KEY_OWNERS else WEAK
    if last in ("key", "keys"):
        if before in rules.KEY_OWNERS:
            return STRONG
        return NONE if before in rules.NOT_KEYS else WEAK
    if last in rules.SECRET_WORDS or (last == "pass" and before) or (last == "code" and before in rules.CODE_OWNERS):
        return STRONG
    if last.endswith(rules.SECRET_TAILS) and last not in rules.NOT_SECRETS:
        head = last.removesuffix("token")
        return NONE if head in rules.NOT_TOKENS else STRONG
    return WEAK if last in rules.WEAK_WORDS or last.endswith("key") else NONE


def is_secret_name(name: str) -> bool:
    """Return whether a field of this name holds a secret: ``api_key`` and ``authToken``, not ``max_tokens``."""
    return strength(name) == STRONG


def is_password_name(name: str) -> bool:
    """Return whether a plain word is enough for a value of this name."""
    words = [word.lower() for word in _WORD.findall(name)] or [""]
    return words[-1] in rules.PASSWORD_WORDS or words[-1].endswith(("password", "passwd", "secret"))


def is_suspicious(name: str, value: str) -> bool:
    """Return whether a header, parameter or form field holds a secret; weak names need a random-looking value."""
    level = strength(name)
    if level == STRONG or (level == NONE and _is_public(_joined(name), name)):
        return level == STRONG
    if level == WEAK:
        return looks_random(value) or is_mixed_password(value) or is_strong_password(value)
    words = _joined(name).split("_")
    if words[-1] in ("key", "keys") or not _SUSPICIOUS.search(name) or _BENIGN.search(name):
        return False
    return looks_random(value)


def is_literal(value: str) -> bool:
    """Return whether ``value`` is something somebody typed in: not blank, a template reference or a type word."""
    rest = _TEMPLATE.sub("", value) if "{{" in value or "\x01" in value else value
    if not rest.strip():
        return False
    if rest != value and not re.search(r"\w", _SCHEME.sub("", rest)):
        return False
    return value.strip().lower() not in _NOT_VALUES


def is_placeholder(value: str) -> bool:
    """Return whether ``value`` stands for a secret that is elsewhere: ``your-api-key``, ``{{#env.X#}}``, ``xxx``."""
    value = value.strip()[:_CAP]
    value = value.replace("\x01", "")
    if "{" in value or "%" in value:
        value = _REFERENCE.sub("", value).strip()
    if not value or "\0" in value or _PLACEHOLDER.fullmatch(value):
        return True
    letters = _LETTERS.findall(value)
    if len(letters) == 1 and _CHOSEN.fullmatch(value):  # Admin@486: somebody's password, however weak
        return False
    return bool(letters) and all(_is_word(part) for part in letters)


def is_clear(value: str) -> bool:
    """Return whether ``value`` is the real thing, not blank and not a server's mask (stars, ``[__HIDDEN__]``)."""
    return bool(value.strip()) and value != HIDDEN and not _MASKED.search(value)


def without_references(text: str) -> str:
    """Return ``text``, as long as it is, with NUL for the markers of what is cut already, and with the control
    character 1 for what refers to a variable.
    """
    if "<difyops:" in text:
        text = _MARKED.sub(lambda found: "\0" * len(found.group()), text)
    return _TO_VARIABLE.sub(lambda found: "\x01" * len(found.group()), text) if "{{" in text else text


def credentials(value: str) -> list[tuple[int, int, str]]:
    """Return start, end and kind of everything in ``value`` that has the format of a known credential."""
    found = []
    for start, end in runs(value, _IN_LONG_WORD, _SHORTEST_FORMAT):
        if (
            end - start < 40
            and not _DIGIT.search(value, start, end)
            and not _MIXED.fullmatch(value, start, end)
            and not value.startswith(_AWS_IDS, start)
        ):
            continue
        for match in _formats().finditer(value, start, end):
            kind, text = str(match.lastgroup), match.group()
            if not is_placeholder(text) and (kind not in _RANDOM_ONLY or looks_random(text)):
                found.append((match.start(), match.end(), kind))
                if kind == "aws_key_id":
                    secret = _AWS_SECRET.search(value, match.end(), match.end() + 100)
                    found += [(*secret.span(1), "aws_secret")] if secret else []
    if "PRIVATE KEY" in value:
        found += [(*match.span(), "private_key") for match in _private_keys().finditer(value)]
    if "://" in value:
        found += [
            (*match.span(1), "password_in_url")
            for match in _USERINFO.finditer(value)
            if not is_placeholder(match.group(1))
        ]
    return sorted(found)


_USERINFO = re.compile(r"(?<=://)[^\s:/@{}\"'<>\0]{0,100}:([^\s/{}\"'<>\0]{1,200})@(?=[\w\[])")


def looks_random(value: str) -> bool:
    """Return whether ``value`` looks generated: at least 12 characters, one word, letters and digits mixed well."""
    value = value[:_CAP]
    if len(value) < 12 or not _GENERATED.fullmatch(value):
        return False
    if _UUID.fullmatch(value):
        return True
    if _BASE32.fullmatch(value) or (len(value) % 8 == 0 and _SEED.fullmatch(value)):
        return True
    plain = "".join(char for char in value if char.isalnum())
    if len(value) >= 20 and plain == value and len(_DIGITS.findall(value)) >= 3 and not value.isdigit():
        return True
    if not has_both(plain):
        return _is_random_letters(value)
    if any(_HEX.fullmatch(part) for part in re.split(r"[\W_]+", value) if has_both(part)):
        return True
    return len(plain) <= _LONGEST_PIECE * len(_WORD.findall(plain)) and entropy(value) >= 2.8


def is_short_random(value: str) -> bool:
    """Return whether a word of letters and digits is too mixed for a word with a number: ``aB3xK9pQ27``."""
    if not 8 <= len(value) <= 24 or value.lower() == value or value.upper() == value:
        return False
    digits = len(_DIGIT.findall(value))
    pieces = _PIECE.findall(value)
    return digits >= 3 and len(pieces) >= 4 and len(value) <= _LONGEST_PIECE * len(pieces) and value.isalnum()


def is_uuid(value: str) -> bool:
    """Return whether ``value`` is a UUID and nothing else."""
    return bool(_UUID.fullmatch(value))


def looks_like_password(value: str) -> bool:
    """Return whether ``value`` is more than words, numbers, names and addresses: ``hunter2``, ``Wq7!zeta``."""
    value = value.strip()[:_CAP]
    if len(value) < 4 or " " in value or _CJK.search(value) or _NO_PASSWORD.fullmatch(value) or _is_expression(value):
        return looks_random(value)
    if not _LETTERS.search(value):
        return False
    return bool(_DIGIT.search(value)) or (len(value) >= 6 and bool(_MARKS.search(value)))


def is_strong_password(value: str) -> bool:
    """Return whether nothing but a password is written so: letters, digits and a mark like ``!`` in one word."""
    return (
        8 <= len(value) <= 64
        and has_both(value)
        and _MARKS.search(value) is not None
        and looks_like_password(value)
        and "://" not in value
    )


def is_mixed_password(value: str) -> bool:
    """Return whether a word has small letters, capitals and two digits or a mark, and is no name with a version.

    Beside a name that only hints at a secret this is enough: nothing else that stands there is written so.
    """
    if not 8 <= len(value) <= 64 or value.lower() == value or value.upper() == value or _VERSIONED.fullmatch(value):
        return False
    digits = len(_DIGIT.findall(value))
    return (digits >= 2 or (digits == 1 and _ODD.search(value) is not None)) and looks_like_password(value)


def is_odd(value: str) -> bool:
    """Return whether a value is mixed as no name and no word is: beside a weak name this is enough."""
    is_secret = looks_random(value) or is_mixed_password(value) or is_strong_password(value)
    return is_secret and not is_placeholder(value)


def _is_expression(value: str) -> bool:
    """Return whether a value is a call or a subscript: ``get("token1")``, ``row[3]``."""
    return ("(" in value and ")" in value) or ("[" in value and "]" in value)


def has_both(value: str) -> bool:
    """Return whether ``value`` has a letter and a digit."""
    return bool(_DIGIT.search(value) and _LETTERS.search(value))


def is_plain_word(value: str) -> bool:
    """Return whether ``value`` is one word, or several joined by ``-``, none of which is usual beside secrets."""
    parts = re.split(r"[-_]", value[:_CAP])
    return all(part.isalpha() and part.isascii() and not _is_word(part) for part in parts) and len(value) >= 6


def entropy(value: str) -> float:
    """Return the Shannon entropy of ``value`` in bits per character; 0 for an empty one."""
    total = len(value)
    return -sum(count / total * math.log2(count / total) for count in Counter(value).values()) if total else 0.0


def _is_word(part: str) -> bool:
    return part.lower() in rules.PLACEHOLDER_WORDS or all(
        word.lower() in rules.PLACEHOLDER_WORDS for word in _WORD.findall(part) or [part]
    )


def _joined(name: str) -> str:
    return "_".join(word.lower() for word in _WORD.findall(name))


def _is_public(joined: str, name: str) -> bool:
    """Return whether a name is that of a public id; a header of the same words (``X-App-Token``) is not."""
    return joined in rules.PUBLIC_NAMES and "-" not in name


def _is_random_letters(value: str) -> bool:
    """Return whether a long word without digits is none: no word is that long, or changes its case so often."""
    if not value.isalpha():
        return False
    if value.islower() or value.isupper():
        return len(value) >= 32
    if len(value) >= 20 and _changes(list(value)) / len(value) >= 0.42:
        return True
    if len(value) < 16:
        return False
    if len(value) < _LONGEST_PIECE * len(_WORD.findall(value)):
        return True
    run = _CONSONANTS.search(value)  # of capitals it may be XMLRPC
    return run is not None and sum(map(str.islower, run[0])) >= 3


def _changes(letters: list[str]) -> int:
    kinds = [0 if char.isdigit() else 1 if char.islower() else 2 for char in letters]
    return sum(one != two for one, two in pairwise(kinds))

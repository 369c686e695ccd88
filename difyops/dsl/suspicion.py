"""What looks like a secret: by the name of its field, or by its own shape.

Names come in two strengths. A *secret name* (``api_key``, ``clientSecret``) says it alone. A *suspicious name* is
enough only where secrets are usual: HTTP headers, query parameters, form fields. Values are judged by known credential
formats. Deciding where to look, and what to do about it, is for ``secrets`` and ``scan``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache

from difyops.dsl.model import word_set

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = word_set(
    "token secret password passwd passphrase passcode pwd apikey apitoken apisecret appsecret accesskey accesstoken"
    " secretkey privatekey clientsecret authtoken authkey refreshtoken bearertoken sessiontoken jwt bearer auth"
    " authorization credential credentials cookie secrets passwords"
)
_KEY_OWNERS = word_set(
    "api access secret private auth app subscription encryption encrypt signing service master account admin server"
    " client license shared storage webhook hmac aes rsa ssh ssl user openai anthropic serper tavily google azure"
    " consumer functions function ocp"
)
_NOT_TOKENS = word_set(
    "max min per next prev previous page stop eos bos pad unk sep mask cls special separator continuation sync first"
    " last start end total input output prompt completion image audio count csrf new delete id"
)
_NOT_KEYS = word_set(
    "idempotency sort primary foreign partition cache object group row column index dict map routing lookup public"
    " label field unique item parent order surrogate websocket file name data"
)
_TAILS = frozenset({"value", "values", "string", "str", "plaintext"})
_CHINESE = re.compile("密码|密钥|秘钥|口令|令牌")
_SUSPICIOUS = re.compile(
    r"token|secret|key|passw|passphrase|pwd|auth|credential|cookie|session|signature|\bsig\b|\bsign\b|\bcode\b", re.I
)
_WEAK = frozenset({"key", "sig", "sign", "signature", "session", "code", "keys"})
_BENIGN = re.compile(
    r"keyword|author(?!iz)|authority|max.?tokens?|token.?(count|limit|type|usage)|key.?(id|name|type)$|auth.?type", re.I
)
_NOT_VALUES = word_set(
    "none null true false string number integer boolean object array basic bearer oauth oauth2 api-key api_key apikey"
    " custom no-auth noauth default required optional enabled disabled constant variable mixed text secret-input"
    " text-input select"
)
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_SCHEME = re.compile(r"(?i)(?:bearer|basic|token|apikey|api-key|bot|key)(?=\s|$|\{)")
_MASKED = re.compile(r"\*{8}")
HIDDEN = "[__HIDDEN__]"

# Each credential format has a group name (the kind), and literals one of which any match contains.
_FORMATS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("anthropic_key", r"\bsk-ant-[\w-]{16,}", ("sk-ant-",)),
    ("openai_key", r"(?<![\w-])sk-(?=[\w-]*[0-9A-Z])[\w-]{20,}", ("sk-",)),
    ("stripe_key", r"\b[sr]k_(?:live|test)_\w{16,}", ("k_live_", "k_test_")),
    ("github_token", r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})", ("gh", "github_pat_")),
    ("gitlab_token", r"\bglpat-[\w-]{16,}", ("glpat-",)),
    ("huggingface_token", r"\bhf_[A-Za-z0-9]{20,}", ("hf_",)),
    ("slack_token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}", ("xox",)),
    ("slack_webhook", r"https://hooks\.slack\.com/(?:services|workflows)/[\w/-]{12,}", ("hooks.slack.com",)),
    ("aws_key_id", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", ("AKIA", "ASIA")),
    ("google_key", r"\bAIza[\w-]{30,}", ("AIza",)),
    ("sendgrid_key", r"\bSG\.[\w-]{16,}\.[\w-]{16,}", ("SG.",)),
    ("telegram_token", r"(?<!\d)\d{8,10}:AA[\w-]{30,}", (":AA",)),
    ("groq_key", r"\bgsk_[A-Za-z0-9]{20,}", ("gsk_",)),
    ("tavily_key", r"\btvly-[\w-]{16,}", ("tvly-",)),
    ("npm_token", r"\bnpm_[A-Za-z0-9]{30,}", ("npm_",)),
    ("dify_token", r"\bdfo[ae]_[\w-]{16,}", ("dfoa_", "dfoe_")),
    ("dify_key", r"(?<![\w-])(?:app|dataset)-(?=\w*[0-9A-Z])[A-Za-z0-9]{24}(?![\w-])", ("app-", "dataset-")),
    ("jwt", r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,}", ("eyJ",)),
    (
        "private_key",
        r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:[\w+/=\s\\]*-----END [A-Z ]{0,20}PRIVATE KEY-----|[\w+/=\s\\]*)",
        ("PRIVATE KEY-----",),
    ),
    ("password_in_url", r"(?<=://)[^\s:/@{}\"']{0,100}:(?P<inner>[^\s:/@{}\"'<>]{1,200})@", ("://",)),
)
CREDENTIAL = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern, _ in _FORMATS))
LITERALS = tuple(sorted({literal for *_, literals in _FORMATS for literal in literals}))


@lru_cache(maxsize=8192)
def is_secret_name(name: str) -> bool:
    """Return whether a field of this name holds a secret: ``api_key`` and ``authToken``, not ``max_tokens``."""
    words = [word.lower() for word in _WORD.findall(name)]
    while len(words) > 1 and (words[-1] in _TAILS or words[-1].isdigit()):
        words.pop()
    if not words:
        return bool(_CHINESE.search(name))
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last == "token":
        return before not in _NOT_TOKENS
    if last in ("key", "keys"):
        return before in _KEY_OWNERS
    return last in _SECRET_WORDS or (last == "pass" and bool(before)) or bool(_CHINESE.search(name))


def is_suspicious(name: str, value: str) -> bool:
    """Return whether a header, parameter or form field holds a secret; weak names need a random-looking value."""
    if is_secret_name(name):
        return True
    if not _SUSPICIOUS.search(name) or _BENIGN.search(name):
        return False
    words = [word.lower() for word in _WORD.findall(name)] or [""]
    if words[-1] in _WEAK or words[-1].endswith("tokens"):
        return not (len(words) > 1 and words[-2] in _NOT_KEYS) and looks_random(value)
    return not value.isdigit()


def is_literal(value: str) -> bool:
    """Return whether ``value`` is something somebody typed in: not blank, a template reference or a type word."""
    rest = _TEMPLATE.sub("", value)
    if not rest.strip():
        return False
    if rest != value and not re.search(r"\w", _SCHEME.sub("", rest)):
        return False
    return value.strip().lower() not in _NOT_VALUES


def is_clear(value: str) -> bool:
    """Return whether ``value`` is the real thing, not blank and not a server's mask (stars, ``[__HIDDEN__]``)."""
    return bool(value.strip()) and value != HIDDEN and not _MASKED.search(value)


def credentials(value: str) -> list[tuple[int, int, str]]:
    """Return start, end and kind of everything in ``value`` that has the format of a known credential."""
    if not any(literal in value for literal in LITERALS):
        return []
    found = []
    for match in CREDENTIAL.finditer(value):
        kind = match.lastgroup if match.lastgroup != "inner" else "password_in_url"
        start, end = match.span("inner") if match.group("inner") is not None else match.span()
        found.append((start, end, str(kind)))
    return found


def looks_random(value: str) -> bool:
    """Return whether ``value`` looks generated: at least 12 characters, one word, letters and digits, mixed well."""
    return (
        len(value) >= 12
        and bool(re.fullmatch(r"[\w\-+/=.~:%]+", value))
        and any(char.isdigit() for char in value)
        and any(char.isalpha() for char in value)
        and entropy(value) >= 2.8
    )


def entropy(value: str) -> float:
    """Return the Shannon entropy of ``value`` in bits per character; 0 for an empty one."""
    total = len(value)
    return -sum(count / total * math.log2(count / total) for count in Counter(value).values()) if total else 0.0

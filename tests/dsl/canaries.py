"""Invented secrets in the shapes that real ones have, made from a seed: nothing here opens anything."""

from __future__ import annotations

import base64
import random
import string
import uuid
from collections.abc import Callable

Draw = random.Random

_ALNUM = string.ascii_letters + string.digits
_URL_SAFE = _ALNUM + "-_"
_HEX = "0123456789abcdef"
_LOWER = string.ascii_lowercase + string.digits
_UPPER = string.ascii_uppercase + string.digits


def word(draw: Draw, letters: str, length: int) -> str:
    """Return a random word that holds a digit, as nearly every generated key does."""
    while True:
        text = "".join(draw.choice(letters) for _ in range(length))
        if any(char.isdigit() for char in text) and not text.startswith("-"):
            return text


def _prefixed(prefix: str, letters: str, length: int, tail: str = "") -> Callable[[Draw], str]:
    return lambda draw: prefix + word(draw, letters, length) + tail


def _jwt(draw: Draw) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    body = base64.urlsafe_b64encode(f'{{"sub":"{draw.randrange(10**9)}"}}'.encode()).decode().rstrip("=")
    return f"{head}.{body}.{word(draw, _URL_SAFE, 43)}"


def _pem(draw: Draw) -> str:
    lines = "\n".join(word(draw, _ALNUM + "+/", 64) for _ in range(3))
    return f"-----BEGIN PRIVATE {'KEY'}-----\n{lines}\n-----END PRIVATE {'KEY'}-----"


def _basic(draw: Draw) -> str:
    return base64.b64encode(f"bob:{word(draw, _ALNUM, 12)}".encode()).decode()


_PEOPLE = ("Sommer", "Regen", "Blue", "Donkey", "Wolke", "Tiger", "Maple", "River")
# Without a format: only the name beside them tells.
OPAQUE: dict[str, Callable[[Draw], str]] = {
    "mixed": _prefixed("", _ALNUM, 24),
    "hex": _prefixed("", _HEX, 32),
    "long_hex": _prefixed("", _HEX, 64),
    "uuid": lambda draw: str(uuid.UUID(int=draw.getrandbits(128), version=4)),
    "marked": lambda draw: f"CANARY{draw.randrange(100)}-{word(draw, _HEX, 16)}",
    "base64": lambda draw: base64.b64encode(draw.randbytes(24)).decode(),
    "password": lambda draw: f"{word(draw, _ALNUM, 6)}!{word(draw, _ALNUM, 4)}",
    "short": lambda draw: word(draw, _LOWER, 8),
    "human": lambda draw: f"{draw.choice(_PEOPLE)}-{draw.choice(_PEOPLE)}{draw.choice('#!@')}{draw.randrange(10, 99)}",
    "letters": lambda draw: "".join(draw.choice(string.ascii_letters) for _ in range(28)),
    "base32": _prefixed("", string.ascii_uppercase + "234567", 32),
}

# The secret itself has a format, wherever it stands.
PROVIDERS: dict[str, Callable[[Draw], str]] = {
    "openai": _prefixed("sk-", _ALNUM, 48),
    "openai_project": _prefixed("sk-proj-", _URL_SAFE, 80),
    "openai_service": _prefixed("sk-svcacct-", _URL_SAFE, 60),
    "siliconflow": lambda draw: "sk-" + "".join(draw.choice(string.ascii_lowercase) for _ in range(48)),
    "deepseek": _prefixed("sk-", _HEX, 32),
    "openrouter": _prefixed("sk-or-v1-", _HEX, 64),
    "anthropic": _prefixed("sk-ant-api03-", _URL_SAFE, 93, "AA"),
    "groq": _prefixed("gsk_", _ALNUM, 52),
    "xai": _prefixed("xai-", _ALNUM, 80),
    "perplexity": _prefixed("pplx-", _ALNUM, 48),
    "replicate": _prefixed("r8_", _ALNUM, 37),
    "huggingface": _prefixed("hf_", _ALNUM, 34),
    "nvidia": _prefixed("nvapi-", _URL_SAFE, 64),
    "tavily": _prefixed("tvly-", _ALNUM, 32),
    "tavily_dev": _prefixed("tvly-dev-", _ALNUM, 32),
    "firecrawl": _prefixed("fc-", _HEX, 32),
    "jina": _prefixed("jina_", _ALNUM, 52),
    "langsmith": lambda draw: f"lsv2_pt_{word(draw, _HEX, 32)}_{word(draw, _HEX, 10)}",
    "github": _prefixed("ghp_", _ALNUM, 36),
    "github_app": _prefixed("ghs_", _ALNUM, 36),
    "github_fine": lambda draw: f"github_pat_{word(draw, _UPPER, 22)}_{word(draw, _ALNUM, 59)}",
    "gitlab": _prefixed("glpat-", _URL_SAFE, 20),
    "bitbucket": _prefixed("ATBB", _ALNUM, 32),
    "atlassian": _prefixed("ATATT3xFfGF0", _URL_SAFE, 60),
    "npm": _prefixed("npm_", _ALNUM, 36),
    "pypi": _prefixed("pypi-AgEIcHlwaS5vcmc", _URL_SAFE, 70),
    "docker": _prefixed("dckr_pat_", _URL_SAFE, 27),
    "digitalocean": _prefixed("dop_v1_", _HEX, 64),
    "slack_bot": lambda draw: (
        f"xoxb-{draw.randrange(10**11, 10**12)}-{draw.randrange(10**12, 10**13)}-{word(draw, _ALNUM, 24)}"
    ),
    "slack_app": lambda draw: (
        f"xapp-1-A{word(draw, _UPPER, 10)}-{draw.randrange(10**12, 10**13)}-{word(draw, _HEX, 64)}"
    ),
    "stripe": _prefixed("sk_" + "live_", _ALNUM, 24),
    "stripe_restricted": _prefixed("rk_" + "test_", _ALNUM, 24),
    "stripe_hook": _prefixed("whsec_", _ALNUM, 32),
    "sendgrid": lambda draw: f"SG.{word(draw, _URL_SAFE, 22)}.{word(draw, _URL_SAFE, 43)}",
    "mailgun": _prefixed("key-", _HEX, 32),
    "brevo": lambda draw: f"xkeysib-{word(draw, _HEX, 64)}-{word(draw, _ALNUM, 16)}",
    "resend": lambda draw: f"re_{word(draw, _ALNUM, 8)}_{word(draw, _ALNUM, 24)}",
    "telegram": lambda draw: f"{draw.randrange(10**8, 10**10)}:AA{word(draw, _URL_SAFE, 33)}",
    "discord": lambda draw: f"MT{word(draw, _ALNUM, 24)}.G{word(draw, _ALNUM, 5)}.{word(draw, _URL_SAFE, 38)}",
    "aws_id": _prefixed("AKIA", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16),
    "google": _prefixed("AIza", _URL_SAFE, 35),
    "google_oauth": _prefixed("GOCSPX-", _URL_SAFE, 28),
    "google_access": _prefixed("ya29.", _URL_SAFE, 100),
    "azure_client": lambda draw: f"{word(draw, _ALNUM, 3)}8Q~{word(draw, _URL_SAFE, 34)}",
    "notion": _prefixed("ntn_", _ALNUM, 46),
    "linear": _prefixed("lin_api_", _ALNUM, 40),
    "airtable": lambda draw: f"pat{word(draw, _ALNUM, 14)}.{word(draw, _HEX, 64)}",
    "hubspot": lambda draw: f"pat-na1-{uuid.UUID(int=draw.getrandbits(128), version=4)}",
    "shopify": _prefixed("shpat_", _HEX, 32),
    "figma": _prefixed("figd_", _URL_SAFE, 40),
    "grafana": lambda draw: f"glsa_{word(draw, _ALNUM, 32)}_{word(draw, _HEX, 8)}",
    "vault": _prefixed("hvs.", _URL_SAFE, 90),
    "databricks": _prefixed("dapi", _HEX, 32),
    "supabase": _prefixed("sbp_", _HEX, 40),
    "apify": _prefixed("apify_api_", _ALNUM, 36),
    "postman": lambda draw: f"PMAK-{word(draw, _HEX, 24)}-{word(draw, _HEX, 34)}",
    "sentry": _prefixed("sntrys_", _URL_SAFE, 80),
    "aliyun": _prefixed("LTAI5t", _ALNUM, 18),
    "tencent": _prefixed("AKID", _ALNUM, 32),
    "zhipu": lambda draw: f"{word(draw, _HEX, 32)}.{word(draw, _ALNUM, 16)}",
    "baidu": lambda draw: f"bce-v3/ALTAK-{word(draw, _ALNUM, 21)}/{word(draw, _HEX, 40)}",
    "dify_app": _prefixed("app-", _ALNUM, 24),
    "dify_dataset": _prefixed("dataset-", _ALNUM, 24),
    "dify_account": _prefixed("dfoa_", _URL_SAFE, 43),
    "jwt": _jwt,
    "private_key": _pem,
    "age": lambda draw: "AGE-SECRET-KEY-1" + word(draw, _UPPER, 58),
}

OTHERS: dict[str, Callable[[Draw], str]] = {
    "basic": _basic,
    "userpass": lambda draw: f"bob:{word(draw, _ALNUM, 12)}",
    "digits": lambda draw: str(draw.randrange(10**7, 10**8)),
    "pin": lambda draw: str(draw.randrange(1000, 9999)),
    "aws_secret": lambda draw: word(draw, _ALNUM + "+/", 40),
    "path": lambda draw: f"T0{word(draw, _UPPER, 9)}/B0{word(draw, _UPPER, 9)}/{word(draw, _ALNUM, 24)}",
    "phrase": lambda draw: "-".join(draw.sample(["correct", "horse", "battery", "staple", "violet", "tractor"], 4)),
}
ALL = OPAQUE | PROVIDERS | OTHERS

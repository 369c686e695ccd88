"""Where a shared ledger is: a PostgreSQL address without a password, and how it is shown."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from difyops.secret_text import SecretText
from difyops.setting_problems import BadSetting, told

SQLITE = "sqlite"
SCHEMES = ("postgresql", "postgres")
EXAMPLE = "postgresql://USER@HOST:5432/DATABASE"
_SECRETS = frozenset({"password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"})


@dataclass(frozen=True, slots=True)
class StateAddress:
    """A PostgreSQL address and the password that goes with it, where it needs one of ours."""

    url: str
    password: SecretText | None = None

    @property
    def place(self) -> str:
        """Return it as it is shown: without what follows the name of the database."""
        parts = urlsplit(self.url)
        host = dict(parse_qsl(parts.query)).get("host", "")
        return f"postgresql://{parts.netloc or host}{parts.path}"

    @property
    def digest(self) -> str:
        """Return a short name for files that go with it."""
        return hashlib.sha256(self.place.encode()).hexdigest()[:12]


def shared_file(folder: Path, address: StateAddress) -> Path:
    """Return the name of the files in a state folder that go with a shared state."""
    return folder / f"shared-{address.digest}"


def is_address(text: str) -> bool:
    """Say whether a text is meant as the address of a PostgreSQL."""
    return text.partition("://")[0].partition("+")[0].lower() in SCHEMES and "://" in text


def checked(text: str, *, where: str) -> str:
    """Return a PostgreSQL address that holds no password.

    Raises:
        ConfigError: it is something else, or holds one. What stands in it is not repeated: it may hold one unseen.
    """
    return told(where, address_of, text)


def address_of(text: str) -> str:
    """Return a PostgreSQL address that holds no password.

    Raises:
        BadSetting: as ``checked``.
    """
    hint = f"{EXAMPLE}, and a reference to its password: state_password: env:NAME"
    if not is_address(text):
        raise BadSetting("sqlite, or the address of a PostgreSQL, is expected", hint)
    rest = text.partition("://")[2]
    try:
        parts = urlsplit(f"postgresql://{rest}")
        named = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    except ValueError:
        raise BadSetting("this is no PostgreSQL address", hint) from None
    user, at, host = parts.netloc.rpartition("@")
    if ":" in user or "@" in user or named & _SECRETS:
        raise BadSetting("the address holds a password; it must not", hint)
    # a "/", "?" or "#" in a password cuts the address in two: what is left of it looks like a port or a path
    if "@" in parts.path + parts.query or parts.fragment or not _are_hosts(host) or (at and not user):
        raise BadSetting("this is no PostgreSQL address", hint)
    return f"postgresql://{rest}"


def _are_hosts(text: str) -> bool:
    """Say whether a text names hosts (several are divided by commas), each with a port that is a number, or none."""
    for each in text.split(","):
        host, colon, port = (each.rpartition("]") if each.startswith("[") else ("", "", each))[2].partition(":")
        if colon and not port.isdigit():
            return False
        if any(character.isspace() or ord(character) < 32 for character in host):
            return False
    return True

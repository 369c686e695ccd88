"""Console logins: the tokens, where they are kept between processes, and how they renew.

A stored session is private to this tool (0600, in the state folder) because the refresh token rotates: two programs
that share one knock each other out. Renewal happens under a file lock; a process that waited finds the
fresh tokens of the other. A wrong password is remembered (slow salted hash) and not sent again: five lock the account.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.errors import LockHeld, StoreError
from difyops.secret_text import SecretText, remember

_LOCK_SECONDS = 60.0
log = logging.getLogger("difyops.api")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginTokens:
    """One login. ``cookies`` is True from 1.9.2 on; ``prefix`` is ``__Host-`` on https installs."""

    access: str
    refresh: str
    csrf: str = ""
    cookies: bool = False
    prefix: str = ""

    def __post_init__(self) -> None:
        for value in (self.access, self.refresh, self.csrf):
            remember(value)

    @property
    def can_be_sent(self) -> bool:
        """Say whether all of it can stand in a header field: printable ASCII, nothing that ends a cookie."""
        texts = (self.access, self.refresh, self.csrf, self.prefix)
        return all(text.isascii() and text.isprintable() and ";" not in text for text in texts)

    def headers(self) -> dict[str, str]:
        """Return the headers that carry this login on a console call."""
        if not self.cookies:
            return {"Authorization": f"Bearer {self.access}"}
        pairs = {"access_token": self.access, "refresh_token": self.refresh, "csrf_token": self.csrf}
        cookie = "; ".join(f"{self.prefix}{name}={value}" for name, value in pairs.items())
        return {"Cookie": cookie, "X-CSRF-Token": self.csrf}


@dataclass(slots=True)
class SessionFile:
    """The stored session of one account on one instance. ``unkept`` holds it where nothing can be written."""

    path: Path
    unkept: dict[str, Any] | None = None

    @classmethod
    def of(cls, state: Path, url: str, email: str) -> SessionFile:
        """Return the file for this instance and account; its name tells neither."""
        name = hashlib.sha256(f"{url}\n{email}".encode()).hexdigest()[:24]
        return cls(state / "sessions" / f"{name}.json")

    def tokens(self) -> LoginTokens | None:
        """Return the stored login, ``None`` when there is none or the file is broken."""
        body = self._body().get("tokens")
        try:
            tokens = LoginTokens(**body) if isinstance(body, dict) else None
            return tokens if tokens is None or tokens.can_be_sent else None
        except (TypeError, AttributeError):
            return None

    def save(self, tokens: LoginTokens) -> None:
        """Keep a login; forgets a remembered wrong password."""
        self._write({"tokens": asdict(tokens)})

    def forget(self) -> None:
        """Drop the login and anything remembered."""
        atomic_file.remove(self.path)

    def was_refused(self, password: SecretText) -> float | None:
        """Return when (unix seconds) the server refused exactly this password, ``None`` when it did not."""
        note = self._body().get("refused")
        if not isinstance(note, dict):
            return None
        try:
            salt, wanted = base64.b64decode(note["salt"]), base64.b64decode(note["hash"])
            return float(note["when"]) if _slow_hash(password, salt) == wanted else None
        except (KeyError, ValueError, TypeError):
            return None

    def remember_refusal(self, password: SecretText) -> None:
        """Record that the server refused this password, as a slow salted hash."""
        salt = os.urandom(16)
        note = {
            "salt": base64.b64encode(salt).decode(),
            "hash": base64.b64encode(_slow_hash(password, salt)).decode(),
            "when": time.time(),
        }
        self._write({"refused": note})

    @contextlib.asynccontextmanager
    async def renewing(self) -> AsyncIterator[None]:
        """Hold the renewal lock for the block, waiting for another process without blocking the event loop."""
        deadline = time.monotonic() + _LOCK_SECONDS
        with contextlib.ExitStack() as held:
            while True:
                try:
                    held.enter_context(atomic_file.lock(self.path.with_suffix(".lock"), holding="the stored login"))
                    break
                except LockHeld:
                    if time.monotonic() > deadline:
                        raise
                    await asyncio.sleep(0.05)
                except StoreError as error:
                    if not _may_not_write(error):
                        raise
                    log.warning("The login is not kept, each command logs in anew: %s %s", error.message, error.hint)
                    self.unkept = self._body()
                    break
            yield

    def _body(self) -> dict[str, Any]:
        if self.unkept is not None:
            return self.unkept
        try:
            body = json.loads(self.path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return body if isinstance(body, dict) else {}

    def _write(self, body: dict[str, Any]) -> None:
        if self.unkept is not None:
            self.unkept = body
            return
        atomic_file.write(self.path, json.dumps(body).encode(), mode=atomic_file.PRIVATE)


def _may_not_write(error: StoreError) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in atomic_file.NOT_OURS


def _slow_hash(password: SecretText, salt: bytes) -> bytes:
    return hashlib.scrypt(password.reveal().encode(), salt=salt, n=2**14, r=8, p=1)

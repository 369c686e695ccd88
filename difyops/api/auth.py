"""How console calls prove who they are: the admin key, or a login that renews itself. As httpx auth flows.

Three generations of login exist: tokens in the body (to 1.9.1), cookies with CSRF (1.9.2), cookies with a base64
password (1.11.2). Which one a server wants is found by a call that cannot count as a wrong password, never by trying
both with the real one.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from typing import Any

import httpx

from difyops.api import faults
from difyops.api.connection_faults import LOGIN_PATH
from difyops.api.filling import fill
from difyops.api.messages import CallLimits, Flow, HttpAnswer, HttpCall, Origin
from difyops.api.session import LoginTokens, SessionFile
from difyops.clock import iso
from difyops.errors import DifyopsError, NotAuthenticated, RateLimited, ServerFault
from difyops.secret_text import SecretText, remember

LOGIN, REFRESH = LOGIN_PATH, "/console/api/refresh-token"
_NOBODY = "login-form-probe@difyops.invalid"
_UNDECODABLE = "A"  # one character can be no base64, and no password either
_UNDECODABLE_TEXT = "Invalid encrypted data"
_LOCKED = "email_code_login_limit"
_OUTAGE = re.compile(r"connect|socket|redis|timed?[ -]?out", re.IGNORECASE)  # a 401 that is not about the token


@dataclass(slots=True)
class AdminKey:
    """``ADMIN_API_KEY`` with ``X-WORKSPACE-ID``: acts as the owner, no login, no expiry."""

    key: SecretText
    workspace_id: str

    async def flow(self, call: HttpCall) -> Flow:
        """Add the two headers."""
        call.headers["Authorization"] = f"Bearer {self.key.reveal()}"
        call.headers["X-WORKSPACE-ID"] = self.workspace_id
        yield call


@dataclass(slots=True)
class ServiceKey:
    """An app key or dataset key for ``/v1``."""

    key: SecretText

    async def flow(self, call: HttpCall) -> Flow:
        """Add the bearer header."""
        call.headers["Authorization"] = f"Bearer {self.key.reveal()}"
        yield call


class Login:
    """E-mail and password: logs in when there is no session, renews it once when it expired, safe for two processes."""

    def __init__(
        self, *, base_url: str, email: str, password: Callable[[], SecretText], store: SessionFile, again: bool = False
    ) -> None:
        base = httpx.URL(base_url)
        self._origin, self._prefix = Origin.of(base), base.raw_path.decode("ascii").rstrip("/")
        self._email = email
        self._password = password
        self._store = store
        self._again = again
        self._tokens: LoginTokens | None = None
        self._encoded: bool | None = None
        self._limits = CallLimits()

    async def flow(self, call: HttpCall) -> Flow:
        """Send with the current login; after a 401 renew it once and send again.

        Raises:
            NotAuthenticated: the server does not take a login that was just renewed.
        """
        self._limits = call.limits
        tokens = self._tokens or self._store.tokens()
        if tokens is None:
            async with self._store.renewing():
                tokens = self._store.tokens()
                if tokens is None:
                    async for step in _drive(self._log_in()):
                        step.answer = yield step.request
                    tokens = self._tokens
        if tokens is None:
            raise NotAuthenticated("The login gave no session.")
        self._tokens = tokens
        call.headers.update(tokens.headers())
        response = yield call
        if response.status_code != 401 or not await _session_expired(response):
            return
        async with self._store.renewing():
            stored = self._store.tokens()
            if stored is not None and stored.access != tokens.access:
                self._tokens = stored
            else:
                async for step in _drive(self._renew(stored or tokens)):
                    step.answer = yield step.request
        if self._tokens is not None:
            call.headers.update(self._tokens.headers())
        yield call

    async def _renew(self, tokens: LoginTokens) -> Flow:
        """Refresh, and log in when the refresh token is dead. A 401 that is Redis being down is not a dead session."""
        body = None if tokens.cookies else {"refresh_token": tokens.refresh}
        headers = tokens.headers() if tokens.cookies else {}
        response = yield self._post(REFRESH, body, headers)
        await response.aread()
        if response.status_code < 300:
            self._keep(_tokens_of(response))
            return
        fault = faults.read(response)
        if fault.status >= 500 or _OUTAGE.search(fault.message):
            raise ServerFault(f"renew the login: {fault.message}", retryable=True)
        if fault.status == 429:
            raise faults.error_for(response, doing="renew the login")
        async for step in _drive(self._log_in()):
            step.answer = yield step.request

    async def _log_in(self) -> Flow:
        password = await asyncio.to_thread(self._password)  # a keyring or a command may take seconds
        refused = None if self._again else self._store.was_refused(password)
        if refused is not None:
            moment = iso(datetime.fromtimestamp(refused, UTC))
            raise NotAuthenticated(
                f"The server refused this password for {self._email} at {moment}; it is not sent again.",
                hint="Correct it, or run: difyops context check --try-again (five wrong ones lock the account)",
            )
        if self._encoded is None:
            probe = yield self._post(LOGIN, {"email": _NOBODY, "password": _UNDECODABLE, "remember_me": False}, {})
            await probe.aread()
            self._encoded = _wants_base64(probe)
        text = password.reveal()
        sent = base64.b64encode(text.encode()).decode() if self._encoded else text
        remember(sent)
        response = yield self._post(LOGIN, {"email": self._email, "password": sent, "remember_me": True}, {})
        await response.aread()
        self._keep(self._accepted(response, password))

    def _accepted(self, response: HttpAnswer, password: SecretText) -> LoginTokens:
        if response.status_code < 300:
            tokens = _tokens_of(response)
            if tokens is not None:
                return tokens
            raise NotAuthenticated(f"The login of {self._email} was not accepted (no session in the answer).")
        fault = faults.read(response)
        error: DifyopsError = faults.error_for(response, doing=f"log in as {self._email}")
        wrong = fault.code in ("authentication_failed", "email_or_password_mismatch")
        if fault.status in (400, 401) and wrong and _UNDECODABLE_TEXT not in fault.message:
            self._store.remember_refusal(password)
            raise NotAuthenticated(
                f"The server refused the password of {self._email}.",
                hint="It was tried once and will not be sent again; five wrong ones lock the account for a day.",
            )
        raise _once(error, fault.status)

    def _keep(self, tokens: LoginTokens | None) -> None:
        if tokens is None:
            raise NotAuthenticated("The server answered the login without a session.")
        if not tokens.can_be_sent:
            raise NotAuthenticated("The session that the server gave holds octets that cannot be sent back.")
        self._tokens = tokens
        self._store.save(tokens)

    def _post(self, path: str, body: Any, headers: dict[str, str]) -> HttpCall:
        limits = self._limits if self._limits.whole is not None else replace(self._limits, whole=CallLimits().whole)
        call = HttpCall(
            method="POST", origin=self._origin, target=self._prefix + path, headers=dict(headers), limits=limits
        )  # fmt: skip
        fill(call, json=body)
        return call


@dataclass(slots=True)
class _Step:
    request: HttpCall
    answer: HttpAnswer | None = None


async def _drive(flow: Flow) -> AsyncGenerator[_Step]:
    """Run an inner flow from an outer one: async generators have no ``yield from``."""
    try:
        request = await anext(flow)
        while True:
            step = _Step(request)
            yield step
            if step.answer is None:
                return
            request = await flow.asend(step.answer)
    except StopAsyncIteration:
        return


def _wants_base64(probe: HttpAnswer) -> bool:
    """Read what the probe found. No answer to the question is an error: the wrong form could count as wrong."""
    fault = faults.read(probe)
    if _UNDECODABLE_TEXT in probe.text:
        return True
    if (fault.status in (200, 400, 401) and fault.code) or fault.code == _LOCKED:
        return False
    if fault.status < 300:
        raise ServerFault(f"log in: the server answered with {fault.message}.")
    raise faults.error_for(probe, doing="log in")


def _once(error: DifyopsError, status: int) -> DifyopsError:
    """Mark a failed login as not to be repeated: whether the server counted it is unknown, but for 429 and 503."""
    error.retryable = isinstance(error, RateLimited) or status == 503
    return error


async def _session_expired(response: HttpAnswer) -> bool:
    """Say whether a 401 is about the session; "not_setup" and SSO refusals are not cured by a login."""
    await response.aread()
    return faults.read(response).code in ("unauthorized", "unauthorized_and_force_logout", "token_expired", "")


def _tokens_of(response: HttpAnswer) -> LoginTokens | None:
    """Read the login from cookies (1.9.2 and newer) or from the body (older)."""
    found: dict[str, tuple[str, str]] = {}
    for header in response.headers.get_list("set-cookie"):
        for name, value in _cookies(header):
            for known in ("access_token", "refresh_token", "csrf_token"):
                if name.endswith(known) and value:
                    found[known] = (name.removesuffix(known), value)
    if "access_token" in found and "refresh_token" in found:
        return LoginTokens(
            access=found["access_token"][1],
            refresh=found["refresh_token"][1],
            csrf=found.get("csrf_token", ("", ""))[1],
            cookies=True,
            prefix=found["access_token"][0],
        )
    try:
        data = json.loads(response.text).get("data")
        return LoginTokens(access=str(data["access_token"]), refresh=str(data["refresh_token"]))
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return None


def _cookies(header: str) -> list[tuple[str, str]]:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(header)
    except CookieError:
        return []
    return [(name, morsel.value) for name, morsel in jar.items()]

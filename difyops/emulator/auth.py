"""Who is calling: console sessions (three generations), the admin key, roles, service keys.

Tokens are real HS256 JWTs with the server's claims. The refresh token rotates and is opaque; as on the server only
the account's LAST one is remembered for logout, so logging out by admin key drops the owner's session.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import math
import re
import uuid
from dataclasses import dataclass, field
from email.utils import formatdate

from starlette.requests import Request

from difyops.emulator import shapes
from difyops.emulator.instance import Instance
from difyops.emulator.routing import Call
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import Account, ApiKey

LOCK_AFTER = 6
LOCK_SECONDS = 86400.0
GHOST_SECONDS = 600.0
_CSRF_FREE = re.compile(r"/console/api/apps/[^/]+/workflows/draft")
_RANK = {"owner": 3, "admin": 3, "editor": 2, "normal": 1, "dataset_operator": 1}
_NEEDED = {"any": 1, "editor": 2, "admin": 3}
_CSRF_TEXT = "CSRF token is missing or invalid."


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a login or a refresh hands out."""

    access: str
    refresh: str
    csrf: str


@dataclass(slots=True)
class Sessions:
    """The tokens issued by one instance."""

    instance: Instance
    _secret: bytes = b"emulated-secret-key"
    _refresh: dict[str, tuple[str, int, float]] = field(default_factory=dict)
    _latest: dict[str, str] = field(default_factory=dict)

    def issue(self, account: Account) -> Tokens:
        """Return fresh tokens for ``account``."""
        instance = self.instance
        instance.control.sessions_issued += 1
        serial = instance.control.sessions_issued
        expires = instance.clock.now().timestamp() + instance.settings.access_seconds
        claims: JsonDict = {"user_id": account.id, "exp": expires, "iss": "SELF_HOSTED", "sub": "Console API Passport"}
        access = self._sign({**claims, "n": serial})
        csrf = self._sign({"exp": expires, "sub": account.id, "n": serial})
        refresh = "".join(f"{instance.rng.getrandbits(128):032x}" for _ in range(4))
        until = instance.clock.now().timestamp() + instance.settings.refresh_seconds
        self._refresh[refresh] = (account.id, serial, until)
        self._latest[account.id] = refresh
        return Tokens(access=access, refresh=refresh, csrf=csrf)

    def renew(self, refresh: str) -> Tokens:
        """Trade a refresh token for new tokens; the old one is dead at once.

        Raises:
            Problem: 401 ``{"result": "fail"}``.
        """
        account_id, serial, until = self._refresh.pop(refresh, ("", 0, 0.0))
        account = next((item for item in self.instance.accounts if item.id == account_id), None)
        expired = until < self.instance.clock.now().timestamp()
        if account is None or expired or serial <= self.instance.control.refreshes_void:
            raise shapes.refresh_failed("Invalid refresh token")
        return self.issue(account)

    def drop(self, account: Account) -> None:
        """Forget the account's last refresh token; access tokens live on until they expire."""
        self._refresh.pop(self._latest.pop(account.id, ""), None)

    def account_of(self, token: str) -> Account:
        """Return the account of an access token.

        Raises:
            Problem: 401 "Token has expired." or "Invalid token.".
        """
        claims = self._claims(token)
        account = next((item for item in self.instance.accounts if item.id == claims.get("user_id")), None)
        if account is None:
            raise shapes.unauthorized("Invalid token.")
        return account

    def accepts_csrf(self, token: str, account: Account) -> bool:
        """Tell whether ``token`` is a valid CSRF token of ``account``."""
        try:
            return bool(self._claims(token).get("sub") == account.id)
        except shapes.Problem:
            return False

    def _claims(self, token: str) -> JsonDict:
        head, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature, self._signature(head)):
            raise shapes.unauthorized("Invalid token.")
        claims: JsonDict = json.loads(_unpadded(head.split(".")[1]))
        control = self.instance.control
        if claims["exp"] <= self.instance.clock.now().timestamp() or claims["n"] <= control.sessions_void:
            raise shapes.unauthorized("Token has expired.")
        return claims

    def _sign(self, claims: JsonDict) -> str:
        head = f"{_packed({'alg': 'HS256', 'typ': 'JWT'})}.{_packed(claims)}"
        return f"{head}.{self._signature(head)}"

    def _signature(self, head: str) -> str:
        digest = hmac.new(self._secret, head.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _packed(value: JsonDict) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def decoded_password(text: str) -> str | None:
    """Return the password behind the base64 that newer versions want, or None when it cannot be decoded."""
    try:
        return base64.b64decode(text).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def cookie_headers(instance: Instance, tokens: Tokens, order: tuple[str, ...]) -> list[str]:
    """Return the ``Set-Cookie`` values for ``tokens``, in the order the call uses."""
    settings = instance.settings
    lives = {"access_token": settings.access_seconds, "refresh_token": settings.refresh_seconds}
    values = {"access_token": tokens.access, "refresh_token": tokens.refresh, "csrf_token": tokens.csrf}
    cookies = []
    for name in order:
        seconds = math.ceil(lives.get(name, settings.access_seconds))
        expires = formatdate(instance.now() + seconds, usegmt=True)
        cookies.append(
            f"{cookie_name(instance, name)}={values[name]}; Expires={expires}; Max-Age={seconds}; "
            f"{_attributes(instance, name)}"
        )
    return cookies


def cleared_cookies(instance: Instance) -> list[str]:
    """Return the ``Set-Cookie`` values of a logout."""
    names = ("access_token", "refresh_token", "csrf_token")
    epoch = "Thu, 01 Jan 1970 00:00:00 GMT"
    return [f"{cookie_name(instance, name)}=; Expires={epoch}; {_attributes(instance, name)}" for name in names]


def cookie_name(instance: Instance, name: str) -> str:
    """Return the cookie's name: with ``__Host-`` in front where the deployment is https."""
    return f"__Host-{name}" if instance.settings.secure_cookies else name


def _attributes(instance: Instance, name: str) -> str:
    flags = ["Secure"] if instance.settings.secure_cookies else []
    flags += [] if name == "csrf_token" else ["HttpOnly"]
    return "; ".join([*flags, "Path=/", "SameSite=Lax"])


def console_account(request: Request, sessions: Sessions) -> Account:
    """Return the account behind a console call; checks the CSRF pair unless the admin key or the path excuses it.

    Raises:
        Problem: 401 with the text the server uses for that case; 500 for a workspace id that is not a UUID.
    """
    instance = sessions.instance
    token = _access_token(request, instance)
    if token and token == instance.settings.admin_key:
        owner = _workspace_owner(request, instance)
        if owner is not None:
            return owner
    if not token:
        raise shapes.unauthorized("Invalid Authorization token.")
    account = sessions.account_of(token)
    if not instance.release.body_tokens and not _CSRF_FREE.match(request.url.path):
        cookie = request.cookies.get(cookie_name(instance, "csrf_token"), "")
        header = request.headers.get("x-csrf-token", "")
        if not cookie or cookie != header or not sessions.accepts_csrf(header, account):
            raise shapes.unauthorized(_CSRF_TEXT)
    return account


def _access_token(request: Request, instance: Instance) -> str:
    if not instance.release.body_tokens:
        cookie = request.cookies.get(cookie_name(instance, "access_token"))
        if cookie:
            return cookie
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _workspace_owner(request: Request, instance: Instance) -> Account | None:
    wanted = request.headers.get("x-workspace-id", "")
    if not wanted:
        return None
    try:
        uuid.UUID(wanted)
    except ValueError:
        raise shapes.internal_error() from None
    return instance.owner if wanted == instance.workspace_id else None


def check_role(account: Account, role: str) -> None:
    """Refuse an account whose role is less than ``role``.

    Raises:
        Problem: 403.
    """
    if _RANK[account.role] < _NEEDED[role]:
        raise shapes.forbidden()


def authorize_service(call: Call) -> None:
    """Resolve the service key of ``call`` and, for app keys, its app.

    Raises:
        Problem: 401 for no or a wrong key, 403 for an app that is gone or whose API is switched off.
    """
    scheme, _, token = call.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise shapes.unauthorized("Authorization header must be provided and start with 'Bearer'")
    instance = call.instance
    key = instance.keys.get(token) or _ghost(instance, token)
    wants_app = call.route.access == "app"
    if key is None and wants_app and token in instance.gone_apps:
        raise shapes.forbidden("The app no longer exists.")
    if key is None or (key.app_id is not None) != wants_app:
        raise shapes.unauthorized("Access token is invalid")
    key.used_at = instance.moment()
    call.app_key = key
    if key.app_id is not None:
        app = instance.apps.get(key.app_id)
        if app is None:
            raise shapes.forbidden("The app no longer exists.")
        if not app.enable_api:
            raise shapes.forbidden("The app's API service has been disabled.")
        call.app = app


def _ghost(instance: Instance, token: str) -> ApiKey | None:
    found = instance.ghosts.get(token)
    return found[0] if found and found[1] > instance.moment() else None

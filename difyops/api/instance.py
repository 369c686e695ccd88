"""Connecting to one instance: credentials, server version, the surfaces. What rooms are handed.

``connect`` makes one unauthenticated call (``GET /console/api/setup``) that tells whether this is such an instance and
which version it says it is; everything else is found when it is needed.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from difyops.api.auth import AdminKey, Login
from difyops.api.capabilities import NEWEST, Capabilities, parse
from difyops.api.console import BASE, Console
from difyops.api.messages import Auth
from difyops.api.session import SessionFile
from difyops.api.transport import Transport, TransportOptions, json_of
from difyops.api.workspace import WorkspaceCalls
from difyops.clock import Clock, SystemClock
from difyops.config import Context
from difyops.credentials import resolve
from difyops.errors import ConfigError, NotAuthenticated, NotFound, NotSupported, Refused, ServerFault

log = logging.getLogger("difyops.api")
WHOLE = 10  # a whole answer may take so many times the silence limit
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(slots=True)
class Instance:
    """An open connection to one workspace of one instance; close it when done."""

    context: Context
    transport: Transport
    console: Console
    workspace: WorkspaceCalls
    capabilities: Capabilities
    _service: Transport | None = None

    @property
    def service_transport(self) -> Transport:
        """Return what carries calls with the keys of apps and datasets: to the host that the context names for them."""
        if self.context.api_url is None:
            return self.transport
        if self._service is None:
            self._service = Transport(self.context.api_url, self.transport.options, clock=self.transport.clock)
        return self._service

    @property
    def name(self) -> str:
        """Return the context's name: the branch of its snapshots, the word in messages."""
        return self.context.name

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()
        if self._service is not None:
            await self._service.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectOptions:
    """Where sessions live, how many calls may be in flight, whether a refused password may be tried again."""

    state: Path
    max_in_flight: int | None = None
    login_again: bool = False
    carrier: httpx.AsyncBaseTransport | None = None
    clock: Clock = field(default_factory=SystemClock)


async def connect(context: Context, options: ConnectOptions) -> Instance:
    """Open ``context``.

    Raises:
        ConfigError: no usable credentials in the context, or the workspace is not the account's current one.
        CredentialError: a reference cannot be resolved. Unreachable, ServerFault: not such an instance.
        Refused: the context comes from a found file that nobody trusted.
    """
    context.require_trust()
    transport = Transport(
        context.url,
        TransportOptions(
            read=context.timeout,
            total=WHOLE * context.timeout,
            max_in_flight=options.max_in_flight or context.max_in_flight,
            ca_file=context.ca_file,
        ),
        clock=options.clock,
        carrier=options.carrier,
    )
    try:
        return await _opened(context, options, transport)
    except BaseException:
        await transport.close()
        raise


async def _opened(context: Context, options: ConnectOptions, transport: Transport) -> Instance:
    answer = await _setup_state(transport)
    if answer.get("step") == "not_started":
        raise NotAuthenticated(f"{transport.host} is not set up yet.", hint=f"Open {context.url}/install first.")
    capabilities = Capabilities(transport.server_version)
    if capabilities.is_newer_than_known:
        known = ".".join(map(str, NEWEST))
        log.warning(
            "%s is version %s; this difyops knows releases up to %s. What it cannot read it names.",
            transport.host, capabilities.text, known,
        )  # fmt: skip
    console = Console(transport, _auth(context, options, capabilities), capabilities)
    instance = Instance(context, transport, console, WorkspaceCalls(console), capabilities)
    if isinstance(console.auth, Login) and context.workspace_id:
        await _check_workspace(instance, context.workspace_id)
    return instance


async def _setup_state(transport: Transport) -> dict[str, Any]:
    """Return what ``/setup`` says; anything else than an instance of ours is named as such."""
    doing = f"connect to {transport.host}"
    hint = "Check the url of the context: the instance's base address, without /console/api."
    try:
        answer = json_of(await transport.request("GET", BASE + "/setup", doing=doing), doing=doing)
    except NotFound as error:
        raise ServerFault(f"{doing}: something answers there, but not Dify's console (HTTP 404).", hint=hint) from error
    if not isinstance(answer, dict) or "step" not in answer:
        raise ServerFault(f"{doing}: something answers there, but not Dify's console.", hint=hint)
    return answer


def _auth(context: Context, options: ConnectOptions, capabilities: Capabilities) -> Auth:
    has_login = context.email is not None and context.password is not None
    if context.admin_key is not None and not (has_login and _admin_key_is_broken(capabilities)):
        if _admin_key_is_broken(capabilities):
            raise NotSupported(
                f"Server {capabilities.text} does not accept the admin key for most calls (1.9.2 to 1.10.x).",
                hint="Give the context an email and a password.",
            )
        if not context.workspace_id:
            raise ConfigError(
                f"Context {context.name!r} has an admin_key but no workspace_id.",
                hint="difyops context check shows it when the context has a login; or ask the instance's owner.",
            )
        if not _UUID.fullmatch(context.workspace_id):
            raise ConfigError(f"Context {context.name!r}: workspace_id {context.workspace_id!r} is not a UUID.")
        return AdminKey(resolve(context.admin_key), context.workspace_id)
    if not has_login:
        raise ConfigError(
            f"Context {context.name!r} has no credentials.",
            hint="Set admin_key and workspace_id, or email and password.",
        )
    email, password = context.email or "", context.password or ""
    return Login(
        base_url=context.url,
        email=email,
        password=lambda: resolve(password),
        store=SessionFile.of(options.state, context.url, email),
        again=options.login_again,
    )


def _admin_key_is_broken(capabilities: Capabilities) -> bool:
    version = parse(capabilities.text)
    return version is not None and (1, 9, 2) <= version < (1, 11, 0)


async def _check_workspace(instance: Instance, wanted: str) -> None:
    """Refuse to act in another workspace than the context names; switching would move every session of the account."""
    current = await instance.workspace.current()
    if current.get("id") != wanted:
        raise Refused(
            f"The account is in workspace {current.get('name')!r}, the context names another one ({wanted}).",
            hint="Switch it in the web page, or use an admin_key, which does not depend on the current workspace.",
        )

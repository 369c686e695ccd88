"""The apps that the server runs: found once, with their mode, form and keys, and found anew when a key is refused."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field

from difyops.api.input_form import InputField
from difyops.api.instance import Instance
from difyops.api.keys import Keys
from difyops.api.run_transport import RunTransport, run_transport
from difyops.api.service import Service
from difyops.config import Context
from difyops.credentials import resolve_async
from difyops.errors import ConfigError, CredentialError
from difyops.secret_text import SecretText
from difyops.targets import pick

_FRESH = 60.0
SILENCE = 45.0  # pings come every 10 seconds
_REST = 2.0  # seconds: who stands in the way of others is back soon after what is behind


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where an app is: its selector, its context, and a reference to its key where the console is not to be asked."""

    app: str
    context: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """An app ready to be run. ``keys`` are all keys of the app that are known: its callers show one of them."""

    service: Service
    form: tuple[InputField, ...]
    keys: tuple[SecretText, ...]
    looked: float

    def knows(self, token: str, more: tuple[SecretText, ...] = ()) -> bool:
        """Say whether a caller may run the app, in a time that tells nothing."""
        given = token.encode("utf-8", "surrogatepass")
        found = False
        for key in (*self.keys, *more):
            found |= hmac.compare_digest(key.reveal().encode(), given)
        return found


@dataclass(slots=True, kw_only=True)
class Instances:
    """The connections of the server: one to the console and one for runs for each context, opened when needed."""

    open: Callable[[str | None], AbstractAsyncContextManager[Instance]]
    context: Callable[[str | None], Context]
    most: int = 500
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack, repr=False)
    _consoles: dict[str | None, Instance] = field(default_factory=dict, repr=False)
    _transports: dict[str | None, RunTransport] = field(default_factory=dict, repr=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def console(self, name: str | None) -> Instance:
        """Return the open instance of a context.

        Raises:
            DifyopsError: it cannot be reached, or lets nobody in.
        """
        async with self._lock:
            if name not in self._consoles:
                self._consoles[name] = await self._stack.enter_async_context(self.open(name))
            return self._consoles[name]

    def transport(self, name: str | None) -> RunTransport:
        """Return the transport for the runs of a context."""
        if name not in self._transports:
            made = run_transport(self.context(name), limit=self.most * 2 + 50, silence=SILENCE, rest=_REST)
            self._transports[name] = made
            self._stack.push_async_callback(made.close)
        return self._transports[name]

    async def close(self) -> None:
        """Close them all."""
        await self._stack.aclose()


@dataclass(slots=True, kw_only=True)
class Desks:
    """The apps by address. What was looked up counts for a minute."""

    instances: Instances
    found: dict[Address, Desk] = field(default_factory=dict)
    _locks: dict[Address, asyncio.Lock] = field(default_factory=dict, repr=False)

    async def at(self, address: Address, *, anew: bool = False) -> Desk:
        """Return the desk of an app; ``anew`` after a key of it was refused.

        Raises:
            DifyopsError: the app cannot be found, has no key, or cannot be run.
        """
        async with self._locks.setdefault(address, asyncio.Lock()):
            desk = self.found.get(address)
            if desk is None or anew or time.monotonic() - desk.looked > _FRESH:
                desk = self.found[address] = await self._looked_up(address)
            return desk

    async def _looked_up(self, address: Address) -> Desk:
        transport = self.instances.transport(address.context)
        if address.key is not None:
            keys: tuple[SecretText, ...] = (await resolve_async(address.key),)
            mode = str((await Service(transport, keys[0], "").info()).get("mode") or "")
            if not mode:
                raise ConfigError(f"{address.app}: this server does not tell the mode of a key's app; leave out key.")
        else:
            instance = await self.instances.console(address.context)
            app = pick([item async for item in instance.console.apps()], address.app)
            keys = tuple(key.token for key in await Keys.of_app(instance.console, app.id).list())
            mode = app.mode
            if not keys:
                raise CredentialError(f"The app {app.name} has no API key.", hint="Create one in the web page.")
        service = Service(transport, keys[0], mode)
        return Desk(service=service, form=await service.form(), keys=keys, looked=time.monotonic())

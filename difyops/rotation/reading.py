"""Reading a workspace once: its apps, their live documents and keys, kept for the length of a command.

Also what an inventory is made of (``HeldSecret``). Documents are redacted on arrival: who uses what is read from them,
and which locations hold a secret in clear, never the secret.
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from difyops.api.instance import Instance
from difyops.api.keys import Key, Keys
from difyops.api.model import App
from difyops.dsl.secrets import Location, redact
from difyops.errors import DifyopsError, NotSupported
from difyops.fanout import Failed, FanoutOptions, fan_out
from difyops.targets import pick

Moved = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSecret:
    """One secret of the workspace. Times are unix seconds; ``users`` are app names; ``ref`` repeats the words of
    ``secret rotate``; ``address`` is what policies match; ``note`` says what is special.
    """

    kind: str
    address: str
    subject: str
    name: str
    owner: str
    ref: str
    created_at: float | None = None
    last_used_at: float | None = None
    users: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The live content of an app without secrets, and where it had any outside of variables: in fields for secrets,
    in prompts, code and descriptions.
    """

    app: App
    body: dict[str, Any]
    clear_locations: tuple[Location, ...] = ()


def no_progress(done: int, total: int, name: str) -> None:
    """Show nothing."""


@dataclass(slots=True)
class WorkspaceReading:
    """What was read of one instance so far; ``problems`` are sentences about what could not be read.

    ``is_whole`` says that nothing is missing: what the server does not have is no loss, what the role may not see is.
    """

    instance: Instance
    moved: Moved = no_progress
    problems: list[str] = field(default_factory=list)
    is_whole: bool = True
    _apps: list[App] | None = None
    _documents: list[Document] | None = None
    _keys: dict[str, tuple[Key, ...]] | None = None

    async def apps(self) -> list[App]:
        """Return the apps."""
        if self._apps is None:
            self._apps = [app async for app in self.instance.console.apps()]
        return self._apps

    async def app(self, selector: str) -> App:
        """Return the one app that ``selector`` means."""
        return pick(await self.apps(), selector)

    async def documents(self) -> list[Document]:
        """Return the live documents of all apps that have one."""
        if self._documents is None:
            found = await self.each("documents", self._document)
            self._documents = [document for document in found.values() if document is not None]
        return self._documents

    async def app_keys(self) -> dict[str, tuple[Key, ...]]:
        """Return the service keys of every app, by app id."""
        if self._keys is None:
            console = self.instance.console
            self._keys = await self.each("keys", lambda app: Keys.of_app(console, app.id).list())
        return self._keys

    async def document(self, app: App) -> Document | None:
        """Return the live document of one app."""
        return await self._document(app)

    async def quietly(self, work: Awaitable[Any], otherwise: Any, what: str) -> Any:
        """Return what ``work`` gives; ``otherwise`` when it fails, and the failure is a sentence in ``problems``."""
        try:
            return await work
        except DifyopsError as error:
            self._missed(error, what)
            return otherwise

    def _missed(self, error: DifyopsError, what: str) -> None:
        self.problems.append(f"{what}: {error.message}")
        self.is_whole = self.is_whole and isinstance(error, NotSupported)

    async def _document(self, app: App) -> Document | None:
        if app.has_workflow:
            live = await self.instance.console.published(app.id) if app.live_version else None
            if live is None:
                return None
            body = live.document
        else:
            body = {"model_config": (await self.instance.console.app(app.id)).model_config or {}}
        redacted = redact(body)
        locations = tuple(
            location
            for location in redacted.secrets
            if location.kind in ("node", "config") and not location.is_generated
        )
        return Document(app=app, body=redacted.document, clear_locations=locations)

    async def each(self, what: str, work: Callable[[App], Awaitable[Any]]) -> dict[str, Any]:
        """Do ``work`` for every app, a few at a time; return what came, by app id; failures go to ``problems``."""
        apps = await self.apps()
        options = FanoutOptions(limit=self.instance.context.max_in_flight)
        found: dict[str, Any] = {}
        done = 0
        async for result in fan_out(apps, work, options):
            done += 1
            self.moved(done, len(apps), result.item.name)
            if isinstance(result, Failed):
                self._missed(result.error, f"{result.item.name}: {what} could not be read")
            elif hasattr(result, "value"):
                found[result.item.id] = result.value
        return {app.id: found[app.id] for app in apps if app.id in found}


def names(apps: Iterable[App]) -> tuple[str, ...]:
    """Return the names of apps, sorted, each once."""
    return tuple(sorted({app.name for app in apps}))


def ref(*words: str, credential: str | None = None) -> str:
    """Return what follows ``secret rotate``, as a shell takes it; ``credential`` only where it must be named."""
    return shlex.join((*words, *(("--credential", credential) if credential else ())))

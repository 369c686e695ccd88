"""The emulated instance: its one workspace and everything in it, its clock, its source of ids, its look-ups.

Rules live elsewhere (``imports``, ``publishing``, ``interpreter``); this is where they find and leave things.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from difyops.clock import Clock, SystemClock
from difyops.emulator import shapes
from difyops.emulator.control import Control
from difyops.emulator.datasets import Dataset
from difyops.emulator.plugin_daemon import PluginDaemon
from difyops.emulator.providers import ModelProvider, ToolProvider
from difyops.emulator.records import EndUser, Task
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import Account, ApiKey, App, Tag
from difyops.emulator.versions import Release

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
ROLES = ("admin", "editor", "normal", "dataset_operator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an instance is set up. ``speed`` divides the server's own times; token lifetimes are real seconds."""

    release: Release
    reported: str
    seed: int = 7
    admin_key: str | None = None
    email: str = "admin@example.com"
    password: str = ""
    workspace_id: str | None = None
    speed: float = 50.0
    access_seconds: float = 3600.0
    refresh_seconds: float = 2592000.0
    secure_cookies: bool = False
    is_set_up: bool = True
    clock: Clock = field(default_factory=SystemClock)


@dataclass(slots=True, kw_only=True)
class PendingImport:
    """An import that waits for its confirmation, and until when."""

    content: JsonDict
    wishes: JsonDict
    app_id: str | None
    version: str
    expires: float


class Instance:
    """State of one emulator. Not thread-safe beyond single operations; one event loop serves it."""

    def __init__(self, settings: Settings, control: Control) -> None:
        self.settings = settings
        self.release = settings.release
        self.control = control
        self.clock = settings.clock
        self.rng = random.Random(settings.seed)
        self.base_url = "http://127.0.0.1:5001"
        self.workspace_id = settings.workspace_id or self.new_id()
        self.created_at = self.now()
        self.set_up_at: str | None = None
        self.accounts: list[Account] = []
        self.apps: dict[str, App] = {}
        self._newest: tuple[tuple[int, str], list[App]] = ((0, ""), [])
        self.keys: dict[str, ApiKey] = {}
        self.ghosts: dict[str, tuple[ApiKey, float]] = {}
        self.gone_apps: dict[str, str] = {}
        self.tags: list[Tag] = []
        self.provider = ModelProvider()
        self.tool = ToolProvider()
        self.daemon = PluginDaemon(new_id=self.new_id)
        self.datasets: dict[str, Dataset] = {}
        self.pending: dict[str, PendingImport] = {}
        self.dependencies: dict[str, tuple[list[JsonDict], float]] = {}
        self.end_users: dict[tuple[str, str], EndUser] = {}
        self.tasks: dict[str, Task] = {}
        self.forms: dict[str, Any] = {}  # HumanForm by its console token
        self.waiting: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._background: set[asyncio.Task[None]] = set()
        if settings.is_set_up:
            self.set_up(settings.email, "Admin", settings.password)

    # time and ids

    def now(self) -> int:
        """Return unix seconds."""
        return int(self.clock.now().timestamp())

    def moment(self) -> float:
        """Return seconds for durations and expiries inside the server."""
        return self.clock.monotonic()

    def scaled(self, seconds: float) -> float:
        """Return one of the server's own times, divided by ``speed``."""
        return seconds / self.settings.speed

    def stamp(self, *, iso: bool = False) -> str:
        """Return now as naive UTC text with microseconds, the way versions and triggers are dated."""
        now = self.clock.now().astimezone(UTC).replace(tzinfo=None)
        text = now.isoformat(timespec="microseconds")
        return text if iso else text.replace("T", " ")

    def new_id(self) -> str:
        """Return a UUID that depends on the seed only."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def new_token(self, length: int = 24) -> str:
        """Return random letters and digits that depend on the seed only."""
        return "".join(self.rng.choices(_ALPHABET, k=length))

    async def pause(self, seconds: float) -> None:
        """Wait one of the server's own times."""
        await self.clock.sleep(self.scaled(seconds))

    async def search_redis(self, share: float = 1.0) -> None:
        """Wait while the newest release tries to reach a Redis that is down; older ones give up at once."""
        if self.control.has("redis_down"):
            await self.pause(self.release.redis_wait * share)

    # accounts

    def set_up(self, email: str, name: str, password: str) -> None:
        """Create the owner, and one account for each other role (``<role>@example.com``, same password)."""
        self.set_up_at = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
        self.accounts.append(self._account(email, name, password, "owner"))
        for role in ROLES:
            address = "manager@example.com" if role == "admin" else f"{role}@example.com"
            self.accounts.append(self._account(address, role.replace("_", " ").title(), password, role))

    def _account(self, email: str, name: str, password: str, role: str) -> Account:
        return Account(id=self.new_id(), name=name, email=email, password=password, role=role, created_at=self.now())

    @property
    def owner(self) -> Account:
        """Return the owner of the workspace."""
        return self.accounts[0]

    def account_by_email(self, email: str) -> Account | None:
        """Return the account with that address."""
        return next((item for item in self.accounts if item.email.lower() == email.lower()), None)

    # look-ups

    def app_by_id(self, app_id: str) -> App:
        """Return an app.

        Raises:
            Problem: 404 ``app_not_found``.
        """
        app = self.apps.get(app_id)
        if app is None:
            raise shapes.not_found("App not found.", "app_not_found")
        return app

    def apps_newest_first(self) -> list[App]:
        """Return all apps, newest first; equal seconds come in no promised order (here: last made first)."""
        state = (len(self.apps), next(reversed(self.apps), ""))
        if self._newest[0] != state:
            self._newest = (state, sorted(self.apps.values(), key=lambda app: app.created_at)[::-1])
        return self._newest[1]

    def app_named(self, name: str) -> App:
        """Return the oldest app with that name.

        Raises:
            KeyError: there is none.
        """
        for app in self.apps.values():
            if app.name == name:
                return app
        raise KeyError(name)

    def end_user(self, app_id: str, session_id: str, kind: str = "service-api") -> EndUser:
        """Return the end user behind ``user``, made at its first call."""
        place = (app_id, f"{kind}:{session_id}")
        if place not in self.end_users:
            self.end_users[place] = EndUser(id=self.new_id(), session_id=session_id, type=kind)
        return self.end_users[place]

    def tenant_text(self, text: str) -> str:
        """Return ``text`` with ``{tenant}`` and ``{base}`` filled in."""
        return text.replace("{tenant}", self.workspace_id).replace("{base}", self.base_url)

    def reach_daemon(self, what: str) -> None:
        """Answer as the console does when the plugin daemon is away; ``what`` is the end of the address it asks.

        Raises:
            Problem: the mood says so.
        """
        if self.control.has("daemon_down"):
            said = self.release.daemon_error.replace("management/models", f"management/{what}")
            raise shapes.invalid_param(self.tenant_text(said))

    # work that outlives a request

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` beside the request; it goes on when the client leaves."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    @property
    def is_at_rest(self) -> bool:
        """Return whether no run goes on beside the requests."""
        return not self._background

    def wake_waiting(self) -> None:
        """Start what queued up while no worker was there: abandoned requests are executed all the same."""
        if self.waiting and not self.control.has("worker_down"):
            queued, self.waiting = self.waiting, []
            for start in queued:
                self.spawn(start())

"""The emulator as tests and people hold it: settings in, an ASGI application and a control out."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

from starlette.types import Receive, Scope, Send

from difyops.clock import Clock, SystemClock
from difyops.emulator import canned, dsl_text, fleet, play, runs, server, views
from difyops.emulator.application import Application
from difyops.emulator.control import Control
from difyops.emulator.instance import Instance, Settings
from difyops.emulator.panel import panel
from difyops.emulator.store import Account, App, Workflow
from difyops.emulator.versions import release_named

PASSWORD = "Passw0rd!1"  # made up: every emulated account has it


class Emulator:
    """A small Dify-compatible instance.

    ``version`` is what it is, ``reported_version`` what it says it is. ``basics`` loads the eight known apps with one
    key each and a model provider with the key ``sk-good-1``; ``apps`` adds that many apps of a seeded fleet;
    ``playful`` gives the known apps telling names, tags and a month of runs. ``delay`` is real seconds before every
    answer; ``speed`` divides the server's own times (model latency, pings, expiries).

    Raises:
        UsageError: there is no such version.
    """

    def __init__(
        self,
        version: str = "1.13.0",
        *,
        reported_version: str | None = None,
        apps: int = 0,
        seed: int = 7,
        basics: bool = True,
        playful: bool = False,
        admin_key: str | None = "admin-canary-key",
        email: str = "admin@example.com",
        password: str = PASSWORD,
        workspace_id: str | None = None,
        delay: float = 0.0,
        speed: float = 50.0,
        access_seconds: float = 3600.0,
        secure_cookies: bool = False,
        is_set_up: bool = True,
        clock: Clock | None = None,
    ) -> None:
        release = release_named(version)
        self.control = Control(delay=delay)
        self._loads = (basics and is_set_up, apps, playful)
        self._settings = Settings(
            release=release, reported=reported_version or release.reported, seed=seed, admin_key=admin_key,
            email=email, password=password, workspace_id=workspace_id, speed=speed, access_seconds=access_seconds,
            secure_cookies=secure_cookies, is_set_up=is_set_up, clock=clock or SystemClock(),
        )  # fmt: skip
        self.instance = self._new_instance()
        self._application = Application(self.instance, panel(self.control, self.reset, self.play))
        self.email = email
        self.password = password
        self.admin_key = admin_key

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request: this bound method is the ASGI application."""
        await self._application(scope, receive, send)

    @property
    def version(self) -> str:
        """Return the version the emulator is."""
        return self._settings.release.name

    @property
    def workspace_id(self) -> str:
        """Return the id of the one workspace."""
        return self.instance.workspace_id

    def app_named(self, name: str) -> App:
        """Return the state of the oldest app called ``name``.

        Raises:
            KeyError: there is none.
        """
        return self.instance.app_named(name)

    def account(self, role: str) -> Account:
        """Return the account with that role: owner, admin, editor, normal or dataset_operator."""
        return next(account for account in self.instance.accounts if account.role == role)

    def play(self, verb: str, name: str) -> None:
        """Do what somebody else does to the app ``name``: break, delete, rotate or publish it.

        Raises:
            UsageError: there is no such act or app.
        """
        play.act(self.instance, verb, name)

    def reset(self) -> None:
        """Start anew from the same seed: same ids, nothing changed, no moods, no counts."""
        base_url = self.instance.base_url
        self.control.mood("happy")
        self.control.clear_failures()
        self.control.revoked.clear()
        self.control.reset_counts()
        self.control.sessions_issued = self.control.sessions_void = self.control.refreshes_void = 0
        self.instance = self._new_instance()
        self.instance.base_url = base_url
        self._application = Application(self.instance, panel(self.control, self.reset, self.play))

    def warm(self) -> None:
        """Serialise every app now, so that a benchmark does not measure the first time."""
        for app in self.instance.apps.values():
            views.app_row(self.instance, app)
            views.app_detail(self.instance, app)
            workflows = [item for item in (app.draft, app.live) if item is not None]
            for workflow in workflows:
                views.workflow_body(workflow)
            sources: list[Workflow | None] = [*workflows] if app.is_flow else [None]
            for source, secrets in itertools.product(sources, (False, True)):
                dsl_text.export(self.instance, app, source, secrets=secrets)

    @contextlib.contextmanager
    def listening(self) -> Iterator[str]:
        """Listen on a free loopback port in a thread; yield ``http://127.0.0.1:PORT``."""
        with server.in_thread(self.app) as base_url:
            self._move(base_url)
            yield base_url

    def serve(self, host: str = "127.0.0.1", port: int = 5001) -> None:
        """Listen until interrupted.

        Raises:
            UsageError: ``host`` is not a loopback address.
        """
        server.check_loopback(host)
        self._move(f"http://{host}:{port}")
        server.run(self.app, host, port)

    async def tick(self) -> int:
        """Let the scheduler fire every enabled schedule once; return how many runs it started."""
        return await runs.fire_schedules(self.instance)

    def _move(self, base_url: str) -> None:
        self.instance.base_url = base_url
        for app in self.instance.apps.values():
            app.cache.pop("detail", None)

    def _new_instance(self) -> Instance:
        instance = Instance(self._settings, self.control)
        instance.daemon.rows = canned.plugins(instance)["plugins"]
        basics, apps, playful = self._loads
        if basics:
            fleet.load_basics(instance)
        if apps:
            fleet.load_fleet(instance, apps)
        if basics and playful:
            play.load(instance)
        return instance

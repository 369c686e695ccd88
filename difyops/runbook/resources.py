"""What a check or an action is handed: the instance, the store, the ledger, the clock, secrets, all opened late.

The same resources serve all steps of a run, side by side: connection and app list are made once. A connection that
failed is not tried again for a few seconds, so that a hundred checks of a dead instance end together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from difyops.clock import Clock, SystemClock
from difyops.config import Config, Context
from difyops.credentials import resolve_async
from difyops.errors import CredentialError, DifyopsError, StoreError, UsageError
from difyops.ledger import AuditEntry, Event, Ledger
from difyops.secret_text import SecretText

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.api.model import App
    from difyops.git_store import GitStore
    from difyops.sealing.access import Access
    from difyops.workspace import Workspace

_FAILURE_STAYS = 10.0
ACTOR = "runbook"


@dataclass(slots=True, kw_only=True)
class Resources:
    """The surroundings of a run. ``dry_run``: nothing is changed, local files included. ``open_store`` raises
    ``StoreError`` where there is no store, ``make_store`` makes one: for an action that is carried out. ``trouble`` is
    why there is no context, where the run goes on without one.
    """

    config: Config
    context: Context | None
    open_instance: Callable[[], Awaitable[Instance]]
    open_store: Callable[[], GitStore]
    make_store: Callable[[], GitStore]
    ledger: Ledger | None = None
    clock: Clock = field(default_factory=SystemClock)
    actor: str = ACTOR
    dry_run: bool = False
    trusts_commands: bool = True
    trouble: DifyopsError | None = None
    _instance: Instance | None = None
    _failure: tuple[float, DifyopsError] | None = None
    _apps: list[App] | None = None
    _timezone: str | None = None
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _listing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def context_name(self) -> str:
        """Return the context's name, ``-`` when the run has none."""
        return self.context.name if self.context else "-"

    async def instance(self) -> Instance:
        """Return the open connection.

        Raises:
            DifyopsError: it cannot be opened; the same error for a few seconds.
        """
        async with self._connecting:
            if self._instance is not None:
                return self._instance
            if self._failure and self.clock.monotonic() - self._failure[0] < _FAILURE_STAYS:
                raise self._failure[1]
            try:
                self._instance = await self.open_instance()
            except DifyopsError as error:
                self._failure = (self.clock.monotonic(), error)
                raise
            return self._instance

    async def workspace(self) -> Workspace:
        """Return what a room is handed to change the instance.

        Raises:
            StoreError: the run has no ledger: nothing is changed without a journal.
        """
        from difyops.workspace import Workspace

        if self.ledger is None:
            raise StoreError("This run has no ledger; nothing is changed without a journal.")
        try:
            store = self.open_store()
        except StoreError:
            store = None
        return Workspace(
            instance=await self.instance(),
            state=self.config.state,
            ledger=self.ledger,
            actor=self.actor,
            clock=self.clock,
            store=store,
            access=self.access,
        )

    @property
    def access(self) -> Access:
        """Return what this machine has for the sealed values of the store."""
        from difyops.sealing.access import access_of

        self.config.require("seal", "read the store key and the identity that it names")
        return access_of(self.config.sections, self.config.state)

    async def apps(self) -> list[App]:
        """Return the apps of the workspace, listed once per run."""
        instance = await self.instance()
        async with self._listing:
            if self._apps is None:
                self._apps = [app async for app in instance.console.apps()]
            return self._apps

    async def timezone(self) -> str:
        """Return the account's time zone, asked once per run: the platform's days and query texts are in it."""
        instance = await self.instance()
        async with self._listing:
            if self._timezone is None:
                self._timezone = str((await instance.workspace.profile()).get("timezone") or "UTC")
            return self._timezone

    async def chosen(self, selectors: list[str]) -> list[App]:
        """Return the apps that selectors mean.

        Raises:
            SelectorError: one matches nothing. UsageError: there is none, and about no app there is nothing to say.
        """
        from difyops.targets import select

        if not selectors:
            raise UsageError("No apps are named; all means all of them.")
        return select(await self.apps(), selectors)

    async def app(self, selector: str) -> App:
        """Return the one app that a selector means.

        Raises:
            SelectorError: it matches none, or several.
        """
        from difyops.targets import pick

        return pick(await self.apps(), selector)

    async def secret(self, reference: str) -> SecretText:
        """Return what a reference points at.

        Raises:
            CredentialError: it cannot be resolved, the runbook is not trusted to read it, or a dry run would run a
                program.
        """
        if not self.trusts_commands:
            raise CredentialError(
                "The runbook can be written by other users, or came with this folder: "
                "its references (env:, file:, cmd: ...) are not read."
            )
        if self.dry_run and reference.startswith("cmd:"):
            raise CredentialError("A dry run runs no programs, and this is behind a cmd: reference.")
        return await resolve_async(reference)

    def remember(self, kind: str, subject: str, data: Mapping[str, object]) -> None:
        """Keep a measurement for the next run (``runbook.seen.*``); nothing in a dry run."""
        if self.ledger is None or self.dry_run:
            return
        self.ledger.append(
            Event(kind=kind, subject=subject, when=self.clock.now(), context=self.context_name, data=dict(data))
        )

    def remembered(self, kind: str, subject: str, *, limit: int = 50) -> list[Event]:
        """Return what was kept before, oldest first."""
        if self.ledger is None:
            return []
        return self.ledger.events(kind, subject=subject, context=self.context_name, limit=limit)

    def audit(self, action: str, subject: str, **facts: object) -> None:
        """Write a change of an instance into the audit trail."""
        if self.ledger is None:
            return
        self.ledger.audit(
            AuditEntry(
                actor=self.actor,
                action=action,
                subject=subject,
                when=self.clock.now(),
                context=self.context_name,
                outcome="done",
                data=facts,
            )
        )

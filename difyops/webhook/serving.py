"""What the server holds while it serves: the rules and secrets of now, the file, and the work that goes on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from difyops import signing_keys, twin_secrets
from difyops.api.outbound import Outbound
from difyops.errors import CredentialError, DifyopsError
from difyops.secret_text import SecretText
from difyops.webhook import asked, inbox, outbox, signing
from difyops.webhook.database import FILE, WebhookDatabase
from difyops.webhook.deliver import Deliverer
from difyops.webhook.dispatch import Dispatcher
from difyops.webhook.dispatch import address_of as address_of_destination
from difyops.webhook.finding import Finder
from difyops.webhook.outbox import RunEnd, RunRow
from difyops.webhook.reaching import Address, Desks, Instances
from difyops.webhook.rules import ServedApp, WebhookRules
from difyops.webhook.running import CallerAnswer, Runs
from difyops.webhook.signing import SignatureCheck

_LOOK_AGAIN = 5.0
_TIDY = 120.0
_FOLLOW = 2.0
log = logging.getLogger("difyops.webhook")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Rules with their secrets, resolved; put in the place of earlier ones at once.

    Behind a reference stand several secrets while one of them is replaced.
    """

    rules: WebhookRules
    secrets: Mapping[str, tuple[SecretText, ...]]
    checks: Mapping[str, SignatureCheck]

    @property
    def callback_secrets(self) -> Sequence[SecretText]:
        """Return what calls back are signed with, the first one first."""
        return [one for item in self.rules.callbacks.secrets for one in self.secrets[item]]

    @property
    def public_keys(self) -> Sequence[str]:
        """Return what receivers verify calls back with that are signed by pairs of keys."""
        return [signing_keys.public_text(item) for item in self.callback_secrets if signing_keys.is_pair(item)]


async def loaded(rules: WebhookRules) -> Loaded:
    """Resolve every secret that the rules name.

    Raises:
        CredentialError: one cannot be had, or is none of its kind; names the reference or its place.
    """
    wanted = {item for source in rules.sources.values() for item in source.secrets}
    wanted |= {item for app in rules.apps.values() for item in app.callers}
    wanted |= set(rules.callbacks.secrets) | ({rules.admin_token} if rules.admin_token else set())
    secrets = {item: await asyncio.to_thread(twin_secrets.all_of, item) for item in sorted(wanted)}
    return _with(rules, secrets)


def _with(rules: WebhookRules, secrets: Mapping[str, tuple[SecretText, ...]]) -> Loaded:
    checks: dict[str, SignatureCheck] = {}
    for source in rules.sources.values():
        with _named(f"webhook.sources.{source.name}.secrets"):
            checks[source.name] = SignatureCheck(
                scheme=source.scheme, secrets=[one for item in source.secrets for one in secrets[item]],
                tolerance=source.tolerance, header=source.header,
            )  # fmt: skip
    holds = Loaded(rules=rules, secrets=secrets, checks=checks)
    with _named("webhook.callbacks.secrets"):
        signing.sign_standard(holds.callback_secrets, "msg", 0, b"")
    return holds


@contextlib.contextmanager
def _named(place: str) -> Iterator[None]:
    """Say where the reference of a secret stands that cannot be used."""
    try:
        yield
    except CredentialError as error:
        raise CredentialError(f"{place}: {error.message}", hint=error.hint) from None


class Serving:
    """The state of a server."""

    def __init__(self, state: Path, holds: Loaded, instances: Instances, outbound: Outbound | None = None) -> None:
        self.holds = holds
        self.began = time.time()
        self.draining = False
        self.answers: Counter[tuple[str, int]] = Counter()
        self.database = WebhookDatabase(state / FILE)
        self.event_ids = inbox.EventIds()
        self.asked = asked.AskedRuns(state / asked.FILE)
        self.instances = instances
        self.desks = Desks(instances=instances)
        self.outbound = outbound or Outbound()
        self.deliverer = Deliverer(
            database=self.database, callbacks=lambda: self.rules.callbacks, secrets=self.callback_secrets,
            outbound=self.outbound,
        )  # fmt: skip
        self.runs = Runs(
            database=self.database, desks=self.desks, places=self._place, patience=holds.rules.limits.run_seconds,
            on_end=self._run_ended, finder=Finder(database=self.database, desks=self.desks), asked=self.asked,
        )  # fmt: skip
        self.dispatcher = Dispatcher(
            database=self.database, rules=lambda: self.rules, desks=self.desks, runs=self.runs, outbound=self.outbound
        )  # fmt: skip
        self._looked: dict[Address, float] = {}
        self._work: list[asyncio.Task[None]] = []

    @property
    def rules(self) -> WebhookRules:
        """Return the rules of now."""
        return self.holds.rules

    @property
    def secrets(self) -> Mapping[str, tuple[SecretText, ...]]:
        """Return the secrets of now by reference."""
        return self.holds.secrets

    @property
    def checks(self) -> Mapping[str, SignatureCheck]:
        """Return how the events of each source are verified now."""
        return self.holds.checks

    def callback_secrets(self) -> Sequence[SecretText]:
        """Return what calls back are signed with now, the first one first."""
        return self.holds.callback_secrets

    async def start(self) -> int:
        """Open the file and go on with what the last process left; return how many runs had not ended."""
        self.database.open()
        self.asked.open()
        await self.dispatcher.recover()
        left = self.runs.resume()
        loop = asyncio.get_running_loop()
        for work in (self.dispatcher.run(), self.deliverer.run(), self._tidied(), self._secrets_followed()):
            self._work.append(loop.create_task(work))
        return left

    async def stop(self, drain: float) -> int:
        """Take nothing more, wait for what is under way, leave the rest to the next process; return how many runs."""
        self.draining = True
        dispatching, *others = self._work
        dispatching.cancel()
        await self.dispatcher.idle(drain)
        left = await self.runs.drained(drain)
        for task in others:
            task.cancel()
        await asyncio.gather(dispatching, *others, return_exceptions=True)
        await self.instances.close()
        await self.database.close()
        self.asked.close()
        return left

    def wake(self) -> None:
        """Look at the inbox at once."""
        self.dispatcher.wake()

    def count(self, what: str, status: int) -> None:
        """Count an answer."""
        self.answers[what, status] += 1

    def may_look_again(self, address: Address) -> bool:
        """Say whether the keys of an app may be listed once more; strangers must not make us ask all the time."""
        now = time.monotonic()
        if now - self._looked.get(address, -_LOOK_AGAIN) < _LOOK_AGAIN:
            return False
        self._looked[address] = now
        return True

    def _place(self, row: RunRow) -> CallerAnswer | None:
        if row.via == "run":
            app = self.rules.apps.get(row.app)
            return CallerAnswer(address=address_of(app), content=app.content) if app else None
        destination = self.rules.destinations.get(row.via)
        return CallerAnswer(address=address_of_destination(destination)) if destination else None

    def _run_ended(self, ended: RunEnd) -> None:
        if ended.messages:
            self.deliverer.wake()

    async def _secrets_followed(self) -> None:
        """Look at the places of secrets that can be replaced; one that cannot be read for a moment stays as it was."""
        while True:
            await asyncio.sleep(_FOLLOW)
            holds, places = self.holds, [item for item in self.secrets if twin_secrets.can_be_replaced(item)]
            try:
                now = {item: await asyncio.to_thread(twin_secrets.all_of, item) for item in places}
                anew = any(now[item] != holds.secrets[item] for item in places)
                if anew and self.holds is holds:
                    self.holds = _with(holds.rules, {**holds.secrets, **now})
                    log.info("secrets were read anew")
            except DifyopsError as error:
                log.warning("a secret cannot be used, the one that is known counts: %s", error.message)

    async def _tidied(self) -> None:
        while True:
            try:
                before = time.time() - self.rules.keep
                await self.database.write(inbox.forget(before))
                await self.database.write(outbox.forget_runs(before))
                if self.asked.is_large:
                    self.asked.keep(self.runs.live)
            except DifyopsError as error:
                log.warning("old events cannot be removed: %s", error.message)
            await asyncio.sleep(_TIDY)


def address_of(app: ServedApp) -> Address:
    """Return where a served app is."""
    return Address(app=app.app or app.name, context=app.context, key=app.key)

"""A secret variable of a workflow or chatflow: the exact live version with this one value changed; the draft kept."""

from __future__ import annotations

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.clock import iso
from difyops.dsl.model import env_variables
from difyops.errors import NotSupported, Refused, SelectorError, StalePlan
from difyops.rotation.hands import Hands, NewValueRefused
from difyops.rotation.kinds import OldUse, Wanted
from difyops.rotation.live_env import (
    Version,
    WrongVersionLive,
    give_way,
    is_ours,
    publish_with,
    put_draft_back,
    put_triggers_back,
    read_live,
    read_version,
    rotating_until,
)
from difyops.rotation.machine import Health, Used
from difyops.rotation.probe import counted, probe_draft
from difyops.rotation.reading import Held, Reading, ref
from difyops.rotation.record import Planned
from difyops.rotation.vault import NEW, OLD
from difyops.secret_text import SecretText

_TEXTS = ("secret", "string")  # a number holds no secret


class Rotator:
    """``secret rotate env APP NAME --value-from REF``."""

    name = "env"
    arguments = ("APP", "NAME")
    needs_value = True
    has_fields = False
    role = "editor"

    async def plan(self, instance: Instance, reading: Reading, wanted: Wanted) -> Planned:
        """Find the variable.

        Raises:
            NotSupported: the mode has no variables, or the server cannot export a version (before 1.8.1), so that the
            other secrets of the live version could not be kept. SelectorError: nothing published, no such variable.
            Refused: a rotation of another machine is in its grace period.
        """
        app, name = await reading.app(wanted.arguments[0]), wanted.arguments[1]
        if not app.has_workflow:
            raise NotSupported(f"{app.name!r} is a {app.mode} app; only workflows and chatflows have variables.")
        instance.capabilities.require("export_version", "Rotating a variable")
        live = await instance.console.published(app.id) if app.live_version else None
        known = {str(item.get("name")): item.get("value_type") for item in (live.environment_variables if live else ())}
        if live is None or known.get(name) not in _TEXTS:
            has = ", ".join(sorted(text for text, kind in known.items() if kind in _TEXTS)) or "none"
            raise SelectorError(f"The live version of {app.name!r} has no variable {name!r} (it has: {has}).")
        until = rotating_until(live, name, wanted.known)
        if until is not None and until > instance.transport.clock.now():
            raise Refused(
                f"A rotation begun on another machine published {name} and may go back until {iso(until)}.",
                hint="Finish it there (secret resume or revert), or wait until then.",
            )
        warnings = ["Old versions on the server keep the old value: rolling back to one brings it back."]
        if known[name] != "secret":
            warnings.append(f"{name} is not a secret variable: whoever may export the app sees it in clear.")
        return Planned(
            kind=self.name,
            subject=f"{self.name}/{app.id}/{name}",
            label=f"variable {name} of {app.name}",
            target={"app_id": app.id, "app": app.name, "name": name},
            lock=f"app/{app.id}",
            old=f"as in the live version {live.id}",
            steps=("keep the draft", "write the live version with the new value", "publish", "read back", "draft back"),
            warnings=tuple(warnings),
        )

    async def users(self, instance: Instance, reading: Reading, planned: Planned) -> list[App]:
        """Return the app itself."""
        return [await reading.app(planned.target["app_id"])]

    async def inventory(self, instance: Instance, reading: Reading) -> list[Held]:
        """Return the secret variables of every live version."""
        return [
            Held(
                kind=self.name,
                address=f"{self.name}/{document.app.name}/{item.get('name')}",
                subject=f"{self.name}/{document.app.id}/{item.get('name')}",
                name=str(item.get("name")),
                owner=document.app.name,
                ref=ref(self.name, document.app.name, str(item.get("name"))),
                users=(document.app.name,),
            )
            for document in await reading.documents()
            for item in env_variables(document.body)
            if item.get("value_type") == "secret"
        ]

    async def create(self, hands: Hands) -> None:
        """Look at the present value, and hold it: the version that has it may be deleted in the web page."""
        if hands.memo("live_before") is None:
            live = await read_live(hands)
            _check_can_be_hidden(hands, live)
            old = live.value(hands.target("name"))
            if old is None:
                raise StalePlan(f"The live version has no variable {hands.target('name')!r} any more.")
            new = await self._new(hands)
            if new == old:
                raise NewValueRefused("The new value is the one that is live; nothing was changed.")
            hands.vault.keep(OLD, old)
            seals = {"old_fingerprint": hands.seal(old), "new_fingerprint": hands.seal(new)}
            hands.note(live_before=live.workflow.id, **seals)

    async def prove_new(self, hands: Hands) -> None:
        """Do nothing: a value shows whether it works when the draft is run, just before it goes live."""

    async def switch(self, hands: Hands) -> None:
        """Publish the live version with the new value and give the draft back."""
        new, old = await self._new(hands), await self.old_value(hands)
        live = await read_live(hands)
        if live.value(hands.target("name")) != new:
            hands.note(base=live.workflow.id)
            await self._published(hands, live, new)
        elif hands.memo("switched_live") is None:
            await self._check_published(hands, live, new)
            hands.found_done("publish", version=live.workflow.id)
            await put_triggers_back(hands, live)
        hands.note(switched_live=True)
        await put_draft_back(hands, old, new)

    async def use_again(self, hands: Hands) -> None:
        """Do nothing: what is published is used from the next run on."""

    async def observe(self, hands: Hands) -> Used:
        """Read the live version's value.

        Raises:
            StalePlan: somebody published a version with another value after the switch.
        """
        live = await read_live(hands)
        if live.value(hands.target("name")) == await self._new(hands):
            return Used.NEW
        raise StalePlan(f"Somebody published a version with another value of {hands.target('name')} meanwhile.")

    async def old_use(self, hands: Hands) -> OldUse:
        """Say what stays."""
        return OldUse(words="old versions on the server keep the old value; revoke it where it came from")

    async def retire(self, hands: Hands) -> None:
        """Let go of the old value."""
        if hands.vault.get(OLD) is None:
            return

        async def let_go() -> None:
            hands.vault.forget(OLD)

        await hands.effect("forget old value", let_go)

    async def is_retired(self, hands: Hands) -> bool:
        """Say yes: difyops cannot call with it; what accepts it is outside."""
        return hands.vault.get(OLD) is None

    async def revert(self, hands: Hands) -> float:
        """Publish the live version with the old value again, where the new one went live; give the draft back."""
        if hands.memo("live_before") is None:
            return 0.0
        new, live = await self._new(hands), await read_live(hands)
        old = await self.old_value(hands)
        if old is None:
            raise StalePlan("The old value is not to be had any more.")
        await put_triggers_back(hands, live)
        if hands.memo("wrong_live") == live.workflow.id:
            give_way(hands)
            await publish_with(hands, await read_version(hands, str(hands.memo("base"))), old, _at_once)
        elif live.value(hands.target("name")) == new:
            await publish_with(hands, live, old, _at_once)
        await put_draft_back(hands, new, old)
        return 0.0

    async def new_value(self, hands: Hands) -> SecretText | None:
        """Return the value that was given."""
        return hands.vault.get(NEW)

    async def old_value(self, hands: Hands) -> SecretText | None:
        """Return the old value: held here, or in the former version on the server."""
        held = hands.vault.get(OLD)
        if held is not None or hands.memo("live_before") is None:
            return held
        former = await read_version(hands, str(hands.memo("live_before")))
        return former.value(hands.target("name"))

    async def probe_key(self, hands: Hands, app_id: str) -> SecretText | None:
        """Return nothing: any key of the app does."""
        return None

    async def _published(self, hands: Hands, live: Version, new: SecretText) -> None:
        async def try_draft() -> None:
            for spec in counted(hands):
                if spec.app == hands.target("app_id"):
                    tried = await probe_draft(hands, spec)
                    if tried.health is Health.SICK:
                        raise NewValueRefused(f"A run of the draft with the new value fails: {tried.why}")

        try:
            await publish_with(hands, live, new, try_draft)
        except WrongVersionLive:
            hands.note(wrong_live=(await read_live(hands)).workflow.id)
            raise

    async def _check_published(self, hands: Hands, live: Version, new: SecretText) -> None:
        """Look at a version that was published just before this rotation was cut off.

        Raises:
            WrongVersionLive: it is ours, and something else than this one value changed.
        """
        if hands.memo("base") is None or not is_ours(hands, live):
            return
        base = await read_version(hands, str(hands.memo("base")))
        if not live.means(base.with_value(hands.target("name"), new)):
            hands.note(wrong_live=live.workflow.id)
            raise WrongVersionLive("What went live is not the former version with one value changed.")

    async def _new(self, hands: Hands) -> SecretText:
        new = hands.vault.get(NEW)
        if new is None:
            raise NewValueRefused("The new value is not held any more.")
        return new


def _check_can_be_hidden(hands: Hands, live: Version) -> None:
    """Refuse a present value such as the variable's own name, before it is known as a secret.

    Raises:
        NewValueRefused: hiding it would make the journal unreadable.
    """
    name = hands.target("name")
    if hands.bench.journal.is_word(hands.rotation, str(live.values.get(name) or "")):
        raise NewValueRefused(
            f"The present value of {name} is an ordinary word that also stands in the plan (a placeholder?), and "
            "cannot be kept secret; set the variable in the web page once",
        )


async def _at_once() -> None:
    """Check nothing before publishing: what goes live was live before."""

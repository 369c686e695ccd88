"""A secret variable of a workflow or chatflow: the exact live version with this one value changed; the draft kept."""

from __future__ import annotations

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.clock import iso
from difyops.dsl.model import env_variables
from difyops.errors import NotFound, NotSupported, Refused, SelectorError, StalePlan
from difyops.publishing import Content, Overtaken
from difyops.rotation.job import NewValueRefused, RotationJob
from difyops.rotation.kinds import OldUse, WantedSecret
from difyops.rotation.live_env import (
    FORWARD,
    exchange_held,
    give_draft_back,
    is_rotated_by_another,
    leave_nowhere,
    publication,
    publish_with,
    put_kept_right,
    read_live,
    read_version,
    rotating_until,
)
from difyops.rotation.machine import Health, Used
from difyops.rotation.probe import counted, probe_draft
from difyops.rotation.reading import HeldSecret, WorkspaceReading, ref
from difyops.rotation.record import PlannedRotation
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

    async def plan(self, instance: Instance, reading: WorkspaceReading, wanted: WantedSecret) -> PlannedRotation:
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
        return PlannedRotation(
            kind=self.name,
            subject=f"{self.name}/{app.id}/{name}",
            label=f"variable {name} of {app.name}",
            target={"app_id": app.id, "app": app.name, "name": name},
            lock=f"app/{app.id}",
            old=f"as in the live version {live.id}",
            steps=("keep the draft", "write the live version with the new value", "publish", "read back", "draft back"),
            warnings=tuple(warnings),
        )

    async def users(self, instance: Instance, reading: WorkspaceReading, planned: PlannedRotation) -> list[App]:
        """Return the app itself."""
        return [await reading.app(planned.target["app_id"])]

    async def inventory(self, instance: Instance, reading: WorkspaceReading) -> list[HeldSecret]:
        """Return the secret variables of every live version."""
        return [
            HeldSecret(
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

    async def create(self, job: RotationJob) -> None:
        """Look at the present value, and hold it: the version that has it may be deleted in the web page.

        Raises:
            NewValueRefused: the new value is the one that is live. StalePlan: the live version has no such variable.
        """
        if _began_live(job) is None:
            version, live = await read_live(job)
            _check_can_be_hidden(job, live)
            old = live.value(job.target("name"))
            if old is None:
                raise StalePlan(f"The live version has no variable {job.target('name')!r} any more.")
            new = await self._new(job)
            if new == old:
                raise NewValueRefused("The new value is the one that is live; nothing was changed.")
            job.vault.keep(OLD, old)
            seals = {"old_fingerprint": job.seal(old), "new_fingerprint": job.seal(new)}
            job.note(began_live=version.id, **seals)

    async def prove_new(self, job: RotationJob) -> None:
        """Do nothing: a value shows whether it works when the draft is run, just before it goes live."""

    async def switch(self, job: RotationJob) -> None:
        """Publish the live version with the new value and give the draft back."""
        new, old = await self._new(job), await self.old_value(job)
        version, live = await read_live(job)
        made = publication(job)
        if live.holds(job.target("name"), new) and job.memo("publication") is None:
            job.found_done("publish", version=version.id)
            job.note(published=[version.id] if made.is_ours(version) else [])
            await made.restore_triggers()
            await give_draft_back(job, made, new, old)
        else:
            await publish_with(job, FORWARD, new, old, lambda: self._try_draft(job))
        job.note(switched_live=True)

    async def use_again(self, job: RotationJob) -> None:
        """Do nothing: what is published is used from the next run on."""

    async def observe(self, job: RotationJob) -> Used:
        """Read the live version's value.

        Raises:
            StalePlan: somebody published a version with another value after the switch.
        """
        _, live = await read_live(job)
        if live.holds(job.target("name"), await self._new(job)):
            return Used.NEW
        raise StalePlan(f"Somebody published a version with another value of {job.target('name')} meanwhile.")

    async def old_use(self, job: RotationJob) -> OldUse:
        """Say what stays."""
        return OldUse(words="old versions on the server keep the old value; revoke it where it came from")

    async def retire(self, job: RotationJob) -> None:
        """Let go of the old value."""
        if job.vault.get(OLD) is None:
            return

        async def let_go() -> None:
            job.vault.forget(OLD)

        await job.effect("forget old value", let_go)

    async def is_retired(self, job: RotationJob) -> bool:
        """Say yes: difyops cannot call with it; what accepts it is outside."""
        return job.vault.get(OLD) is None

    async def is_beyond_recall(self, job: RotationJob) -> bool:
        """Look whether the old value is neither held here nor in the former version on the server."""
        try:
            return _began_live(job) is not None and await self.old_value(job) is None
        except NotFound:
            return True

    async def revert(self, job: RotationJob) -> float:
        """Take back what is still ours, and leave the rejected value nowhere: not live, in no draft, in no kept one.

        Where a rotation of another machine put its value live meanwhile, that one is left alone.

        Raises:
            StalePlan: the old value is not to be had any more. Overtaken: somebody publishes again and again.
        """
        if _began_live(job) is None:
            return 0.0
        new, old = await self._new(job), await self.old_value(job)
        if old is None:
            raise StalePlan("The old value is not to be had any more.")
        made = publication(job)
        if await is_rotated_by_another(job, str(_began_live(job))):
            await give_draft_back(job, made, new, old)
            job.note(overtaken=True)
            return 0.0
        if job.memo("publication") == FORWARD:
            exchange_held(job, old, new)
            try:
                await made.take_back()
            except Overtaken:  # somebody published just now: theirs is looked at below
                await give_draft_back(job, made, old, new)
        _, live = await read_live(job)
        if not live.holds(job.target("name"), new) and job.memo("publication") != FORWARD:
            await give_draft_back(job, made, old, new)
        await leave_nowhere(job, old, new)
        put_kept_right(job, old, new)
        return 0.0

    async def new_value(self, job: RotationJob) -> SecretText | None:
        """Return the value that was given."""
        return job.vault.get(NEW)

    async def old_value(self, job: RotationJob) -> SecretText | None:
        """Return the old value: held here, or in the former version on the server."""
        held = job.vault.get(OLD)
        if held is not None or _began_live(job) is None:
            return held
        former = await read_version(job, str(_began_live(job)))
        return former.value(job.target("name"))

    async def probe_key(self, job: RotationJob, app_id: str) -> SecretText | None:
        """Return nothing: any key of the app does."""
        return None

    async def _try_draft(self, job: RotationJob) -> None:
        for spec in counted(job):
            if spec.app == job.target("app_id"):
                tried = await probe_draft(job, spec)
                if tried.health is Health.SICK:
                    raise NewValueRefused(f"A run of the draft with the new value fails: {tried.why}")

    async def _new(self, job: RotationJob) -> SecretText:
        new = job.vault.get(NEW)
        if new is None:
            raise NewValueRefused("The new value is not held any more.")
        return new


def _check_can_be_hidden(job: RotationJob, live: Content) -> None:
    """Refuse a present value such as the variable's own name, before it is known as a secret.

    Raises:
        NewValueRefused: hiding it would make the journal unreadable.
    """
    name = job.target("name")
    shown = live.text(name)
    if job.bench.journal.is_word(job.rotation, shown or ""):
        raise NewValueRefused(
            f"The present value of {name} is an ordinary word that also stands in the plan (a placeholder?), and "
            "cannot be kept secret; set the variable in the web page once",
        )


def _began_live(job: RotationJob) -> str | None:
    """Return the version that was live when the rotation began; 0.1.0 wrote it under another name."""
    noted = job.memo("began_live") or job.memo("live_before")
    return str(noted) if noted else None

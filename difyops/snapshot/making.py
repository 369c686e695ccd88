"""Making a restored app: import under a name of its own, exact document, everything off, proof, then its real name.

Until it is whole the app is called ``NAME (restoring CHANGE-ID)``: so a half-made one is found again after a kill, and
nobody takes it for the real one. Removing it touches only what is still as it was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from difyops.api.agents import Agents
from difyops.api.instance import Instance
from difyops.api.model import AgentVersion, App, Workflow
from difyops.api.runs import runs_in
from difyops.changes import Change, Ended, cut_off
from difyops.clock import iso
from difyops.dsl.diff import describe, diff
from difyops.dsl.secrets import redact
from difyops.errors import DifyopsError, NotFound, Refused, ServerFault, StalePlan, Unreachable
from difyops.publishing import Content, Overtaken, Publication, PublishSettings
from difyops.publishing.agent import AgentPublication
from difyops.publishing.content import aligned, draft_content, version_content
from difyops.publishing.held import PARKED
from difyops.snapshot.agent_apps import agent_now
from difyops.snapshot.as_made import MADE, AsMade
from difyops.snapshot.creating import created
from difyops.snapshot.proof import Proof
from difyops.snapshot.reading import config_of
from difyops.snapshot.rollback_work import ProofFailed

JsonObject = dict[str, Any]
KIND = "snapshot.restore"
WORK = "work"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A restored app and what was read back of it."""

    app_id: str
    live_version: str | None
    warnings: tuple[str, ...]
    proofs: tuple[Proof, ...]

    def as_fields(self) -> JsonObject:
        """Return the fields that the room's result has too."""
        return {name: getattr(self, name) for name in ("app_id", "live_version", "warnings", "proofs")}


@dataclass(slots=True)
class Making:
    """One restore under way, the first time or after a kill."""

    instance: Instance
    change: Change

    @property
    def name(self) -> str:
        """Return the name of the app while it is being made."""
        return f"{self.change.record.facts['app_name']} (restoring {self.change.id})"

    async def forward(self) -> Made:
        """Bring the app to what it is to be, from wherever it is.

        Raises:
            Refused: the DSL is newer than the server. DifyopsError: a call or the proof failed.
        """
        held = self.change.kept(WORK) or {}
        app = await self._app() or await created(self.instance, self.change, self.name, held)
        facts = self.change.record.facts
        if self.change.memo("published") is None:
            await self._made.note(app)
        await self._switch(app, api=False, site=False)
        warnings = list(self.change.memo("import_warnings") or [])
        warnings += [
            f"plugin {item} is not installed" for item in await self.instance.console.missing_dependencies(app.id)
        ]
        if app.has_workflow:
            await self._publish(app)
            warnings += await self._triggers(app)
        if app.is_agent:
            await self._publish_agent(app)
        await self._tag(app)
        await self._switch(app, api=facts["api"], site=facts["site"])
        self.change.checkpoint("before proof")
        await self._proved(app)
        await self._name(app)
        proofs, live = await self._proved(app)  # somebody may have published since the first time
        warnings += [
            f"{item['title']} is kept as {item['place']} (difyops changes draft {item['name']})"
            for item in self.change.memo("set_aside") or []
        ]
        return Made(app_id=app.id, live_version=live, warnings=tuple(warnings), proofs=tuple(proofs))

    async def failed(self, error: DifyopsError) -> DifyopsError:
        """Return the error to raise: it says what is there. Where nothing was made, the change is closed."""
        name, identity = self.change.record.facts["app_name"], self.change.id
        hint = f"difyops changes finish {identity} goes on; difyops changes undo {identity} removes it."
        try:
            app = await self._app()
        except DifyopsError:
            said = f"The restore of {name!r} was cut off: {error.message} Whether an app was made is unknown."
            return DifyopsError(said, hint=hint, retryable=True)
        if app is not None and isinstance(error, StalePlan):
            self.change.close("overtaken", app=app.id, error=error.code)
            return StalePlan(self.left_alone(app.id, app.name, error), hint="Remove it in the web page, or keep it.")
        if app is not None:
            said = f"{name!r} was created as app {app.id}, but its restore did not end: {error.message}"
            return DifyopsError(said, hint=hint)
        if gone := cut_off(error, f"The restore of {name!r}", hint):
            return gone
        if isinstance(error, Unreachable):
            said = f"The restore of {name!r} was cut off: {error.message} Whether the server acts on it is unknown."
            return DifyopsError(said, hint=hint, retryable=True)
        self.change.close("failed", error=error.code)
        said = f"{error.message} Nothing was created."
        return Refused(said, hint=error.hint) if isinstance(error, Refused) else DifyopsError(said, hint=error.hint)

    async def remove(self) -> Ended:
        """Delete the half-made app, if it is still as it was made."""
        app = await self._app()
        if app is None:
            return Ended(state="undone", text="no app was made; nothing to remove")
        if not await self.is_as_made(app):
            return self._somebodys(app)

        async def delete() -> bool:
            """Delete it, unless somebody began to work in it a moment ago."""
            if not await self.is_as_made(app):
                return False
            await self.instance.console.delete_app(app.id)
            return True

        if not await self.change.effect("delete app", delete, app=app.id):
            return self._somebodys(app)
        return Ended(state="undone", text=f"the half-made app {app.id} was removed")

    def left_alone(self, app_id: str, app_name: str, error: DifyopsError) -> str:
        """Say that somebody works in the app that was being made, and where it is."""
        return f"{error.message} App {app_id} ({app_name!r}) is left as it is."

    def _somebodys(self, app: App) -> Ended:
        text = f"app {app.id} ({app.name!r}) was changed by somebody since; it is left alone"
        return Ended(state="overtaken", text=text)

    @property
    def _made(self) -> AsMade:
        return AsMade(self.instance, self.change, (self.change.kept(WORK) or {})["document"])

    async def tell(self) -> str:
        """Return one sentence on what is there."""
        app = await self._app()
        return f"app {app.id} is half-made" if app else "no app was made yet"

    async def _app(self) -> App | None:
        """Return the app that this change made, by its id or by the name that only it has."""
        console = self.instance.console
        known = self.change.memo("app_id")
        if known:
            try:
                return await console.app(known)
            except NotFound:
                return None
        found = [app.id async for app in console.apps(name=self.name) if app.name == self.name]
        if not found:
            return None
        self.change.note(app_id=found[0])
        return await console.app(found[0])

    async def _publish_agent(self, app: App) -> None:
        publication = self._agent_publication(app)
        if self.change.memo("published") is None:
            soul = (self.change.kept(WORK) or {})["document"]["agent_soul"]
            draft = (await publication.agents.state(app)).draft.soul
            is_ours = await self._made.is_untouched(app)
            publication.begin(target=soul, live=None, draft=draft)
            if is_ours:
                publication.own(draft)
        await publication.put_live()
        await publication.put_draft_back()

    def _agent_publication(self, app: App) -> AgentPublication:
        target = self.change.record.facts["target"]
        return AgentPublication(
            instance=self.instance, app_id=app.id, app_name=self.change.record.label, keeper=self.change,
            text=f"restored from {target}", clock=self.change.journal.clock,
        )  # fmt: skip

    async def _switch(self, app: App, *, api: bool, site: bool) -> None:
        console = self.instance.console
        now = await console.app(app.id)
        if now.enable_api is not api:
            await self.change.effect("switch API", lambda: console.set_api(app.id, enabled=api), on=api)
        if now.enable_site is not site:
            await self.change.effect("switch site", lambda: console.set_site(app.id, enabled=site), on=site)

    async def _publish(self, app: App) -> None:
        """Publish the exact document; an import drops what an export leaves out."""
        console = self.instance.console
        publication = self._publication(app)
        if self.change.memo("published") is None:
            workflow, draft = await console.draft(app.id), await draft_content(console, app.id)
            document = aligned((self.change.kept(WORK) or {})["document"], workflow)
            made = draft if await self._made.is_untouched(app) else None  # somebody's draft is parked, and put back
            publication.begin(target=Content(document=document), live=made, version=None, draft=draft)
        await publication.put_live()
        await publication.put_draft_back()

    def _publication(self, app: App) -> Publication:
        target = self.change.record.facts["target"]
        return Publication(
            instance=self.instance, app_id=app.id, app_name=self.change.record.label, keeper=self.change,
            settings=PublishSettings(name=f"restore {target}", text=f"from {target}", wait_for_slots=False),
            clock=self.change.journal.clock, keeps_triggers=False,
        )  # fmt: skip

    async def _triggers(self, app: App) -> list[str]:
        """Switch every trigger off at once: publishing for the first time switched them on. Read back.

        Returns a sentence for each run that came in between.
        """
        console = self.instance.console
        wanted = {item["node_id"] for item in self.change.record.facts["triggers"] if item.get("status") == "enabled"}
        for trigger in await console.triggers(app.id):
            on = trigger.node_id in wanted
            if (trigger.status == "enabled") != on:
                await self.change.effect(
                    "switch trigger",
                    lambda trigger=trigger, on=on: console.set_trigger(app.id, trigger.id, enabled=on),  # type: ignore[misc]
                    trigger=trigger.id,
                    on=on,
                )
        now = await console.triggers(app.id)
        left = [item.title or item.kind for item in now if (item.status == "enabled") != (item.node_id in wanted)]
        if left:
            raise ServerFault(f"trigger {left[0]!r} could not be switched; the server said yes.")
        if not now:
            return []
        clock = self.change.journal.clock
        window = await runs_in(self.instance, app, self.change.record.began, clock.now())
        return [
            f"run {run.id} was started by a {run.source} before its trigger was switched off" for run in window.runs
        ] + ([] if wanted else [f"{len(now)} trigger{'s' * (len(now) != 1)} switched off at {iso(clock.now())}"])

    async def _tag(self, app: App) -> None:
        names = [name for name in self.change.record.facts["tags"] if name not in app.tags]
        if not names:
            return
        workspace, console = self.instance.workspace, self.instance.console
        known = {str(row.get("name")): str(row.get("id")) for row in await workspace.tags()}
        for name in names:
            tag = known.get(name) or await workspace.create_tag(name)
            await self.change.effect("tag", lambda tag=tag: console.bind_tag(app.id, tag), tag=name)  # type: ignore[misc]

    async def _proved(self, app: App) -> tuple[list[Proof], str | None]:
        """Read back what was made; return the proofs and the id of the live version.

        Raises:
            Overtaken: somebody works in the app, and what is live is theirs. ProofFailed: a proof failed.
        """
        proofs, live = await self._prove(app)
        failed = next((proof for proof in proofs if not proof.ok), None)
        if failed is None:
            return proofs, live
        is_known = self.change.kept(MADE) is not None or self.change.memo("published") is not None
        if is_known and not await self.is_as_made(app):
            raise Overtaken(f"Somebody works in the app already: {failed.what}: {failed.found}.")
        name = self.change.record.facts["app_name"]
        raise ProofFailed(f"{name!r} was restored, but {failed.what} failed: {failed.found}.")

    async def _prove(self, app: App) -> tuple[list[Proof], str | None]:
        console, facts = self.instance.console, self.change.record.facts
        now = await console.app(app.id)
        live: Workflow | AgentVersion | None = await console.published(app.id) if app.has_workflow else None
        if app.is_agent:
            live = (await agent_now(self.instance, now)).live
        if isinstance(live, AgentVersion):
            document = live.document
        else:
            document = (await version_content(console, app.id, live)).document if live else config_of(now)
        target = (self.change.kept(WORK) or {})["document"]
        left = diff(redact(document).document, redact(target).document)
        switches = (now.enable_api, now.enable_site) == (facts["api"], facts["site"])
        proofs = [
            Proof(what="live means the snapshot", ok=not left, found=describe(left[0]) if left else "no difference"),
            Proof(what="API and site as asked", ok=switches, found=f"API {now.enable_api}, site {now.enable_site}"),
        ]
        return proofs, live.id if live else None

    async def _name(self, app: App) -> None:
        """Give the app its real name: it is whole."""
        now = await self.instance.console.app(app.id)
        shown = ("icon", "icon_type", "icon_background", "use_icon_as_answer_icon", "max_active_requests")
        body = {
            "name": self.change.record.facts["app_name"],
            "description": now.description,
            **{key: now.raw.get(key) for key in shown},
        }
        if now.name != self.name:  # it has its name already, or another one that somebody gave it
            return
        if now.is_agent:
            body["role"] = (self.change.kept(WORK) or {})["identity"].get("role") or ""
            await self.change.effect("name", lambda: Agents(self.instance.console).update(now, body), app=app.id)
        else:
            await self.change.effect("name", lambda: self.instance.console.update_app(app.id, body), app=app.id)

    async def is_as_made(self, app: App) -> bool:
        """Say whether nobody but this change worked on the app: its name, its versions, its draft."""
        if app.name not in (self.name, self.change.record.facts["app_name"]) or self.change.kept(PARKED) is not None:
            return False
        is_begun = self.change.memo("published") is not None
        if app.is_agent and is_begun:
            made = self._agent_publication(app)
            draft = (await made.agents.state(app)).draft.soul
            return made.is_known(draft) and all(made.is_ours(version) for version in await made.newer(app))
        if app.has_workflow:
            publication = self._publication(app)
            seen = await publication.look()
            if any(not publication.is_ours(version) for version in seen.newer):
                return False
            if is_begun:
                return seen.draft is None or publication.draft.is_known(seen.draft)
        return await self._made.is_untouched(app)


class Restores:
    """The recovery of restores that were cut off."""

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return one sentence on what is there."""
        return await Making(instance, change).tell()

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Make the app whole; where somebody works in it already, it is left as it is."""
        work = Making(instance, change)
        try:
            made = await work.forward()
        except (StalePlan, ProofFailed) as error:
            app = await instance.console.app(change.memo("app_id"))
            if isinstance(error, ProofFailed) and await work.is_as_made(app):
                raise
            return Ended(state="overtaken", text=work.left_alone(app.id, app.name, error))
        data = {"app_id": made.app_id, "proofs": [*made.proofs]}
        return Ended(state="finished", text=f"restored as app {made.app_id}", warnings=made.warnings, data=data)

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Remove the half-made app, if it is still as it was made."""
        return await Making(instance, change).remove()

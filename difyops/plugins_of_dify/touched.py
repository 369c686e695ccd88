"""One app of an upgrade: its identifiers rewritten in what is live and in its draft, and all of it put back.

What is live goes live anew by the laws of publishing, over whatever draft is there; then a draft that differs from it
is rewritten, that of a workflow under its own hash, that of an agent app (which has no lock) only while it is what was
just read. What was there before is held privately until the upgrade is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from difyops.api.agents import Agents
from difyops.api.model import AgentVersion, App, Workflow
from difyops.changes import Change
from difyops.dsl.plugin_names import rewritten, stale
from difyops.errors import Conflict, StalePlan
from difyops.publishing.content import Content, draft_content, version_content
from difyops.publishing.document_change import DocumentChange, change_document
from difyops.publishing.publication import BeforePublish
from difyops.publishing.writing import write_draft, write_soul
from difyops.workspace import Workspace

KIND = "plugin.identifiers"
_ATTEMPTS = 3
JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewriting:
    """One app and the version that it is to name. ``change`` is the upgrade's, which holds what was there before."""

    workspace: Workspace
    change: Change
    plugin: str
    identifier: str
    test: BeforePublish | None = None

    async def forward(self, app_id: str) -> App:
        """Rewrite what is live and the draft; nothing where no other version is named. Once or twice is the same.

        Somebody may publish the draft after what was live is rewritten and before the draft is: what is live is read
        back, and rewritten again.

        Raises:
            DifyopsError: a call, the test run or the publication failed; what was live of this app is live again.
            StalePlan: somebody published a document that names another version again and again.
        """
        console, name = self.workspace.instance.console, f"live-{app_id}"
        for _ in range(_ATTEMPTS):
            app = await console.app(app_id)
            await self._rewrite_live(app, lambda now: rewritten(now, self.plugin, self.identifier), name)
            await self._rewrite_draft(app)
            _, now = await self._live(await console.app(app_id))
            if now is None or not stale(now, self.plugin, self.identifier):
                return app
        raise StalePlan(f"Somebody publishes {app.name!r} with another version of {self.plugin} again and again.")

    async def back(self, app_id: str, former: str) -> list[str]:
        """Put back what was there; where somebody published or saved since, only the identifiers go back.

        Returns sentences on what could not be put back to the letter.
        """
        app, said = await self.workspace.instance.console.app(app_id), []
        kept = self.change.kept(f"live-{app_id}")
        if kept is not None:
            original = kept["content"]

            def derive(now: JsonObject) -> JsonObject:
                if _same(rewritten(original, self.plugin, self.identifier), now):
                    return dict(original)
                said.append(f"{app.name}: somebody changed it since; only its identifiers are back")
                return dict(rewritten(now, self.plugin, former))

            await self._rewrite_live(app, derive, None)
        await self._draft_back(app, former)
        return list(dict.fromkeys(said))

    async def _rewrite_live(self, app: App, derive: Callable[[JsonObject], JsonObject], keep: str | None) -> None:
        console = self.workspace.instance.console
        version, now = await self._live(app)
        if now is None or _same(derive(dict(now)), now):
            return
        if keep is not None and self.change.kept(keep) is None:
            content = dict(now)
            if isinstance(version, Workflow):
                content = (await version_content(console, app.id, version)).document["graph"]
            self.change.keep(keep, {"content": content})
        number = self.identifier.partition(":")[2].partition("@")[0]
        wanted = DocumentChange(
            kind=KIND,
            name=f"plugin {number}"[:20],
            text=f"{self.plugin} {number}",
            derive=derive,
            expected_live=version.id if version else None,
            told={"plugin": self.plugin, "identifier": self.identifier},
            test=self.test,
            for_agents=True,
            checkpoint=self.change.checkpoint,
        )
        await change_document(self.workspace, app, wanted)

    async def _live(self, app: App) -> tuple[Workflow | AgentVersion | None, Mapping[str, Any] | None]:
        """Return the live version, where the mode has versions, and what is derived from: graph, soul or config."""
        console = self.workspace.instance.console
        if app.has_workflow:
            live = await console.published(app.id)
            return live, live.graph if live else None
        if app.is_agent:
            agents = Agents(console)
            soul = await agents.live(app, (await agents.state(app)).active)
            return soul, soul.soul if soul else None
        return None, app.model_config or {}

    async def _rewrite_draft(self, app: App) -> None:
        """Rewrite a draft that still names another version: one with edits that nobody published."""
        name = f"draft-{app.id}"
        for _ in range(_ATTEMPTS):
            draft = await self._draft(app)
            if draft is None or not stale(draft.document, self.plugin, self.identifier):
                return
            if self.change.kept(name) is None:
                self.change.keep(name, draft.as_kept())
            if await self._write(app, rewritten(draft.document, self.plugin, self.identifier), draft):
                return
        raise StalePlan(f"The draft of {app.name!r} is being edited just now; its identifiers are not rewritten.")

    async def _draft_back(self, app: App, former: str) -> None:
        kept = self.change.kept(f"draft-{app.id}")
        for _ in range(_ATTEMPTS):
            draft = await self._draft(app)
            if draft is None or not stale(draft.document, self.plugin, former):
                return
            original = Content.read(kept) if kept else None
            ours = original and Content(document=rewritten(original.document, self.plugin, self.identifier))
            is_ours = ours is not None and ours.is_same(Content(document=draft.document))
            document = original.document if original and is_ours else rewritten(draft.document, self.plugin, former)
            if await self._write(app, document, draft):
                return
        raise StalePlan(f"The draft of {app.name!r} is being edited just now; its identifiers are not put back.")

    async def _draft(self, app: App) -> Content | None:
        """Return the draft of an app, ``None`` where its mode has none."""
        console = self.workspace.instance.console
        if app.has_workflow:
            return await draft_content(console, app.id)
        if app.is_agent:
            return Content(document=(await Agents(console).state(app)).draft.document)
        return None

    async def _write(self, app: App, document: JsonObject, over: Content) -> bool:
        """Write a draft over the one that was read; ``False`` when somebody saved a moment ago."""
        console = self.workspace.instance.console
        effect, former = "rewrite draft", over.document
        try:
            if app.is_agent:
                soul, read = document["agent_soul"], former["agent_soul"]
                await write_soul(self.change, Agents(console), app, soul, over=read, effect=effect, app=app.id)
            else:
                await write_draft(self.change, console, app.id, document, over=over.hash, effect=effect, app=app.id)
        except Conflict:
            return False
        return True


def _same(first: Any, second: Any) -> bool:
    return bool(first == second)

"""A change of what is live that is derived from what is live: another model, say. One kind of change a derivation.

Data flow: live -> ``derive`` -> publication (workflow, chatflow) or config (chat, agent-chat, completion) -> read back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.changes import Change, Ended, cut_off
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.errors import DifyopsError, NotSupported, Refused, ServerFault, StalePlan, Unreachable
from difyops.publishing.config import ConfigPublication
from difyops.publishing.content import Content, draft_content, version_content
from difyops.publishing.publication import (
    PARKED,
    BeforePublish,
    Overtaken,
    Publication,
    PublishSettings,
    TakenBack,
)
from difyops.workspace import Workspace

JsonObject = dict[str, Any]
Derive = Callable[[JsonObject], JsonObject]
WORKFLOW_MODES = ("workflow", "advanced-chat")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentChange:
    """What to change: the kind of change, the mark of the version, what the audit trail says.

    ``derive`` makes the new graph (workflows) or model config (other modes) from the one that is live; it must not
    change its argument. ``expected_live``: refuse when another version is live (``None`` for the other modes).
    ``test`` looks at a workflow's draft before it goes live, and may raise.
    """

    kind: str
    name: str
    text: str
    derive: Derive
    expected_live: str | None
    told: Mapping[str, Any]
    test: BeforePublish | None = None
    checkpoint: Checkpoint = no_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """How it went: the versions before and after (``None`` for the other modes), where a parked draft is."""

    before: str | None
    after: str | None
    draft: str | None = None


async def change_document(workspace: Workspace, app: App, wanted: DocumentChange) -> Changed:
    """Derive a document from what is live and put it live, over whatever draft is there.

    Raises:
        StalePlan: another version is live than was expected, or somebody published meanwhile. DifyopsError: a call
        failed; the message says what is live.
    """
    instance, journal = workspace.instance, workspace.journal
    if app.is_agent:
        raise NotSupported(f"{app.name!r} is an agent app; only snapshot rollback changes what is live of these.")
    subject = f"app/{app.id}"
    with journal.lock(subject, holding=f"a change of {app.name!r}"):
        journal.refuse_open(subject)
        live = await instance.console.published(app.id) if app.has_workflow else None
        if app.has_workflow and (live is None or live.id != wanted.expected_live):
            raise StalePlan(f"{app.name!r} was published anew since the plan was made; nothing was changed.")
        facts = {
            "app_id": app.id,
            "app_name": app.name,
            "mode": app.mode,
            "publish_name": wanted.name,
            "publish_text": wanted.text,
        }
        change = Change.begin(
            journal,
            wanted.kind,
            subject=subject,
            label=app.name,
            url=instance.context.url,
            facts=facts,
            checkpoint=wanted.checkpoint,
        )
        work = _Work(instance, change)
        if live is not None:
            content = await version_content(instance.console, app.id, live)
            target = Content(document={**content.document, "graph": wanted.derive(content.document["graph"])})
            draft = await draft_content(instance.console, app.id)
            work.publication.begin(target=target, live=content, version=live, draft=draft)
        else:
            config = await work.config.read()
            work.config.begin(target=wanted.derive(config), live=config)
        try:
            draft_told = await work.forward(wanted.test)
        except DifyopsError as error:
            raise await work.undone(error) from error
        after = await instance.console.published(app.id) if app.has_workflow else None
        change.close("done", **wanted.told, before=live.id if live else None)
    return Changed(before=live.id if live else None, after=after.id if after else None, draft=draft_told)


class DocumentChanges:
    """The recovery of changes of this kind."""

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return one sentence on what is live."""
        return "the change is live" if await _Work(instance, change).is_live() else "the change is not live"

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Put it live; where somebody published meanwhile, say so and leave that alone."""
        work = _Work(instance, change)
        try:
            told = await work.forward()
        except (Overtaken, StalePlan) as error:
            taken = await work.back()
            return Ended(state="overtaken", text=f"{error.message} {'; '.join(taken.said)}")
        return Ended(state="finished", text=f"the change is live{f'; {told}' if told else ''}")

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Put back what is still ours."""
        taken = await _Work(instance, change).back()
        return Ended(state="overtaken" if taken.left_alone else "undone", text="; ".join(taken.said))


@dataclass(slots=True)
class _Work:
    instance: Instance
    change: Change

    @property
    def is_workflow(self) -> bool:
        return self.change.record.facts["mode"] in WORKFLOW_MODES

    @property
    def publication(self) -> Publication:
        facts = self.change.record.facts
        return Publication(
            instance=self.instance,
            app_id=facts["app_id"],
            app_name=facts["app_name"],
            keeper=self.change,
            settings=PublishSettings(name=facts["publish_name"], text=facts["publish_text"]),
            clock=self.change.journal.clock,
        )

    @property
    def config(self) -> ConfigPublication:
        facts = self.change.record.facts
        return ConfigPublication(
            instance=self.instance, app_id=facts["app_id"], app_name=facts["app_name"], keeper=self.change
        )

    async def forward(self, test: BeforePublish | None = None) -> str | None:
        """Put it live and the draft back, and read back; return where a parked draft is.

        Raises:
            Overtaken: somebody published meanwhile. ServerFault: it is not live although the server said yes.
        """
        told = None
        if self.is_workflow:
            publication = self.publication
            await publication.put_live(test)
            had_draft = self.change.kept(PARKED) is not None
            await publication.put_draft_back()
            told = publication.draft_told() if had_draft else None
        else:
            await self.config.put_live()
        if not await self.is_live():
            raise ServerFault(f"{self.change.record.label!r}: the change is not live; the server said yes.")
        return told

    async def back(self) -> TakenBack:
        return await (self.publication.take_back() if self.is_workflow else self.config.take_back())

    async def is_live(self) -> bool:
        return await (self.publication.is_target_live() if self.is_workflow else self.config.is_target_live())

    async def undone(self, error: DifyopsError) -> DifyopsError:
        """Take back after a failure and return the error to raise: it says what is live."""
        hint = f"difyops changes show {self.change.id} tells the state; finish or undo ends it."
        if gone := cut_off(error, "The change", hint):
            return gone
        if isinstance(error, Unreachable):
            said = f"{error.message} Whether the server acted is unknown."
            return DifyopsError(said, hint=hint, retryable=True)
        try:
            taken = await self.back()
        except DifyopsError as second:
            return DifyopsError(f"{error.message} It could not be taken back now ({second.message}).", hint=hint)
        self.change.close("overtaken" if taken.left_alone else "undone", error=error.code)
        said = f"{error.message} {'; '.join(taken.said)}."
        if isinstance(error, Refused) or taken.left_alone:
            return StalePlan(said, hint=error.hint)
        return ServerFault(said, hint=error.hint)

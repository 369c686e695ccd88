"""A change of what is live that is derived from what is live: another model, say. One kind of change a derivation.

Data flow: live -> ``derive`` -> ``Putting``, whatever the app's mode -> read back.
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
from difyops.publishing.content import version_content
from difyops.publishing.publication import BeforePublish, Overtaken, TakenBack
from difyops.publishing.putting import Now, Putting, now_of
from difyops.workspace import Workspace

JsonObject = dict[str, Any]
Derive = Callable[[JsonObject], JsonObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentChange:
    """What to change: the kind of change, the mark of the version, what the audit trail says.

    ``derive`` makes the new graph (workflows), soul (agent apps) or model config (other modes) from the one that is
    live; it must not change its argument. ``expected_live``: refuse when another version is live (``None`` for modes
    without versions). ``test`` looks at a workflow's draft before it goes live, and may raise. ``for_agents``: the
    derivation knows souls too.
    """

    kind: str
    name: str
    text: str
    derive: Derive
    expected_live: str | None
    told: Mapping[str, Any]
    test: BeforePublish | None = None
    for_agents: bool = False
    checkpoint: Checkpoint = no_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """How it went: the versions before and after (``None`` for the other modes), where a parked draft is.

    ``missed``: scheduled runs that did not come when it was published; they were said.
    """

    before: str | None
    after: str | None
    draft: str | None = None
    missed: tuple[str, ...] = ()


async def change_document(workspace: Workspace, app: App, wanted: DocumentChange) -> Changed:
    """Derive a document from what is live and put it live, over whatever draft is there.

    Raises:
        StalePlan: another version is live than was expected, or somebody published meanwhile. DifyopsError: a call
        failed; the message says what is live.
    """
    instance, journal = workspace.instance, workspace.journal
    if app.is_agent and not wanted.for_agents:
        raise NotSupported(f"{app.name!r} is an agent app; only snapshot rollback changes what is live of these.")
    subject = f"app/{app.id}"
    with journal.lock(subject, holding=f"a change of {app.name!r}"):
        journal.refuse_open(subject)
        now = await _now(instance, app)
        if (app.has_workflow or app.is_agent) and (now.live is None or now.version != wanted.expected_live):
            raise StalePlan(f"{app.name!r} was published anew since the plan was made; nothing was changed.")
        facts = {
            "app_id": app.id,
            "app_name": app.name,
            "mode": app.mode,
            "publish_name": wanted.name,
            "publish_text": wanted.text,
            "wait_for_slots": True,
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
        live, part = dict(now.live or {}), part_of(app)
        await work.putting.begin(now, {**live, part: wanted.derive(live[part])})
        try:
            draft_told = await work.forward(wanted.test)
        except DifyopsError as error:
            raise await work.undone(error) from error
        missed = await work.putting.missed_slots()
        for text in missed:
            change.say(f"{app.name!r}: {text}.")
        after = await instance.console.published(app.id) if app.has_workflow else None
        change.close("done", **wanted.told, before=now.version or None)
    return Changed(
        before=now.version or None, after=after.id if after else None, draft=draft_told, missed=tuple(missed)
    )


def part_of(app: App) -> str:
    """Return the part of an app's document that says what it does."""
    return "graph" if app.has_workflow else "agent_soul" if app.is_agent else "model_config"


async def _now(instance: Instance, app: App) -> Now:
    """Read what is live; of an agent app also its draft, which ``begin`` parks."""
    if not app.has_workflow:
        return await now_of(instance, app.id)
    version = await instance.console.published(app.id)
    if version is None:
        return Now(app=app, live=None)
    read = await version_content(instance.console, app.id, version)
    return Now(app=app, live=read.document, version=version.id, found=version, read=read)


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
        said = f"the change is live{f'; {told}' if told else ''}"
        return Ended(state="finished", text=said, missed=tuple(await work.putting.missed_slots()))

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Put back what is still ours."""
        taken = await _Work(instance, change).back()
        return Ended(state="overtaken" if taken.left_alone else "undone", text="; ".join(taken.said))


@dataclass(slots=True)
class _Work:
    instance: Instance
    change: Change

    @property
    def putting(self) -> Putting:
        return Putting(self.instance, self.change)

    async def forward(self, test: BeforePublish | None = None) -> str | None:
        """Put it live and the draft back, and read back; return where a parked draft is.

        Raises:
            Overtaken: somebody published meanwhile. ServerFault: it is not live although the server said yes.
        """
        return await self.putting.put_live(test)

    async def back(self) -> TakenBack:
        return await self.putting.take_back(keep_draft=False)

    async def is_live(self) -> bool:
        return await self.putting.is_target_live()

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

"""Putting a kept draft back into its app's draft, as a change: one write, finished or taken back after a kill.

Held privately until the change is closed: ``wanted`` (the kept draft) and ``former`` (what the draft held before, which
was live). A draft that is neither is somebody's, and is left alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.api.agents import Agents
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.changes import Change, Ended, cut_off
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.errors import Conflict, DifyopsError, UnpublishedEdits, Unreachable
from difyops.publishing.agent import means
from difyops.publishing.content import Content, draft_content, version_content
from difyops.publishing.kept_drafts import KeptDraft
from difyops.publishing.writing import write_draft, write_soul
from difyops.workspace import Workspace

KIND = "draft.put_back"
WANTED, FORMER = "wanted", "former"


async def put_kept_back(workspace: Workspace, kept: KeptDraft, checkpoint: Checkpoint = no_checkpoint) -> None:
    """Write a kept draft into its app's draft, and let go of the file.

    Raises:
        UnpublishedEdits: the draft holds edits that are not live; they are not overwritten. Conflict: somebody saved a
        moment ago. NotFound: the app is gone. DifyopsError: a call failed; the change stays open where nobody knows
        whether it was done.
    """
    instance, journal, subject = workspace.instance, workspace.journal, f"app/{kept.app_id}"
    app = await instance.console.app(kept.app_id)
    with journal.lock(subject, holding=f"a change of {app.name!r}"):
        journal.refuse_open(subject)
        draft = await _draft(instance, app)
        if not await _is_live(instance, app, draft):
            raise UnpublishedEdits(
                f"The draft of {app.name!r} holds edits that are not live; they are not overwritten.",
                hint="Publish or discard them in the web page first.",
            )
        change = Change.begin(
            journal, KIND, subject=subject, label=app.name, url=instance.context.url,
            facts={"app_id": app.id, "place": kept.place}, checkpoint=checkpoint,
        )  # fmt: skip
        change.keep(WANTED, {"document": kept.document})
        if draft is not None:
            change.keep(FORMER, draft.as_kept())
        try:
            await _write(change, instance, app, Content(document=kept.document), draft)
        except DifyopsError as error:
            if (failed := await _failed(change, instance, app, error)) is not None:
                raise failed from error
        change.close("done", kept=kept.name)
    atomic_file.remove(Path(kept.place))


class PutBacks:
    """The recovery of a kept draft that was being put back."""

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return one sentence on what the draft holds."""
        now = await _draft(instance, await instance.console.app(change.record.facts["app_id"]))
        if _is(change, WANTED, now):
            return "the draft holds the kept one"
        return "the draft is what it was" if _is(change, FORMER, now) else "the draft was edited by somebody since"

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Write it, unless that was done, and let go of the file; a draft that somebody saved since stays."""
        app = await instance.console.app(change.record.facts["app_id"])
        now, wanted = await _draft(instance, app), _held(change, WANTED)
        if not _is(change, WANTED, now):
            if wanted is None or not _is(change, FORMER, now):
                return Ended(state="overtaken", text=f"somebody saved a newer draft, which stays; {_kept(change)}")
            try:
                await _write(change, instance, app, wanted, now)
            except Conflict:
                return Ended(state="overtaken", text=f"somebody saved a newer draft, which stays; {_kept(change)}")
        if place := change.record.facts.get("place"):
            atomic_file.remove(Path(place))
        return Ended(state="finished", text="the draft holds the kept one (read back)")

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Give the draft back what it held, where it is still what this change wrote."""
        app = await instance.console.app(change.record.facts["app_id"])
        now, former = await _draft(instance, app), _held(change, FORMER)
        if former is None or not _is(change, WANTED, now):
            return Ended(state="undone", text=f"{await self.tell(instance, change)}; it is left alone; {_kept(change)}")
        try:
            await _write(change, instance, app, former, now)
        except Conflict:
            return Ended(state="overtaken", text=f"somebody saved a newer draft, which stays; {_kept(change)}")
        return Ended(state="undone", text=f"the draft is what it was; {_kept(change)}")


async def _failed(change: Change, instance: Instance, app: App, error: DifyopsError) -> DifyopsError | None:
    """Close the change where it is known how it stands, and return the error to raise.

    ``None``: the draft holds what it is to hold, and only the answer was lost.
    """
    hint = f"difyops changes show {change.id} tells the state; finish or undo ends it."
    if gone := cut_off(error, f"Putting a draft of {app.name!r} back", hint):
        return gone
    try:
        if _is(change, WANTED, await _draft(instance, app)):
            return None
    except DifyopsError:
        return DifyopsError(f"{error.message} Whether it was written is unknown.", hint=hint, retryable=True)
    if isinstance(error, Unreachable):
        return DifyopsError(f"{error.message} Whether the server acts on it is unknown.", hint=hint, retryable=True)
    change.close("failed", error=error.code)
    return error


async def _is_live(instance: Instance, app: App, draft: Content | None) -> bool:
    """Say whether the draft of an app holds nothing but what is live."""
    if draft is None:
        return True
    if app.is_agent:
        agents = Agents(instance.console)
        version = await agents.live(app, (await agents.state(app)).active)
        return version is not None and means(version.soul, draft.document["agent_soul"])
    live = await instance.console.published(app.id)
    return live is not None and draft.is_same(await version_content(instance.console, app.id, live))


async def _draft(instance: Instance, app: App) -> Content | None:
    if app.is_agent:
        return Content(document={"agent_soul": (await Agents(instance.console).state(app)).draft.soul})
    return await draft_content(instance.console, app.id)


async def _write(change: Change, instance: Instance, app: App, content: Content, over: Content | None) -> None:
    console, document = instance.console, content.document
    if app.is_agent:
        former = over.document["agent_soul"] if over else {}
        await write_soul(change, Agents(console), app, document["agent_soul"], over=former, audited=False)
    else:
        await write_draft(change, console, app.id, document, over=over.hash if over else None, audited=False)


def _held(change: Change, name: str) -> Content | None:
    held: dict[str, Any] | None = change.kept(name)
    return Content.read(held) if held else None


def _is(change: Change, name: str, now: Content | None) -> bool:
    held = _held(change, name)
    if held is None or now is None:
        return held is now
    if "agent_soul" in held.document:
        return means(held.document["agent_soul"], now.document.get("agent_soul") or {})
    return now.is_same(held)


def _kept(change: Change) -> str:
    place = change.record.facts.get("place")
    return f"the kept one stays as {place}" if place else "difyops changes draft lists what is kept"

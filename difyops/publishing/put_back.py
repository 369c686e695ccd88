"""Putting a kept draft back into its app's draft, as a change: one write, finished or taken back after a kill.

Held privately until the change is closed: ``wanted`` (the kept draft) and ``former`` (what the draft held before, which
was live). A draft that is neither is somebody's, and is left alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.api.agents import Agents
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.changes import Change, Ended, cut_off
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.errors import Conflict, DifyopsError, ServerFault, StoreError, UnpublishedEdits, Unreachable
from difyops.publishing.agent import means
from difyops.publishing.content import Content, draft_content, version_content
from difyops.publishing.kept_drafts import KeptDraft
from difyops.publishing.writing import write_draft, write_soul
from difyops.workspace import Workspace

KIND = "draft.put_back"
WANTED, FORMER = "wanted", "former"
_HINT = "Publish or discard them in the web page first."


async def put_kept_back(workspace: Workspace, kept: KeptDraft, checkpoint: Checkpoint = no_checkpoint) -> None:
    """Write a kept draft into its app's draft, and let go of the file.

    Raises:
        UnpublishedEdits: the draft holds edits that are not live, or somebody saved just before our write or since;
        theirs stays, and so does the file. NotFound: the app is gone. DifyopsError: a call failed; the change stays
        open where nobody knows whether it was done.
    """
    instance, journal, subject = workspace.instance, workspace.journal, f"app/{kept.app_id}"
    app = await instance.console.app(kept.app_id)
    with journal.lock(subject, holding=f"a change of {app.name!r}"):
        journal.refuse_open(subject)
        draft = await _draft(instance, app)
        if not await _is_live(instance, app, draft):
            raise UnpublishedEdits(
                f"The draft of {app.name!r} holds edits that are not live; they are not overwritten.",
                hint=_HINT,
            )
        change = Change.begin(
            journal, KIND, subject=subject, label=app.name, url=instance.context.url,
            facts={"app_id": app.id, "place": kept.place}, checkpoint=checkpoint,
        )  # fmt: skip
        change.keep(WANTED, {"document": kept.document})
        if draft is not None:
            change.keep(FORMER, draft.as_kept())
        try:
            is_written = await _is_written(change, instance, app, WANTED, over=draft)
        except DifyopsError as error:
            raise _failed(change, app, error) from error
        if not is_written:
            ended = _overtaken(change)
            change.close(ended.state, kept=kept.name)
            raise UnpublishedEdits(f"{app.name!r}: {ended.text}.", hint=_HINT)
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
        now = await _draft(instance, app)
        if not _is(change, WANTED, now):
            if _held(change, WANTED) is None or not _is(change, FORMER, now):
                return _overtaken(change)
            if not await _is_written(change, instance, app, WANTED, over=now):
                return _overtaken(change)
        if place := change.record.facts.get("place"):
            atomic_file.remove(Path(place))
        return Ended(state="finished", text="the draft holds the kept one (read back)")

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Give the draft back what it held, where it is still what this change wrote."""
        app = await instance.console.app(change.record.facts["app_id"])
        now = await _draft(instance, app)
        if _held(change, FORMER) is None or not _is(change, WANTED, now):
            return Ended(state="undone", text=f"{await self.tell(instance, change)}; it is left alone; {_kept(change)}")
        if not await _is_written(change, instance, app, FORMER, over=now):
            return _overtaken(change)
        return Ended(state="undone", text=f"the draft is what it was (read back); {_kept(change)}")


async def _is_written(change: Change, instance: Instance, app: App, name: str, *, over: Content | None) -> bool:
    """Write what is held as ``name`` over the draft that was read, read it back, and say whether it is there.

    It is there when hash and variables are those that we wrote. ``False``: somebody saved just before our write or
    after it, and theirs is there.

    Raises:
        Unreachable: whether it was written is unknown. DifyopsError: the server said no, and nothing was written.
    """
    content, lost = _held(change, name), None
    if content is None:
        raise StoreError(f"The journal of change {change.id} has lost its document {name!r}.")
    try:
        written = await _write(change, instance, app, content, over)
    except Conflict:
        return False
    except (Unreachable, ServerFault) as error:
        lost = error
    else:
        change.keep(name, replace(content, hash=written).as_kept())  # so that a finish later knows it by its hash, too
    try:
        now = await _draft(instance, app)
    except DifyopsError as error:
        said = f"{(lost or error).message} The draft could not be read back."
        raise Unreachable(said, hint=error.hint, retryable=True) from error
    if _is(change, name, now):
        return True  # where an error came, only the answer was lost
    if lost is not None and _is_same(now, over):
        raise lost
    return False


def _overtaken(change: Change) -> Ended:
    """Return how a change ended whose draft somebody saved since: theirs stays, and the kept one, too."""
    return Ended(state="overtaken", text=f"somebody saved a newer draft, which stays; {_kept(change)}")


def _failed(change: Change, app: App, error: DifyopsError) -> DifyopsError:
    """Close the change where it is known that nothing was written, and return the error to raise."""
    hint = f"difyops changes show {change.id} tells the state; finish or undo ends it."
    if gone := cut_off(error, f"Putting a draft of {app.name!r} back", hint):
        return gone
    if isinstance(error, Unreachable):
        return DifyopsError(f"{error.message} Whether it was written is unknown.", hint=hint, retryable=True)
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


async def _write(change: Change, instance: Instance, app: App, content: Content, over: Content | None) -> str | None:
    """Write a draft; return the hash that the server gave it, ``None`` where it gives none (agent apps)."""
    console, document = instance.console, content.document
    if not app.is_agent:
        expected = over.hash if over else None
        return await write_draft(change, console, app.id, document, over=expected, audited=False) or None
    former = over.document["agent_soul"] if over else {}
    await write_soul(change, Agents(console), app, document["agent_soul"], over=former, audited=False)
    return None


def _held(change: Change, name: str) -> Content | None:
    held: dict[str, Any] | None = change.kept(name)
    return Content.read(held) if held else None


def _is(change: Change, name: str, now: Content | None) -> bool:
    return _is_same(now, _held(change, name))


def _is_same(now: Content | None, held: Content | None) -> bool:
    """Say whether a draft is one that is held: to the letter, or the soul of an agent app in meaning."""
    if held is None or now is None:
        return held is now
    if "agent_soul" in held.document:
        return means(held.document["agent_soul"], now.document.get("agent_soul") or {})
    return now.is_same(held)


def _kept(change: Change) -> str:
    place = change.record.facts.get("place")
    return f"the kept one stays as {place}" if place else "difyops changes draft lists what is kept"

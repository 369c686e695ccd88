"""Drafts that could not be put back because somebody had saved a newer one: listing them, and putting one back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.api.agents import Agents
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.changes import Change, Ended
from difyops.clock import iso
from difyops.errors import DifyopsError, SelectorError, StoreError, UnpublishedEdits, Unreachable
from difyops.publishing.agent import means
from difyops.publishing.content import Content, draft_content, version_content
from difyops.publishing.writing import write_draft, write_soul
from difyops.sealing.access import Access
from difyops.sealing.kept import is_sealed, opened_body, seal_older
from difyops.workspace import Workspace

KIND = "draft.put_back"
WANTED = "wanted"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDraft:
    """A draft that is kept in a private file: its name, whose app, since when. ``document`` may hold secrets; it is
    empty in a list where it ``is_sealed``.
    """

    name: str
    title: str
    app_id: str
    kept_at: str
    place: str
    document: dict[str, Any] = field(repr=False)
    is_sealed: bool = False


def kept_drafts(state: Path) -> list[KeptDraft]:
    """Return the drafts that are kept, oldest first.

    Raises:
        StoreError: a file cannot be read.
    """
    seal_older(state)
    found = [_read(path) for path in sorted((state / "kept").glob("*.json"))]
    return sorted(found, key=lambda item: (item.kept_at, item.name))


def kept_draft(state: Path, name: str, access: Access) -> KeptDraft:
    """Return one kept draft by name, or by the beginning of its name where only one begins so.

    Raises:
        SelectorError: there is none, or several begin so. CannotOpen: it is sealed, and no identity is here.
    """
    every = kept_drafts(state)
    found = [item for item in every if item.name == name] or [item for item in every if item.name.startswith(name)]
    if len(found) != 1:
        known = ", ".join(item.name for item in every) or "none"
        raise SelectorError(f"No one kept draft is called {name!r} (there are: {known}).", hint="difyops changes draft")
    return _read(Path(found[0].place), access)


async def put_kept_back(workspace: Workspace, kept: KeptDraft) -> None:
    """Write a kept draft into its app's draft, and let go of the file.

    Raises:
        UnpublishedEdits: the draft holds edits that are not live; they are not overwritten. Conflict: somebody saved a
        moment ago. NotFound: the app is gone.
    """
    instance, journal, subject = workspace.instance, workspace.journal, f"app/{kept.app_id}"
    console = instance.console
    app = await console.app(kept.app_id)
    with journal.lock(subject, holding=f"a change of {app.name!r}"):
        journal.refuse_open(subject)
        draft = None if app.is_agent else await draft_content(console, app.id)
        if not await _is_live(instance, app, draft):
            raise UnpublishedEdits(
                f"The draft of {app.name!r} holds edits that are not live; they are not overwritten.",
                hint="Publish or discard them in the web page first.",
            )
        change = Change.begin(
            journal, KIND, subject=subject, label=app.name, url=instance.context.url, facts={"app_id": app.id}
        )
        change.keep(WANTED, {"document": kept.document})
        expected = draft.hash if draft else None
        try:
            await _write(change, instance, app, kept.document, expected)
        except DifyopsError as error:
            if isinstance(error, Unreachable) or not await _holds(instance, app, kept.document):
                if not isinstance(error, Unreachable):
                    change.close("failed", error=error.code)
                raise
        change.close("done", kept=kept.name)
    atomic_file.remove(Path(kept.place))


class PutBacks:
    """The recovery of a kept draft that was being put back: one write, so it is there or it is not."""

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return one sentence on what the draft holds."""
        held = change.kept(WANTED) or {}
        app = await instance.console.app(change.record.facts["app_id"])
        is_there = await _holds(instance, app, held.get("document") or {})
        return "the draft holds the kept one" if is_there else "the draft does not hold the kept one"

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Say what the draft holds, and close: the kept file is there until it was put back whole."""
        told = await self.tell(instance, change)
        return Ended(state="finished", text=f"{told}; difyops changes draft lists what is kept")

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Say what the draft holds, and close; the draft is left alone."""
        return Ended(state="undone", text=f"{await self.tell(instance, change)}; the draft is left alone")


async def _is_live(instance: Instance, app: App, draft: Content | None) -> bool:
    """Say whether the draft of an app holds nothing but what is live."""
    if app.is_agent:
        agents = Agents(instance.console)
        state = await agents.state(app)
        version = await agents.live(app, state.active)
        return version is not None and means(version.soul, state.draft.soul)
    if draft is None:
        return True
    live = await instance.console.published(app.id)
    return live is not None and draft.is_same(await version_content(instance.console, app.id, live))


async def _write(change: Change, instance: Instance, app: App, document: dict[str, Any], expected: str | None) -> None:
    console = instance.console
    if app.is_agent:
        await write_soul(change, Agents(console), app, document["agent_soul"], audited=False)
    else:
        await write_draft(change, console, app.id, document, over=expected, audited=False)


async def _holds(instance: Instance, app: App, document: dict[str, Any]) -> bool:
    if app.is_agent:
        return means((await Agents(instance.console).state(app)).draft.soul, document.get("agent_soul") or {})
    draft = await draft_content(instance.console, app.id)
    return draft is not None and draft.is_same(Content(document=document))


def _read(path: Path, access: Access | None = None) -> KeptDraft:
    try:
        body = kept = json.loads(atomic_file.read_private(path))
        if access is not None:
            body = opened_body(kept, access)
        document = {} if is_sealed(body) else dict(body["document"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"The kept draft {path} is damaged.", hint="Look at it.") from error
    return KeptDraft(
        name=path.stem,
        title=str(body.get("title") or ""),
        app_id=str(body.get("app_id") or ""),
        kept_at=str(body.get("kept_at") or iso(datetime.fromtimestamp(path.stat().st_mtime, UTC))),
        place=str(path),
        document=document,
        is_sealed=is_sealed(kept),
    )

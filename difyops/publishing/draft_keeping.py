"""The draft of a workflow or chatflow while something of ours is published through it: whose it is, how it comes back.

A draft is ours only while it is exactly what we wrote; anything else is somebody's: it is parked before we write, and
given back. Where somebody saved a newer one meanwhile, that stays, and the older one is kept by name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from difyops.api.console import Console
from difyops.clock import Clock
from difyops.errors import Conflict, ServerFault, Unreachable
from difyops.publishing import late
from difyops.publishing.content import Content, draft_content
from difyops.publishing.held import FORMER, PARKED, WANTED, WRITING
from difyops.publishing.keeper import Keeper
from difyops.publishing.writing import write_draft


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftKeeping:
    """The draft of one app in one change."""

    console: Console
    app_id: str
    app_name: str
    keeper: Keeper
    clock: Clock

    async def put_back(self) -> None:
        """Give the draft back exactly what it held. One that somebody saved since stays, and ours is kept by name."""
        parked = self.keeper.kept(PARKED)
        if parked is None:
            return
        await late.wait(self.keeper, self.clock, self.app_name)
        content, draft = Content.read(parked), await draft_content(self.console, self.app_id)
        if draft is None or self.is_written(draft):
            try:
                await self.write("put draft back", content, draft, ours=False)
            except Conflict:  # somebody saved a moment ago: theirs stays
                self._set_parked_aside()
        elif not draft.is_same(content):
            self._set_parked_aside()
        self.keeper.drop(PARKED)

    async def write_target(self, draft: Content | None, target: Content) -> None:
        """Put the target into the draft under its hash lock; what somebody has there is parked before.

        Raises:
            Conflict: somebody saved between our look and our write.
        """
        is_ours = draft is not None and self.is_written(draft)
        if draft is not None and is_ours and draft.is_same(self.as_sent(target)):
            self.keeper.keep(WANTED, draft.as_kept())
            return
        if draft is not None and not is_ours:
            self._park(draft)
        await self.write("write draft", target, draft, ours=True)

    async def write(self, effect: str, content: Content, over: Content | None, *, ours: bool) -> None:
        """Write ``content`` into the draft; ``ours``: it is no person's draft that is put back."""
        sent = replace(content, hash=None)
        self.keeper.keep(WRITING, {**sent.as_kept(), "ours": ours})
        expected = over.hash if over is not None else None
        try:
            written: str | None = await write_draft(
                self.keeper, self.console, self.app_id, content.document, over=expected, effect=effect
            )
        except (Unreachable, ServerFault) as error:
            late.note(self.keeper, self.clock, error)
            now = await draft_content(self.console, self.app_id)
            if now is None or not now.is_same(sent):
                raise
            written = now.hash  # only the answer was lost
            late.over(self.keeper)
        if ours:
            self.keeper.keep(WANTED, replace(content, hash=written or None).as_kept())

    def is_known(self, draft: Content) -> bool:
        """Say whether a draft is what we wrote, or what was there when the change began."""
        former = self.keeper.kept(FORMER)
        return self.is_written(draft) or (former is not None and draft.is_same(Content.read(former)))

    def is_written(self, draft: Content) -> bool:
        """Say whether the draft is exactly what we wrote to publish it, and no person's."""
        wanted, writing = self.keeper.kept(WANTED), self.keeper.kept(WRITING)
        if wanted is not None and draft.is_same(Content.read(wanted)):
            return True
        return writing is not None and bool(writing["ours"]) and draft.is_same(Content.read(writing))

    def as_sent(self, target: Content) -> Content:
        """Return ``target`` with the hash that the server gave it, where we wrote it into the draft last."""
        wanted = self.keeper.kept(WANTED)
        return Content.read(wanted) if wanted is not None and wanted["document"] == target.document else target

    def told(self) -> str:
        """Say where the draft that was parked is now."""
        places = self.keeper.memo("set_aside") or []
        if not places:
            return "the unpublished draft is back"
        return f"a newer draft was saved meanwhile and stays; the older one is kept as {places[-1]['place']}"

    def _park(self, draft: Content) -> None:
        parked, former = self.keeper.kept(PARKED), self.keeper.kept(FORMER)
        if parked is not None and draft.is_same(Content.read(parked)):
            return
        if parked is None and former is not None and draft.is_same(Content.read(former)):
            return
        if parked is not None:
            self._set_parked_aside()
        self.keeper.keep(PARKED, draft.as_kept())

    def _set_parked_aside(self) -> None:
        self.keeper.set_aside(PARKED, f"draft of {self.app_name}")

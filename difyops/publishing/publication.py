"""One document put live in place of another, through a draft that may be somebody's.

Everything looks first and acts then, so a first run, one that was killed anywhere and one that failed go the same way.
What is held privately until the change is closed has its names in ``held``; whose the draft is says ``draft_keeping``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import Workflow
from difyops.clock import Clock, iso
from difyops.errors import Conflict, DifyopsError, ServerFault, StalePlan, Unreachable
from difyops.publishing import late
from difyops.publishing.content import Content, draft_content, version_content
from difyops.publishing.draft_keeping import DraftKeeping
from difyops.publishing.held import FORMER, PARKED, SLIPPED, TARGET, WANTED, WRITING
from difyops.publishing.keeper import Keeper
from difyops.publishing.slot_guard import SlotGuard
from difyops.publishing.writing import publish_draft

ATTEMPTS = 3
_MOST_VERSIONS = 50
BeforePublish = Callable[[], Awaitable[None]]


class Overtaken(StalePlan):
    """Somebody else published meanwhile; what they published is left alone."""

    code = "overtaken"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSettings:
    """How versions are marked: ``name`` (20 characters) and ``text`` (about 75) behind the change id in the comment.

    ``wait_for_slots``: wait while a schedule is due, so that publishing does not skip its run. ``told``: what the line
    of the audit trail says besides.
    """

    name: str
    text: str
    wait_for_slots: bool = True
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is there now. ``newer``: versions published since the change began, newest first."""

    live: Workflow | None
    newer: tuple[Workflow, ...]
    draft: Content | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """What going back did, in words; ``left_alone``: somebody published meanwhile, and that stays live."""

    said: tuple[str, ...]
    left_alone: bool = False


@dataclass(slots=True, kw_only=True)
class Publication:
    """The publication of one change on one app. ``keeps_triggers``: they are switched back to what they were before."""

    instance: Instance
    app_id: str
    app_name: str
    keeper: Keeper
    settings: PublishSettings
    clock: Clock
    keeps_triggers: bool = True

    @property
    def slots(self) -> SlotGuard:
        """Return the guard of the app's schedules."""
        return SlotGuard(
            instance=self.instance, app_id=self.app_id, keeper=self.keeper, clock=self.clock,
            waits=self.settings.wait_for_slots,
        )  # fmt: skip

    @property
    def draft(self) -> DraftKeeping:
        """Return the keeping of the app's draft."""
        return DraftKeeping(
            console=self.instance.console, app_id=self.app_id, app_name=self.app_name, keeper=self.keeper,
            clock=self.clock,
        )  # fmt: skip

    def begin(self, *, target: Content, live: Content | None, version: Workflow | None, draft: Content | None) -> None:
        """Write down what is to go live and what is there (``live`` is ``version``'s content), before any change."""
        keeper = self.keeper
        keeper.keep(TARGET, target.as_kept())
        if live is not None:
            keeper.keep(FORMER, live.as_kept())
        if draft is not None and not (live is not None and draft.is_same(live)):
            keeper.keep(PARKED, draft.as_kept())
        for name in (WANTED, WRITING):
            keeper.drop(name)
        keeper.note(
            live_before=version.id if version else None,
            live_before_at=version.version if version else None,
            published=[],
            judged={},
            slipped=[],
            slots=[],
            triggers=None,
        )

    def is_ours(self, version: Workflow) -> bool:
        """Say whether this change published a version: by its id, or by the change id in its comment."""
        published = self.keeper.memo("published") or []
        return version.id in published or f"{version.marked_comment} ".startswith(f"difyops {self.keeper.id} ")

    async def look(self) -> Seen:
        """Read what is live, what was published since the change began, and the draft.

        Raises:
            NotFound: the app was deleted.
        """
        console = self.instance.console
        live = await console.published(self.app_id)
        is_moved = live is not None and live.id != self.keeper.memo("live_before")
        newer = await self._newer() if is_moved else []
        return Seen(live=live, newer=tuple(newer), draft=await draft_content(console, self.app_id))

    async def put_live(self, before_publish: BeforePublish | None = None) -> None:
        """Publish the target, or see that this was done. ``before_publish`` tests the draft, and may raise.

        Raises:
            Overtaken: somebody else published meanwhile. StalePlan: somebody saved the draft again and again.
            DifyopsError: a call failed, or ``before_publish`` did.
        """
        await self._put_live(self._held(TARGET), frozenset(), before_publish)

    async def is_target_live(self) -> bool:
        """Say whether what is live now means the target, whoever published it."""
        console = self.instance.console
        live = await console.published(self.app_id)
        return live is not None and (await version_content(console, self.app_id, live)).means(self._held(TARGET))

    async def take_back(self) -> TakenBack:
        """Undo what is still ours: publish what was live before, put the draft back. Once is enough, twice is fine.

        Raises:
            DifyopsError: a call failed; it can be done again.
        """
        await late.wait(self.keeper, self.clock, self.app_name)
        seen = await self.look()
        self._note_published([version for version in seen.newer if self.is_ours(version)])
        taken = await self._take_live_back(seen)
        await self.restore_triggers()
        had_parked = self.keeper.kept(PARKED) is not None
        await self.put_draft_back()
        if had_parked:
            return replace(taken, said=(*taken.said, self.draft_told()))
        await late.wait(self.keeper, self.clock, self.app_name)
        draft, former = await draft_content(self.instance.console, self.app_id), self.keeper.kept(FORMER)
        if draft is None or former is None or not self.draft.is_written(draft) or draft.is_same(Content.read(former)):
            return taken
        try:
            await self.draft.write("put draft back", Content.read(former), draft, ours=False)
        except Conflict:
            return taken
        return replace(taken, said=(*taken.said, "the draft is what it was"))

    async def put_draft_back(self) -> None:
        """Give the draft back exactly what it held. One that somebody saved since stays, and ours is kept by name."""
        await self.draft.put_back()

    def draft_told(self) -> str:
        """Say where the draft that was parked is now."""
        return self.draft.told()

    async def restore_triggers(self) -> None:
        """Switch triggers back to what they were just before our last publication, where it changed them."""
        before = self.keeper.memo("triggers")
        if not before or not self.keeper.memo("published"):  # what others switch while nothing is published is theirs
            return
        console = self.instance.console
        for trigger in await console.triggers(self.app_id):
            was = before.get(trigger.node_id)
            if was in ("enabled", "disabled") and trigger.status != was:
                await self._switch(trigger.id, was == "enabled")
        self.keeper.note(triggers=None, triggers_before=before)

    async def _switch(self, trigger_id: str, on: bool) -> None:
        console = self.instance.console
        await self.keeper.effect(
            "switch trigger",
            lambda: console.set_trigger(self.app_id, trigger_id, enabled=on),
            trigger=trigger_id,
            on=on,
        )

    async def _put_live(self, target: Content, known: frozenset[str], test: BeforePublish | None) -> None:
        """Publish ``target``; versions of others in ``known`` are no news."""
        published, is_tested = 0, False
        for _ in range(2 * ATTEMPTS):
            seen = await self.look()
            if await self._is_done(seen, target):
                await self.restore_triggers()
                return
            self._refuse_overtaken(seen, known)
            if published == ATTEMPTS:
                break
            try:
                await self.draft.write_target(seen.draft, target)
            except Conflict:
                continue  # somebody saved just before us: look again, and keep theirs
            if test is not None and not is_tested:
                await test()
                is_tested = True
            former = self.keeper.kept(FORMER)
            await self.slots.wait(former and former["document"])
            if await self._may_publish(seen.live):
                await self._publish()
                published += 1
        if published:
            raise StalePlan(f"Somebody saved the draft of {self.app_name!r} each time just before it was published.")
        raise StalePlan(f"The draft of {self.app_name!r} is being edited just now; nothing went live.")

    async def _is_done(self, seen: Seen, target: Content) -> bool:
        """Say whether a version of ours holds the target and what is live means it."""
        ours = [version for version in seen.newer if self.is_ours(version)]
        if not ours or seen.live is None:
            return False
        self._note_published(ours)
        content = await version_content(self.instance.console, self.app_id, ours[0])
        self._judge(ours[0], content)
        if not content.is_same(self.draft.as_sent(target)):
            return False
        if seen.live.id == ours[0].id:
            return True
        return (await version_content(self.instance.console, self.app_id, seen.live)).means(target)

    def _judge(self, version: Workflow, content: Content) -> None:
        """Note of our newest version whether it holds what we wrote; a save that slipped in is kept by name."""
        judged = dict(self.keeper.memo("judged") or {})
        wanted = self.keeper.kept(WANTED)
        if version.id in judged or wanted is None:
            return
        slipped = list(self.keeper.memo("slipped") or [])
        is_whole = content.is_same(Content.read(wanted))
        now = iso(self.clock.now())
        if is_whole:
            slipped = [{"live_until": now, **item} for item in slipped]
        else:
            self.keeper.keep(SLIPPED, content.as_kept())
            self.keeper.set_aside(SLIPPED, f"save that went live in {self.app_name}")
            slipped.append({"version": version.id, "live_from": now})
        self.keeper.note(judged={**judged, version.id: is_whole}, slipped=slipped)

    def _refuse_overtaken(self, seen: Seen, known: frozenset[str]) -> None:
        foreign = [item for item in seen.newer if not self.is_ours(item) and item.id not in known]
        if foreign:
            by = f" by {foreign[0].created_by}" if foreign[0].created_by else ""
            raise Overtaken(
                f"Another version of {self.app_name!r} was published{by} meanwhile ({foreign[0].id[:8]}); "
                "it is left alone."
            )

    async def _may_publish(self, live: Workflow | None) -> bool:
        """Look once more, right before: the draft is ours, and live is what it was."""
        console = self.instance.console
        now = await console.published(self.app_id)
        if (now.id if now else None) != (live.id if live else None):
            return False
        draft = await draft_content(console, self.app_id)
        return draft is not None and self.draft.is_written(draft)

    async def _publish(self) -> None:
        """Publish the draft, learn the version's id, and switch triggers back that this moved."""
        console, settings, former = self.instance.console, self.settings, self.keeper.kept(FORMER)
        triggers = await console.triggers(self.app_id) if self.keeps_triggers else []
        self.keeper.note(triggers={item.node_id: item.status for item in triggers})
        await self.slots.note(former and former["document"])
        comment = f"difyops {self.keeper.id} {settings.text}"
        try:
            await publish_draft(self.keeper, console, self.app_id, name=settings.name, comment=comment, **settings.told)
        except (Unreachable, ServerFault) as error:
            late.note(self.keeper, self.clock, error)
            if not await self._find_published():
                raise
            late.over(self.keeper)
        else:
            await self._find_published()
        await self.restore_triggers()

    async def _find_published(self) -> bool:
        """Note the id of the version that we just published, and say whether there is one.

        A server without comments (1.0.0) leaves the only new version; with two of them, doubt means not ours.
        """
        newer, known = await self._newer(), self.keeper.memo("published") or []
        new = [item for item in newer if item.id not in known]
        if self.instance.capabilities.can("publish_name"):
            new = [item for item in new if self.is_ours(item)]
        elif len(new) != 1:
            new = []
        self._note_published(new)
        return bool(new)

    async def _newer(self) -> list[Workflow]:
        """Return the versions published since the change began, newest first."""
        before, at = self.keeper.memo("live_before"), self.keeper.memo("live_before_at")
        newer: list[Workflow] = []
        async for version in self.instance.console.versions(self.app_id):
            is_older = isinstance(at, str) and version.version <= at  # the time of its publication, to the microsecond
            if version.id == before or is_older or len(newer) >= _MOST_VERSIONS:
                break
            newer.append(version)
        return newer

    async def _take_live_back(self, seen: Seen) -> TakenBack:
        console, live = self.instance.console, seen.live
        if live is None or live.id == self.keeper.memo("live_before"):
            return TakenBack(said=("the former version is still live",))
        if not self.is_ours(live):
            by = f" by {live.created_by}" if live.created_by else ""
            return TakenBack(said=(f"another version was published{by} meanwhile; it is left alone",), left_alone=True)
        foreign = [version for version in seen.newer if not self.is_ours(version)]
        # What somebody else published after the change began comes back before what was live when it began.
        former = await version_content(console, self.app_id, foreign[0]) if foreign else self._held(FORMER)
        now = await version_content(console, self.app_id, live)
        if foreign and now.means(former):
            return TakenBack(said=("somebody published the same meanwhile; it is left alone",), left_alone=True)
        if not now.is_same(former):
            await self._put_live(former, frozenset(item.id for item in foreign), None)
        said = "what somebody published meanwhile is live again" if foreign else "the former version is live again"
        return TakenBack(said=(said,), left_alone=bool(foreign))

    def _held(self, name: str) -> Content:
        kept = self.keeper.kept(name)
        if kept is None:
            raise DifyopsError(f"The journal of change {self.keeper.id} has lost its document {name!r}.")
        return Content.read(kept)

    def _note_published(self, ours: list[Workflow]) -> None:
        known = list(self.keeper.memo("published") or [])
        new = [item.id for item in reversed(ours) if item.id not in known]
        if new:
            self.keeper.note(published=[*known, *new])

"""The soul of an agent app put live in place of another, and put back. It has a draft and versions, and no lock.

The laws are those of ``publication``: a version is ours by the change id in its note, then by its id; a draft only
while it is exactly what we wrote. As the server does not say no to a stale save, the draft is read right before each
write; a save between that look and our write is the one thing that nobody can see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from difyops.api.agents import Agents, AgentState
from difyops.api.instance import Instance
from difyops.api.model import AgentVersion, App
from difyops.clock import Clock, iso
from difyops.dsl.canonical import same_meaning
from difyops.errors import Conflict, DifyopsError, ServerFault, StalePlan, Unreachable
from difyops.publishing import late
from difyops.publishing.held import FORMER, PARKED, SLIPPED, TARGET
from difyops.publishing.keeper import Keeper
from difyops.publishing.publication import (
    ATTEMPTS,
    Overtaken,
    TakenBack,
)
from difyops.publishing.writing import publish_soul, write_soul

WRITTEN, SENT = "written", "sent"
JsonObject = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class AgentPublication:
    """The publication of one change on one agent app. Souls are held with their secrets in clear, privately."""

    instance: Instance
    app_id: str
    app_name: str
    keeper: Keeper
    text: str
    clock: Clock

    @property
    def agents(self) -> Agents:
        """Return the calls for agent apps."""
        return Agents(self.instance.console)

    def begin(self, *, target: JsonObject, live: AgentVersion | None, draft: JsonObject) -> None:
        """Write down the soul to go live and what is there, before any change."""
        self._keep(TARGET, target)
        if live is not None:
            self._keep(FORMER, live.soul)
        if live is None or draft != live.soul:
            self._keep(PARKED, draft)
        for name in (WRITTEN, SENT):
            self.keeper.drop(name)
        self.keeper.note(live_before=live.id if live else None, published=[], slipped=[])

    def own(self, draft: JsonObject) -> None:
        """Take a draft for ours: that of an agent which this change created."""
        self._keep(WRITTEN, draft)
        self.keeper.drop(PARKED)

    def is_ours(self, version: AgentVersion) -> bool:
        """Say whether this change published a version."""
        published = self.keeper.memo("published") or []
        return version.id in published or f"{version.marked_comment} ".startswith(f"difyops {self.keeper.id} ")

    async def put_live(self) -> None:
        """Publish the target, or see that this was done.

        Raises:
            Overtaken: somebody else published meanwhile. StalePlan: somebody saved the draft again and again.
        """
        await self._put_live(self._held(TARGET), frozenset())

    async def is_target_live(self) -> bool:
        """Say whether what is live now means the target, whoever published it."""
        app = await self._app()
        live = await self.agents.live(app, (await self.agents.state(app)).active)
        return live is not None and means(live.soul, self._held(TARGET))

    async def is_live_ours(self) -> bool:
        """Say whether the live version is one of ours."""
        app = await self._app()
        active = (await self.agents.state(app)).active
        return any(version.id == active and self.is_ours(version) for version in await self.agents.versions(app))

    async def put_draft_back(self) -> None:
        """Give the draft back exactly what it held. One that somebody saved since stays, and ours is kept by name."""
        parked = self._kept(PARKED)
        if parked is None:
            return
        await late.wait(self.keeper, self.clock, self.app_name)
        app = await self._app()
        draft = (await self.agents.state(app)).draft.soul
        if self._is_written(draft):
            if not await self._write("put draft back", app, parked, over=draft, ours=False):
                self._set_parked_aside()
        elif draft != parked:
            self._set_parked_aside()
        self.keeper.drop(PARKED)

    async def take_back(self) -> TakenBack:
        """Undo what is still ours: publish what was live before, put the draft back. Once is enough, twice is fine.

        Raises:
            DifyopsError: a call failed; it can be done again.
        """
        await late.wait(self.keeper, self.clock, self.app_name)
        app = await self._app()
        taken = await self._take_live_back(app)
        if self._kept(PARKED) is not None:
            await self.put_draft_back()
            return replace(taken, said=(*taken.said, self.draft_told()))
        await late.wait(self.keeper, self.clock, self.app_name)
        draft, former = (await self.agents.state(app)).draft.soul, self._kept(FORMER)
        if former is None or draft == former or not self._is_written(draft):
            return taken
        if not await self._write("put draft back", app, former, over=draft, ours=False):
            return taken
        return replace(taken, said=(*taken.said, "the draft is what it was"))

    def draft_told(self) -> str:
        """Say where the draft that was parked is now."""
        places = self.keeper.memo("set_aside") or []
        if not places:
            return "the unpublished draft is back"
        return f"a newer draft was saved meanwhile and stays; the older one is kept as {places[-1]['place']}"

    def is_known(self, draft: JsonObject) -> bool:
        """Say whether a draft is what we wrote, or what was there when the change began."""
        return self._is_written(draft) or draft in (self._kept(FORMER), self._kept(PARKED))

    async def newer(self, app: App) -> list[AgentVersion]:
        """Return the versions published since the change began, newest first."""
        before, found = self.keeper.memo("live_before"), list[AgentVersion]()
        for version in await self.agents.versions(app):
            if version.id == before:
                break
            found.append(version)
        return found

    async def _put_live(self, target: JsonObject, known: frozenset[str]) -> None:
        """Publish ``target``; versions of others in ``known`` are no news."""
        app, published = await self._app(), 0
        for _ in range(2 * ATTEMPTS):
            state, newer = await self.agents.state(app), await self.newer(app)
            if await self._is_done(app, state, newer, target):
                return
            foreign = [version for version in newer if not self.is_ours(version) and version.id not in known]
            if foreign:
                raise Overtaken(
                    f"Another version of {self.app_name!r} was published meanwhile ({foreign[0].id[:8]}); "
                    "it is left alone."
                )
            if published == ATTEMPTS:
                break
            if not await self._draft_holds(app, state.draft.soul, target):
                continue  # somebody saved just before us: look again, and keep theirs
            now = await self.agents.state(app)
            if now.active == state.active and self._is_written(now.draft.soul):
                await self._publish(app)
                published += 1
        raise StalePlan(f"Somebody saved the draft of {self.app_name!r} each time just before it was published.")

    async def _is_done(self, app: App, state: AgentState, newer: list[AgentVersion], target: JsonObject) -> bool:
        """Say whether a version of ours holds the target and what is live means it."""
        ours = [version for version in newer if self.is_ours(version)]
        if not ours:
            return False
        self._note_published(ours)
        content = await self.agents.version(app, ours[0].id)
        if not means(content.soul, target):
            self._judge(content)
            return False
        if state.active == content.id:
            return True
        live = await self.agents.live(app, state.active)
        return live is not None and means(live.soul, target)

    def _judge(self, version: AgentVersion) -> None:
        """Keep by name a save that slipped into our newest version."""
        slipped, written = list(self.keeper.memo("slipped") or []), self._kept(WRITTEN)
        if written is None or means(version.soul, written) or any(item["version"] == version.id for item in slipped):
            return
        self._keep(SLIPPED, version.soul)
        self.keeper.set_aside(SLIPPED, f"save that went live in {self.app_name}")
        self.keeper.note(slipped=[*slipped, {"version": version.id, "live_from": iso(self.clock.now())}])

    async def _draft_holds(self, app: App, draft: JsonObject, target: JsonObject) -> bool:
        """Put the target into the draft; what somebody has there is parked before."""
        if self._is_written(draft):
            if means(draft, target):
                return True
        else:
            self._park(draft)
        return await self._write("write draft", app, target, over=draft, ours=True)

    def _park(self, draft: JsonObject) -> None:
        parked, former = self._kept(PARKED), self._kept(FORMER)
        if draft == parked or (parked is None and draft == former):
            return
        if parked is not None:
            self._set_parked_aside()
        self._keep(PARKED, draft)

    async def _write(self, effect: str, app: App, soul: JsonObject, *, over: JsonObject, ours: bool) -> bool:
        """Write a soul over the draft that was read; ``False``: somebody saved since, and nothing was written."""
        if ours:
            self._keep(SENT, soul)
        try:
            await write_soul(self.keeper, self.agents, app, soul, over=over, effect=effect)
        except Conflict:
            return False
        except (Unreachable, ServerFault) as error:
            late.note(self.keeper, self.clock, error)
            if not means((await self.agents.state(app)).draft.soul, soul):
                raise
            late.over(self.keeper)
        after = (await self.agents.state(app)).draft.soul
        if not means(after, soul):
            return False
        if ours:
            self._keep(WRITTEN, after)
        return True

    async def _publish(self, app: App) -> None:
        note = f"difyops {self.keeper.id} {self.text}"
        try:
            version = await publish_soul(self.keeper, self.agents, app, note=note)
        except (Unreachable, ServerFault) as error:
            late.note(self.keeper, self.clock, error)
            ours = [item for item in await self.newer(app) if self.is_ours(item)]
            if not ours or ours[0].id in (self.keeper.memo("published") or []):
                raise
            late.over(self.keeper)
            self._note_published(ours)
        else:
            self.keeper.note(published=[*(self.keeper.memo("published") or []), version])

    async def _take_live_back(self, app: App) -> TakenBack:
        active, newer = (await self.agents.state(app)).active, await self.newer(app)
        self._note_published([version for version in newer if self.is_ours(version)])
        live = next((version for version in newer if version.id == active), None)
        if live is None:
            return TakenBack(said=("the former version is still live",))
        if not self.is_ours(live):
            said = "another version was published meanwhile; it is left alone"
            return TakenBack(said=(said,), left_alone=True)
        foreign = [version for version in newer if not self.is_ours(version)]
        # What somebody else published after the change began comes back before what was live when it began.
        former = (await self.agents.version(app, foreign[0].id)).soul if foreign else self._kept(FORMER)
        if former is None:
            return TakenBack(said=("nothing was published before; the version stays",), left_alone=True)
        if not means((await self.agents.version(app, live.id)).soul, former):
            await self._put_live(former, frozenset(version.id for version in foreign))
        said = "what somebody published meanwhile is live again" if foreign else "the former version is live again"
        return TakenBack(said=(said,), left_alone=bool(foreign))

    def _is_written(self, draft: JsonObject) -> bool:
        """Say whether the draft is exactly what we wrote to publish it, and no person's."""
        written, sent = self._kept(WRITTEN), self._kept(SENT)
        return draft == written or (sent is not None and means(draft, sent))

    async def _app(self) -> App:
        return await self.instance.console.app(self.app_id)

    def _held(self, name: str) -> JsonObject:
        kept = self._kept(name)
        if kept is None:
            raise DifyopsError(f"The journal of change {self.keeper.id} has lost its document {name!r}.")
        return kept

    def _keep(self, name: str, soul: JsonObject) -> None:
        self.keeper.keep(name, {"document": {"agent_soul": soul}})

    def _kept(self, name: str) -> JsonObject | None:
        held = self.keeper.kept(name)
        return None if held is None else dict(held["document"]["agent_soul"])

    def _set_parked_aside(self) -> None:
        self.keeper.set_aside(PARKED, f"draft of {self.app_name}")

    def _note_published(self, ours: list[AgentVersion]) -> None:
        known = list(self.keeper.memo("published") or [])
        new = [item.id for item in reversed(ours) if item.id not in known]
        if new:
            self.keeper.note(published=[*known, *new])


def means(first: JsonObject, second: JsonObject) -> bool:
    """Say whether two souls run the same, the values of their secrets included; what servers write out is no matter."""
    return same_meaning({"agent_soul": first}, {"agent_soul": second})

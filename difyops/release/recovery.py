"""The recovery of releases: those that were cut off, and those that are held."""

from __future__ import annotations

from difyops.api.instance import Instance
from difyops.changes import Change, Ended
from difyops.errors import StalePlan
from difyops.publishing import Overtaken
from difyops.release.work import Work


class Releases:
    """How a release is told, brought to its end, taken back."""

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return one sentence on what is live and what the verdict waits for."""
        work = Work(instance, change)
        if change.memo("why") is not None:
            return f"it failed and is on its way back: {change.memo('why')}"
        if change.memo("since") is None:
            live = "the new version is live" if await work.putting.is_target_live() else "the old version is live"
            return f"{live}; it was not watched yet"
        if not await work.putting.is_live_ours():
            return "somebody else published meanwhile"
        return f"the new version is live and watched: {work.missing()}"

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Bring it to its end: what is open is judged by one look, and kept where that does not decide."""
        work = Work(instance, change)
        try:
            verdict = await work.advance()
        except (Overtaken, StalePlan) as error:  # somebody published before it did: theirs stays
            ended = await work.back()
            return Ended(state="overtaken", text=f"{error.message} {ended.text}", warnings=ended.warnings)
        if verdict is None:
            return Ended(state="finished", text=f"the new version stays live, undecided: {work.missing()}")
        states = {"passed": "finished", "overtaken": "overtaken"}
        return Ended(state=states.get(verdict.state, "undone"), text=f"{verdict.state}: {verdict.text}")

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Go back to the old version, where what is live is still ours."""
        return await Work(instance, change).back()

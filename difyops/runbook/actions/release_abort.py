"""``release.abort``: back to the version before a release that is under way or held."""

from __future__ import annotations

from difyops.release.status import abort, open_of
from difyops.runbook.result import Acted, Planned
from difyops.runbook.scene import Scene


async def plan(scene: Scene, *, app: str) -> Planned:
    """Go back to the version that was live before an open release of an app; what somebody else published since is
    left alone, and that fails the step. Nothing is done where no release of the app is open.
    """
    found = await scene.app(app)
    if open_of(await scene.workspace(), found.id) is None:
        return Planned(text=f"no release of {found.name} is open")

    async def apply() -> Acted:
        record, ended = await abort(await scene.workspace(), found.id)
        return Acted(text=f"{record.label}: {ended.text}")

    return Planned(text=f"go back to the version of {found.name} before its release", apply=apply)

"""``release.abort``: back to the version before a release that is under way or held."""

from __future__ import annotations

from difyops.release.status import abort, open_of
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned


async def plan(resources: Resources, *, app: str) -> Planned:
    """Go back to the version that was live before an open release of an app; what somebody else published since is
    left alone, and that fails the step. Nothing is done where no release of the app is open.
    """
    found = await resources.app(app)
    if open_of(await resources.workspace(), found.id) is None:
        return Planned(text=f"no release of {found.name} is open")

    async def apply() -> Acted:
        record, ended = await abort(await resources.workspace(), found.id)
        return Acted(text=f"{record.label}: {ended.text}")

    return Planned(text=f"go back to the version of {found.name} before its release", apply=apply)

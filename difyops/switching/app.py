"""Switching the service API of an app, or its web page."""

from __future__ import annotations

from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.switching.change import JsonObject, switched
from difyops.workspace import Workspace


class AppSwitch:
    """The service API of an app, or its web page (``site``). Its state is whether it is on."""

    async def read(self, instance: Instance, facts: JsonObject) -> Any:
        """Return whether it is on."""
        app = await instance.console.app(facts["app_id"])
        return app.enable_site if facts["site"] else app.enable_api

    async def write(self, instance: Instance, facts: JsonObject, state: Any) -> None:
        """Switch it."""
        console = instance.console
        await (console.set_site if facts["site"] else console.set_api)(facts["app_id"], enabled=bool(state))

    async def confirm(self, instance: Instance, facts: JsonObject, state: Any) -> None:
        """Do nothing: it is on or off."""

    async def reachable(self, instance: Instance, facts: JsonObject, state: Any) -> Any:
        """Return ``state``: an app can always be switched."""
        return state


async def switch_app(
    workspace: Workspace, app: App, *, site: bool, on: bool, checkpoint: Checkpoint = no_checkpoint
) -> bool:
    """Switch an app's API or web page; ``False`` when it was so already.

    Raises:
        LockHeld, Refused: another change of the app is under way or was cut off. ServerFault: the server said yes and
        did not. DifyopsError: a call failed; the change stays open where nobody knows whether it was done.
    """
    facts = {"app_id": app.id, "site": site, "wanted": on}
    kind = f"app.{'enable' if on else 'disable'}"
    return await switched(
        workspace, AppSwitch(), kind, f"app/{app.id}", app.name, facts, checkpoint=checkpoint, site=site
    )

"""``provider.switch_credential``: use another stored key of a model provider."""

from __future__ import annotations

from difyops.errors import NotFound, Refused
from difyops.runbook.providers import credential_path, credentials_of, provider_named
from difyops.runbook.result import Acted, Planned, Undo, Value
from difyops.runbook.scene import Scene


async def plan(scene: Scene, *, provider: str, to: str, settle: float = 3.0) -> Planned:
    """Make the stored credential named ``to`` the current one of a provider, for all apps at once.

    Switched twice, ``settle`` seconds apart: runs that had read the old key can put it back into the server's cache
    after the first time, where it would stay for a day (seen in 1 of 4 switches under load). Undo: switch back.
    """
    instance = await scene.instance()
    instance.capabilities.require("model_credentials", "Switching between stored credentials")
    row = provider_named(await instance.workspace.model_providers(), provider)
    if row is None:
        raise NotFound(f"There is no model provider {provider!r}.", status=404)
    stored, current = credentials_of(row)
    wanted = next((item for item in stored if to in (item.get("credential_name"), item.get("credential_id"))), None)
    if wanted is None:
        names = ", ".join(str(item.get("credential_name")) for item in stored) or "none"
        raise Refused(f"{row['provider']} has no credential {to!r} (it has: {names}).")
    name, wanted_id = str(row["provider"]), str(wanted["credential_id"])
    before = next((item for item in stored if item.get("credential_id") == current), None)
    if wanted_id == current:
        return Planned(text=f"{name} uses {to!r} already")

    async def apply() -> Acted:
        path = credential_path(name) + "/switch"
        for again in (False, True):
            if again:
                await scene.clock.sleep(settle)
            await instance.console.send("POST", path, {"credential_id": wanted_id}, doing="switch the credential")
            if not again:
                scene.audit("provider.switch", name, to=to)
        now = provider_named(await instance.workspace.model_providers(), name) or {}
        if credentials_of(now)[1] != wanted_id:
            raise Refused(f"{name} still uses another credential; the server said yes.")
        return Acted(text=f"{name} uses {to!r} (read back)", values=(Value(name="credential", value=to),))

    undo = None
    if before is not None:
        undo = Undo(action="provider.switch_credential", parameters={"provider": name, "to": before["credential_name"]})
    former = f" instead of {before['credential_name']!r}" if before else ""
    return Planned(text=f"let {name} use the key {to!r}{former}, for all apps", apply=apply, undo=undo)

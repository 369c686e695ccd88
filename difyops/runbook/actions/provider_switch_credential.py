"""``provider.switch_credential``: use another stored key of a model provider."""

from __future__ import annotations

from difyops.api.credential_sets import credentials_in
from difyops.errors import NotFound, Refused
from difyops.runbook.providers import provider_named
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned, Undo, Value
from difyops.switching import switch_provider


async def plan(
    resources: Resources, *, provider: str, to: str, instead_of: str | None = None, settle: float = 3.0
) -> Planned:
    """Make the stored credential named ``to`` the current one of a provider, for all apps at once.

    Switched twice, ``settle`` seconds apart: runs that had read the old key can put it back into the server's cache
    after the first time, where it would stay for a day (seen in 1 of 4 switches under load). With ``instead_of`` (a
    name) only where that one is in use now. Undo: switch back, unless somebody chose a third one meanwhile.
    """
    instance = await resources.instance()
    instance.capabilities.require("model_credentials", "Switching between stored credentials")
    row = provider_named(await instance.workspace.model_providers(), provider)
    if row is None:
        raise NotFound(f"There is no model provider {provider!r}.", status=404)
    name = str(row["provider"])
    stored = credentials_in(row.get("custom_configuration"), "available_credentials")
    wanted = next((item for item in stored if to in (item.name, item.id)), None)
    current = next((item for item in stored if item.is_current), None)
    if wanted is None:
        names = ", ".join(item.name for item in stored) or "none"
        raise Refused(f"{name} has no credential {to!r} (it has: {names}).")
    if wanted.is_current:
        return Planned(text=f"{name} uses {to!r} already")
    if instead_of and (current is None or instead_of not in (current.name, current.id)):
        used = repr(current.name) if current else "none"
        raise Refused(f"{name} uses another key by now ({used}, not {instead_of!r}); it is left alone.")

    async def apply() -> Acted:
        seen = current.id if current else None
        await switch_provider(await resources.workspace(), name, wanted, instead_of=seen, settle=settle)
        return Acted(text=f"{name} uses {to!r} (read back)", values=(Value(name="credential", value=to),))

    undo = None
    if current is not None:
        back = {"provider": name, "to": current.name, "instead_of": wanted.name, "settle": settle}
        undo = Undo(action="provider.switch_credential", parameters=back)
    former = f" instead of {current.name!r}" if current else ""
    return Planned(text=f"let {name} use the key {to!r}{former}, for all apps", apply=apply, undo=undo)

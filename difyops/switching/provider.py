"""Switching a model provider to another of its stored credentials, for all apps at once."""

from __future__ import annotations

import asyncio
from typing import Any

from difyops.api.credential_sets import Credential, ProviderCredentials
from difyops.api.instance import Instance
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.errors import Refused, SelectorError
from difyops.switching.change import JsonObject, switched
from difyops.workspace import Workspace

KIND = "provider.switch"


class ProviderSwitch:
    """The current credential of a model provider. Its state is the credential's id; ``None`` when it has none."""

    async def read(self, instance: Instance, facts: JsonObject) -> Any:
        """Return the id of the credential that new runs use; ``None`` also where the provider was removed."""
        return next((item.id for item in await _stored(instance, facts) if item.is_current), None)

    async def write(self, instance: Instance, facts: JsonObject, state: Any) -> None:
        """Switch to a credential, twice, ``settle`` seconds apart.

        Runs that had read the old key can put it back into the server's cache after the first time, where it would
        stay for a day (seen in 1 of 4 switches under load).

        Raises:
            Refused: somebody switched to a third one in between, which is left alone.
        """
        await ProviderCredentials(instance.console, facts["provider"]).use(str(state))
        await self.confirm(instance, facts, state)

    async def confirm(self, instance: Instance, facts: JsonObject, state: Any) -> None:
        """Switch to the credential the second time.

        Raises:
            Refused: somebody switched to a third one in between, which is left alone.
        """
        await asyncio.sleep(float(facts["settle"]))
        if (now := await self.read(instance, facts)) != state:
            raise Refused(
                f"Somebody let {facts['provider']} use another key ({await self._name(instance, facts, now)}) at the "
                "same time; it is left alone."
            )
        await ProviderCredentials(instance.console, facts["provider"]).use_again(str(state))

    async def reachable(self, instance: Instance, facts: JsonObject, state: Any) -> Any:
        """Return ``state``, or ``None`` when that credential, or the provider, was deleted meanwhile."""
        return state if any(item.id == state for item in await _stored(instance, facts)) else None

    async def _name(self, instance: Instance, facts: JsonObject, credential_id: Any) -> str:
        stored = await _stored(instance, facts)
        return next((repr(item.name) for item in stored if item.id == credential_id), "none")


async def switch_provider(
    workspace: Workspace,
    provider: str,
    wanted: Credential,
    *,
    instead_of: str | None,
    settle: float,
    checkpoint: Checkpoint = no_checkpoint,
) -> bool:
    """Make a stored credential the current one of ``provider`` (its full name); ``False`` when it was so already.

    ``instead_of``: the id of the one that the caller saw in use.

    Raises:
        Refused: another one is in use by now; or as ``switch_app`` raises it.
    """
    facts = {"provider": provider, "wanted": wanted.id, "name": wanted.name, "settle": settle}
    return await switched(
        workspace,
        ProviderSwitch(),
        KIND,
        f"provider/{provider}",
        provider,
        facts,
        expected=instead_of,
        checkpoint=checkpoint,
        to=wanted.name,
    )


async def _stored(instance: Instance, facts: JsonObject) -> tuple[Credential, ...]:
    try:
        return await ProviderCredentials(instance.console, facts["provider"]).list()
    except SelectorError:
        return ()

"""A built-in tool provider's credential: added, made the default; the old one deleted when no node names it."""

from __future__ import annotations

from difyops.api.credential_sets import CredentialSet, ToolCredentials
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.dsl.model import tools
from difyops.rotation.credential_rotator import REVOKE, CredentialRotator, chosen
from difyops.rotation.hands import Hands
from difyops.rotation.kinds import OldUse, Wanted
from difyops.rotation.reading import Held, Reading, names, quietly
from difyops.rotation.record import Planned


class Rotator(CredentialRotator):
    """``secret rotate tool PROVIDER --value-from REF``; ``--credential NAME`` for another than the default one."""

    name = "tool"
    arguments = ("PROVIDER",)

    def credentials(self, hands: Hands) -> CredentialSet:
        """Return the tool provider's credentials."""
        return ToolCredentials(hands.instance.console, hands.target("provider"))

    async def plan(self, instance: Instance, reading: Reading, wanted: Wanted) -> Planned:
        """Find the credential to replace.

        Raises:
            NotSupported: the server keeps one credential per tool (before 1.7): replacing it has no way back.
        """
        instance.capabilities.require("tool_credentials", "Rotating a tool's credential")
        provider = wanted.arguments[0]
        target = await chosen(ToolCredentials(instance.console, provider), wanted, provider)
        pinned = await _naming(reading, target["old_id"])
        warnings = [f"{REVOKE}."]
        if pinned:
            listed = ", ".join(names(pinned))
            warnings.append(f"Nodes that name the old credential itself must be changed by hand first: {listed}.")
        return Planned(
            kind=self.name,
            subject=f"{self.name}/{provider}",
            label=f"{target['field']} of {provider}",
            target={"provider": provider, **target},
            lock=f"{self.name}/{provider}",
            old=target["old_name"],
            steps=("add a credential", "make it the default", "delete the old"),
            warnings=tuple(warnings),
        )

    async def users(self, instance: Instance, reading: Reading, planned: Planned) -> list[App]:
        """Return the apps that use a tool of the provider."""
        return await _using(reading, planned.target["provider"])

    async def old_use(self, hands: Hands) -> OldUse:
        """Look for nodes that name the old credential: those do not follow the default."""
        pinned = names(await _naming(Reading(hands.instance), hands.target("old_id")))
        if pinned:
            return OldUse(in_use=True, words=f"nodes name the old credential itself in: {', '.join(pinned)}")
        return OldUse(words=REVOKE)

    async def inventory(self, instance: Instance, reading: Reading) -> list[Held]:
        """Return every credential of every built-in tool provider that needs one."""
        if not instance.capabilities.can("tool_credentials"):
            return []
        rows = await quietly(instance.workspace.tool_providers(), [], reading.problems, "tool providers")
        found = []
        for row in rows:
            provider = str(row.get("id") or row.get("name"))
            if row.get("type") != "builtin" or not row.get("allow_delete"):
                continue  # needs no credentials
            surface = ToolCredentials(instance.console, provider)
            users = names(await _using(reading, provider))
            found += [
                Held(
                    kind=self.name,
                    address=f"{self.name}/{provider}",
                    subject=f"{self.name}/{provider}",
                    name=item.name,
                    owner=provider,
                    ref=f"{self.name} {provider}" + ("" if item.is_current else f" --credential {item.name!r}"),
                    users=users if item.is_current else (),
                    note="" if item.is_current else "not the default",
                )
                for item in await quietly(surface.list(), (), reading.problems, provider)
            ]
        return found


async def _using(reading: Reading, provider: str) -> list[App]:
    return [
        document.app
        for document in await reading.documents()
        if any(used == provider for used, _, _, _ in tools(document.body))
    ]


async def _naming(reading: Reading, credential_id: str) -> list[App]:
    return [
        document.app
        for document in await reading.documents()
        if any(named == credential_id for _, _, _, named in tools(document.body))
    ]

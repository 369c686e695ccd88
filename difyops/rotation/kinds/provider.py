"""A model provider's credential: tried, added, switched to, switched again until it is used; the old one deleted."""

from __future__ import annotations

from difyops.api.credential_sets import CredentialSet, ProviderCredentials, credentials_in
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.dsl.model import models
from difyops.rotation.credential_rotator import REVOKE, CredentialRotator, chosen
from difyops.rotation.job import RotationJob
from difyops.rotation.kinds import WantedSecret
from difyops.rotation.reading import HeldSecret, WorkspaceReading, names, ref
from difyops.rotation.record import PlannedRotation


class Rotator(CredentialRotator):
    """``secret rotate provider PROVIDER --value-from REF``; ``--credential NAME`` for another than the one in use."""

    name = "provider"
    arguments = ("PROVIDER",)

    def credentials(self, job: RotationJob) -> CredentialSet:
        """Return the provider's credentials."""
        return ProviderCredentials(job.instance.console, job.target("provider"))

    async def plan(self, instance: Instance, reading: WorkspaceReading, wanted: WantedSecret) -> PlannedRotation:
        """Find the credential to replace.

        Raises:
            NotSupported: the server keeps one credential per provider (before 1.8): replacing it has no way back.
        """
        instance.capabilities.require("model_credentials", "Rotating a provider's credential")
        provider = wanted.arguments[0]
        target = await chosen(ProviderCredentials(instance.console, provider), wanted, provider)
        return PlannedRotation(
            kind=self.name,
            subject=f"{self.name}/{provider}",
            label=f"{target['field']} of {provider}",
            target={"provider": provider, **target},
            lock=f"{self.name}/{provider}",
            old=target["old_name"],
            steps=(
                "try the value",
                "add a credential",
                "switch",
                "look what is used",
                "switch again",
                "delete the old",
            ),
            warnings=(f"{REVOKE}.",),
        )

    async def users(self, instance: Instance, reading: WorkspaceReading, planned: PlannedRotation) -> list[App]:
        """Return the apps that use a model of the provider."""
        return await users_of(reading, planned.target["provider"])

    async def inventory(self, instance: Instance, reading: WorkspaceReading) -> list[HeldSecret]:
        """Return every credential of every provider."""
        rows = await reading.quietly(instance.workspace.model_providers(), [], "model providers")
        found = []
        for row in rows:
            provider = str(row.get("provider"))
            stored = credentials_in(row.get("custom_configuration"), "available_credentials")
            users = names(await users_of(reading, provider)) if stored else ()
            found += [
                HeldSecret(
                    kind=self.name,
                    address=f"{self.name}/{provider}",
                    subject=f"{self.name}/{provider}",
                    name=item.name,
                    owner=provider,
                    ref=ref(self.name, provider, credential=None if item.is_current else item.name),
                    users=users if item.is_current else (),
                    note="" if item.is_current else "not in use",
                )
                for item in stored
            ]
        return found


async def users_of(reading: WorkspaceReading, provider: str, model: str | None = None) -> list[App]:
    """Return the apps whose live content names a model of ``provider``; old content may give only its last word."""
    spellings = {provider, provider.rsplit("/", 1)[-1]}
    return [
        document.app
        for document in await reading.documents()
        if any(used in spellings and model in (None, name) for used, name in models(document.body))
    ]

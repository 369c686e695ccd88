"""The credential of one custom model: added beside the old one, switched to, saved again until used, old deleted."""

from __future__ import annotations

from difyops.api.credential_sets import (
    CredentialSet,
    ModelCredentials,
    credentials_in,
    custom_models,
    provider_row,
)
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.errors import SelectorError
from difyops.rotation.credential_rotator import REVOKE, CredentialRotator, chosen
from difyops.rotation.job import RotationJob
from difyops.rotation.kinds import WantedSecret
from difyops.rotation.kinds.provider import users_of
from difyops.rotation.reading import HeldSecret, WorkspaceReading, names, ref
from difyops.rotation.record import PlannedRotation


class Rotator(CredentialRotator):
    """``secret rotate model PROVIDER MODEL --value-from REF``; ``--credential NAME``: another than the one in use."""

    name = "model"
    arguments = ("PROVIDER", "MODEL")

    def credentials(self, job: RotationJob) -> CredentialSet:
        """Return the model's credentials."""
        return ModelCredentials(
            job.instance.console, job.target("provider"), job.target("model"), job.target("model_type")
        )

    async def plan(self, instance: Instance, reading: WorkspaceReading, wanted: WantedSecret) -> PlannedRotation:
        """Find the model and its credential.

        Raises:
            NotSupported: the server is older than 1.8. SelectorError: the model has no credentials of its own.
        """
        instance.capabilities.require("model_credentials", "Rotating a model's credential")
        provider, model = wanted.arguments
        rows = custom_models(await provider_row(instance.console, provider))
        kinds = [str(row.get("model_type")) for row in rows if row.get("model") == model]
        if len(kinds) != 1:
            known = ", ".join(sorted(str(row.get("model")) for row in rows)) or "none"
            raise SelectorError(f"{provider} has no single model {model!r} with credentials of its own ({known}).")
        of = f"{model} of {provider}"
        target = await chosen(ModelCredentials(instance.console, provider, model, kinds[0]), wanted, of)
        return PlannedRotation(
            kind=self.name,
            subject=f"{self.name}/{provider}/{model}",
            label=f"{target['field']} of {of}",
            target={"provider": provider, "model": model, "model_type": kinds[0], **target},
            lock=f"{self.name}/{provider}/{model}",
            old=target["old_name"],
            steps=("add a credential", "switch", "look what is used", "save it again", "delete the old"),
            warnings=(f"{REVOKE}.",),
        )

    async def users(self, instance: Instance, reading: WorkspaceReading, planned: PlannedRotation) -> list[App]:
        """Return the apps that use the model."""
        return await users_of(reading, planned.target["provider"], planned.target["model"])

    async def inventory(self, instance: Instance, reading: WorkspaceReading) -> list[HeldSecret]:
        """Return every credential of every custom model."""
        providers = await reading.quietly(instance.workspace.model_providers(), [], "custom models")
        found = []
        for row in providers:
            for item in custom_models(row):
                provider, model = str(row.get("provider")), str(item.get("model"))
                users = names(await users_of(reading, provider, model))
                for stored in credentials_in(item, "available_model_credentials"):
                    found.append(
                        HeldSecret(
                            kind=self.name,
                            address=f"{self.name}/{provider}/{model}",
                            subject=f"{self.name}/{provider}/{model}",
                            name=stored.name,
                            owner=f"{provider} {model}",
                            ref=ref(self.name, provider, model, credential=None if stored.is_current else stored.name),
                            users=users if stored.is_current else (),
                            note="" if stored.is_current else "not in use",
                        )
                    )
        return found

"""The workspace's dataset key: created, proved, handed out; the old one deleted and called until it is refused."""

from __future__ import annotations

from collections.abc import Mapping

from difyops.api.instance import Instance
from difyops.api.keys import Keys
from difyops.api.knowledge import Knowledge
from difyops.api.model import App
from difyops.rotation.job import RotationJob
from difyops.rotation.kinds import WantedSecret
from difyops.rotation.reading import HeldSecret, WorkspaceReading, ref
from difyops.rotation.record import PlannedRotation
from difyops.rotation.service_keys import LAG, ServiceKeyRotator, key_words, old_key
from difyops.secret_text import SecretText


class Rotator(ServiceKeyRotator):
    """``secret rotate dataset-key``; ``--credential ID`` when there are several."""

    name = "dataset-key"
    arguments: tuple[str, ...] = ()

    def keys(self, instance: Instance, target: Mapping[str, str]) -> Keys:
        """Return the dataset keys."""
        return Keys.of_datasets(instance.console)

    async def try_key(self, job: RotationJob, key: SecretText) -> None:
        """List the datasets; the first row is enough."""
        async for _ in Knowledge(job.instance.service_transport, key).datasets():
            return

    async def plan(self, instance: Instance, reading: WorkspaceReading, wanted: WantedSecret) -> PlannedRotation:
        """Find the key to replace."""
        old = old_key(await Keys.of_datasets(instance.console).list(), wanted.credential)
        return PlannedRotation(
            kind=self.name,
            subject=self.name,
            label="dataset key of the workspace",
            target={"old_id": old.id if old else ""},
            lock=self.name,
            old=key_words(old) if old else None,
            steps=("create a key", "hand it out", "prove it", "wait the grace period", "delete the old key"),
            warnings=(f"Whether callers still use the old key is known late: {LAG}.",),
        )

    async def users(self, instance: Instance, reading: WorkspaceReading, planned: PlannedRotation) -> list[App]:
        """Return nothing: no app's run shows whether a dataset key works; the key itself is tried each round."""
        return []

    async def inventory(self, instance: Instance, reading: WorkspaceReading) -> list[HeldSecret]:
        """Return the dataset keys."""
        keys = await reading.quietly(Keys.of_datasets(instance.console).list(), (), "dataset keys")
        return [
            HeldSecret(
                kind=self.name,
                address=self.name,
                subject=self.name,
                name=key.id,
                owner="workspace",
                ref=ref(self.name, credential=key.id if len(keys) > 1 else None),
                created_at=key.created_at,
                last_used_at=key.last_used_at,
                users=("callers of the knowledge API",),
            )
            for key in keys
        ]

    async def probe_key(self, job: RotationJob, app_id: str) -> SecretText | None:
        """Return nothing: health checks use the app's own key."""
        return None

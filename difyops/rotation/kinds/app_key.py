"""An app's service key: created beside the old one, proved, handed out; the old one deleted, called until refused."""

from __future__ import annotations

from collections.abc import Mapping

from difyops.api.instance import Instance
from difyops.api.keys import Keys
from difyops.api.model import App
from difyops.api.service import Service
from difyops.rotation.job import RotationJob
from difyops.rotation.kinds import WantedSecret
from difyops.rotation.reading import HeldSecret, WorkspaceReading, ref
from difyops.rotation.record import PlannedRotation
from difyops.rotation.service_keys import LAG, ServiceKeyRotator, key_words, old_key
from difyops.secret_text import SecretText


class Rotator(ServiceKeyRotator):
    """``secret rotate app-key APP``; ``--credential ID`` when the app has several keys."""

    name = "app-key"
    arguments = ("APP",)

    def keys(self, instance: Instance, target: Mapping[str, str]) -> Keys:
        """Return the keys of the app."""
        return Keys.of_app(instance.console, target["app_id"])

    async def try_key(self, job: RotationJob, key: SecretText) -> None:
        """Ask the key's app for its name."""
        await Service(job.instance.service_transport, key, job.target("mode"), job.bench.clock).info()

    async def plan(self, instance: Instance, reading: WorkspaceReading, wanted: WantedSecret) -> PlannedRotation:
        """Find the app and the key to replace."""
        app = await reading.app(wanted.arguments[0])
        old = old_key(await Keys.of_app(instance.console, app.id).list(), wanted.credential)
        return PlannedRotation(
            kind=self.name,
            subject=f"{self.name}/{app.id}",
            label=f"service key of {app.name}",
            target={"app_id": app.id, "app": app.name, "mode": app.mode, "old_id": old.id if old else ""},
            lock=f"app/{app.id}",
            old=key_words(old) if old else None,
            steps=("create a key", "hand it out", "prove it", "wait the grace period", "delete the old key"),
            warnings=(f"Whether callers still use the old key is known late: {LAG}.",),
        )

    async def users(self, instance: Instance, reading: WorkspaceReading, planned: PlannedRotation) -> list[App]:
        """Return the app itself."""
        return [await reading.app(planned.target["app_id"])]

    async def inventory(self, instance: Instance, reading: WorkspaceReading) -> list[HeldSecret]:
        """Return every key of every app."""
        keys = await reading.app_keys()
        return [
            HeldSecret(
                kind=self.name,
                address=f"{self.name}/{app.name}",
                subject=f"{self.name}/{app.id}",
                name=key.id,
                owner=app.name,
                ref=ref(self.name, app.name, credential=key.id if len(keys[app.id]) > 1 else None),
                created_at=key.created_at,
                last_used_at=key.last_used_at,
                users=("callers of the API",),
            )
            for app in await reading.apps()
            for key in keys.get(app.id, ())
        ]

    async def probe_key(self, job: RotationJob, app_id: str) -> SecretText | None:
        """Return the new key for its own app."""
        return await self.new_value(job) if app_id == job.target("app_id") and job.memo("new_id") else None

"""A secret that calls back are signed with (or events that come in): the new one beside the old one, both valid at the
same time, then in its place; the webhook server signs and verifies with all of them, so receivers may switch when they
like within the grace period.
"""

from __future__ import annotations

import asyncio
import secrets

from difyops import credentials, signing_keys, twin_secrets
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.errors import StalePlan, UsageError
from difyops.rotation.deliver import anchored
from difyops.rotation.job import RotationJob
from difyops.rotation.kinds import OldUse, WantedSecret
from difyops.rotation.machine import Used
from difyops.rotation.reading import HeldSecret, WorkspaceReading
from difyops.rotation.record import PlannedRotation
from difyops.secret_text import SecretText
from difyops.twin_secrets import LAST, NEXT


class Rotator:
    """``secret rotate webhook-secret REFERENCE``: the reference as it stands in the rules (``file:``, ``keyring:``)."""

    name = "webhook-secret"
    arguments = ("REFERENCE",)
    needs_value = False
    has_fields = False
    role = "editor"

    async def plan(self, instance: Instance, reading: WorkspaceReading, wanted: WantedSecret) -> PlannedRotation:
        """Look at the place.

        Raises:
            UsageError: nothing can lie beside a secret of that kind of place. CredentialError: there is none.
        """
        reference = anchored(wanted.arguments[0])
        if not twin_secrets.can_be_replaced(reference):
            raise UsageError(
                "A webhook secret is rotated where it lies: in a file: or a keyring: entry.",
                hint="Example: difyops secret rotate webhook-secret file:/etc/difyops/callbacks.secret",
            )
        if not signing_keys.can_sign(await credentials.resolve_async(reference)):
            raise UsageError(
                f"{reference} holds a public key; the pair is replaced by whoever signs with it.",
                hint=f"Put the sender's next key into {reference}{NEXT}: both count then.",
            )
        return PlannedRotation(
            kind=self.name,
            subject=f"{self.name}/{reference}",
            label=f"webhook secret {reference}",
            target={"reference": reference},
            lock=f"{self.name}/{reference}",
            old=f"as in {reference}",
            steps=("make a secret beside the old one", "hand it out", "put it in its place", "take the old one away"),
            warnings=("Whether a receiver still verifies with the old secret cannot be seen from here.",),
        )

    async def users(self, instance: Instance, reading: WorkspaceReading, planned: PlannedRotation) -> list[App]:
        """Return nothing: no app uses it."""
        return []

    async def inventory(self, instance: Instance, reading: WorkspaceReading) -> list[HeldSecret]:
        """Return nothing: the secrets are those of the rules, not of an instance."""
        return []

    async def create(self, job: RotationJob) -> None:
        """Make the new secret beside the old one; from now on both sign."""
        if job.memo("new_fingerprint") is not None:
            return
        new = await self._twin(job, NEXT)
        if new is not None:
            job.found_done("create secret", fingerprint=job.seal(new))
        else:
            new = signing_keys.new_secret(await self._present(job), secrets.token_bytes(32))
            await job.effect("create secret", lambda: self._put(job, NEXT, new), fingerprint=job.seal(new))
        job.note(new_fingerprint=job.seal(new), old_fingerprint=job.seal(await self._present(job)))

    async def prove_new(self, job: RotationJob) -> None:
        """Do nothing: a secret of ours works because the server signs with it."""

    async def switch(self, job: RotationJob) -> None:
        """Put the new secret in its place; the old one goes on signing from beside it.

        Raises:
            StalePlan: somebody put a third one there meanwhile; it is left alone.
        """
        present = await self._present(job)
        if job.seal(present) == job.memo("new_fingerprint"):
            await asyncio.to_thread(twin_secrets.drop, job.target("reference"), NEXT)
            return
        new = await self._twin(job, NEXT)
        if new is None or job.seal(present) != job.memo("old_fingerprint"):
            raise StalePlan("Somebody put another secret there meanwhile.")

        async def exchange() -> None:
            await self._put(job, LAST, present)
            await asyncio.to_thread(credentials.store, job.target("reference"), new)

        await job.effect("switch secret", exchange, fingerprint=job.seal(new))
        await asyncio.to_thread(twin_secrets.drop, job.target("reference"), NEXT)

    async def use_again(self, job: RotationJob) -> None:
        """Do nothing: the server reads the place every few seconds."""

    async def observe(self, job: RotationJob) -> Used:
        """Look which secret is in the place.

        Raises:
            StalePlan: it is a third one.
        """
        seal = job.seal(await self._present(job))
        if seal == job.memo("new_fingerprint"):
            return Used.NEW
        if seal == job.memo("old_fingerprint"):
            return Used.OLD
        raise StalePlan("Somebody put another secret there meanwhile.")

    async def old_use(self, job: RotationJob) -> OldUse:
        """Say that nobody knows."""
        return OldUse(words="whether receivers still verify with the old secret cannot be seen from here")

    async def retire(self, job: RotationJob) -> None:
        """Take the old secret away: nothing is signed with it any more."""
        if await self._twin(job, LAST) is None:
            return

        async def drop() -> None:
            await asyncio.to_thread(twin_secrets.drop, job.target("reference"), LAST)

        await job.effect("delete old secret", drop)

    async def is_retired(self, job: RotationJob) -> bool:
        """Say whether the old secret is gone."""
        return await self._twin(job, LAST) is None

    async def is_beyond_recall(self, job: RotationJob) -> bool:
        """Look whether the new secret is in the place and no old one beside it."""
        if job.memo("new_fingerprint") is None or await self._twin(job, LAST) is not None:
            return False
        return job.seal(await self._present(job)) == str(job.memo("new_fingerprint"))

    async def revert(self, job: RotationJob) -> float:
        """Put the old secret back and take the new one away."""
        reference, last = job.target("reference"), await self._twin(job, LAST)
        if last is not None and job.seal(await self._present(job)) == job.memo("new_fingerprint"):

            async def back() -> None:
                await asyncio.to_thread(credentials.store, reference, last)

            await job.effect("put old secret back", back, fingerprint=job.seal(last))
        for suffix in (NEXT, LAST):
            await asyncio.to_thread(twin_secrets.drop, reference, suffix)
        return 0.0

    async def new_value(self, job: RotationJob) -> SecretText | None:
        """Return what receivers verify with from now on: the new secret, beside its place or in it."""
        for found in (await self._twin(job, NEXT), await self._present(job)):
            if found is not None and job.seal(found) == job.memo("new_fingerprint"):
                return _shared(found)
        return None

    async def old_value(self, job: RotationJob) -> SecretText | None:
        """Return the old secret: in its place, or beside it."""
        for found in (await self._present(job), await self._twin(job, LAST)):
            if found is not None and job.seal(found) == job.memo("old_fingerprint"):
                return _shared(found)
        return None

    async def probe_key(self, job: RotationJob, app_id: str) -> SecretText | None:
        """Return nothing: no app is asked with it."""
        return None

    async def _present(self, job: RotationJob) -> SecretText:
        return await job.resolve(job.target("reference"))

    async def _twin(self, job: RotationJob, suffix: str) -> SecretText | None:
        return await asyncio.to_thread(twin_secrets.twin, job.target("reference"), suffix)

    async def _put(self, job: RotationJob, suffix: str, secret: SecretText) -> None:
        await asyncio.to_thread(twin_secrets.put, job.target("reference"), suffix, secret)


def _shared(secret: SecretText) -> SecretText:
    """Return what receivers are given: the secret, of a pair of keys the public one."""
    return SecretText(signing_keys.public_text(secret)) if signing_keys.is_pair(secret) else secret

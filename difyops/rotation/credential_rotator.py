"""Rotating named credentials, whoever keeps them: add beside, switch, look what is used, switch again, delete the old.

The three kinds (of a model provider, of one model, of a tool provider) differ in their surface. The stored values are
never readable, so the way back is the old credential itself: it is deleted last, and never while it is current.
"""

from __future__ import annotations

from difyops.api import run_faults
from difyops.api.credential_sets import Credential, CredentialSet
from difyops.api.faults import clean
from difyops.errors import DifyopsError, Refused, RequestRejected, StalePlan
from difyops.rotation import late
from difyops.rotation.credential_choice import chosen as chosen  # the kinds look for it here
from difyops.rotation.credential_choice import name_for
from difyops.rotation.job import NewValueRefused, RotationJob
from difyops.rotation.kinds import OldUse
from difyops.rotation.machine import Used
from difyops.rotation.vault import NEW
from difyops.secret_text import SecretText

_PASSES = frozenset({run_faults.PROVIDER_DOWN, run_faults.PROVIDER_RATE, run_faults.PLUGIN_DOWN})
REVOKE = "difyops cannot end the old key at the provider: revoke it there when the rotation is done, not before"


class CredentialRotator:
    """What the kinds share; a kind says which credentials it works on (``credentials``)."""

    needs_value = True
    has_fields = True
    role = "admin"

    def credentials(self, job: RotationJob) -> CredentialSet:
        """Return the surface of the credentials."""
        raise AssertionError("a kind says where its credentials are")

    async def create(self, job: RotationJob) -> None:
        """Add the new credential under a name of its own; one added by a process cut off is found by that name."""
        if job.memo("new_name") is None:
            job.note(new_name=name_for(job.target("old_name"), job.rotation.id))
        if job.memo("new_id") is None:
            found = await self._named(job)
            if found:
                job.found_done("add credential", credential=found.id)
            job.note(new_id=(found or await self._added(job)).id)

    async def prove_new(self, job: RotationJob) -> None:
        """Let the provider try the new value, where the server can ask it."""
        complaint = await self.credentials(job).validate(await self._values(job))
        if complaint is not None:
            raise _refusal(complaint)

    async def switch(self, job: RotationJob) -> None:
        """Make the new credential the one that new runs use.

        Raises:
            StalePlan: neither the old nor the new one is in use: somebody else is at it.
        """
        if not self._switches(job):
            return
        new_id = str(job.memo("new_id"))
        current = await self._current(job)
        if current is not None and current.id == new_id:
            job.found_done("switch credential", credential=new_id)
            return
        _check_not_theirs(job, current)
        job.note(switched=True)
        await job.effect("switch credential", lambda: self.credentials(job).use(new_id), credential=new_id)

    async def use_again(self, job: RotationJob) -> None:
        """Switch once more: a run that read the old credential may have put it back into the server's cache.

        Raises:
            StalePlan: somebody switched to a third one meanwhile; it is not taken back.
        """
        if self._switches(job):
            _check_not_theirs(job, await self._current(job))
            await self._use_again(job, str(job.memo("new_id")), "switch again")
            job.note(settled=True)

    async def observe(self, job: RotationJob) -> Used:
        """Compare what is used with what is stored.

        Raises:
            NewValueRefused: somebody deleted the new credential. StalePlan: somebody switched to a third one.
        """
        rows = {row.id: row for row in await self.credentials(job).list()}
        new_id, old_id = str(job.memo("new_id")), job.target("old_id")
        if new_id not in rows:
            raise NewValueRefused("Somebody deleted the new credential meanwhile.")
        if not self._switches(job):
            return Used.NEW
        current = next((row for row in rows.values() if row.is_current), None)
        _check_not_theirs(job, current)
        if current is None or current.id == old_id:
            return Used.OLD
        if not await self._is_used(job, new_id):
            return Used.OLD
        return Used.NEW if job.memo("settled") else Used.UNKNOWN

    async def old_use(self, job: RotationJob) -> OldUse:
        """Say what is left to a person."""
        return OldUse(words=REVOKE)

    async def retire(self, job: RotationJob) -> None:
        """Delete the old credential, unless it is in use after all.

        Raises:
            Refused: it is the current one; deleting it would break every app.
        """
        await self._delete(job, "delete old credential", job.target("old_id"))

    async def is_retired(self, job: RotationJob) -> bool:
        """Look that the old credential is gone and not used from the cache any more."""
        rows = {row.id: row for row in await self.credentials(job).list()}
        if job.target("old_id") in rows:
            return False
        new = rows.get(str(job.memo("new_id")))
        if not self._switches(job) or new is None or not new.is_current:
            return True  # replaced by somebody since: the old one is gone all the same
        if await self._is_used(job, new.id):
            return True
        await self.use_again(job)
        return False

    async def is_beyond_recall(self, job: RotationJob) -> bool:
        """Look whether the old credential is gone: its value was never readable."""
        return all(row.id != job.target("old_id") for row in await self.credentials(job).list())

    async def revert(self, job: RotationJob) -> float:
        """Switch back, also when somebody deleted the new one under way, look that the old is used, delete the new.

        One that was to be added and did not come is waited for: a slow server may still add it.

        Raises:
            StalePlan: the old one is gone, and the new one is in use: there is nothing to go back to.
        """
        new, rows = await self._new_if_any(job), {row.id: row for row in await self.credentials(job).list()}
        old_id, current = job.target("old_id"), next((row.id for row in rows.values() if row.is_current), None)
        is_switched = self._switches(job) and job.memo("switched")
        if is_switched and (current is None or (new is not None and current == new.id)):
            if old_id not in rows:
                raise StalePlan(
                    "Somebody deleted the old credential meanwhile; the new one is in use, and stays until another is "
                    "switched to in the web page."
                )
            await job.effect("switch back", lambda: self.credentials(job).use(old_id), credential=old_id)
            return job.rotation.settings.settle
        if is_switched and current == old_id:
            await self._use_again(job, old_id, "switch back again")
            if not await self._is_used(job, old_id):
                return job.rotation.settings.settle
        if new is None:
            is_known = job.memo("new_id") is not None  # somebody deleted it
            end = 0.0 if is_known else float(job.memo("added_until") or 0.0)
            return late.left_until(job, end, job.bench.clock.now().timestamp())
        await self._delete(job, "delete new credential", new.id)
        return 0.0

    async def new_value(self, job: RotationJob) -> SecretText | None:
        """Return the value that was given."""
        return job.vault.get(NEW)

    async def old_value(self, job: RotationJob) -> SecretText | None:
        """Return nothing: stored values are not readable."""
        return None

    async def probe_key(self, job: RotationJob, app_id: str) -> SecretText | None:
        """Return nothing: any key of the app does."""
        return None

    async def _delete(self, job: RotationJob, name: str, credential_id: str) -> None:
        """Delete a credential that is there and not in use, as the server says at this moment.

        Raises:
            Refused: it is the current one, or none is: deleting it would break every app.
        """
        rows = {row.id: row for row in await self.credentials(job).list()}
        if credential_id not in rows:
            return
        is_one_used = any(row.is_current for row in rows.values()) or not self._switches(job)
        if rows[credential_id].is_current or not is_one_used:
            raise Refused(f"The credential {rows[credential_id].name!r} is in use, or none is; it is not deleted.")
        surface = self.credentials(job)
        await job.effect(name, lambda: surface.delete(credential_id), credential=credential_id)

    def _switches(self, job: RotationJob) -> bool:
        """Say whether the credential to replace is the one in use."""
        return job.target("was_current") == "yes"

    async def _added(self, job: RotationJob) -> Credential:
        values, name = await self._values(job), str(job.memo("new_name"))
        await self.prove_new(job)
        job.note(added_until=job.bench.clock.now().timestamp() + late.longest(job) + late.LATE)
        try:
            await job.effect(
                "add credential",
                lambda: self.credentials(job).create(name, values),
                credential_name=name,
                fingerprint=str(job.memo("new_fingerprint")),
            )
        except RequestRejected as error:
            job.note(added_until=None)
            if run_faults.kind_of(error.server_code, error.message) in _PASSES:
                raise run_faults.run_failure(error.server_code, error.message) from error
            if await self._named(job) is None:  # else: there already, made by a request whose answer was lost
                raise NewValueRefused(f"The server did not take the new value: {error.message}") from error
        added = await self._named(job)
        if added is None:
            raise DifyopsError("The credential was added, but the server does not list it yet.", retryable=True)
        return added

    async def _values(self, job: RotationJob) -> dict[str, str | SecretText]:
        """Return the old credential's other fields with the new value in its field.

        Raises:
            NewValueRefused: a secret is missing: shown as stars, it would be stored as stars.
        """
        new, others = job.vault.get(NEW), job.vault.others()
        if new is None:
            raise NewValueRefused("The new value is not held any more.")
        surface, field = self.credentials(job), job.target("field")
        kept = await surface.read(job.target("old_id"))
        secrets = await surface.secret_fields()
        missing = [name for name in secrets if name not in (field, *others) and kept.get(name)]
        if missing:
            raise NewValueRefused(f"The credential holds other secrets ({', '.join(missing)}), which were not given.")
        job.note(new_fingerprint=job.seal(new))
        shown = {name: value for name, value in kept.items() if name not in secrets}
        return {**shown, **others, field: new}

    async def _named(self, job: RotationJob) -> Credential | None:
        rows = await self.credentials(job).list()
        return next((row for row in rows if row.name == job.memo("new_name")), None)

    async def _new_if_any(self, job: RotationJob) -> Credential | None:
        return await self._named(job) if job.memo("new_name") else None

    async def _current(self, job: RotationJob) -> Credential | None:
        return next((row for row in await self.credentials(job).list() if row.is_current), None)

    async def _use_again(self, job: RotationJob, credential_id: str, name: str) -> None:
        surface = self.credentials(job)
        await job.effect(name, lambda: surface.use_again(credential_id), credential=credential_id)

    async def _is_used(self, job: RotationJob, credential_id: str) -> bool:
        """Compare masks: equal ones prove nothing where both keys have the same ends, different ones prove it."""
        surface, field = self.credentials(job), job.target("field")
        return (await surface.read(None)).get(field) == (await surface.read(credential_id)).get(field)


def _check_not_theirs(job: RotationJob, current: Credential | None) -> None:
    """Refuse to go on over a credential that somebody else switched to.

    Raises:
        StalePlan: names it.
    """
    if current is not None and current.id not in (job.target("old_id"), job.memo("new_id")):
        raise StalePlan(f"Somebody switched to the credential {current.name!r} meanwhile; it is left alone.")


def _refusal(complaint: str) -> DifyopsError:
    if run_faults.kind_of("", complaint) in _PASSES:
        return run_faults.run_failure("", complaint)
    return NewValueRefused(f"The provider refuses the new value: {clean(complaint)}")

"""Rotating named credentials, whoever keeps them: add beside, switch, look what is used, switch again, delete the old.

The three kinds (of a model provider, of one model, of a tool provider) differ in their surface. The stored values are
never readable, so the way back is the old credential itself: it is deleted last, and never while it is current.
"""

from __future__ import annotations

from difyops.api import run_faults
from difyops.api.credential_sets import Credential, CredentialSet
from difyops.api.faults import clean
from difyops.errors import DifyopsError, Refused, RequestRejected, StalePlan
from difyops.rotation.credential_choice import chosen as chosen  # the kinds look for it here
from difyops.rotation.credential_choice import name_for
from difyops.rotation.hands import NewValueRefused, RotationJob
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

    def credentials(self, hands: RotationJob) -> CredentialSet:
        """Return the surface of the credentials."""
        raise AssertionError("a kind says where its credentials are")

    async def create(self, hands: RotationJob) -> None:
        """Add the new credential under a name of its own; one added by a process cut off is found by that name."""
        if hands.memo("new_name") is None:
            hands.note(new_name=name_for(hands.target("old_name"), hands.rotation.id))
        if hands.memo("new_id") is None:
            found = await self._named(hands)
            if found:
                hands.found_done("add credential", credential=found.id)
            hands.note(new_id=(found or await self._added(hands)).id)

    async def prove_new(self, hands: RotationJob) -> None:
        """Let the provider try the new value, where the server can ask it."""
        complaint = await self.credentials(hands).validate(await self._values(hands))
        if complaint is not None:
            raise _refusal(complaint)

    async def switch(self, hands: RotationJob) -> None:
        """Make the new credential the one that new runs use.

        Raises:
            StalePlan: neither the old nor the new one is in use: somebody else is at it.
        """
        if not self._switches(hands):
            return
        new_id = str(hands.memo("new_id"))
        current = await self._current(hands)
        if current is not None and current.id == new_id:
            hands.found_done("switch credential", credential=new_id)
            return
        _check_not_theirs(hands, current)
        hands.note(switched=True)
        await hands.effect("switch credential", lambda: self.credentials(hands).use(new_id), credential=new_id)

    async def use_again(self, hands: RotationJob) -> None:
        """Switch once more: a run that read the old credential may have put it back into the server's cache.

        Raises:
            StalePlan: somebody switched to a third one meanwhile; it is not taken back.
        """
        if self._switches(hands):
            _check_not_theirs(hands, await self._current(hands))
            await self._use_again(hands, str(hands.memo("new_id")), "switch again")
            hands.note(settled=True)

    async def observe(self, hands: RotationJob) -> Used:
        """Compare what is used with what is stored.

        Raises:
            NewValueRefused: somebody deleted the new credential. StalePlan: somebody switched to a third one.
        """
        rows = {row.id: row for row in await self.credentials(hands).list()}
        new_id, old_id = str(hands.memo("new_id")), hands.target("old_id")
        if new_id not in rows:
            raise NewValueRefused("Somebody deleted the new credential meanwhile.")
        if not self._switches(hands):
            return Used.NEW
        current = next((row for row in rows.values() if row.is_current), None)
        _check_not_theirs(hands, current)
        if current is None or current.id == old_id:
            return Used.OLD
        if not await self._is_used(hands, new_id):
            return Used.OLD
        return Used.NEW if hands.memo("settled") else Used.UNKNOWN

    async def old_use(self, hands: RotationJob) -> OldUse:
        """Say what is left to a person."""
        return OldUse(words=REVOKE)

    async def retire(self, hands: RotationJob) -> None:
        """Delete the old credential, unless it is in use after all.

        Raises:
            Refused: it is the current one; deleting it would break every app.
        """
        await self._delete(hands, "delete old credential", hands.target("old_id"))

    async def is_retired(self, hands: RotationJob) -> bool:
        """Look that the old credential is gone and not used from the cache any more."""
        rows = {row.id: row for row in await self.credentials(hands).list()}
        if hands.target("old_id") in rows:
            return False
        new = rows.get(str(hands.memo("new_id")))
        if not self._switches(hands) or new is None or not new.is_current:
            return True  # replaced by somebody since: the old one is gone all the same
        if await self._is_used(hands, new.id):
            return True
        await self.use_again(hands)
        return False

    async def revert(self, hands: RotationJob) -> float:
        """Switch back, also when somebody deleted the new one under way, look that the old is used, delete the new.

        Raises:
            StalePlan: the old one is gone, and the new one is in use: there is nothing to go back to.
        """
        new, rows = await self._new_if_any(hands), {row.id: row for row in await self.credentials(hands).list()}
        old_id, current = hands.target("old_id"), next((row.id for row in rows.values() if row.is_current), None)
        is_switched = self._switches(hands) and hands.memo("switched")
        if is_switched and (current is None or (new is not None and current == new.id)):
            if old_id not in rows:
                raise StalePlan(
                    "Somebody deleted the old credential meanwhile; the new one is in use, and stays until another is "
                    "switched to in the web page."
                )
            await hands.effect("switch back", lambda: self.credentials(hands).use(old_id), credential=old_id)
            return hands.rotation.settings.settle
        if is_switched and current == old_id:
            await self._use_again(hands, old_id, "switch back again")
            if not await self._is_used(hands, old_id):
                return hands.rotation.settings.settle
        if new is None:
            return 0.0
        await self._delete(hands, "delete new credential", new.id)
        return 0.0

    async def new_value(self, hands: RotationJob) -> SecretText | None:
        """Return the value that was given."""
        return hands.vault.get(NEW)

    async def old_value(self, hands: RotationJob) -> SecretText | None:
        """Return nothing: stored values are not readable."""
        return None

    async def probe_key(self, hands: RotationJob, app_id: str) -> SecretText | None:
        """Return nothing: any key of the app does."""
        return None

    async def _delete(self, hands: RotationJob, name: str, credential_id: str) -> None:
        """Delete a credential that is there and not in use, as the server says at this moment.

        Raises:
            Refused: it is the current one, or none is: deleting it would break every app.
        """
        rows = {row.id: row for row in await self.credentials(hands).list()}
        if credential_id not in rows:
            return
        is_one_used = any(row.is_current for row in rows.values()) or not self._switches(hands)
        if rows[credential_id].is_current or not is_one_used:
            raise Refused(f"The credential {rows[credential_id].name!r} is in use, or none is; it is not deleted.")
        surface = self.credentials(hands)
        await hands.effect(name, lambda: surface.delete(credential_id), credential=credential_id)

    def _switches(self, hands: RotationJob) -> bool:
        """Say whether the credential to replace is the one in use."""
        return hands.target("was_current") == "yes"

    async def _added(self, hands: RotationJob) -> Credential:
        values, name = await self._values(hands), str(hands.memo("new_name"))
        await self.prove_new(hands)
        try:
            await hands.effect(
                "add credential",
                lambda: self.credentials(hands).create(name, values),
                credential_name=name,
                fingerprint=str(hands.memo("new_fingerprint")),
            )
        except RequestRejected as error:
            if run_faults.kind_of(error.server_code, error.message) in _PASSES:
                raise run_faults.run_failure(error.server_code, error.message) from error
            if await self._named(hands) is None:  # else: there already, made by a request whose answer was lost
                raise NewValueRefused(f"The server did not take the new value: {error.message}") from error
        added = await self._named(hands)
        if added is None:
            raise DifyopsError("The credential was added, but the server does not list it yet.", retryable=True)
        return added

    async def _values(self, hands: RotationJob) -> dict[str, str | SecretText]:
        """Return the old credential's other fields with the new value in its field.

        Raises:
            NewValueRefused: a secret is missing: shown as stars, it would be stored as stars.
        """
        new, others = hands.vault.get(NEW), hands.vault.others()
        if new is None:
            raise NewValueRefused("The new value is not held any more.")
        surface, field = self.credentials(hands), hands.target("field")
        kept = await surface.read(hands.target("old_id"))
        secrets = await surface.secret_fields()
        missing = [name for name in secrets if name not in (field, *others) and kept.get(name)]
        if missing:
            raise NewValueRefused(f"The credential holds other secrets ({', '.join(missing)}), which were not given.")
        hands.note(new_fingerprint=hands.seal(new))
        shown = {name: value for name, value in kept.items() if name not in secrets}
        return {**shown, **others, field: new}

    async def _named(self, hands: RotationJob) -> Credential | None:
        rows = await self.credentials(hands).list()
        return next((row for row in rows if row.name == hands.memo("new_name")), None)

    async def _new_if_any(self, hands: RotationJob) -> Credential | None:
        return await self._named(hands) if hands.memo("new_name") else None

    async def _current(self, hands: RotationJob) -> Credential | None:
        return next((row for row in await self.credentials(hands).list() if row.is_current), None)

    async def _use_again(self, hands: RotationJob, credential_id: str, name: str) -> None:
        surface = self.credentials(hands)
        await hands.effect(name, lambda: surface.use_again(credential_id), credential=credential_id)

    async def _is_used(self, hands: RotationJob, credential_id: str) -> bool:
        """Compare masks: equal ones prove nothing where both keys have the same ends, different ones prove it."""
        surface, field = self.credentials(hands), hands.target("field")
        return (await surface.read(None)).get(field) == (await surface.read(credential_id)).get(field)


def _check_not_theirs(hands: RotationJob, current: Credential | None) -> None:
    """Refuse to go on over a credential that somebody else switched to.

    Raises:
        StalePlan: names it.
    """
    if current is not None and current.id not in (hands.target("old_id"), hands.memo("new_id")):
        raise StalePlan(f"Somebody switched to the credential {current.name!r} meanwhile; it is left alone.")


def _refusal(complaint: str) -> DifyopsError:
    if run_faults.kind_of("", complaint) in _PASSES:
        return run_faults.run_failure("", complaint)
    return NewValueRefused(f"The provider refuses the new value: {clean(complaint)}")

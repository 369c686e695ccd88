"""Rotating named credentials, whoever keeps them: add beside, switch, look what is used, switch again, delete the old.

The three kinds (of a model provider, of one model, of a tool provider) differ in their surface. The stored values are
never readable, so the way back is the old credential itself: it is deleted last, and never while it is current.
"""

from __future__ import annotations

import re

from difyops.api import run_faults
from difyops.api.credential_sets import LONGEST_NAME, Credential, CredentialSet
from difyops.api.faults import clean
from difyops.errors import DifyopsError, Refused, RequestRejected, SelectorError, StalePlan, UsageError
from difyops.rotation.hands import Hands, NewValueRefused
from difyops.rotation.kinds import OldUse, Wanted
from difyops.rotation.machine import Used
from difyops.rotation.vault import NEW
from difyops.secret_text import SecretText

_PASSES = frozenset({run_faults.PROVIDER_DOWN, run_faults.PROVIDER_RATE, run_faults.PLUGIN_DOWN})
_OUR_SUFFIX = re.compile(r" r[0-9a-f]{6}$")
REVOKE = "difyops cannot end the old key at the provider: revoke it there when this is done"


class CredentialRotator:
    """What the kinds share; a kind says which credentials it works on (``credentials``)."""

    needs_value = True
    role = "admin"

    def credentials(self, hands: Hands) -> CredentialSet:
        """Return the surface of the credentials."""
        raise AssertionError("a kind says where its credentials are")

    async def create(self, hands: Hands) -> None:
        """Add the new credential under a name of its own; one added by a process cut off is found by that name."""
        if hands.memo("new_name") is None:
            hands.note(new_name=_name_for(hands.target("old_name"), hands.rotation.id))
        if hands.memo("new_id") is None:
            found = await self._named(hands)
            if found:
                hands.found_done("add credential", credential=found.id)
            hands.note(new_id=(found or await self._added(hands)).id)

    async def prove_new(self, hands: Hands) -> None:
        """Let the provider try the new value, where the server can ask it."""
        complaint = await self.credentials(hands).validate(await self._values(hands))
        if complaint is not None:
            raise _refusal(complaint)

    async def switch(self, hands: Hands) -> None:
        """Make the new credential the one that new runs use."""
        if not self._switches(hands):
            return
        new_id = str(hands.memo("new_id"))
        current = await self._current(hands)
        if current is not None and current.id == new_id:
            hands.found_done("switch credential", credential=new_id)
            return
        hands.note(switched=True)
        await hands.effect("switch credential", lambda: self.credentials(hands).use(new_id), credential=new_id)

    async def use_again(self, hands: Hands) -> None:
        """Switch once more: a run that read the old credential may have put it back into the server's cache."""
        if self._switches(hands):
            await self._use_again(hands, str(hands.memo("new_id")), "switch again")
            hands.note(settled=True)

    async def observe(self, hands: Hands) -> Used:
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
        if current is None or current.id == old_id:
            return Used.OLD
        if current.id != new_id:
            raise StalePlan(f"Somebody switched to the credential {current.name!r} meanwhile; it is left alone.")
        if not await self._is_used(hands, new_id):
            return Used.OLD
        return Used.NEW if hands.memo("settled") else Used.UNKNOWN

    async def old_use(self, hands: Hands) -> OldUse:
        """Say what is left to a person."""
        return OldUse(words=REVOKE)

    async def retire(self, hands: Hands) -> None:
        """Delete the old credential, unless it is in use after all.

        Raises:
            Refused: it is the current one; deleting it would break every app.
        """
        old_id = hands.target("old_id")
        rows = {row.id: row for row in await self.credentials(hands).list()}
        if old_id not in rows:
            return
        if self._switches(hands) and rows[old_id].is_current:
            raise Refused("The old credential is the current one again; it is not deleted.")
        await hands.effect("delete old credential", lambda: self.credentials(hands).delete(old_id), credential=old_id)

    async def is_retired(self, hands: Hands) -> bool:
        """Look that the old credential is gone and not used from the cache any more."""
        if any(row.id == hands.target("old_id") for row in await self.credentials(hands).list()):
            return False
        if await self.observe(hands) is Used.NEW:
            return True
        await self.use_again(hands)
        return False

    async def revert(self, hands: Hands) -> float:
        """Switch back, look that the old credential is used, then delete the new one."""
        new = await self._new_if_any(hands)
        if new is None:
            return 0.0
        old_id, current = hands.target("old_id"), await self._current(hands)
        if self._switches(hands) and current is not None and current.id == new.id:
            await hands.effect("switch back", lambda: self.credentials(hands).use(old_id), credential=old_id)
            return hands.rotation.settings.settle
        if self._switches(hands) and hands.memo("switched"):
            await self._use_again(hands, old_id, "switch back again")
            if not await self._is_used(hands, old_id):
                return hands.rotation.settings.settle
        await hands.effect("delete new credential", lambda: self.credentials(hands).delete(new.id), credential=new.id)
        return 0.0

    async def new_value(self, hands: Hands) -> SecretText | None:
        """Return the value that was given."""
        return hands.vault.get(NEW)

    async def old_value(self, hands: Hands) -> SecretText | None:
        """Return nothing: stored values are not readable."""
        return None

    async def probe_key(self, hands: Hands, app_id: str) -> SecretText | None:
        """Return nothing: any key of the app does."""
        return None

    def _switches(self, hands: Hands) -> bool:
        """Say whether the credential to replace is the one in use."""
        return hands.target("was_current") == "yes"

    async def _added(self, hands: Hands) -> Credential:
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
            raise NewValueRefused(f"The server did not take the new value: {error.message}") from error
        added = await self._named(hands)
        if added is None:
            raise DifyopsError("The credential was added, but the server does not list it yet.", retryable=True)
        return added

    async def _values(self, hands: Hands) -> dict[str, str | SecretText]:
        """Return the old credential's other fields with the new value in its field."""
        new = hands.vault.get(NEW)
        if new is None:
            raise NewValueRefused("The new value is not held any more.")
        kept = await self.credentials(hands).read(hands.target("old_id"))
        hands.note(new_fingerprint=hands.seal(new))
        return {**kept, hands.target("field"): new}

    async def _named(self, hands: Hands) -> Credential | None:
        rows = await self.credentials(hands).list()
        return next((row for row in rows if row.name == hands.memo("new_name")), None)

    async def _new_if_any(self, hands: Hands) -> Credential | None:
        return await self._named(hands) if hands.memo("new_name") else None

    async def _current(self, hands: Hands) -> Credential | None:
        return next((row for row in await self.credentials(hands).list() if row.is_current), None)

    async def _use_again(self, hands: Hands, credential_id: str, name: str) -> None:
        surface = self.credentials(hands)
        await hands.effect(name, lambda: surface.use_again(credential_id), credential=credential_id)

    async def _is_used(self, hands: Hands, credential_id: str) -> bool:
        """Compare masks: equal ones prove nothing where both keys have the same ends, different ones prove it."""
        surface, field = self.credentials(hands), hands.target("field")
        return (await surface.read(None)).get(field) == (await surface.read(credential_id)).get(field)


async def chosen(surface: CredentialSet, wanted: Wanted, of: str) -> dict[str, str]:
    """Return which credential and field are to be replaced: ``old_id``, ``old_name``, ``was_current``, ``field``.

    Raises:
        SelectorError: there is none, or none of that name. UsageError: the field is not clear. Refused: there are other
        secrets in the credential, which could not be carried over.
    """
    rows = await surface.list()
    old = _old(rows, wanted.credential, of)
    secrets = await surface.secret_fields()
    field = wanted.field or (secrets[0] if len(secrets) == 1 else "")
    if not field or (secrets and field not in secrets):
        raise UsageError(f"{of} has the secret fields {', '.join(secrets) or 'none'}.", hint="Choose with --field.")
    kept = await surface.read(old.id)
    others = [name for name in secrets if name != field and kept.get(name)]
    if others:
        raise Refused(
            f"The credential {old.name!r} holds other secrets ({', '.join(others)}), which the server does not show.",
            hint="Add the new credential in the web page, with all its fields.",
        )
    was_current = "yes" if old.is_current else "no"
    return {"old_id": old.id, "old_name": old.name, "was_current": was_current, "field": field}


def _old(rows: tuple[Credential, ...], wanted: str | None, of: str) -> Credential:
    found = [row for row in rows if (wanted in (row.name, row.id) if wanted else row.is_current)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(row.name + (" (in use)" if row.is_current else "") for row in rows) or "none"
    what = f"no single credential {wanted!r}" if wanted else "no credential in use"
    raise SelectorError(f"{of} has {what}.", hint=f"There are: {listed}.")


def _name_for(old_name: str, identity: str) -> str:
    """Return a name that tells whose it is and which rotation made it, within the server's limit."""
    suffix = f" r{identity[:6]}"
    return _OUR_SUFFIX.sub("", old_name)[: LONGEST_NAME - len(suffix)].rstrip() + suffix


def _refusal(complaint: str) -> DifyopsError:
    if run_faults.kind_of("", complaint) in _PASSES:
        return run_faults.run_failure("", complaint)
    return NewValueRefused(f"The provider refuses the new value: {clean(complaint)}")

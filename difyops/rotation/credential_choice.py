"""Which credential and field a rotation replaces, and what the new one is called. Reads only.

The name of a new credential ends with the first digits of its rotation (`` r012345``): it is found by that after a
kill, and it tells another machine that a rotation is open.
"""

from __future__ import annotations

import re

from difyops.api.credential_sets import LONGEST_NAME, Credential, CredentialSet
from difyops.errors import Refused, SelectorError, UsageError
from difyops.rotation.kinds import WantedSecret

_OUR_SUFFIX = re.compile(r" r[0-9a-f]{6}$")
_LONGEST_BASE = LONGEST_NAME - len(" r012345")


async def chosen(surface: CredentialSet, wanted: WantedSecret, of: str) -> dict[str, str]:
    """Return which credential and field are to be replaced: ``old_id``, ``old_name``, ``was_current``, ``field``.

    Raises:
        SelectorError: there is none, or none of that name. UsageError: a field is not clear, or not there. Refused: a
        secret of the credential was not given, so that it could not be carried over; or a rotation that this machine
        does not know looks open.
    """
    rows = await surface.list()
    old = _old(rows, wanted.credential, of)
    _check_not_rotating(rows, old, wanted.known)
    secrets = await surface.secret_fields()
    field = wanted.field or (secrets[0] if len(secrets) == 1 else "")
    if not field or (secrets and field not in secrets):
        raise UsageError(f"{of} has the secret fields {', '.join(secrets) or 'none'}.", hint="Choose with --field.")
    _check_others(secrets, field, wanted.others, of)
    kept = await surface.read(old.id)
    missing = [name for name in secrets if name not in (field, *wanted.others) and kept.get(name)]
    if missing:
        raise Refused(
            f"The credential {old.name!r} holds other secrets ({', '.join(missing)}), which the server does not show.",
            hint=" ".join(f"--also {name}=REF" for name in missing),
        )
    was_current = "yes" if old.is_current else "no"
    return {"old_id": old.id, "old_name": old.name, "was_current": was_current, "field": field}


def _check_others(secrets: tuple[str, ...], field: str, others: tuple[str, ...], of: str) -> None:
    """Refuse a value for a field that is no other secret of the credential.

    Raises:
        UsageError: names the field.
    """
    for name in others:
        if name == field:
            raise UsageError(f"--also {name}: that is the field being replaced; its value comes from --value-from.")
        if name not in secrets:
            known = ", ".join(other for other in secrets if other != field) or "none"
            raise UsageError(f"--also {name}: {of} has no such secret field (others: {known}).")


def _check_not_rotating(rows: tuple[Credential, ...], old: Credential, known: frozenset[str]) -> None:
    """Refuse when a rotation of another machine looks open: its credential stands beside the one it came from.

    Raises:
        Refused: names both.
    """
    for other in rows:
        is_kin = other.id != old.id and _base(other.name) == _base(old.name)
        made_here = [_OUR_SUFFIX.search(row.name) for row in (old, other)]
        if is_kin and any(found and found[0][2:] not in known for found in made_here):
            raise Refused(
                f"A rotation begun on another machine looks open: {old.name!r} and {other.name!r} stand side by side.",
                hint="Finish it there (secret resume or revert), or delete the one that is not in use in the web page.",
            )


def _old(rows: tuple[Credential, ...], wanted: str | None, of: str) -> Credential:
    found = [row for row in rows if (wanted in (row.name, row.id) if wanted else row.is_current)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(row.name + (" (in use)" if row.is_current else "") for row in rows) or "none"
    what = f"no single credential {wanted!r}" if wanted else "no credential in use"
    raise SelectorError(f"{of} has {what}.", hint=f"There are: {listed}.")


def name_for(old_name: str, identity: str) -> str:
    """Return a name that tells whose it is and which rotation made it, within the server's limit."""
    return f"{_base(old_name)} r{identity[:6]}"


def _base(name: str) -> str:
    return _OUR_SUFFIX.sub("", name)[:_LONGEST_BASE].rstrip()

"""Handing a value out to where callers read it: ``keyring:``, ``file:`` (0600, replaced in one step), ``cmd:`` (stdin).

Repeatable: a file or keyring entry that has the value already is left alone; a command may run a second time after a
kill, so it must bear that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from difyops import credentials
from difyops.errors import CredentialError, StoreError, UsageError
from difyops.rotation.hands import Hands
from difyops.secret_text import SecretText

_WRITABLE = ("keyring", "file", "cmd")


def check_references(references: Sequence[str]) -> None:
    """Refuse what cannot be written to.

    Raises:
        UsageError: names the reference.
    """
    for reference in references:
        kind, _, rest = reference.partition(":")
        if kind not in _WRITABLE or not rest.strip():
            raise UsageError(
                f"--deliver {shown(reference)}: it cannot be written to.",
                hint="Use keyring:SERVICE/NAME, file:PATH or cmd:COMMAND (gets the value on standard input).",
            )


async def deliver(hands: Hands, secret: SecretText) -> None:
    """Write the new secret to every place the rotation names. Which ones may have it is on disk before.

    Raises:
        CredentialError: a place refused; those before it have the value.
    """
    for number, reference in enumerate(hands.rotation.settings.deliver, 1):
        others = [known for known in hands.memo("handed_to") or () if known != number]
        hands.note(handed_to=[*others, number])
        try:
            await _hand_over(hands, reference, secret, f"deliver the new value to place {number}")
        except CredentialError:
            if not reference.startswith("cmd:"):  # a file or keyring takes all or nothing; a command may have begun
                hands.note(handed_to=others)
            raise


async def give_back(hands: Hands, secret: SecretText) -> None:
    """Write the old secret to every place that may have the new one.

    Raises:
        CredentialError: a place refused.
    """
    for number, reference in enumerate(hands.rotation.settings.deliver, 1):
        if number in (hands.memo("handed_to") or ()):
            await _hand_over(hands, reference, secret, f"deliver the old value again to place {number}")


async def _hand_over(hands: Hands, reference: str, secret: SecretText, name: str) -> None:
    if await asyncio.to_thread(_has, reference, secret):
        return

    async def write() -> None:
        try:
            await asyncio.to_thread(credentials.store, reference, secret, withheld=hands.bench.withheld)
        except StoreError as error:  # a place that refuses is no reason to stop: the way back is open
            raise CredentialError(error.message, hint=error.hint) from error

    await hands.effect(name, write, place=shown(reference), fingerprint=hands.seal(secret))


def shown(reference: str) -> str:
    """Return a reference for people; commands are cut to their first word."""
    kind, _, rest = reference.partition(":")
    if kind == "cmd":
        return f"cmd:{rest.split(maxsplit=1)[0] if rest.split() else ''} ..."
    return reference if kind in credentials.KINDS else "(not a reference)"


def _has(reference: str, secret: SecretText) -> bool:
    if reference.startswith("cmd:"):
        return False
    try:
        return credentials.resolve(reference) == secret
    except (CredentialError, StoreError):
        return False

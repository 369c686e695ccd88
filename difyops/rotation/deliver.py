"""Handing a value out to where callers read it: ``keyring:``, ``file:`` (0600, replaced in one step), ``cmd:`` (stdin).

Repeatable: a file or keyring entry that has the value already is left alone; a command may run a second time after a
kill, so it must bear that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from difyops import credentials
from difyops.errors import CredentialError, StoreError, UsageError
from difyops.rotation.job import RotationJob
from difyops.secret_text import SecretText
from difyops.trust import require_of

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


def check_commands(references: Sequence[str]) -> None:
    """Refuse commands that are not there: the new value could not be handed out, nor the old one again.

    Raises:
        UsageError: names the command.
    """
    for reference in references:
        kind, _, rest = reference.partition(":")
        if kind != "cmd":
            continue
        try:
            words = shlex.split(rest)
        except ValueError as error:
            raise UsageError(f"--deliver cmd: the command cannot be split into words ({error}).") from error
        if not words or shutil.which(words[0]) is None:
            raise UsageError(f"--deliver {shown(reference)}: there is no such command, or it may not be run.")


def anchored(reference: str) -> str:
    """Return a reference that means the same from any folder and for any ``$HOME``: cron may finish what begins here.

    Raises ``Refused`` for one of a found file that nobody trusted: from here on it is only a text in the journal.
    The path of ``file:`` and a command named by a relative path are made absolute; a command's other words are its own.
    """
    require_of(reference, f"use {shown(reference)}")
    kind, _, rest = reference.partition(":")
    if kind == "file" and rest.strip():
        return f"file:{_absolute(rest)}"
    if kind == "cmd":
        with contextlib.suppress(ValueError):  # one that cannot be split is told when it is run
            words = shlex.split(rest)
            if words and "/" in words[0] and not words[0].startswith("/"):
                return f"cmd:{shlex.join([_absolute(words[0]), *words[1:]])}"
    return reference


def _absolute(path: str) -> str:
    expanded = os.path.expanduser(path)  # noqa: PTH111 - Path.expanduser fails for an unknown user
    return str(Path(expanded).absolute())


async def deliver(job: RotationJob, secret: SecretText) -> None:
    """Write the new secret to every place the rotation names. Which ones may have it is on disk before.

    Raises:
        CredentialError: a place refused; those before it have the value.
    """
    for number, reference in enumerate(job.rotation.settings.deliver, 1):
        others = [known for known in job.memo("handed_to") or () if known != number]
        job.note(handed_to=[*others, number])
        try:
            await _hand_over(job, reference, secret, f"deliver the new value to place {number}")
        except CredentialError:
            if not reference.startswith("cmd:"):  # a file or keyring takes all or nothing; a command may have begun
                job.note(handed_to=others)
            raise


async def give_back(job: RotationJob, secret: SecretText) -> None:
    """Write the old secret to every place that may have the new one.

    Raises:
        CredentialError: a place refused, and no person said that such places are passed over.
    """
    for number, reference in enumerate(job.rotation.settings.deliver, 1):
        if number not in (job.memo("handed_to") or ()):
            continue
        try:
            await _hand_over(job, reference, secret, f"deliver the old value again to place {number}")
        except CredentialError:
            if not job.memo("passes_over"):
                raise
            job.audit(f"pass over place {number}", "failed", place=shown(reference))


async def _hand_over(job: RotationJob, reference: str, secret: SecretText, name: str) -> None:
    if await asyncio.to_thread(_has, reference, secret):
        return

    async def write() -> None:
        try:
            await asyncio.to_thread(credentials.store, reference, secret, withheld=job.withheld)
        except StoreError as error:  # a place that refuses is no reason to stop: the way back is open
            raise CredentialError(error.message, hint=error.hint) from error

    await job.effect(name, write, place=shown(reference), fingerprint=job.seal(secret))


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

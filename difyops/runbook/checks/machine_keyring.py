"""``machine.keyring``: can secrets be kept in this machine's keyring?"""

from __future__ import annotations

from difyops import credentials
from difyops.errors import CredentialError
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Skipped
from difyops.runbook.threads import apart


async def check(resources: Resources, *, required: bool = False) -> Result:
    """Ask the keyring for something. A headless machine has none, which is no fault unless it is ``required``."""
    try:
        problem = await apart(credentials.keyring_problem)
    except CredentialError as error:
        return Inconclusive(text=error.message)
    if problem is None:
        return Pass(text="usable")
    text = f"{problem} References env:, file: and cmd: work without."
    return Fail(text=text, hint="Unlock it, or install one.") if required else Skipped(text=text)

"""``machine.git``: the git that keeps the snapshots."""

from __future__ import annotations

import shutil
import subprocess  # asks git for its version

from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn
from difyops.runbook.threads import apart
from difyops.runbook.version_text import numbers


async def check(resources: Resources, *, at_least: str = "2.36") -> Result:
    """Look for git: without it nothing can be kept. A version below ``at_least`` is a warning: its writes are less
    durable.
    """
    least = numbers(at_least)
    if not least:
        return Inconclusive(text=f"{at_least!r} is no version")
    found = await apart(_version)
    if found is None:
        return Fail(text="git is not installed", hint=f"Install git {at_least} or newer.")
    values = (Value(name="version", value=found),)
    if numbers(found) < least:
        return Warn(text=f"{found}: writes are less durable", values=values, hint=f"Use git {at_least} or newer.")
    return Pass(text=found, values=values)


def _version() -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    words = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.split()
    return words[2] if len(words) > 2 else "?"

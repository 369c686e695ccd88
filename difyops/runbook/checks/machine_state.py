"""``machine.state``: the folder in which difyops keeps its ledger, locks and sessions."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from difyops.atomic_file import make_private_folder
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result
from difyops.runbook.threads import apart

_HANGING = (errno.ESTALE, errno.EIO, errno.ETIMEDOUT)
_HINT = "Set DIFYOPS_STATE."


async def check(resources: Resources, *, path: str | None = None) -> Result:
    """See whether the state folder (or ``path``) can be made and written. A disk that is away is inconclusive."""
    folder = Path(path) if path else resources.config.state
    return await apart(lambda: _looked(folder, make=not resources.dry_run))


def _looked(folder: Path, *, make: bool) -> Result:
    try:
        if make:
            make_private_folder(folder)
        usable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        text = f"{folder}: {error.strerror}"
        return Inconclusive(text=text) if error.errno in _HANGING else Fail(text=text, hint=_HINT)
    if not usable and not folder.exists() and not make:
        return Pass(text=f"{folder} will be made")
    return Pass(text=str(folder)) if usable else Fail(text=f"{folder} cannot be written", hint=_HINT)

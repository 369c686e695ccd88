"""The dead-man's ping of a whole run: ``/start``, then the plain URL or ``/fail``. A ping that fails is a warning.

``/fail`` when a step failed, and when steps were tried and not one of them could be measured: a run that saw nothing
must not keep the switch quiet. Single inconclusive steps do not (a quiet night has too few runs to judge). A switch
that hangs is a warning, too: the start is told beside the steps, and the end waits for seconds at most.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from difyops.api.probe import Probe, fetch
from difyops.errors import DifyopsError
from difyops.runbook.record import RunRecord
from difyops.runbook.resources import Resources

SECONDS = 10.0
HURRIED = 2.0  # for each ping, when the whole command has a deadline


@dataclass(slots=True, kw_only=True)
class Pinger:
    """Pings one URL, each time for at most ``patience`` seconds; without a reference it does nothing."""

    resources: Resources
    reference: str | None
    patience: float = SECONDS
    problems: list[str] = field(default_factory=list)
    _starting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Say that the run begins, while it does."""
        if self.reference is not None:
            self._starting = asyncio.create_task(self._send("/start", ""))

    async def end(self, run: RunRecord) -> None:
        """Say how it ended, after the start was told; the summary goes along as the body."""
        if self._starting is not None:
            await self._starting
        is_blind = run.verdict == "inconclusive" and not run.count("pass") + run.count("warn")
        await self._send("/fail" if run.verdict == "fail" or is_blind else "", run.summary)

    async def _send(self, tail: str, body: str) -> None:
        if self.reference is None:
            return
        try:
            async with asyncio.timeout(self.patience):
                await ping(self.resources, self.reference, tail, body)
        except TimeoutError:
            self.problems.append(f"The dead-man ping could not be sent: no answer within {self.patience:g} s.")
        except DifyopsError as error:
            self.problems.append(f"The dead-man ping could not be sent: {error.message}")


async def ping(resources: Resources, reference: str, tail: str, body: str) -> None:
    """POST ``body`` to the URL behind ``reference`` with ``tail`` added to its path.

    Raises:
        CredentialError: the reference cannot be resolved. DifyopsError: nobody took it.
    """
    url = (await resources.secret(reference)).reveal().rstrip("/")
    answer = await fetch(url + tail, Probe(method="POST", body=body.encode(), timeout=SECONDS))
    answer.require_good("send the dead-man ping")

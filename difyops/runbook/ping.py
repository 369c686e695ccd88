"""The dead-man's ping of a whole run: ``/start``, then the plain URL or ``/fail``. A ping that fails is a warning."""

from __future__ import annotations

from dataclasses import dataclass, field

from difyops.api.probe import Probe, fetch
from difyops.errors import DifyopsError
from difyops.runbook.scene import Scene

SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class Pinger:
    """Pings one URL; without a reference it does nothing."""

    scene: Scene
    reference: str | None
    problems: list[str] = field(default_factory=list)

    async def start(self) -> None:
        """Say that the run begins."""
        await self._send("/start", "")

    async def end(self, failed: bool, summary: str) -> None:
        """Say how it ended; the summary goes along as the body."""
        await self._send("/fail" if failed else "", summary)

    async def _send(self, tail: str, body: str) -> None:
        if self.reference is None:
            return
        try:
            await ping(self.scene, self.reference, tail, body)
        except DifyopsError as error:
            self.problems.append(f"The dead-man ping could not be sent: {error.message}")


async def ping(scene: Scene, reference: str, tail: str, body: str) -> None:
    """POST ``body`` to the URL behind ``reference`` with ``tail`` added to its path.

    Raises:
        CredentialError: the reference cannot be resolved. DifyopsError: nobody took it.
    """
    url = (await scene.secret(reference)).reveal().rstrip("/")
    answer = await fetch(url + tail, Probe(method="POST", body=body.encode(), timeout=SECONDS))
    answer.require_good("send the dead-man ping")

"""The end of a workflow run whose stream was lost, found by its id; the run is never started again.

From 1.14 on ``GET /v1/workflow/RUN/events`` gives the one last event of a run that has ended, to the very end user who
started it and with a key of the same app. Of a run that goes on it gives a few events and breaks (1.16.1, 5 of 5), so
it is read once, and briefly. Everything else is asked of the run's detail, ``GET /v1/workflows/run/RUN``, politely,
until the run has ended or the caller's patience has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from difyops.api import answers, sse
from difyops.api.auth import ServiceKey
from difyops.api.capabilities import Capabilities
from difyops.api.paths import part
from difyops.api.run_answer import EVENTS, POLLED
from difyops.api.run_faults import CUT_OFF, RunFailed
from difyops.api.shapes import fit
from difyops.api.transport import Transport, json_of
from difyops.clock import Clock
from difyops.errors import DifyopsError, NotFound, RateLimited, ServerFault, Unreachable

PATIENCE = 300.0
LONGEST = 1260.0  # a server ends every run after 1,200 s unless it was told otherwise
_UNENDED = frozenset({"running", "scheduled", "pending"})
_GLANCE = 3.0  # a run that has ended says so at once
_FIRST, _LONGEST_PAUSE = 0.25, 5.0
_NOT_WRITTEN_YET = 15.0  # the row of a run may come later than the first event of it

log = logging.getLogger("difyops.api")


@dataclass(slots=True, kw_only=True)
class RunEnds:
    """Finds the ends of the runs of one app. ``version`` is the server's, where it is known."""

    transport: Transport
    auth: ServiceKey
    clock: Clock
    version: str = ""
    capabilities: Capabilities = field(init=False)

    def __post_init__(self) -> None:
        self.capabilities = Capabilities(text=self.version)

    async def find(self, run_id: str, user: str, patience: float) -> tuple[Mapping[str, Any], str]:
        """Return what ``workflow_finished`` would have said, and how it was learned.

        Raises:
            RunFailed: it did not end in time, or there is no such run. NotAuthenticated, Forbidden: the key.
        """
        if self.capabilities.can("run_events") and (data := await self._from_events(run_id, user)) is not None:
            return data, EVENTS
        return await self._from_detail(run_id, patience), POLLED

    async def _from_events(self, run_id: str, user: str) -> Mapping[str, Any] | None:
        path = f"/v1/workflow/{part(run_id)}/events"
        opened = self.transport.stream(
            "GET", path, doing="read the end of the run", auth=self.auth, params={"user": user}
        )
        try:
            async with asyncio.timeout(_GLANCE), opened as answer, aclosing(sse.events(answer)) as arriving:  # type: ignore[type-var]
                async for event in arriving:
                    if event.name == "workflow_finished" and event.body.get("workflow_run_id") in (run_id, None):
                        return event.data
        except (DifyopsError, TimeoutError) as error:  # the detail is asked next
            log.debug("the events of run %s tell no end (%s)", run_id, error or "it goes on")
        return None

    async def _from_detail(self, run_id: str, patience: float) -> Mapping[str, Any]:
        began = self.clock.monotonic()
        pause, last = _FIRST, ""
        while True:
            left = patience - (self.clock.monotonic() - began)
            try:
                row = await self.detail(run_id)
            except NotFound as error:
                if left < max(pause, patience - _NOT_WRITTEN_YET):
                    raise RunFailed(
                        "The server knows no run of that id; it is unknown whether the app ran.", kind=CUT_OFF
                    ) from error
            except (Unreachable, ServerFault, RateLimited) as error:
                last = f" ({error.message})"
            else:
                last = ""
                if str(row.get("status")) not in _UNENDED:
                    return row
            if pause > left:
                raise RunFailed(f"No end of the run was seen in {patience:g} s{last}; it may go on.", kind=CUT_OFF)
            await self.clock.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 1.6)

    async def detail(self, run_id: str) -> Mapping[str, Any]:
        """Return what the server tells of a run now."""
        path, doing = f"/v1/workflows/run/{part(run_id)}", "read the run"
        response = await self.transport.request("GET", path, doing=doing, auth=self.auth)
        row: Mapping[str, Any] = fit(json_of(response, doing=doing), answers.RUN_END, doing=doing, endpoint=path)
        return row

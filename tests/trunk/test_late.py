"""A slow server carries out what we gave up waiting for: whatever was told and ended is so when that is over."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from difyops.api.console import Console
from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.clock import SystemClock
from difyops.errors import DifyopsError, TimedOut
from tests.kept import kept_text
from tests.trunk.second_writer import HALF_DONE, HELPER, AgentColleague, Colleague, place
from tests.trunk.test_second_writer import OTHER, other_model


class Slow:
    """Carries out one of our calls, counted from 1, only after we were told that no answer came."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, mine: Console) -> None:
        self.coming, self.seen = list[asyncio.Task[None]](), 0
        send = Console.send

        async def sent(api: Console, *words: Any, **rest: Any) -> Any:
            self.seen += api is mine
            if api is not mine or self.seen != at:
                return await send(api, *words, **rest)

            async def come() -> None:
                await asyncio.sleep(0.3)
                with contextlib.suppress(DifyopsError):
                    await send(api, *words, **rest)

            self.coming.append(asyncio.create_task(come()))
            raise TimedOut("The answer did not come in 30 s.", retryable=True)

        monkeypatch.setattr(Console, "send", sent)


@pytest.mark.parametrize("way", ["finish", "undo"])
@pytest.mark.parametrize("at", [1, 2, 3], ids=["write draft", "publish", "put draft back"])
@pytest.mark.parametrize("app", ["wf-llm", HELPER])
async def test_a_call_that_comes_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: str, at: int, way: str
) -> None:
    monkeypatch.setattr("difyops.publishing.late.LATE", 0.8)
    async with place(tmp_path, app, AgentColleague if app == HELPER else Colleague) as (fast, colleague, _):
        workspace = replace(fast, clock=SystemClock())
        change = await other_model(workspace, colleague.app_id)
        slow = Slow(monkeypatch, at, workspace.instance.console)
        with contextlib.suppress(DifyopsError):
            await change
        recovery, state = Recovery(journal=workspace.journal, kinds=kinds()), "finished"
        for record in workspace.journal.open():
            end = recovery.finish if way == "finish" else recovery.undo
            state = (await end(workspace.instance, record)).state
        await asyncio.gather(*slow.coming)
        assert slow.coming
        live = await colleague.live()
        assert (OTHER in live) is (state == "finished"), state
        assert HALF_DONE not in live
        assert HALF_DONE in await colleague.draft(), kept_text(workspace.state)
        assert workspace.journal.open() == []

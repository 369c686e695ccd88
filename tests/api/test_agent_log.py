"""What callers asked an agent app is read from the agent's own log: the app's list has only the account's talks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from difyops.api.agents import Agents
from difyops.api.keys import Keys
from difyops.api.run_feed import conversations_page, messages_page
from difyops.api.run_records import MessageRecord
from difyops.api.runs import runs_in
from difyops.api.service import Question, Service
from difyops.emulator import Emulator
from difyops.errors import NotFound
from tests.history.conftest import open_instance
from tests.snapshot.agent_author import MODEL


async def test_runs_and_messages_of_an_agent_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator("1.16.1")
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)
    instance = await open_instance(emulator, tmp_path)
    try:
        agents, console = Agents(instance.console), instance.console
        identity = {"name": "helper", "description": "", "role": "clerk", "icon_type": "emoji", "icon": "x"}
        app = await agents.create(identity)
        await agents.write_draft(app, {**(await agents.state(app)).draft.soul, "model": MODEL})
        await agents.publish(app)
        key = await Keys.of_app(console, app.id).create()
        service = Service(instance.service_transport, key.token, app.mode)
        for number in range(3):
            await service.run(Question(query=f"question {number}"))
        now = datetime.fromtimestamp(emulator.instance.now(), UTC)
        window = await runs_in(instance, app, now - timedelta(hours=1), now + timedelta(hours=1))
        assert [run.status for run in window.runs] == ["succeeded"] * 3
        assert all(run.tokens > 0 and run.seconds is not None and run.prompt_tokens for run in window.runs)
        (talk, *_) = [str(row["id"]) for row in (await conversations_page(instance, app, page=1)).rows]
        page = await messages_page(instance, app, talk, first_id=None)
        (record,) = [MessageRecord.of(row) for row in page.rows]
        assert (record.status, record.conversation, page.more) == ("succeeded", talk, False)
        assert record.inputs["query"].startswith("question")
        with pytest.raises(NotFound, match="Conversation Not Exists"):
            await console.get(f"/apps/{app.id}/chat-messages", doing="list messages", conversation_id=talk)
    finally:
        await instance.close()

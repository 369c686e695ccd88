"""On a real instance: the recipe's request works unchanged but for its address, and its Flask receiver believes it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from difyops import config
from difyops.api.instance import ConnectOptions, Instance, connect
from difyops.api.keys import Keys
from difyops.webhook.reaching import Instances
from tests.snapshot.colleague import Colleague
from tests.waiting import until
from tests.webhook.flask_receiver import Recipe, flask_receiving
from tests.webhook.rig import SECRET, SECRETS, serving

pytestmark = pytest.mark.live
DSL = Path(__file__).parent / "dsl"


def real_instances(settings: config.Config) -> Instances:
    @asynccontextmanager
    async def opened(name: str | None) -> AsyncIterator[Instance]:
        instance = await connect(settings.context(name), ConnectOptions(state=settings.state))
        try:
            yield instance
        finally:
            await instance.close()

    return Instances(open=opened, context=settings.context)


@pytest.fixture
def scratch(colleague: Colleague, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a small workflow of our own, published, with a key; removed afterwards."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    text = (DSL / "webhook-echo.yml").read_text()
    done = colleague.call("POST", "/apps/imports", {"mode": "yaml-content", "yaml_content": text})
    app = str(done["app_id"])
    colleague.call("POST", f"/apps/{app}/workflows/publish", {"marked_name": "", "marked_comment": ""})
    key = colleague.call("POST", f"/apps/{app}/api-keys", {})["token"]
    yield app, key
    colleague.call("DELETE", f"/apps/{app}")


@pytest.mark.parametrize("leaves", [False, True])
async def test_the_recipe_on_a_real_instance(scratch: tuple[str, str], tmp_path: Path, leaves: bool) -> None:
    app, key = scratch
    settings = config.load()
    with flask_receiving(SECRET) as receiver:
        section = {
            "apps": {"echo": {"app": app}},
            "callbacks": {"allow": [receiver.url], "secrets": ["env:HOOK_SECRET"]},
        }
        async with serving(settings.context().url, tmp_path / "hook", section, real_instances(settings)) as served:
            asked = Recipe(base_url=f"{served.url}/run/echo", key=key, callback=f"{receiver.url}/done", leaves=leaves)
            lines = await asyncio.to_thread(asked.send, {"text": "hello"})
            await until(lambda: receiver.events)
    assert receiver.refused == 0
    assert ('"workflow_finished"' in lines[-1].replace(" ", "")) is not leaves
    (said,) = receiver.events
    assert (said["event"], said["data"]["status"]) == ("run.succeeded", "succeeded")
    assert "HELLO" in json.dumps(said["data"]["outputs"])
    assert said["data"]["session_id"] == "session-1"
    assert said["data"]["run_id"]


async def test_the_end_of_a_run_is_found_by_its_id(scratch: tuple[str, str]) -> None:
    from difyops.api.run_transport import run_transport
    from difyops.api.service import Question, Service

    app, _ = scratch
    settings = config.load()
    instance = await connect(settings.context(), ConnectOptions(state=settings.state))
    transport = run_transport(settings.context(), limit=4)
    try:
        key = (await Keys.of_app(instance.console, app).list())[0].token
        service = Service(transport, key, "workflow")
        run = await service.run(Question(inputs={"text": "again"}, user="somebody"))
        assert run.run_id
        found = await service.end_of(run.run_id, "somebody", patience=30)
        other = await service.end_of(run.run_id, "somebody else", patience=30)
        assert found.outputs == other.outputs == run.outputs
    finally:
        await transport.close()
        await instance.close()


async def test_a_run_whose_id_was_not_seen_is_found_in_the_log(scratch: tuple[str, str], tmp_path: Path) -> None:
    import time

    from difyops.api.service import Question
    from difyops.webhook.database import FILE, WebhookDatabase
    from difyops.webhook.finding import Finder
    from difyops.webhook.outbox import RunRow
    from difyops.webhook.reaching import Address, Desks

    app, _ = scratch
    instances = real_instances(config.load())
    database = WebhookDatabase(tmp_path / FILE)
    database.open()
    try:
        desks = Desks(instances=instances)
        address, began = Address(app=app), time.time()
        desk = await desks.at(address)
        ran = [await desk.service.run(Question(inputs={"text": text}, user="one")) for text in ("this", "that")]
        row = RunRow(
            id="run_1", app="echo", via="run", accepted=began, user="one", request={"inputs": {"text": "that"}}
        )
        found: dict[str, str] = {}
        for _ in range(20):  # the log may be written late
            if found := await Finder(database=database, desks=desks).find(address, [row]):
                break
            await asyncio.sleep(0.5)
        assert found == {"run_1": ran[1].run_id}
    finally:
        await instances.close()
        await database.close()

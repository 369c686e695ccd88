"""Moments at which a colleague saves or publishes, on a real instance: rotations, configs, notes, what was cut off."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from difyops import config
from difyops.api.instance import ConnectOptions, connect
from difyops.ledger import Ledger
from difyops.publishing.content import version_content
from difyops.rotation.engine import Driver, begin, turn_back
from difyops.rotation.job import Workbench
from difyops.rotation.journal import RotationJournal
from difyops.rotation.kinds import WantedSecret
from difyops.rotation.machine import State
from difyops.rotation.policy import RotationPolicy
from difyops.rotation.prepare import RotationRequest, prepare
from difyops.rotation.reading import WorkspaceReading
from difyops.secret_text import SecretText
from difyops.workspace import Workspace
from tests.conftest import Cli
from tests.live.test_races import MARK, broken, title
from tests.live.test_story import scratch  # noqa: F401  a fixture
from tests.snapshot.colleague import Colleague, node, set_secret
from tests.snapshot.test_faults import open_changes, roll_back_with
from tests.snapshot.test_races import kept_texts, once

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


def test_notes_and_layout_of_a_draft_come_back_exactly(cli: Cli, colleague: Colleague, scratch: dict[str, str]) -> None:  # noqa: F811
    name = scratch["workflow"]
    app, good = broken(cli, colleague, name)

    def decorate(document: dict[str, Any]) -> None:
        document["graph"]["nodes"][0]["position"] = {"x": 777, "y": 777}
        document["graph"]["nodes"].append(
            {"id": "note", "type": "custom-note", "data": {"text": "mine", "type": ""}, "position": {"x": 1, "y": 1}}
        )

    colleague.edit(app, decorate)
    drafted = colleague.draft(app)["graph"]
    assert roll_back_with("-", lambda: None, app=name).state == "rolled back"
    assert colleague.live(app)["graph"] == good
    assert colleague.draft(app)["graph"] == drafted


def test_a_config_that_stands_in_no_snapshot_is_kept(cli: Cli, colleague: Colleague, scratch: dict[str, str]) -> None:  # noqa: F811
    name = scratch["chat"]
    app = colleague.app_id(name)
    assert cli("snapshot", "create", name, "--tag", "v1").code == 0
    colleague.set_config(app, lambda body: body.update(pre_prompt="typed an hour ago"))
    done = cli("snapshot", "rollback", name, "--to", "v1", "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert cli("snapshot", "rollback", name, "--to", done.json["data"]["apps"][0]["kept_as"], "--yes").code == 0
    assert colleague.config(app)["pre_prompt"] == "typed an hour ago"


@pytest.mark.parametrize("writer", ["save", "publish"])
@pytest.mark.parametrize("step", ["before write draft", "before publish", "after publish", "before put variable right"])
def test_a_rotation_that_is_taken_back_leaves_its_value_nowhere(
    colleague: Colleague,
    scratch: dict[str, str],  # noqa: F811
    step: str,
    writer: str,
) -> None:
    name = scratch["workflow"]
    app = colleague.app_id(name)
    colleague.edit(app, set_secret("live-old-value-1"))
    colleague.publish(app)
    colleague.edit(app, title("half done"))

    def act() -> None:
        colleague.edit(app, title(MARK))
        if writer == "publish":
            colleague.publish(app)

    state = asyncio.run(rotated_and_back(name, "live-new-value-2", step, once(act)))
    assert state is State.ROLLED_BACK
    assert colleague.clear(app)["API_TOKEN"] == "live-old-value-1"
    assert node(colleague.draft(app), "start")["title"] == MARK
    assert live_secret(app) == "live-old-value-1"
    assert not open_changes()


async def rotated_and_back(name: str, value: str, at: str, act: Callable[[], object]) -> State:
    """Rotate the variable up to its grace period and take it back; ``act`` happens at a step of the way back."""
    settings = config.load()
    instance = await connect(settings.context(), ConnectOptions(state=settings.state))
    try:
        with Ledger.open(settings.state / "ledger.sqlite3") as ledger:
            journal = Workspace(instance=instance, state=settings.state, ledger=ledger, actor="tester").journal
            bench = Workbench(instance=instance, journal=RotationJournal(journal))
            wanted = ("env", WantedSecret(arguments=(name, "API_TOKEN")))
            asked = RotationRequest(no_probe=True, value_from="env:NEW", by_hand=True, grace=3600.0)
            planned = await prepare(bench, WorkspaceReading(instance), wanted, asked, RotationPolicy())
            driven = await Driver(bench, wait=False).drive(await begin(bench, planned, SecretText(value)))
            assert driven.rotation.state is State.GRACE, driven

            def checkpoint(name: str) -> None:
                if name == at:
                    act()

            back = dataclasses.replace(bench, checkpoint=checkpoint)
            return (await Driver(back).drive(await turn_back(back, driven.rotation))).rotation.state
    finally:
        await instance.close()


def live_secret(app: str) -> str:
    """Return the value of the variable in the live version."""

    async def read() -> str:
        settings = config.load()
        instance = await connect(settings.context(), ConnectOptions(state=settings.state))
        try:
            version = await instance.console.published(app)
            assert version
            content = await version_content(instance.console, app, version)
            found = content.value("API_TOKEN")
            assert found
            return found.reveal()
        finally:
            await instance.close()

    return asyncio.run(read())


@pytest.mark.parametrize("way", ["finish", "undo"])
def test_what_was_cut_off_is_closed_after_somebody_published(
    cli: Cli,
    colleague: Colleague,
    scratch: dict[str, str],  # noqa: F811
    way: str,
) -> None:
    name = scratch["workflow"]
    app, _ = broken(cli, colleague, name)

    def die() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        roll_back_with("before publish", die, app=name)
    assert open_changes()
    colleague.edit(app, title(MARK))
    colleague.publish(app)
    cli("changes", way, name, "--yes")
    assert not open_changes()
    assert node(colleague.live(app), "start")["title"] == MARK
    assert "half done" in kept_texts() + json.dumps(colleague.draft(app))

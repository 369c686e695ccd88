"""A colleague saves or publishes at the worst moments of a rollback, on a real instance: nobody's work is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from difyops import config
from difyops.errors import Refused
from tests.conftest import Cli
from tests.live.test_story import scratch  # noqa: F401  a fixture
from tests.snapshot.colleague import Colleague, break_prompt, node
from tests.snapshot.test_faults import open_changes, roll_back_with
from tests.snapshot.test_races import kept_texts, once

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
MARK = "saved meanwhile"


def title(text: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: node(document, "start").update(title=text)


def broken(cli: Cli, colleague: Colleague, name: str) -> tuple[str, Any]:
    """Snapshot an app as v1, break it live, leave somebody's draft; return its id and the good graph."""
    app = colleague.app_id(name)
    assert cli("snapshot", "create", name, "--tag", "v1").code == 0
    good = colleague.live(app)["graph"]
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    colleague.edit(app, title("half done"))
    return app, good


@pytest.mark.parametrize("step", ["before write draft", "after write draft", "before publish", "after publish"])
def test_a_save_at_the_worst_moment(cli: Cli, colleague: Colleague, scratch: dict[str, str], step: str) -> None:  # noqa: F811
    name = scratch["workflow"]
    app, good = broken(cli, colleague, name)
    done = roll_back_with(step, once(lambda: colleague.edit(app, title(MARK))), app=name)
    assert done.state == "rolled back"
    assert colleague.live(app)["graph"] == good
    assert node(colleague.draft(app), "start")["title"] == MARK
    assert "half done" in kept_texts()
    assert not open_changes()


@pytest.mark.parametrize("step", ["after write draft", "before publish", "after publish", "before proof"])
def test_a_publication_at_the_worst_moment(cli: Cli, colleague: Colleague, scratch: dict[str, str], step: str) -> None:  # noqa: F811
    name = scratch["workflow"]
    app, good = broken(cli, colleague, name)

    def publish() -> None:
        colleague.edit(app, title(MARK))
        colleague.publish(app)

    is_refused = False
    try:
        roll_back_with(step, once(publish), app=name)
    except Refused:
        is_refused = True
    live = colleague.live(app)
    assert (node(live, "start")["title"] == MARK) if is_refused else (live["graph"] == good)
    assert MARK in json.dumps(colleague.call("GET", f"/apps/{app}/workflows?page=1&limit=20"))
    assert "half done" in kept_texts() + json.dumps(colleague.draft(app)) or step == "before proof"
    assert not list((config.load().state / "changes").glob("*/*.json"))


def test_a_switch_is_read_back_and_twice_is_the_same_as_once(
    cli: Cli,
    colleague: Colleague,
    scratch: dict[str, str],  # noqa: F811
) -> None:
    name = scratch["chat"]
    app = colleague.app_id(name)
    for word, on in (("disable", False), ("disable", False), ("enable", True)):
        done = cli("app", word, name, "--yes", "-o", "json")
        assert done.code == 0, done.err
        assert colleague.call("GET", f"/apps/{app}")["enable_api"] is on
    assert cli("changes", "list", "-o", "json").json["data"] == []

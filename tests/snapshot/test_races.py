"""Somebody saves or publishes before and after each effect of a rollback: nobody's work is lost, nobody is lied to."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from difyops import config
from difyops.errors import DifyopsError, Refused
from tests.conftest import Cli
from tests.kept import kept_text
from tests.snapshot.colleague import Colleague, node, set_secret
from tests.snapshot.test_faults import open_changes, roll_back_with, spoiled
from tests.snapshot.test_killed import WORKFLOW_STEPS, child

MARK = "saved meanwhile"
ON_THEIR_OWN = ("journal written", "after put draft back", "before proof")  # the draft is theirs then, and they edit it


def title(text: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: node(document, "start").update(title=text)


def once(act: Callable[[], object]) -> Callable[[], object]:
    """Return ``act`` for its first call, and nothing for those after it: a step can come more than once."""
    calls = iter([act])
    return lambda: [call() for call in calls]


def kept_texts() -> str:
    return kept_text(config.load().state)


def unpublished(colleague: Colleague, app: str) -> None:
    colleague.edit(app, lambda document: (title("half done")(document), set_secret("draft-canary")(document)))


@pytest.mark.exhaustive(7)
@pytest.mark.parametrize("step", WORKFLOW_STEPS)
def test_a_save_at_any_step_is_not_lost_and_the_target_is_live(v1: str, colleague: Colleague, step: str) -> None:
    app = colleague.app_id("wf-llm")
    target = colleague.live(app)["graph"]
    spoiled(colleague)
    unpublished(colleague, app)
    done = roll_back_with(step, once(lambda: colleague.edit(app, title(MARK))))
    assert done.state == "rolled back"
    assert colleague.live(app)["graph"] == target
    assert node(colleague.draft(app), "start")["title"] == MARK
    assert colleague.clear(app)["API_TOKEN"] in ("draft-canary", "tok-canary") or "canary" in kept_texts()
    if step not in ON_THEIR_OWN:
        assert "half done" in kept_texts()
    assert not open_changes()


@pytest.mark.exhaustive(7)
@pytest.mark.parametrize("step", WORKFLOW_STEPS)
def test_what_somebody_publishes_at_any_step_stays_live_or_the_target_does(
    v1: str, colleague: Colleague, step: str
) -> None:
    app = colleague.app_id("wf-llm")
    target = colleague.live(app)["graph"]
    spoiled(colleague)
    unpublished(colleague, app)

    def publish() -> None:
        colleague.edit(app, title(MARK))
        colleague.publish(app)

    is_refused = False
    try:
        roll_back_with(step, once(publish))
    except Refused:
        is_refused = True
    live = colleague.live(app)
    assert (node(live, "start")["title"] == MARK) if is_refused else (live["graph"] == target)
    versions = json.dumps(colleague.call("GET", f"/apps/{app}/workflows?page=1&limit=20"))
    assert MARK in versions
    assert step in ON_THEIR_OWN or "half done" in kept_texts() + json.dumps(colleague.draft(app))
    assert not open_changes()


def test_somebody_who_keeps_typing_does_not_stop_the_rollback(v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    target = colleague.live(app)["graph"]
    spoiled(colleague)
    unpublished(colleague, app)
    texts = iter([f"typed {number}" for number in range(2)])

    def type_on() -> None:
        text = next(texts, None)
        if text:
            colleague.edit(app, title(text))

    assert roll_back_with("after write draft", type_on).state == "rolled back"
    assert colleague.live(app)["graph"] == target
    assert node(colleague.draft(app), "start")["title"] == "typed 1"
    assert "typed 0" in kept_texts()


def test_a_save_that_slips_into_the_publication_is_told_and_kept(v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    target = colleague.live(app)["graph"]
    spoiled(colleague)
    done = roll_back_with("before publish", once(lambda: colleague.edit(app, title(MARK))))
    assert colleague.live(app)["graph"] == target
    assert any("slipped in" in warning for warning in done.warnings)
    assert MARK in kept_texts()
    assert node(colleague.draft(app), "start")["title"] == MARK


def test_three_saves_that_slip_in_give_the_former_version_back(v1: str, colleague: Colleague) -> None:
    app = spoiled(colleague)
    broken = colleague.live(app)["graph"]
    saves = iter([f"{MARK} {number}" for number in range(3)])

    def save() -> None:
        text = next(saves, None)
        if text:
            colleague.edit(app, title(text))

    with pytest.raises(DifyopsError) as refused:
        roll_back_with("before publish", save)
    assert refused.value.exit_code == 8
    assert colleague.live(app)["graph"] == broken
    assert all(f"{MARK} {number}" in kept_texts() + json.dumps(colleague.draft(app)) for number in range(3))


def test_sticky_notes_and_layout_are_put_back_exactly(v1: str, colleague: Colleague) -> None:
    app = spoiled(colleague)

    def decorate(document: dict[str, Any]) -> None:
        document["graph"]["nodes"][0]["position"] = {"x": 777, "y": 777}
        document["graph"]["nodes"].append(
            {"id": "note", "type": "custom-note", "data": {"text": "mine", "type": ""}, "position": {"x": 1, "y": 1}}
        )

    colleague.edit(app, decorate)
    drafted = colleague.draft(app)["graph"]
    assert roll_back_with("-", lambda: None).state == "rolled back"
    assert colleague.draft(app)["graph"] == drafted


def test_the_same_content_published_by_somebody_else_is_not_undone(v1: str, colleague: Colleague) -> None:
    """Two operators: the other one publishes the target while ours fails its proof. Theirs stays live."""
    app = colleague.app_id("wf-llm")
    target = colleague.live(app)
    spoiled(colleague)

    def publish_the_target_then_break_the_proof() -> None:
        colleague.edit(app, lambda document: document.update(graph=target["graph"], features=target["features"]))
        colleague.publish(app)
        colleague.call("POST", f"/apps/{app}/api-enable", {"enable_api": False})

    with pytest.raises(DifyopsError) as failed:
        roll_back_with("before proof", once(publish_the_target_then_break_the_proof))
    assert failed.value.exit_code == 8
    assert colleague.live(app)["graph"] == target["graph"]


@pytest.mark.exhaustive(7)
@pytest.mark.parametrize("step", range(len(WORKFLOW_STEPS)), ids=WORKFLOW_STEPS)
@pytest.mark.parametrize("way", ["finish", "undo"])
def test_a_save_after_the_kill_survives_finish_and_undo(
    cli: Cli, v1: str, colleague: Colleague, step: int, way: str
) -> None:
    app = colleague.app_id("wf-llm")
    target = colleague.live(app)["graph"]
    spoiled(colleague)
    broken = colleague.live(app)["graph"]
    unpublished(colleague, app)
    assert child("rollback", "wf-llm", v1, step).returncode == -9
    colleague.edit(app, title(MARK))
    ended = cli("changes", way, "wf-llm", "--yes", "-o", "json")
    assert ended.code == 0, ended.out
    assert colleague.live(app)["graph"] == (target if way == "finish" else broken)
    assert node(colleague.draft(app), "start")["title"] == MARK
    assert WORKFLOW_STEPS[step] in ON_THEIR_OWN or "half done" in kept_texts() + json.dumps(colleague.draft(app))


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("name", ["chat-basic", "agent", "completion-basic"])
def test_a_config_that_stands_in_no_snapshot_is_kept_before_it_is_replaced(
    cli: Cli, v1: str, colleague: Colleague, name: str
) -> None:
    app = colleague.app_id(name)
    colleague.set_config(app, lambda body: body.update(pre_prompt="typed an hour ago"))
    done = cli("snapshot", "rollback", name, "--to", v1, "--yes", "-o", "json")
    assert done.code == 0, done.err
    tag = done.json["data"]["apps"][0]["kept_as"]
    assert cli("snapshot", "rollback", name, "--to", tag, "--yes").code == 0
    assert colleague.config(app)["pre_prompt"] == "typed an hour ago"


@pytest.mark.exhaustive(2)
@pytest.mark.parametrize("step", ["journal written", "before write config", "after write config", "before proof"])
def test_a_config_that_somebody_writes_at_any_step_stays(v1: str, colleague: Colleague, step: str) -> None:
    app = colleague.app_id("chat-basic")
    colleague.set_config(app, lambda body: body.update(pre_prompt="BROKEN"))
    theirs = once(lambda: colleague.set_config(app, lambda body: body.update(pre_prompt=MARK)))
    with pytest.raises(Refused):
        roll_back_with(step, theirs, app="chat-basic")
    assert colleague.config(app)["pre_prompt"] == MARK
    assert not open_changes()

"""A release from plan to verdict: what passes, what is taken back, what is held, and that nobody's work is lost."""

from __future__ import annotations

import pytest

from difyops.errors import Refused, StalePlan
from difyops.release.holds import holds
from difyops.release.plan import Shadow, WatchRules
from difyops.release.status import abort, decide, status
from difyops.snapshot.take import TakeOptions, take
from tests.release.conftest import QUICK, Rig, better, broken


async def test_a_good_version_passes_and_the_draft_stays(rig: Rig) -> None:
    rig.past("wf-echo", 12)
    wanted = await rig.edit("wf-echo", better)
    plan = await rig.plan("wf-echo")
    held = await rig.apply(plan)
    assert (held.verdict, held.state) == ("inconclusive", "held")
    assert held.error is not None
    assert held.error.exit_code == 3
    assert await rig.live_graph("wf-echo") == wanted["graph"]
    assert await rig.ask("wf-echo", 10) == 0
    passed = await rig.apply(plan)
    assert (passed.verdict, passed.state, passed.error) == ("pass", "passed", None), passed
    assert passed.id == held.id
    assert await rig.live_graph("wf-echo") == await rig.draft_graph("wf-echo") == wanted["graph"]
    assert rig.open == []


async def test_a_broken_version_is_taken_back_after_two_looks_and_held(rig: Rig) -> None:
    rig.past("wf-echo", 60)
    former = await rig.live_graph("wf-echo")
    wanted = await rig.edit("wf-echo", broken)
    plan = await rig.plan("wf-echo")
    await rig.apply(plan)
    assert await rig.ask("wf-echo", 6) == 6
    once = await rig.apply(plan)
    assert (once.state, once.looks[-1]["word"]) == ("held", "fail"), once
    assert (await rig.apply(plan)).state == "held"  # no new runs: the same look is no second one
    await rig.ask("wf-echo", 3)
    back = await rig.apply(plan)
    assert (back.verdict, back.state) == ("fail", "rolled back"), back
    assert back.error is not None
    assert back.error.exit_code == 5
    assert "9 of 9 runs failed, 0 of 60 before" in back.text
    assert await rig.live_graph("wf-echo") == former
    assert await rig.draft_graph("wf-echo") == wanted["graph"]
    assert await rig.ask("wf-echo", 1) == 0
    assert [item.hash for item in holds(rig.workspace.ledger, plan.app_id)] == [plan.target.hash]
    with pytest.raises(Refused) as caught:
        await rig.plan("wf-echo")
    assert "--again" in (caught.value.hint or "")
    again = await rig.plan("wf-echo", again=True)
    with pytest.raises(Refused):
        await rig.apply(again)
    assert (await rig.apply(again, again=True)).state == "held"
    await abort(rig.workspace, "wf-echo")
    assert await rig.live_graph("wf-echo") == former
    assert rig.open == []


async def test_a_provider_that_is_down_for_both_decides_nothing(rig: Rig) -> None:
    await rig.ask("wf-llm", 12, query="hi")
    await rig.edit("wf-llm", lambda document: document["graph"]["nodes"][0]["data"].update(desc="x", title="Begin"))
    plan = await rig.plan("wf-llm")
    await rig.apply(plan)
    rig.emulator.control.mood("provider_down")
    assert await rig.ask("wf-llm", 12, query="hi") == 12
    found = await rig.apply(plan)
    assert (found.verdict, found.state, found.looks) == ("inconclusive", "held", ())
    (row,) = await status(rig.workspace, "wf-llm")
    assert row.state == "held"
    assert "fewer than 3 runs" in row.text
    rig.emulator.control.mood("happy")
    await rig.ask("wf-llm", 10, query="hi")
    assert (await rig.apply(plan)).state == "passed"


async def test_too_little_history_holds(rig: Rig) -> None:
    await rig.ask("wf-echo", 4)
    await rig.edit("wf-echo", better)
    plan = await rig.plan("wf-echo")
    await rig.apply(plan)
    await rig.ask("wf-echo", 12)
    found = await rig.apply(plan)
    assert (found.verdict, found.state) == ("inconclusive", "held")
    assert "4 of 10 runs could be held against the old version" in found.text
    assert found.error is not None
    assert "changes finish" in (found.error.hint or "")


async def test_a_person_keeps_what_is_held(rig: Rig) -> None:
    wanted = await rig.edit("wf-echo", better)
    assert (await rig.apply(await rig.plan("wf-echo"))).state == "held"
    kept = await decide(rig.workspace, "wf-echo", keeps=True)
    assert (kept.verdict, kept.state, kept.error) == ("pass", "kept", None)
    assert await rig.live_graph("wf-echo") == wanted["graph"]
    assert rig.open == []


async def test_what_moves_between_plan_and_apply_refuses(rig: Rig) -> None:
    await rig.edit("wf-echo", better)
    plan = await rig.plan("wf-echo")
    await rig.edit("wf-echo", broken)
    with pytest.raises(StalePlan, match="draft"):
        await rig.apply(plan)
    await rig.console.publish(rig.app_id("wf-echo"))
    with pytest.raises(StalePlan, match="changed since the plan"):
        await rig.apply(plan)
    assert rig.open == []


async def test_who_publishes_while_it_is_watched_is_left_alone(rig: Rig) -> None:
    rig.past("wf-echo", 12)
    await rig.edit("wf-echo", better)
    plan = await rig.plan("wf-echo")
    await rig.apply(plan)
    theirs = await rig.edit("wf-echo", lambda document: document["graph"]["nodes"][1]["data"].update(title="theirs"))
    await rig.console.publish(rig.app_id("wf-echo"))
    found = await rig.apply(plan)
    assert found.state == "overtaken"
    assert found.error is not None
    assert found.error.exit_code == 8
    assert await rig.live_graph("wf-echo") == theirs["graph"]
    assert rig.open == []


async def test_who_edits_while_it_is_watched_loses_nothing(rig: Rig) -> None:
    rig.past("wf-echo", 60)
    former = await rig.live_graph("wf-echo")
    await rig.edit("wf-echo", broken)
    plan = await rig.plan("wf-echo")
    await rig.apply(plan)
    theirs = await rig.edit("wf-echo", better)
    for _ in range(2):
        await rig.ask("wf-echo", 6)
        found = await rig.apply(plan)
    assert found.state == "rolled back", found
    assert await rig.live_graph("wf-echo") == former
    assert await rig.draft_graph("wf-echo") == theirs["graph"]


async def test_two_releases_of_one_app(rig: Rig) -> None:
    await rig.edit("wf-echo", better)
    first = await rig.plan("wf-echo")
    await rig.apply(first)
    await rig.edit("wf-echo", lambda document: document["graph"]["nodes"][1]["data"].update(title="second"))
    second = await rig.plan("wf-echo")
    with pytest.raises(Refused, match="release of 'wf-echo'"):
        await rig.apply(second)
    await abort(rig.workspace, "wf-echo")
    with pytest.raises(StalePlan):  # live is the old content again, as a version of its own
        await rig.apply(second)


async def test_abort_when_live_is_not_ours_any_more(rig: Rig) -> None:
    await rig.edit("wf-echo", better)
    await rig.apply(await rig.plan("wf-echo"))
    theirs = await rig.edit("wf-echo", broken)
    await rig.console.publish(rig.app_id("wf-echo"))
    with pytest.raises(Refused, match="left alone"):
        await abort(rig.workspace, "wf-echo")
    assert await rig.live_graph("wf-echo") == theirs["graph"]


async def test_a_snapshot_goes_live_with_the_secrets_of_today(rig: Rig) -> None:
    workspace = rig.workspace
    assert workspace.store is not None
    await take(workspace.instance, workspace.store, TakeOptions(tag="v1"))
    before = await rig.live_graph("wf-llm")
    await rig.edit("wf-llm", lambda document: document["graph"]["nodes"][0]["data"].update(title="Begin"))
    await rig.console.publish(rig.app_id("wf-llm"))
    plan = await rig.plan("wf-llm", source="snapshot", word="v1")
    values = await rig.console.clear_environment(plan.app_id)
    assert (await rig.apply(plan)).state == "held"
    assert await rig.live_graph("wf-llm") == before
    assert await rig.console.clear_environment(plan.app_id) == values
    await abort(workspace, "wf-llm")
    assert (await rig.live_graph("wf-llm"))["nodes"][0]["data"]["title"] == "Begin"


async def test_a_chat_app_is_watched_by_the_time_of_publishing(rig: Rig, tmp_path) -> None:
    await rig.ask("chat-basic", 12)
    text = await rig.console.export(rig.app_id("chat-basic"))
    path = tmp_path / "next.yml"
    path.write_text(text.replace("pre_prompt:", "pre_prompt: another one #"))
    plan = await rig.plan("chat-basic", source="file", word=str(path), watch=WatchRules(events=5, least=1))
    assert (await rig.apply(plan)).state == "held"
    assert (await rig.console.app(plan.app_id)).model_config["pre_prompt"] == "another one"


async def test_a_shadow_stops_what_is_worse_before_anything_is_live(rig: Rig) -> None:
    for number in range(20):
        await rig.ask("wf-echo", 1, text=f"hi {number}")
    before, apps = await rig.live_graph("wf-echo"), rig.names()
    await rig.edit("wf-echo", broken)
    plan = await rig.plan("wf-echo", shadow=Shadow(calls=20, least=5))
    found = await rig.apply(plan)
    assert (found.verdict, found.state) == ("fail", "not published"), found
    assert found.shadow is not None
    assert found.shadow["pairs"] < 20
    assert await rig.live_graph("wf-echo") == before
    assert rig.names() == apps
    assert rig.open == []


async def test_a_shadow_lets_what_is_as_good_go_on(rig: Rig) -> None:
    for number in range(10):
        await rig.ask("wf-echo", 1, text=f"hi {number}")
    await rig.ask("wf-echo", 2, text="boom")
    await rig.edit("wf-echo", better)
    plan = await rig.plan("wf-echo", shadow=Shadow(calls=20, least=5))
    found = await rig.apply(plan)
    assert found.state == "held", found
    assert found.shadow is not None
    assert (found.shadow["word"], found.shadow["pairs"]) == ("pass", 11)


@pytest.mark.parametrize(
    ("name", "mood", "said"),
    [("wf-llm", "provider_down", "0 of 12 pairs counted"), ("wf-cron", "happy", "it begins with a trigger")],
)
async def test_a_shadow_that_cannot_tell_publishes_nothing(rig: Rig, name: str, mood: str, said: str) -> None:
    for number in range(12 if name == "wf-llm" else 0):
        await rig.ask(name, 1, query=f"hi {number}")
    before = await rig.live_graph(name)
    await rig.edit(name, lambda document: document["graph"]["nodes"][0]["data"].update(title="Begin"))
    plan = await rig.plan(name, shadow=Shadow(calls=20, least=5))
    rig.emulator.control.mood(mood)
    found = await rig.apply(plan)
    assert (found.verdict, found.state) == ("inconclusive", "not published")
    assert said in found.text
    assert await rig.live_graph(name) == before


async def test_a_shadow_ends_at_its_budget(rig: Rig) -> None:
    for number in range(12):
        await rig.ask("wf-llm", 1, query=f"hi {number}")
    await rig.edit("wf-llm", lambda document: document["graph"]["nodes"][0]["data"].update(title="Begin"))
    plan = await rig.plan("wf-llm", shadow=Shadow(calls=12, least=5, at_once=1, tokens=1))
    found = await rig.apply(plan)
    assert found.state == "not published"
    assert "budget" in found.text
    assert found.shadow is not None
    assert found.shadow["pairs"] <= 2


async def test_the_wait_ends_with_the_verdict(rig: Rig) -> None:
    rig.past("wf-echo", 12)
    await rig.edit("wf-echo", better)
    plan = await rig.plan("wf-echo", watch=WatchRules(events=4, least=1, every=0.01))
    await rig.apply(plan)
    await rig.ask("wf-echo", 5)
    found = await rig.apply(plan, wait=None)
    assert found.state == "passed"
    assert QUICK.events == 10

"""The control plans failures, counts calls, and is reachable over HTTP by other processes on the machine."""

from __future__ import annotations

import asyncio

import pytest

from difyops.emulator import Control
from difyops.errors import UsageError
from tests.emulator.door import Door


async def test_a_failure_hits_the_nth_matching_call_and_as_many_after_it_as_told():
    door = Door()
    door.emulator.control.fail(method="get", path=r"/apps$", nth=2, times=2, how="status:503")
    statuses = [(await door.console("GET", "/apps")).status_code for _ in range(5)]
    await door.console("GET", "/tags?type=app")
    assert statuses == [200, 503, 503, 200, 200]


async def test_a_status_failure_happens_before_anything_is_done_and_a_lost_answer_after():
    door = Door()
    door.emulator.control.fail(path="/tags", how="status:500")
    await door.console("POST", "/tags", {"name": "one", "type": "app"})
    assert door.emulator.instance.tags == []
    door.emulator.control.fail(path="/tags", how="lost")
    with pytest.raises(ConnectionResetError):
        await door.console("POST", "/tags", {"name": "two", "type": "app"})
    assert [tag.name for tag in door.emulator.instance.tags] == ["two"]


@pytest.mark.parametrize("plan", [{"how": "explode"}, {"how": "status:9"}, {"path": "("}])
def test_a_plan_that_makes_no_sense_is_refused(plan: dict[str, str]):
    with pytest.raises(UsageError):
        Control().fail(**plan)  # type: ignore[arg-type]


async def test_calls_are_counted_by_route_app_provider_key_and_status():
    door = Door()
    app = door.emulator.app_named("wf-llm")
    door.emulator.control.reset_counts()
    await door.run(app, query="q")
    await door.run(app, query="q")
    await door.console("GET", f"/apps/{app.id}")
    await door.console("GET", "/nowhere")
    counts = door.emulator.control.counts()
    assert counts["routes"] == {
        "POST /v1/workflows/run": 2,
        "GET /console/api/apps/{app_id}": 1,
        "unknown": 1,
    }
    assert counts["apps"] == {app.id: 2}
    assert counts["provider_keys"] == {"sk-good-1": 2}
    assert counts["statuses"] == {"200": 3, "404": 1}
    assert counts["total"] == 4


async def test_the_most_requests_in_flight_are_remembered_and_can_be_limited():
    door = Door(speed=20.0)
    app = door.emulator.app_named("wf-echo")
    await asyncio.gather(*(door.run(app, text="x", secs=1) for _ in range(7)))
    assert (door.emulator.control.max_in_flight, door.emulator.control.in_flight) == (7, 0)
    door.emulator.control.limit(3)
    answers = await asyncio.gather(*(door.run(app, text="x", secs=1) for _ in range(7)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 4


async def test_a_revoked_provider_key_fails_runs_until_it_is_taken_back():
    door = Door()
    app = door.emulator.app_named("wf-llm")
    door.emulator.control.revoke("sk-good-1")
    assert (await door.run(app, query="q")).json()["data"]["status"] == "failed"
    door.emulator.control.revoke("sk-good-1", False)
    assert (await door.run(app, query="q")).json()["data"]["status"] == "succeeded"


async def test_delay_is_real_time():
    door = Door(delay=0.05)
    began = asyncio.get_running_loop().time()
    await door.console("GET", "/apps")
    assert asyncio.get_running_loop().time() - began >= 0.05


async def test_the_panel_changes_moods_and_shows_counts():
    door = Door()
    orders = {
        "moods": {"slow": True},
        "delay": 0.01,
        "fail": {"path": "x"},
        "revoke": "sk-good-9",
        "reset_counts": True,
    }
    answer = (await door.client.post("/_emulator/control", json=orders)).json()
    assert (answer["moods"], answer["delay"], answer["revoked"]) == (["slow"], 0.01, 1)
    assert set(answer["known_moods"]) >= {"happy", "slow"}
    shown = (await door.client.get("/_emulator/control")).json()
    assert shown["counts"]["total"] == 0, "the panel itself is not counted"


@pytest.mark.parametrize("orders", [{"mood": "sulky"}, {"bogus": 1}, {"fail": {"nope": 1}}, {"delay": "soon"}])
async def test_the_panel_says_what_it_does_not_understand(orders: dict[str, object]):
    answer = await Door().client.post("/_emulator/control", json=orders)
    assert answer.status_code == 400
    assert answer.json()["message"]


async def test_reset_starts_anew_with_the_same_ids():
    door = Door()
    before = door.emulator.app_named("wf-llm").id
    await door.console("DELETE", f"/apps/{before}")
    door.emulator.control.mood("slow")
    assert (await door.client.post("/_emulator/reset")).status_code == 200
    assert door.emulator.app_named("wf-llm").id == before
    assert door.emulator.control.moods == frozenset()
    assert (await door.console("GET", f"/apps/{before}")).status_code == 200

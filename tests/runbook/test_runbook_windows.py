"""Windows of runs: every feed, paging, day boundaries in the account's time zone, the dead told from the living."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.api.runs import DEAD, RUNNING, RunWindow, day_of, minute_text, minute_texts, percentile, runs_in
from difyops.errors import UsageError
from difyops.runbook.traffic import edges, traffic
from tests.runbook.runbook_tools import Stage, add_message, add_run, staged


async def _window(stage: Stage, app: str, hours: float = 1.0) -> RunWindow:
    now = datetime.now(UTC)
    async with stage.resources() as resources:
        return await runs_in(
            await resources.instance(),
            await resources.app(app),
            now - timedelta(hours=hours),
            now,
            timezone="America/New_York",
        )


async def test_a_thousand_runs_in_a_window_are_each_read_once(stage: Stage) -> None:
    wanted = {add_run(stage, "wf-echo", ago=3500 - number * 3).id for number in range(1000)}
    for number in range(50):
        add_run(stage, "wf-echo", ago=7300 + number)
    stage.emulator.app_named("wf-echo").runs.sort(key=lambda run: run.created_at)
    window = await _window(stage, "wf-echo")
    assert {run.id for run in window.runs} == wanted
    assert len(window.runs) == 1000
    assert window.complete


async def test_webhook_and_scheduled_runs_count_and_the_debuggers_do_not(stage: Stage) -> None:
    for source in ("app-run", "webhook", "schedule", "debugging"):
        add_run(stage, "wf-hook", ago=60, triggered_from=source)
    window = await _window(stage, "wf-hook")
    assert sorted(run.source for run in window.runs) == ["app-run", "schedule", "webhook"]


async def test_dead_runs_are_told_from_live_ones_by_their_age(stage: Stage) -> None:
    add_run(stage, "wf-echo", ago=60, status="running")
    add_run(stage, "wf-echo", ago=2000, status="running")
    window = await _window(stage, "wf-echo")
    assert [run.status for run in window.runs] == [RUNNING, DEAD]
    assert window.durations == []


async def test_a_chatflow_is_read_from_its_runs_and_from_messages_on_old_servers(
    stage: Stage, tmp_path_factory
) -> None:
    add_run(stage, "flow-chat", ago=9000)
    add_run(stage, "flow-chat", ago=90, triggered_from="debugging")
    add_run(stage, "flow-chat", ago=60, status="failed")
    assert [run.status for run in (await _window(stage, "flow-chat")).runs] == ["failed"]
    with staged(tmp_path_factory.mktemp("old"), version="1.9.1") as old:
        add_message(old, "flow-chat", ago=60)
        assert [run.status for run in (await _window(old, "flow-chat")).runs] == ["succeeded"]


async def test_chat_answers_that_began_in_an_older_conversation_are_in_the_window(stage: Stage) -> None:
    talk = add_message(stage, "chat-basic", ago=9000)
    add_message(stage, "chat-basic", ago=60, conversation=talk, seconds=2.5)
    add_message(stage, "chat-basic", ago=50, conversation=talk, status="error")
    add_message(stage, "chat-basic", ago=45, conversation=talk, answer="")
    add_message(stage, "chat-basic", ago=5, answer="")
    add_message(stage, "chat-basic", ago=8000)
    window = await _window(stage, "chat-basic")
    assert [run.status for run in window.runs] == ["running", "cut-off", "failed", "succeeded"]
    assert window.runs[-1].seconds == 2.5


async def test_more_messages_than_a_page_holds_are_all_read(stage: Stage) -> None:
    talk = add_message(stage, "chat-basic", ago=3000)
    for number in range(249):
        add_message(stage, "chat-basic", ago=2900 - number, conversation=talk)
    assert len((await _window(stage, "chat-basic")).runs) == 250


async def test_completions_are_found_in_the_accounts_time_zone(stage: Stage) -> None:
    add_message(stage, "completion-basic", ago=60)
    add_message(stage, "completion-basic", ago=7200)
    window = await _window(stage, "completion-basic")
    assert len(window.runs) == 1
    assert window.runs[0].status == "succeeded"


async def test_a_window_holds_its_beginning_and_not_its_end(stage: Stage) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    add_run(stage, "wf-echo", ago=0, created_at=int(now.timestamp()) - 100)
    async with stage.resources() as resources:
        instance, app = await resources.instance(), await resources.app("wf-echo")
        for shift, count in ((0, 1), (-1, 1), (1, 0)):
            since = now - timedelta(seconds=100 - shift)
            assert len((await runs_in(instance, app, since, now)).runs) == count
            assert len((await runs_in(instance, app, now - timedelta(hours=1), since)).runs) == 1 - count or shift == -1


async def test_today_begins_at_midnight_of_the_account_not_of_utc(stage: Stage) -> None:
    async with stage.resources() as resources:
        assert await resources.timezone() == "America/New_York"
        since, until = await edges(resources, "today")
        before, end = await edges(resources, "yesterday")
        assert minute_text(since, "America/New_York").endswith("00:00")
        assert end == since
        assert before < since <= until
        add_run(stage, "wf-echo", ago=0, created_at=int(since.timestamp()))
        add_run(stage, "wf-echo", ago=0, created_at=int(since.timestamp()) - 1)
        stage.emulator.app_named("wf-echo").runs.sort(key=lambda run: run.created_at)
        assert len((await traffic(resources, ["wf-echo"], "today")).windows[0][1].runs) == 1
        assert len((await traffic(resources, ["wf-echo"], "yesterday")).windows[0][1].runs) == 1


def test_a_day_has_the_hours_that_its_clock_had() -> None:
    noon = datetime(2026, 3, 8, 16, tzinfo=UTC)
    start, end = day_of(noon, "America/New_York")
    assert start == datetime(2026, 3, 8, 5, tzinfo=UTC)
    assert end - start == timedelta(hours=23)
    start, end = day_of(datetime(2026, 11, 1, 16, tzinfo=UTC), "America/New_York")
    assert end - start == timedelta(hours=25)
    with pytest.raises(UsageError, match="time zone"):
        day_of(noon, "Mars/Olympus")


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)),
    st.sampled_from(["America/New_York", "America/Havana", "Africa/Cairo", "Asia/Kolkata", "UTC"]),
)
def test_every_moment_is_in_exactly_its_own_day(moment: datetime, zone: str) -> None:
    when = moment.replace(tzinfo=UTC)
    start, end = day_of(when, zone)
    assert start <= when < end
    assert day_of(end, zone)[0] == end
    assert day_of(start - timedelta(seconds=1), zone)[1] == start


@given(
    st.datetimes(datetime(2026, 10, 31), datetime(2026, 11, 3)),
    st.integers(1, 1500),
    st.sampled_from(["America/New_York", "America/Havana", "Asia/Kolkata", "UTC"]),
    st.sampled_from([0, 1]),
)
def test_in_the_hour_that_comes_twice_nothing_falls_out_of_a_window_however_its_texts_are_read(
    moment: datetime, minutes: int, zone: str, fold: int
) -> None:
    since = moment.replace(tzinfo=UTC)
    until = since + timedelta(minutes=minutes)
    start, end = (
        datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)
        for text in minute_texts(since, until, zone)
    )
    assert start <= since
    assert end > until - timedelta(minutes=1)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_percentile_is_one_of_the_values_with_that_share_at_or_below_it(values: list[float], share: float) -> None:
    found = percentile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6


def test_there_is_no_percentile_of_nothing() -> None:
    assert percentile([], 0.5) is None


async def test_one_app_that_cannot_be_read_does_not_hide_the_others(stage: Stage) -> None:
    add_run(stage, "wf-echo", ago=60)
    broken = stage.emulator.app_named("wf-llm").id
    stage.emulator.control.fail(path=f"/apps/{broken}/", times=99, how="status:500")
    async with stage.resources() as resources:
        seen = await traffic(resources, ["wf-*"], "1h")
    assert [app.name for app, _ in seen.unread] == ["wf-llm"]
    assert "wf-llm" in seen.unread_text
    assert len(seen.windows) == 3

"""Syncing against the emulator: complete, polite, resumable; and what must not pass for covered."""

from __future__ import annotations

import pytest

from difyops.api import run_feed
from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past, load_past
from difyops.errors import OutOfBudget
from difyops.history.store import History
from difyops.history.windows import MOST_ROWS
from difyops.perf.facts import Scope
from difyops.perf.nodes import profile
from difyops.perf.summary import summarise
from difyops.perf.trend import trend
from tests.history.conftest import DAY, Sync, now


class Killed(BaseException):
    """The process ends here: nothing that catches errors sees it."""


def past(count: int, **fields) -> Past:
    return Past(**{"count": count, "since": now() - 6 * DAY, "until": now() - 300, **fields})


def load(emulator: Emulator, name: str, plan: Past):
    return load_past(emulator.instance, emulator.app_named(name), plan)


async def test_all_runs_once_and_nothing_twice(emulator: Emulator, history: History, synced: Sync) -> None:
    runs = load(emulator, "wf-echo", past(700, sources=("app-run", "webhook", "schedule")))
    found = await synced("wf-echo", nodes=False)
    assert found.error is None
    kept = history.all("SELECT id, status, tokens, round(elapsed, 6) FROM run ORDER BY id")
    assert kept == sorted((run.id, run.status, run.total_tokens, run.elapsed_time) for run in runs)
    again = await synced("wf-echo", nodes=False)
    assert (again.apps[0].runs, again.calls) <= (1, 2)
    assert history.one("SELECT count(*) FROM run") == 700


async def test_windows_are_sized_by_density(emulator: Emulator, history: History, synced: Sync) -> None:
    load(emulator, "wf-echo", past(3500))
    found = await synced("wf-echo", nodes=False, back=7 * DAY)
    assert history.one("SELECT count(*) FROM run") == 3500
    assert history.one("SELECT max(rows) FROM covered") <= MOST_ROWS
    assert found.calls <= 1.15 * 35 + 3  # the bench has 100,000, where one look at the whole weighs less
    assert found.most_in_flight <= 2


@pytest.mark.parametrize("mode", ["wf-echo", "flow-chat", "chat-basic", "completion-basic"])
async def test_an_app_without_runs(emulator: Emulator, history: History, synced: Sync, mode: str) -> None:
    nothing = await synced(mode)
    assert nothing.error is None
    assert nothing.apps[0].runs == 0
    assert nothing.apps[0].seconds_missing == 0


@pytest.mark.parametrize("name", ["wf-echo", "flow-chat"])
async def test_one_run(emulator: Emulator, history: History, synced: Sync, name: str) -> None:
    (run,) = load(emulator, name, past(1))
    found = await synced(name, share=1.0)
    assert (found.error, found.apps[0].runs, found.apps[0].seconds_missing) == (None, 1, 0)
    assert history.all("SELECT id, status FROM run") == [(run.id, run.status)]
    app = emulator.app_named(name)
    scope = Scope(context="emu", app=app.id, name=name, since=now() - 7 * DAY, until=now())
    told = summarise(history, scope).period
    assert (told.runs, told.average, told.at(0.95).value) == (1, run.elapsed_time, None)
    assert [node.runs for node in profile(history, scope).nodes] == [1] * len(profile(history, scope).nodes)
    assert trend(history, scope, None).changes == ()


async def test_a_stuck_run_holds_nothing_up(emulator: Emulator, history: History, synced: Sync) -> None:
    runs = load(emulator, "wf-echo", past(40, since=now() - 12 * DAY))
    for run in runs[:2]:  # the oldest: nobody will ever end them
        run.status, run.elapsed_time, run.finished_at = "running", 0.0, None
    first = await synced("wf-echo", nodes=False, back=13 * DAY)
    again = await synced("wf-echo", nodes=False, back=13 * DAY)
    assert (first.error, again.error, again.apps[0].seconds_missing) == (None, None, 0)
    assert again.calls <= 2  # they are not asked for again for ever
    assert history.one("SELECT count(*) FROM run WHERE status = 'running'") == 2
    scope = Scope(context="emu", app=emulator.app_named("wf-echo").id, name="", since=now() - 13 * DAY, until=now())
    told = summarise(history, scope)
    assert (told.waiting, told.period.runs) == (2, 40)
    assert told.period.minimum > 0  # type: ignore[operator]  # in no time and in no rate
    assert told.period.success.n <= 38


async def test_equal_times_at_a_page_end(emulator: Emulator, history: History, synced: Sync) -> None:
    flow = load(emulator, "flow-chat", past(450, bursts=9))  # fifty at each moment: every page ends in a crowd
    work = load(emulator, "wf-echo", past(450, bursts=3))
    await synced("flow-chat", "wf-echo", nodes=False)
    assert history.one("SELECT count(*) FROM run") == len(flow) + len(work)


async def test_a_run_that_goes_on_is_read_again(emulator: Emulator, history: History, synced: Sync) -> None:
    for name in ("wf-echo", "flow-chat"):
        runs = load(emulator, name, past(30))
        runs[20].status, runs[20].elapsed_time, runs[20].finished_at = "running", 0.0, None
        runs[5].status = "paused"
        await synced(name, nodes=False)
        assert history.one("SELECT count(*) FROM run WHERE status IN ('running', 'paused')") == 2
        runs[20].status, runs[20].elapsed_time, runs[20].finished_at = "succeeded", 400.0, int(now())
        runs[5].status = "stopped"
        await synced(name, nodes=False)
        assert history.one("SELECT elapsed FROM run WHERE id = ?", [runs[20].id]) == 400.0
        assert history.one("SELECT count(*) FROM run WHERE status IN ('running', 'paused')") == 0


async def test_a_budget_ends_it_and_the_next_one_goes_on(emulator: Emulator, history: History, synced: Sync) -> None:
    load(emulator, "wf-echo", past(900))
    first = await synced("wf-echo", nodes=False, max_calls=7)
    assert isinstance(first.error, OutOfBudget)
    assert first.apps[0].seconds_missing > 0
    assert first.calls == 7
    for _ in range(12):  # fewer calls than the largest window takes
        last = await synced("wf-echo", nodes=False, max_calls=7)
    assert last.error is None
    assert history.one("SELECT count(*) FROM run") == 900


async def test_killed_at_any_call_leaves_no_gap_that_passes_for_covered(
    emulator: Emulator, history: History, synced: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = load(emulator, "wf-echo", past(650))
    real, calls, left = run_feed.log_page, 0, 0

    async def killed(*args, **fields):
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        return await real(*args, **fields)

    monkeypatch.setattr("difyops.history.windows.log_page", killed)
    for point in range(1, 8):
        left = point
        try:
            await synced("wf-echo", nodes=False)
        except Killed:
            calls += 1
        for t0, t1 in history.all("SELECT t0, t1 FROM covered"):
            inside = {run.id for run in runs if t0 <= run.logged_at <= t1}
            kept = {row[0] for row in history.all("SELECT id FROM run WHERE logged BETWEEN ? AND ?", [t0, t1])}
            assert kept == inside
    left = 0
    await synced("wf-echo", nodes=False)
    assert calls > 1
    assert history.one("SELECT count(*) FROM run") == 650


@pytest.mark.parametrize("trouble", ["status:429", "status:503", "status:500"])
async def test_a_server_that_struggles_is_left_alone(
    emulator: Emulator, history: History, synced: Sync, trouble: str
) -> None:
    load(emulator, "wf-echo", past(300))
    emulator.control.fail(path=".*/workflow-app-logs", how=trouble)
    found = await synced("wf-echo")
    assert found.error is not None
    assert found.stopped is not None
    assert "left alone" in found.stopped
    assert history.one("SELECT count(*) FROM covered") == 0
    assert (await synced("wf-echo", nodes=False)).error is None


async def test_a_deleted_app_does_not_stop_the_others(emulator: Emulator, history: History, synced: Sync) -> None:
    load(emulator, "wf-echo", past(10))
    load(emulator, "wf-llm", past(10))
    emulator.control.fail(path=f".*/{emulator.app_named('wf-echo').id}/workflow-app-logs", how="status:404", times=99)
    found = await synced("wf-echo", "wf-llm", nodes=False)
    assert {app.name: bool(app.error) for app in found.apps} == {"wf-echo": True, "wf-llm": False}
    assert found.error is not None
    assert found.error.exit_code == 3
    assert history.one("SELECT count(*) FROM run") == 10


async def test_the_servers_clock_goes_back(emulator: Emulator, history: History, synced: Sync) -> None:
    app = emulator.app_named("wf-echo")
    load(emulator, "wf-echo", past(20))
    await synced("wf-echo", nodes=False)
    with history.changing() as connection:  # as if the last sync had believed a clock one hour ahead
        connection.execute("UPDATE covered SET t1 = t1 + 3600")
    later = load_past(emulator.instance, app, past(1, since=now() - 200, until=now() - 190, seed=9))
    found = await synced("wf-echo", nodes=False)
    assert "clock went back" in found.warnings[0]
    with history.changing() as connection:
        connection.execute("UPDATE covered SET t1 = t1 - 300")
    await synced("wf-echo", nodes=False)
    assert history.one("SELECT count(*) FROM run WHERE id = ?", [later[0].id]) == 1


async def test_debug_runs_are_apart(emulator: Emulator, history: History, synced: Sync) -> None:
    load(emulator, "wf-echo", past(40, sources=("app-run", "debugging")))
    await synced("wf-echo", nodes=False)
    assert history.one("SELECT count(*) FROM run WHERE source = 'debugging'") == 0
    await synced("wf-echo", nodes=False, debugging=True)
    assert history.one("SELECT count(*) FROM run") == 40


async def test_no_text_of_anybody_is_kept_unless_asked_for(emulator: Emulator, history: History, synced: Sync) -> None:
    runs = load(emulator, "wf-echo", past(30))
    runs[0].error = "quoted: my secret plan"
    await synced("wf-echo")
    dump = "\n".join(str(row) for table in ("run", "node", "message", "content") for row in
                     history.all(f"SELECT * FROM {table}"))  # fmt: skip
    assert "secret plan" not in dump
    assert "question" not in dump
    sizes = history.all("SELECT input_size, prompt_size, input_hash FROM node WHERE node = 'draft' AND tokens > 0")
    assert all(size > 0 and prompt > 0 and len(digest) == 24 for size, prompt, digest in sizes)
    history.forget("emu", None)
    await synced("wf-echo", content=True)
    assert history.one("SELECT count(*) FROM content WHERE kind = 'node'") > 0


async def test_runs_of_every_way_in_have_their_nodes_read(emulator: Emulator, history: History, synced: Sync) -> None:
    load(emulator, "wf-echo", past(30, sources=("app-run", "webhook", "schedule")))
    await synced("wf-echo", share=0.0, nodes=False)
    with history.changing() as connection:  # a log says so of runs that a page began
        connection.execute("UPDATE run SET source = 'web-app' WHERE source = 'webhook'")
    await synced("wf-echo", share=1.0)
    assert history.one("SELECT count(*) FROM sample") == 30

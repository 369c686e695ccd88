"""Runs that wait for a person: listed, answered, refused; on old and new servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from difyops.clock import SystemClock
from difyops.emulator import Emulator, humans, runs
from difyops.emulator.records import Run
from difyops.ledger import Ledger
from difyops.waiting import Reply, give_answer, plan_answer
from tests.conftest import Cli
from tests.emulator.humans import with_person
from tests.history.conftest import open_instance


@pytest.fixture
def waiting(cli: Cli, emulator: Emulator, connected: str) -> Run:
    """A run of wf-echo that waits for its approval."""
    app = with_person(emulator)
    ran = cli("app", "run", "wf-echo", "--input", "text=go")
    assert ran.code != 0
    assert "waits for a person" in ran.err
    assert app.runs[-1].status == "paused"
    return app.runs[-1]


def test_what_waits_is_listed_and_no_token_is_shown(cli: Cli, emulator: Emulator, waiting: Run) -> None:
    found = cli("app", "paused", "-o", "json")
    assert found.code == 0, found.err
    (row,) = found.json["data"]
    assert (row["app"], row["run"], row["title"], row["node"]) == ("wf-echo", waiting.id, "Approval", "ask")
    assert row["asks"].startswith("May go?")
    assert [item["id"] for item in row["actions"]] == ["ok", "no"]
    assert row["inputs"] == ["note"]
    assert row["since"].endswith("Z")
    assert row["expires"] > row["since"]
    table = cli("app", "paused")
    for token in emulator.instance.forms:
        assert token not in found.out + table.out + table.err
    assert "Approval" in table.out
    assert cli("app", "paused", "chat-basic").out.strip() == "Nothing waits for a person."


def test_a_run_goes_on_with_the_answer(cli: Cli, emulator: Emulator, waiting: Run) -> None:
    app = emulator.app_named("wf-echo")
    wrong = (
        ("resume", "wf-echo", waiting.id, "--action", "ok"),  # the field is missing
        ("resume", "wf-echo", waiting.id, "--input", "note=x"),  # two actions
        ("resume", "wf-echo", waiting.id, "--input", "note=x", "--action", "maybe"),
        ("resume", "wf-echo", waiting.id, "--input", "note=x", "--input", "other=y", "--action", "ok"),
        ("resume", "wf-echo", waiting.id, "--input", "note=x", "--action", "ok", "--node", "elsewhere"),
    )
    for words in wrong:
        ran = cli("app", *words, "--yes")
        assert ran.code == 2, (words, ran.err)
    asked = cli("app", "resume", "wf-echo", waiting.id, "--input", "note=x", "--action", "ok")
    assert asked.code == 8
    assert "asks: May go?" in asked.err
    assert cli("app", "resume", "wf-echo", waiting.id, "--input", "note=x", "--action", "ok", "--dry-run").code == 0
    assert app.runs[-1].status == "paused"
    done = cli("app", "resume", "wf-echo", waiting.id, "--input", "note=fine", "--action", "ok", "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert done.json["data"]["status"] == "succeeded"
    assert done.json["data"]["outputs"] == {"note": "fine", "took": "go"}
    again = cli("app", "resume", "wf-echo", waiting.id, "--input", "note=x", "--action", "ok", "--yes")
    assert again.code == 8
    assert "waits for nobody" in again.err
    with Ledger.open(Path("state") / "ledger.sqlite3") as ledger:
        entries = ledger.audit_trail(limit=5)
    assert entries[-1].action == "app.resume"
    assert "fine" not in str(entries)
    for app_name, run in (("wf-llm", waiting.id), ("wf-echo", "00000000-0000-4000-8000-000000000000")):
        gone = cli("app", "resume", app_name, run, "--action", "ok", "--yes")
        assert gone.code == 2, gone.err


def test_reject_takes_the_plain_no(cli: Cli, emulator: Emulator, waiting: Run) -> None:
    done = cli("app", "reject", "wf-echo", waiting.id, "--input", "note=", "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert done.json["data"]["action"] == "no"
    with_person(emulator, actions=[{"id": "a", "title": "Later"}, {"id": "b", "title": "Now"}])
    assert cli("app", "run", "wf-echo", "--input", "text=go").code != 0
    run = emulator.app_named("wf-echo").runs[-1]
    unclear = cli("app", "reject", "wf-echo", run.id, "--input", "note=", "--yes")
    assert unclear.code == 2
    assert "a (Later), b (Now)" in unclear.err


def test_a_form_that_ended_is_refused(cli: Cli, emulator: Emulator, waiting: Run) -> None:
    for form in emulator.instance.forms.values():
        form.expires = 0
    late = cli("app", "resume", "wf-echo", waiting.id, "--input", "note=x", "--action", "ok", "--yes")
    assert late.code == 8
    assert "its time is over" in late.err
    for token in emulator.instance.forms:
        assert token not in late.out + late.err


@pytest.mark.parametrize(("version", "code"), [("1.9.1", 6), ("1.11.2", 6), ("1.13.3", 0), ("1.16.1", 0)])
def test_versions(version: str, code: int, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator(version)
    with emulator.listening() as url:
        monkeypatch.setenv("DIFY_BASE_URL", url)
        monkeypatch.setenv("DIFY_EMAIL", emulator.email)
        monkeypatch.setenv("DIFY_PASSWORD", emulator.password)
        listed = cli("app", "paused")
        assert listed.code == code, listed.err
        if code == 6:
            assert "1.13.0" in listed.err
            return
        with_person(emulator)
        assert cli("app", "run", "wf-echo", "--input", "text=go").code != 0
        run = emulator.app_named("wf-echo").runs[-1]
        words = ("app", "resume", "wf-echo", run.id, "--input", "note=x", "--action", "ok", "--yes", "-o", "json")
        done = cli(*words)
        assert done.code == 0, done.err
        ended = "stopped" if version == "1.16.1" else "succeeded"
        assert done.json["data"]["status"] == ended
        assert done.json["data"]["outputs"]["note"] == "x"
        if ended == "stopped":
            assert "its outputs are there" in str(done.json["warnings"])


async def test_a_row_that_still_says_paused_is_no_second_pause(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)
    app = with_person(emulator)
    instance = await open_instance(emulator, tmp_path / "state")
    try:
        mine = next(item for item in [row async for row in instance.console.apps()] if item.name == "wf-echo")
        waiting = emulator.app_named("wf-echo")
        order = runs.Order(app=app, workflow=runs.published(app), inputs={"text": "go"})
        await runs.perform(runs.prepare(emulator.instance, order))
        run = waiting.runs[-1]
        reply = Reply(action="ok", inputs={"note": "x"})
        planned = await plan_answer(instance, mine, run.id, reply)
        seen: list[str] = []
        real = humans.submit

        async def late(*words: Any) -> None:
            await real(*words)
            run.status = "paused"  # as a real server says for a moment

        monkeypatch.setattr(humans, "submit", late)

        class Clock(SystemClock):
            async def sleep(self, seconds: float) -> None:
                seen.append(run.status)
                run.status = "succeeded"

        found = await give_answer(instance, planned, wait=60.0, clock=Clock())
    finally:
        await instance.close()
    assert seen == ["paused"]
    assert (found.status, found.warnings) == ("succeeded", ())

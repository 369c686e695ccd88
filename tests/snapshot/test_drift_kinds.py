"""Drift sees what is set beside the workflow, too: name, description, icon, web page, tags, limit, triggers."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.cli.session import Session
from difyops.cli.snapshot import _watched
from difyops.dsl.diff_text import word_diff
from difyops.emulator import Emulator
from difyops.errors import TimedOut
from difyops.snapshot.app_drift import AppDrift
from difyops.snapshot.drift import Drift
from tests.conftest import Cli
from tests.snapshot.colleague import Colleague, node


def kinds(cli: Cli) -> list[tuple[str, str, str]]:
    ran = cli("snapshot", "drift", "-o", "json")
    assert ran.code in (0, 5)
    return [(item["name"], item["kind"], item["what"]) for item in ran.json["data"]["apps"]]


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"name": "wf-renamed"}, "name: 'wf-llm' -> 'wf-renamed'"),
    ({"description": "what it does now"}, "description: "),
    ({"icon": "🧨"}, "icon: icon"),
    ({"max_active_requests": 7}, "limit of concurrent requests: "),
]


def test_what_is_set_beside_the_workflow_is_drift(cli: Cli, connected: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    for change, told in CHANGES:
        assert cli("snapshot", "create", "-q").code == 0
        assert kinds(cli) == []
        now = colleague.call("GET", f"/apps/{app}")
        body = {key: now[key] for key in ("name", "description", "icon_type", "icon", "icon_background")}
        colleague.call("PUT", f"/apps/{app}", {**body, **change})
        [(_, kind, what)] = kinds(cli)
        assert kind == "settings changed"
        assert told in what


def test_a_trigger_that_was_switched_is_drift_and_a_snapshot_takes_it_over(
    cli: Cli, connected: str, colleague: Colleague, emulator: Emulator
) -> None:
    app = colleague.app_id("wf-hook")
    assert cli("snapshot", "create", "-q").code == 0
    trigger = colleague.call("GET", f"/apps/{app}/triggers")["data"][0]
    colleague.call("POST", f"/apps/{app}/trigger-enable", {"trigger_id": trigger["id"], "enable_trigger": False})
    [(name, kind, what)] = kinds(cli)
    assert (name, kind) == ("wf-hook", "triggers changed")
    assert "enabled -> disabled" in what
    assert cli("snapshot", "create", "-q").code == 0
    assert kinds(cli) == []


def test_a_watch_tells_each_change_once_and_ends_with_the_last_verdict(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def look_of(*rounds: tuple[AppDrift, ...]) -> Callable[[], Coroutine[Any, Any, Drift]]:
        left = list(rounds)

        async def look() -> Drift:
            if not left:
                raise TimedOut("the deadline")
            return Drift(context="c", commit="f" * 40, taken_at="t", checked_at=None, compared=2, apps=left.pop(0))

        return look

    edited = AppDrift(id="a", name="one", kind="draft edited", who="Ada", what="1 unpublished change")
    last = _watched(Session(), look_of((), (edited,), (edited,), ()), 0.0)
    assert last.apps == ()
    said = capfd.readouterr().err.splitlines()
    assert [line.split("Z ", 1)[1].strip() for line in said] == [
        "no drift: 2 apps look like ffffffffff",
        "one: draft edited by Ada (1 unpublished change)",
        "one: no more draft edited",
    ]
    with pytest.raises(TimedOut):
        _watched(Session(), look_of(), 0.0)


def test_a_changed_prompt_is_told_in_words(cli: Cli, connected: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    long = "You are a helper. " * 40 + "Answer in {} and be kind. " + "Never guess. " * 40

    def say(language: str) -> None:
        def change(document: dict[str, Any]) -> None:
            node(document, "llm")["prompt_template"][0]["text"] = long.format(language)

        colleague.edit(app, change)
        colleague.publish(app)

    say("German")
    assert cli("snapshot", "create", "-q").code == 0
    say("French")
    line = next(line for line in cli("snapshot", "diff").out.splitlines() if "French" in line)
    assert "in [-German-]{+French+} and be kind" in line
    assert len(line) < 120
    assert cli("snapshot", "diff", "-o", "json").json["data"]["apps"][0]["changes"][0]["lines"]


@given(st.text(alphabet="ab c\n.é", max_size=60), st.text(alphabet="ab c\n.é", max_size=60))
def test_a_word_diff_holds_both_sides(before: str, after: str) -> None:
    told = word_diff(before, after)
    if told is not None and "…" not in told and not set("[]{}") & set(before + after):
        assert re.sub(r"\{\+(.*?)\+\}", "", re.sub(r"\[-(.*?)-\]", r"\1", told, flags=re.S), flags=re.S) == before
        assert re.sub(r"\[-(.*?)-\]", "", re.sub(r"\{\+(.*?)\+\}", r"\1", told, flags=re.S), flags=re.S) == after


def test_the_hint_is_a_command_with_the_apps_that_drifted() -> None:
    def found(*apps: tuple[str, str]) -> str:
        rows = tuple(AppDrift(id=id_, name=name, kind="live changed") for id_, name in apps)
        drift = Drift(context="x", commit="c" * 40, taken_at="", checked_at=None, compared=9, apps=rows)
        return drift.hint

    assert "difyops snapshot rollback mail --to latest." in found(("1", "mail"))
    assert "difyops snapshot rollback mail 2 --to latest." in found(("1", "mail"), ("2", "tag:x y")), "no selector"
    assert "difyops snapshot rollback 1 2 --to latest." in found(("1", "mail"), ("2", "mail")), "two of one name"
    assert "difyops snapshot rollback APP --to latest." in found(*((str(i), f"a{i}") for i in range(6)))

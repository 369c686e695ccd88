"""A leaked value: found without being shown, its rotation without a grace period, a grace period that is ended."""

from __future__ import annotations

import io
import sys

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli

SECRET = "tok-secret-123456789"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> object:
    def give(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    return give


def rows(ran: object) -> set[tuple[str, str, str]]:
    return {(row["where"], row["kind"], row["owner"]) for row in ran.json["data"]}  # type: ignore[attr-defined]


def test_a_value_is_found_by_what_it_is_and_never_shown(
    cli: Cli, emulator: Emulator, connected: str, typed: object
) -> None:
    key = emulator.app_named("wf-llm").keys[0].token
    app = emulator.app_named("chat-basic")
    app.model_config = {**(app.model_config or {}), "pre_prompt": f"Use {SECRET} for the API."}
    app.changed()
    for value, found in (
        (SECRET, {("variable", "env", "wf-llm"), ("in clear", "text", "chat-basic")}),
        (key, {("key", "app-key", "wf-llm")}),
        ("sk-good-1", {("credential", "provider", "langgenius/openai/openai")}),
    ):
        typed(value + "\n")  # type: ignore[operator]
        ran = cli("secret", "find", "-", "-o", "json")
        assert (ran.code, found <= rows(ran)) == (5, True)
        assert value not in ran.out + ran.err


@pytest.mark.usefixtures("connected")
def test_what_is_nowhere_is_0_and_an_argument_is_refused(cli: Cli, typed: object) -> None:
    typed("no-such-value-anywhere\n")  # type: ignore[operator]
    assert cli("secret", "find").code == 0
    typed("abc\n")  # type: ignore[operator]
    assert cli("secret", "find").code == 2
    ran = cli("secret", "find", "canary-on-the-command-line")
    assert (ran.code, "canary" in ran.err) == (2, False)


def test_a_leaked_key_is_replaced_and_refused_at_once(cli: Cli, emulator: Emulator, connected: str) -> None:
    old = emulator.app_named("wf-echo").keys[0].token
    ran = cli("secret", "rotate", "app-key", "wf-echo", "--deliver", "file:key.txt", "--leaked", "--yes", "-o", "json")
    assert (ran.code, ran.json["data"]["state"]) == (0, "done"), ran
    assert old not in [key.token for key in emulator.app_named("wf-echo").keys]


def test_a_grace_period_is_ended_by_hand_and_the_open_rotation_is_named(
    cli: Cli, emulator: Emulator, connected: str
) -> None:
    words = ("secret", "rotate", "app-key", "wf-echo", "--deliver", "file:key.txt", "--yes")
    assert cli(*words, "--grace", "1h", "--detach").code == 0
    again = cli(*words)
    assert (again.code, "is open already" in again.err) == (8, True)
    assert "difyops secret resume" in again.err
    assert cli("secret", "retire").code == 2
    dry = cli("secret", "retire", "--now", "--dry-run")
    assert (dry.code, "would retire" in dry.err) == (0, True)
    ran = cli("secret", "retire", "--now", "--yes", "-o", "json")
    assert (ran.code, ran.json["data"]["state"]) == (0, "done"), ran
    assert len(emulator.app_named("wf-echo").keys) == 1
    identity = ran.json["data"]["id"] if "id" in ran.json["data"] else ran.json["data"]["rotation"]
    twice = cli("secret", "retire", identity, "--now", "--yes")
    assert (twice.code, "retired already" in twice.err) == (0, True)


@pytest.mark.usefixtures("connected")
def test_grace_of_nothing_is_a_duration_and_no_policy_is_said(cli: Cli) -> None:
    ran = cli("secret", "rotate", "app-key", "wf-echo", "--by-hand", "--grace", "0s", "--dry-run", "-o", "json")
    assert (ran.code, ran.json["data"]["grace"]) == (0, 0)
    assert "secrets, no policy" in cli("secret", "list", "--overdue").err

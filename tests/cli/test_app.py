"""``difyops app`` on every emulated version: what is shown, what is switched, and whom it costs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from difyops.emulator import VERSIONS, Emulator
from tests.conftest import Cli
from tests.faults import free_port


@pytest.fixture(params=VERSIONS)
def any_version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    emulator = Emulator(request.param, apps=30)
    with emulator.listening() as url:
        monkeypatch.setenv("DIFY_BASE_URL", url)
        monkeypatch.setenv("DIFY_EMAIL", emulator.email)
        monkeypatch.setenv("DIFY_PASSWORD", emulator.password)
        yield emulator


@pytest.mark.exhaustive(3)
def test_list_show_and_switch_on_every_version(cli: Cli, any_version: Emulator) -> None:
    listed = cli("app", "list", "-o", "json").json["data"]
    assert {row["id"] for row in listed} == set(any_version.instance.apps)
    for name in ("wf-llm", "flow-chat", "chat-basic", "agent", "completion-basic"):
        shown = cli("app", "show", name, "-o", "json")
        assert shown.code == 0, shown
        assert shown.json["data"][0]["app"]["name"] == name
    assert cli("app", "disable", "wf-llm", "--yes").code == 0
    assert cli("app", "disable", "wf-llm", "--site", "--yes").code == 0
    app = any_version.app_named("wf-llm")
    assert (app.enable_api, app.enable_site) == (False, False)
    assert cli("app", "enable", "wf-llm", "--yes").code == 0
    assert any_version.app_named("wf-llm").enable_api


def test_listing_costs_the_server_little(cli: Cli, emulator: Emulator, connected: str) -> None:
    cli("app", "list")
    emulator.control.reset_counts()
    cli("app", "list")
    assert emulator.control.counts()["total"] == 2  # what is this, and the list


def test_switching_many_keeps_to_four_calls_at_once(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator(apps=40, delay=0.01)
    with emulator.listening() as url:
        monkeypatch.setenv("DIFY_BASE_URL", url)
        monkeypatch.setenv("DIFY_EMAIL", emulator.email)
        monkeypatch.setenv("DIFY_PASSWORD", emulator.password)
        assert cli("app", "disable", "all", "--yes").code == 0
        assert emulator.control.max_in_flight <= 4
    assert not any(app.enable_api for app in emulator.instance.apps.values())


@pytest.mark.usefixtures("connected")
def test_a_run_that_is_refused_names_the_app_in_its_hint(cli: Cli) -> None:
    assert cli("app", "disable", "wf-echo", "--yes").code == 0
    refused = cli("app", "run", "wf-echo", "--input", "text=x")
    assert "hint: difyops app enable wf-echo\n" in refused.err


def test_a_server_that_is_down_is_named_once(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    host = f"127.0.0.1:{free_port()}"
    for name, value in (("BASE_URL", f"http://{host}"), ("EMAIL", "a@b.example"), ("PASSWORD", "x")):
        monkeypatch.setenv(f"DIFY_{name}", value)
    assert cli("app", "list").err.startswith(f"error: cannot connect to {host}.\n")


def test_showing_an_app_shows_no_secret(cli: Cli, emulator: Emulator, connected: str) -> None:
    app = emulator.app_named("wf-llm")
    assert app.env
    for name in ("wf-llm", "agent"):
        for form in ("table", "json", "yaml", "markdown", "ndjson"):
            ran = cli("app", "show", name, "-o", form)
            for value in (str(value) for value in app.env.values() if len(str(value)) > 7):
                assert value not in ran.out + ran.err
            assert "model_config" not in ran.out


def test_an_unknown_app_lists_what_there_is(cli: Cli, connected: str) -> None:
    ran = cli("app", "show", "wf-ech")
    assert ran.code == 2
    assert "Did you mean 'wf-echo'" in ran.err
    assert "completion-basic" in cli("app", "show", "zzz").err


@pytest.mark.parametrize("words", [("show", "Twin"), ("disable", "Twin", "--yes"), ("list", "twin")])
def test_a_name_that_two_apps_share_is_asked_about(
    cli: Cli, emulator: Emulator, connected: str, words: tuple[str, ...]
) -> None:
    twins = [emulator.app_named(name) for name in ("wf-echo", "wf-llm")]
    for app in twins:
        app.name = "Twin"
        app.changed()
    ran = cli("app", *words)
    assert ran.code == 2
    assert all(app.id in ran.err for app in twins)
    assert all(app.enable_api for app in twins)
    assert cli("app", "show", twins[0].id).code == 0


def test_an_app_that_goes_away_in_the_middle_fails_alone(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.control.fail(method="POST", path=f"{emulator.app_named('wf-llm').id}/api-enable", how="status:404")
    ran = cli("app", "disable", "mode:workflow", "--yes", "-o", "json")
    assert ran.code == 3
    assert [row["name"] for row in ran.json["data"] if not row["ok"]] == ["wf-llm"]


def test_a_switch_whose_answer_was_lost_is_not_sent_twice(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.control.fail(method="POST", path="api-enable", how="lost", times=9)
    ran = cli("app", "disable", "wf-echo", "--yes")
    assert (ran.code, "It is switched all the same (read back)" in ran.err) == (0, True)
    counts = emulator.control.counts()["routes"]
    assert isinstance(counts, dict)
    assert sum(count for route, count in counts.items() if "api-enable" in route) == 1


@pytest.mark.parametrize("mood", ["slow", "flaky", "rate_limited", "expired_session", "dead_session", "worker_down"])
def test_reading_gets_through_the_moods_of_a_server(cli: Cli, emulator: Emulator, connected: str, mood: str) -> None:
    assert cli("app", "list").code == 0
    emulator.control.mood(mood)
    ran = cli("app", "list", "-o", "name")
    assert (ran.code, len(ran.out.splitlines())) == (0, 8), ran


@pytest.mark.parametrize("how", ["garbage", "cut", "status:500", "status:403", "status:401"])
def test_reading_a_broken_answer_is_one_sentence(cli: Cli, emulator: Emulator, connected: str, how: str) -> None:
    assert cli("app", "list").code == 0
    emulator.control.fail(path="/console/api/apps", times=99, how=how)
    ran = cli("app", "list")
    assert ran.code in (1, 3, 4)  # 3: an answer that cannot be read
    assert ran.err.startswith("error: list apps")
    assert len(ran.err.splitlines()) <= 2


class TestRun:
    def test_a_pipe_gets_the_answer_alone(self, cli: Cli, connected: str) -> None:
        ran = cli("app", "run", "wf-echo", "--input", "text=hi")
        assert (ran.code, ran.out) == (0, "echo: HI (2)\n")

    @pytest.mark.parametrize("name", ["chat-basic", "agent", "flow-chat"])
    def test_every_chat_mode_answers_a_question(self, cli: Cli, connected: str, name: str) -> None:
        ran = cli("app", "run", name, "are you there?", "-o", "json")
        assert ran.code == 0, ran.err
        assert "are you there?" in ran.json["data"]["text"]

    @pytest.mark.parametrize(("words", "code"), [((), 2), (("--input", "nope=1"), 2), (("--input", "text=boom"), 1)])
    def test_what_is_wrong_is_said(self, cli: Cli, connected: str, words: tuple[str, ...], code: int) -> None:
        ran = cli("app", "run", "wf-echo", *words)
        assert ran.code == code
        assert ran.out == ""
        assert ran.err.startswith("error: ")

    def test_escape_codes_in_an_answer_reach_nobody(self, cli: Cli, connected: str) -> None:
        ran = cli("app", "run", "chat-basic", "a \x1b[31mred\x1b[0m word")
        assert ran.code == 0
        assert "\x1b" not in ran.out


@pytest.mark.usefixtures("connected")
def test_rows_carry_times_with_zone_and_the_page_in_the_console(cli: Cli, connected: str) -> None:
    rows = cli("app", "list", "-o", "json").json["data"]
    assert all(row["updated_at"].endswith("Z") and row["console"] == _page(connected, row) for row in rows)
    assert "/workflow" in cli("app", "show", "wf-llm").out


def _page(url: str, row: dict[str, str]) -> str:
    end = "workflow" if row["mode"] in ("workflow", "advanced-chat") else "configuration"
    return f"{url}/app/{row['id']}/{end}"


def test_a_chat_app_is_not_run_without_a_question(cli: Cli, emulator: Emulator, connected: str) -> None:
    for words in (["chat-basic"], ["chat-basic", " "], ["flow-chat"]):
        ran = cli("app", "run", *words)
        assert (ran.code, "there is no question" in ran.err) == (2, True), words
        assert f'hint: difyops app run {words[0]} "QUESTION"' in ran.err
    assert cli("app", "run", "chat-basic", "hello").code == 0

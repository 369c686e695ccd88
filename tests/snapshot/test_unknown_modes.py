"""Apps that the list leaves out, and apps of a kind that nobody here knows: never complete, removed or lost."""

from __future__ import annotations

from difyops.emulator import Emulator, publishing
from tests.conftest import Cli

NEWER = "1.15"


def _app(emulator: Emulator, name: str, mode: str) -> str:
    return publishing.new_app(emulator.instance, emulator.instance.owner, name=name, mode=mode).id


def test_an_app_of_an_unknown_mode_is_named_and_its_last_content_is_kept(
    cli: Cli, emulator: Emulator, connected: str
) -> None:
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    app = emulator.app_named("chat-basic")
    app.mode = "holographic"
    app.changed()
    other = _app(emulator, "other", "holographic")
    for words in (("create",), ("create", "--full"), ("create", "--tag", "v2")):
        taken = cli("snapshot", *words, "-o", "json")
        assert taken.code == 3, taken.err
        assert not taken.json["data"]["complete"]
        assert {item["name"] for item in taken.json["data"]["failed"]} == {"chat-basic", "other"}
        assert "holographic" in taken.json["data"]["failed"][0]["message"]
    drifted = cli("snapshot", "drift", "-o", "json")
    assert drifted.code == 3, drifted.err
    assert {row["id"]: row["kind"] for row in drifted.json["data"]["apps"]} == {
        app.id: "unreadable",
        other: "unreadable",
    }
    differing = cli("snapshot", "diff", "-o", "json")
    assert differing.code == 3, differing.err
    assert {row["state"] for row in differing.json["data"]["apps"]} <= {"failed", "added"}
    stored = cli("snapshot", "diff", "v1", "v2", "-o", "json")
    assert stored.code == 3, stored.err
    assert [(row["name"], row["state"]) for row in stored.json["data"]["apps"]] == [("other", "failed")]


def test_a_list_that_leaves_an_app_out_does_not_make_it_removed(cli: Cli, emulator: Emulator, connected: str) -> None:
    assert cli("snapshot", "create").code == 0
    emulator.app_named("chat-basic").mode = "agent"  # which this release never lists
    for words in (("create",), ("drift",), ("diff",)):
        ran = cli("snapshot", *words, "-o", "json")
        assert ran.code == 3, (words, ran.out, ran.err)
        assert "removed" not in ran.out
        assert "deleted" not in ran.out

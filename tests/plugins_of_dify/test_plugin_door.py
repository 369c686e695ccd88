"""``difyops plugin list|outdated|uses|upgrade`` from the command line, in a pipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.plugins_of_dify.conftest import PLUGIN, count, documents, edited, prepare
from tests.snapshot.agent_author import AgentAuthor
from tests.snapshot.colleague import Colleague

CONFIG = """
contexts:
  emu: {{url: "{url}", email: {email}, password: "env:EMULATED_PASSWORD"}}
plugins:
  hold: {{langgenius/google: "until the proxy is fixed"}}
"""


@pytest.fixture
def versions(emulator: Emulator, connected: str) -> tuple[str, str]:
    return prepare(emulator, ("wf-echo", "flow-chat"))


def test_list_and_outdated(cli: Cli, versions: tuple[str, str]) -> None:
    rows = cli("plugin", "list", "-o", "json").json["data"]
    assert [(row["id"], row["version"]) for row in rows] == [(PLUGIN, "0.0.9"), ("langgenius/openai", "0.2.8")]
    old = cli("plugin", "outdated", "-o", "json")
    assert old.code == 5
    assert [(row["id"], row["latest"], row["state"]) for row in old.json["data"]] == [(PLUGIN, "0.1.2", "outdated")]


def test_without_a_marketplace_nobody_knows(cli: Cli, connected: str) -> None:
    done = cli("plugin", "outdated", "-o", "json")
    assert (done.code, done.json["data"][0]["state"]) == (3, "unknown")
    assert cli("plugin", "upgrade", "openai", "--yes").code == 8


def test_uses_names_every_place(cli: Cli, versions: tuple[str, str]) -> None:
    done = cli("plugin", "uses", "google", "-o", "json")
    places = {(row["app"], row["where"], row["place"]) for row in done.json["data"] if row["identifier"]}
    assert {app for app, _, _ in places} == {"wf-echo", "flow-chat"}
    assert ("wf-echo", "live", "plugin_unique_identifier") in places
    assert ("wf-echo", "draft", "agent_parameters.tools.value.0.extra.uid") in places
    none = cli("plugin", "uses", "acme/none")
    assert none.code == 2
    assert "There is: langgenius/google, langgenius/openai" in none.err


def test_plan_then_apply_and_a_stale_plan_is_refused(
    cli: Cli, emulator: Emulator, versions: tuple[str, str], tmp_path: Path
) -> None:
    old, new = versions
    before = documents(emulator)
    planned = cli("plugin", "upgrade", PLUGIN, "--plan", "google.json")
    assert planned.code == 0, planned.err
    assert json.loads(Path("google.json").read_text())["new"] == new
    assert documents(emulator) == before
    assert cli("plugin", "upgrade", PLUGIN, "--apply", "google.json").code == 8  # nobody said yes
    stale = tmp_path / "stale.json"
    stale.write_text(Path("google.json").read_text().replace(old, old.replace("0.0.9", "0.0.8")))
    assert cli("plugin", "upgrade", PLUGIN, "--apply", str(stale), "--yes").code == 8
    done = cli("plugin", "upgrade", PLUGIN, "--apply", "google.json", "--yes", "-o", "json")
    assert done.code == 0, done.out
    assert count(emulator, old) == 0
    tag = done.json["data"]["snapshot"]
    assert cli("snapshot", "show", tag, "-o", "json").code == 0
    again = cli("plugin", "upgrade", PLUGIN, "--apply", "google.json", "--yes")
    assert again.code == 8
    back = cli("plugin", "upgrade", PLUGIN, "--to", old, "--yes", "--no-snapshot")
    assert back.code == 0, back.err
    assert documents(emulator) == before


def test_the_draft_must_pass_with_the_inputs_given(
    cli: Cli, emulator: Emulator, versions: tuple[str, str], tmp_path: Path
) -> None:
    app = next(app for app in emulator.instance.apps.values() if app.name == "wf-echo")
    edited(app)
    before = documents(emulator)
    inputs = tmp_path / "inputs.yaml"
    inputs.write_text("wf-echo: {no_such_input: 1}\n")
    failed = cli("plugin", "upgrade", PLUGIN, "--inputs", str(inputs), "--yes", "--no-snapshot")
    assert failed.code == 1, failed.err
    assert "is installed again" in failed.err
    assert documents(emulator) == before
    inputs.write_text("no-such-app: {}\n")
    assert cli("plugin", "upgrade", PLUGIN, "--inputs", str(inputs), "--yes").code == 2


def test_a_watch_without_traffic_keeps_the_upgrade_and_says_that_nobody_can_judge(
    cli: Cli, emulator: Emulator, versions: tuple[str, str]
) -> None:
    done = cli("plugin", "upgrade", PLUGIN, "--watch", "100ms", "--yes", "--no-snapshot", "-o", "json")
    assert (done.code, count(emulator, versions[0])) == (3, 0)
    assert "Only 0 runs that can be judged" in done.json["error"]["message"]


def test_a_plugin_that_is_held_stays(
    cli: Cli, emulator: Emulator, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(emulator, ("wf-echo",))
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)
    file = tmp_path / "named.yaml"
    file.write_text(CONFIG.format(url=url, email=emulator.email))
    held = cli("plugin", "upgrade", PLUGIN, "--yes", "--config", str(file))
    assert held.code == 8
    assert "held: until the proxy is fixed" in held.err
    listed = cli("plugin", "outdated", "--config", str(file), "-o", "json")
    assert (listed.code, [row["state"] for row in listed.json["data"]]) == (0, ["held"])
    forced = cli("plugin", "upgrade", PLUGIN, "--despite-hold", "--no-snapshot", "--yes", "--config", str(file))
    assert forced.code == 0, forced.err
    file.write_text(CONFIG.format(url=url, email=emulator.email).replace("hold:", "holds:"))
    assert "unknown field 'holds'" in cli("plugin", "list", "--config", str(file)).err


class TestAgents:
    """Agent apps: the soul that is live and the draft name versions of plugins, too."""

    @pytest.fixture
    def emulator(self) -> Emulator:
        return Emulator("1.16.1")

    def test_an_agent_app_is_rewritten_and_comes_back(self, cli: Cli, emulator: Emulator, connected: str) -> None:
        old = emulator.instance.daemon.install(PLUGIN, "0.0.9")
        new = emulator.instance.daemon.offer(PLUGIN, "0.1.2")
        helper = AgentAuthor(Colleague(connected, str(emulator.admin_key), emulator.workspace_id))
        helper.fill()
        tool = {
            "provider_type": "builtin",
            "provider_id": f"{PLUGIN}/google",
            "tool_name": "search",
            "plugin_id": PLUGIN,
        }
        helper.edit(lambda soul: soul["tools"].update(dify_tools=[{**tool, "plugin_unique_identifier": old}]))
        helper.publish("first")
        before = helper.live()
        helper.say("You are another helper, not published.")
        drafted = helper.soul()
        assert cli("plugin", "upgrade", PLUGIN, "--plan", "p.json").code == 0
        done = cli("plugin", "upgrade", PLUGIN, "--apply", "p.json", "--yes", "--no-snapshot", "-o", "json")
        assert done.code == 0, done.err
        assert done.json["data"]["apps"] == [helper.name]
        for text, former in ((helper.live(), before), (helper.soul(), drafted)):
            assert json.loads(json.dumps(former).replace(old, new)) == text
        back = cli("plugin", "upgrade", PLUGIN, "--to", old, "--yes", "--no-snapshot")
        assert back.code == 0, back.err
        assert (helper.live(), helper.soul()) == (before, drafted)
        Path("i.yaml").write_text(f"{helper.name}: {{}}\n")
        refused = cli("plugin", "upgrade", PLUGIN, "--inputs", "i.yaml", "--yes", "--no-snapshot")
        assert refused.code == 2
        assert "is an agent app" in refused.err

"""Whose snapshots a branch holds: another instance is refused, a moved one goes on, a clone is found."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.git_store import GitStore
from difyops.snapshot.belonging import StorePlace, spelled
from tests.conftest import Cli
from tests.places import context_name
from tests.snapshot.colleague import Colleague

CONTEXTS = """
default_context: prod
contexts:
  prod: {{url: "{url}", email: "{email}", password: "file:{secret}"}}
"""


def store_at(tmp_path: Path) -> Path:
    return tmp_path / "store"


def point(tmp_path: Path, emulator: Emulator, url: str) -> None:
    secret = tmp_path / "password"
    secret.write_text(emulator.password)
    secret.chmod(0o600)
    text = CONTEXTS.format(url=url, email=emulator.email, secret=secret)
    (tmp_path / "config.yaml").write_text(text)


def run(cli: Cli, tmp_path: Path, *words: str) -> tuple[int, str, str]:
    ran = cli(*words, "--config", str(tmp_path / "config.yaml"), "--store", str(store_at(tmp_path)))
    return ran.code, ran.out, ran.err


def test_an_address_has_one_spelling() -> None:
    assert spelled("HTTPS://Dify.Example.com:443/") == "https://dify.example.com"
    assert spelled("http://host:80/sub/") == "http://host/sub"
    assert spelled("http://[::1]:5001") == "http://[::1]:5001"
    assert StorePlace.of("https://a:443", "").is_same(StorePlace.of("https://A/", "w1"))
    assert not StorePlace.of("https://a", "w2").is_same(StorePlace.of("https://a", "w1"))


@pytest.mark.parametrize(
    "words", [("snapshot", "create"), ("snapshot", "drift"), ("snapshot", "rollback", "wf-llm", "--to", "v1", "--yes")]
)
def test_another_instance_is_refused_until_somebody_says_that_it_is_the_same(
    cli: Cli, emulator: Emulator, url: str, tmp_path: Path, words: tuple[str, ...]
) -> None:
    point(tmp_path, emulator, url)
    assert run(cli, tmp_path, "snapshot", "create", "--tag", "v1", "-q")[0] == 0
    with emulator.listening() as moved:
        point(tmp_path, emulator, moved)
        code, _, err = run(cli, tmp_path, *words)
        assert code == 8
        assert url in err
        assert moved in err
        assert "--same-instance" in err
        assert run(cli, tmp_path, *words, "--dry-run", "--same-instance")[0] == 0 or words[1] == "drift"
        assert run(cli, tmp_path, *words)[0] == 8, "a dry run must not have written it down"
        assert run(cli, tmp_path, *words, "--same-instance")[0] == 0
        assert run(cli, tmp_path, *words)[0] == 0, "it is written down once"


def test_another_workspace_behind_the_same_address_is_refused(cli: Cli, emulator: Emulator, tmp_path: Path) -> None:
    with emulator.listening() as url:
        point(tmp_path, emulator, url)
        assert run(cli, tmp_path, "snapshot", "create", "-q")[0] == 0
        emulator.instance.workspace_id = "99999999-0000-4000-8000-000000000001"
        code, _, err = run(cli, tmp_path, "snapshot", "create")
    assert code == 8
    assert "99999999-0000" in err
    assert GitStore.open(store_at(tmp_path)).branches() == ["prod"]


def test_a_diff_with_another_instance_says_so(cli: Cli, emulator: Emulator, url: str, tmp_path: Path) -> None:
    point(tmp_path, emulator, url)
    assert run(cli, tmp_path, "snapshot", "create", "-q")[0] == 0
    with emulator.listening() as moved:
        point(tmp_path, emulator, moved)
        code, _, err = run(cli, tmp_path, "snapshot", "diff")
    assert code == 0
    assert f"latest is of {url}" in err


def test_the_environments_context_is_named_after_its_host(cli: Cli, connected: str, tmp_path: Path) -> None:
    name = connected.removeprefix("http://").replace(":", "-")
    assert [row["name"] for row in cli("context", "list", "-o", "json").json["data"]] == [name]
    assert cli("snapshot", "create", "-q").code == 0
    assert GitStore.open(tmp_path / "data" / "difyops" / "snapshots").branches() == [name]
    assert cli("snapshot", "list", "-c", "env", "-o", "json").code == 0


def test_a_branch_env_of_this_instance_is_gone_on_with(cli: Cli, connected: str, tmp_path: Path) -> None:
    path, name = tmp_path / "data" / "difyops" / "snapshots", context_name()
    assert cli("snapshot", "create", "--tag", "v1", "-q").code == 0
    git = ("git", "-C", str(path))
    former = subprocess.run([*git, "rev-parse", name], capture_output=True, text=True, check=True).stdout.strip()
    tag = subprocess.run([*git, "rev-parse", f"refs/tags/{name}/v1"], capture_output=True, text=True, check=True)
    for line in (
        f"update refs/heads/env {former}",
        f"update refs/tags/env/v1 {tag.stdout.strip()}",
        f"delete refs/heads/{name}",
        f"delete refs/tags/{name}/v1",
    ):
        subprocess.run([*git, "update-ref", "--stdin"], input=line + "\n", text=True, check=True)
    assert cli("snapshot", "drift", "-o", "json").json["data"]["commit"] == former
    assert cli("snapshot", "show", "v1", "-o", "name").code == 0
    assert GitStore.open(path).branches() == ["env"], "looking writes nothing"
    taken = cli("snapshot", "create", "--tag", "v2", "-o", "json").json["data"]
    assert (taken["commit"], taken["changed"]) == (former, False)
    store = GitStore.open(path)
    assert set(store.branches()) == {"env", name}
    assert {tag.name for tag in store.tags(name)} == {"v1", "v2"}


def test_a_branch_env_of_another_instance_is_left_alone(cli: Cli, connected: str, tmp_path: Path) -> None:
    path, name = tmp_path / "data" / "difyops" / "snapshots", context_name()
    assert cli("snapshot", "create", "-q").code == 0
    git = ("git", "-C", str(path))
    subprocess.run([*git, "branch", "-m", name, "env"], check=True)
    with Emulator(seed=5).listening() as elsewhere, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFY_BASE_URL", elsewhere)
        assert cli("snapshot", "list", "-o", "json").json["data"] == []


def test_a_store_cloned_from_its_backup_goes_on(cli: Cli, connected: str, colleague: Colleague, tmp_path: Path) -> None:
    backup, clone = tmp_path / "backup.git", tmp_path / "clone"
    subprocess.run(["git", "init", "-q", "--bare", str(backup)], check=True)
    assert cli("snapshot", "create", "--tag", "v1", "-q").code == 0
    assert cli("snapshot", "push", str(backup), "-q").code == 0
    subprocess.run(["git", "clone", "-q", str(backup), str(clone)], check=True)
    here = ("--store", str(clone))
    rows = cli("snapshot", "list", "-o", "json", *here).json["data"]
    assert [row["tags"] for row in rows] == [["v1"]]
    assert cli("snapshot", "drift", *here).code == 0
    colleague.call(
        "PUT", f"/apps/{colleague.app_id('wf-llm')}", {"name": "wf-llm", "description": "other", "icon": "x"}
    )
    taken = cli("snapshot", "create", "-o", "json", *here).json["data"]
    assert taken["changed"]
    assert [row["commit"] for row in cli("snapshot", "list", "-o", "json", *here).json["data"]] == [
        taken["commit"],
        rows[0]["commit"],
    ]
    assert cli("snapshot", "push", "origin", *here).code == 0


def test_two_remotes_that_differ_are_named(cli: Cli, connected: str, tmp_path: Path) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    path, name = tmp_path / "data" / "difyops" / "snapshots", context_name()
    git = ("git", "-C", str(path))
    tree = subprocess.run([*git, "rev-parse", f"{name}^{{tree}}"], capture_output=True, text=True, check=True)
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    other = subprocess.run(
        ["git", *author, "-C", str(path), "commit-tree", tree.stdout.strip(), "-m", "other"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    subprocess.run([*git, "update-ref", f"refs/remotes/origin/{name}", name], check=True)
    subprocess.run([*git, "update-ref", f"refs/remotes/backup/{name}", other.stdout.strip()], check=True)
    subprocess.run([*git, "update-ref", "-d", f"refs/heads/{name}"], check=True)
    refused = cli("snapshot", "list")
    assert refused.code == 1
    assert f"branch {name} origin/{name}" in refused.err


def test_a_selection_is_not_shown_as_the_whole(cli: Cli, connected: str) -> None:
    first = cli("snapshot", "create", "wf-*", "-o", "json").json["data"]
    assert first["changes"] == ["first snapshot: 4 apps (wf-*)"]
    row = cli("snapshot", "list", "-o", "json").json["data"][0]
    assert (row["state"], row["listed"], row["coverage"]) == ("partial", 8, ["wf-*"])
    assert "4 of 8" in cli("snapshot", "list").out
    found = cli("snapshot", "drift")
    assert found.code == 0, "apps that nobody asked for are no drift"
    assert "4 other apps not compared" in found.err
    assert cli("snapshot", "drift", "chat-basic").code == 5
    second = cli("snapshot", "create", "chat-*", "-o", "json").json["data"]
    assert all(not line.startswith("added") for line in second["changes"]), second["changes"]
    assert cli("snapshot", "create", "-q").code == 0
    assert cli("snapshot", "list", "-o", "json").json["data"][0]["coverage"] == []


def test_what_a_lost_instance_would_cost_is_said_once(cli: Cli, connected: str) -> None:
    first = cli("snapshot", "create", "-o", "json").json
    assert first["data"]["sealed"]["variables"] >= 1
    assert first["data"]["recoverable"] is False
    assert any("difyops snapshot seal init" in line for line in first["warnings"])
    second = cli("snapshot", "create", "-o", "json").json
    assert second["data"]["sealed"] == first["data"]["sealed"]
    assert second["warnings"] == []

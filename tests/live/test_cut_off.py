"""On a real instance a restore is killed, and answers never come: ``changes finish`` and ``undo`` end what was open."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from difyops import config
from difyops.api.instance import ConnectOptions, connect
from difyops.git_store import GitStore
from difyops.ledger import Ledger
from difyops.snapshot.history import kept_app
from difyops.snapshot.restore import RestoreOptions, restore
from difyops.workspace import Workspace
from tests.conftest import Cli
from tests.faults import Served, serving
from tests.live.lossy import Losses, forwarding
from tests.live.test_races import broken
from tests.live.test_story import scratch  # noqa: F401  a fixture
from tests.snapshot.colleague import Colleague, node
from tests.snapshot.test_faults import open_changes
from tests.trunk.test_killed_changes import Deaths, Killed

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
DSL = Path(__file__).parent / "dsl"


@pytest.fixture
def name(colleague: Colleague) -> Iterator[str]:
    """Make a published app with a schedule that is due once a year; return its name; remove all of that name."""
    name = f"difyops-live-cut-{secrets.token_hex(3)}"
    text = (DSL / "wf-cron.yml").read_text().replace("*/5 * * * *", "0 0 1 1 *")
    body = {"mode": "yaml-content", "yaml_content": text, "name": name}
    colleague.publish(colleague.call("POST", "/apps/imports", body)["app_id"])
    try:
        yield name
    finally:
        for app in apps_of(colleague, name):
            colleague.call("DELETE", f"/apps/{app}")


def apps_of(colleague: Colleague, name: str) -> dict[str, str]:
    """Return the names of all apps that are called so or begin so, by their ids."""
    rows = colleague.call("GET", "/apps?limit=100")["data"]
    return {row["id"]: row["name"] for row in rows if row["name"].startswith(name)}


def restored(name: str) -> None:
    """Restore an app from v1."""

    async def work() -> None:
        settings = config.load()
        store = GitStore.open(settings.store)
        instance = await connect(settings.context(), ConnectOptions(state=settings.state))
        try:
            with Ledger.open(settings.state / "ledger.sqlite3") as ledger:
                workspace = Workspace(
                    instance=instance, state=settings.state, ledger=ledger, actor="tester", store=store
                )
                kept = kept_app(store, store.resolve("v1", branch=instance.name), name)
                await restore(workspace, kept, "v1", RestoreOptions(allow_missing=True))
        finally:
            await instance.close()

    asyncio.run(work())


@pytest.mark.parametrize("way", ["finish", "undo"])
def test_a_restore_that_is_killed_is_whole_or_gone(
    cli: Cli, colleague: Colleague, name: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    assert cli("snapshot", "create", name, "--tag", "v1").code == 0
    good = colleague.live(colleague.app_id(name))["graph"]
    deaths = Deaths(monkeypatch)
    for point in range(1 if way == "finish" else 2, 40, 2):  # moments before and after each effect
        for app in apps_of(colleague, name):
            colleague.call("DELETE", f"/apps/{app}")
        deaths.fatal, deaths.seen = point, 0
        try:
            restored(name)
        except Killed:
            deaths.fatal = 0
            assert open_changes(), point
            ended = cli("changes", way, open_changes()[0].id, "--yes", "-o", "json")
            assert ended.code == 0, (point, ended.err, ended.out)
            assert not open_changes(), point
            found = apps_of(colleague, name)
            assert list(found.values()) == ([name] if way == "finish" else []), point
            if way == "finish":
                app = colleague.app_id(name)
                assert colleague.live(app)["graph"] == good, point
                assert [row["status"] for row in colleague.call("GET", f"/apps/{app}/triggers")["data"]] == ["disabled"]
        else:
            assert point > 4, "too few points were killed"
            return
    raise AssertionError("it never came to its end")


@pytest.fixture
def losses(colleague: Colleague, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Losses, Served]]:
    """Put a proxy before the instance that does all it is asked and can swallow answers; difyops talks to it."""
    lost = Losses()
    with serving(forwarding(str(colleague.http.base_url), lost)) as served:
        monkeypatch.setenv("DIFY_BASE_URL", served.url)
        yield lost, served


@pytest.mark.parametrize("path", ["/workflows/draft", "/workflows/publish"])
def test_a_rollback_whose_answer_is_lost_is_told_by_what_is_there(
    cli: Cli,
    colleague: Colleague,
    scratch: dict[str, str],  # noqa: F811
    losses: tuple[Losses, Served],
    path: str,
) -> None:
    lost, _ = losses
    name = scratch["workflow"]
    app, good = broken(cli, colleague, name)
    lost.next("POST", path)
    done = cli("snapshot", "rollback", name, "--to", "v1", "--yes", "-o", "json")
    assert lost.count == 1
    assert colleague.live(app)["graph"] == good or done.code != 0, done.err + done.out
    if open_changes():
        assert "changes finish" in done.err
        assert done.code != 0
        assert cli("changes", "finish", name, "--yes").code == 0
    assert not open_changes()
    assert colleague.live(app)["graph"] == good
    assert node(colleague.draft(app), "start")["title"] == "half done"


@pytest.mark.parametrize("path", ["/apps/imports", "/workflows/draft", "/workflows/publish", "/trigger-enable"])
def test_a_restore_whose_answer_is_lost_makes_one_app(
    cli: Cli, colleague: Colleague, name: str, losses: tuple[Losses, Served], path: str
) -> None:
    lost, _ = losses
    assert cli("snapshot", "create", name, "--tag", "v1").code == 0
    good = colleague.live(colleague.app_id(name))["graph"]
    colleague.call("DELETE", f"/apps/{colleague.app_id(name)}")
    lost.next("POST", path)
    done = cli("snapshot", "restore", name, "--to", "v1", "--yes", "-o", "json")
    assert lost.count == 1
    for change in open_changes():
        assert done.code != 0, done.out
        assert cli("changes", "finish", change.id, "--yes").code == 0
    assert not open_changes()
    assert list(apps_of(colleague, name).values()) == [name]
    app = colleague.app_id(name)
    assert colleague.live(app)["graph"] == good
    assert [row["status"] for row in colleague.call("GET", f"/apps/{app}/triggers")["data"]] == ["disabled"]


def test_a_switch_whose_answer_is_lost_is_told_by_what_is_there(
    cli: Cli,
    colleague: Colleague,
    scratch: dict[str, str],  # noqa: F811
    losses: tuple[Losses, Served],
) -> None:
    lost, _ = losses
    name = scratch["chat"]
    lost.next("POST", "/api-enable")
    done = cli("app", "disable", name, "--yes", "-o", "json")
    assert lost.count == 1
    if done.code != 0:
        assert cli("changes", "finish", name, "--yes").code == 0
    assert colleague.call("GET", f"/apps/{colleague.app_id(name)}")["enable_api"] is False
    assert not open_changes()


def test_nothing_is_lost_where_nothing_is_asked_for(colleague: Colleague, losses: tuple[Losses, Served]) -> None:
    lost, served = losses
    assert httpx.get(f"{served.url}/health").json()["status"] == "ok"
    assert lost.count == 0


@pytest.mark.parametrize(("method", "path"), [("POST", "/api-keys"), ("DELETE", "")])
def test_a_rotation_whose_answer_is_lost_leaves_one_working_key(
    cli: Cli,
    colleague: Colleague,
    scratch: dict[str, str],  # noqa: F811
    losses: tuple[Losses, Served],
    own_place: Path,
    method: str,
    path: str,
) -> None:
    lost, _ = losses
    name = scratch["workflow"]
    app = colleague.app_id(name)
    old = colleague.call("POST", f"/apps/{app}/api-keys")["token"]
    key = own_place / "key"
    lost.next(method, path)
    words = ("app-key", name, "--yes", "--deliver", f"file:{key}", "--grace", "1s", "--force")
    done = cli("secret", "rotate", *words)
    assert lost.count == 1
    for change in open_changes():
        assert done.code != 0, done.out
        ended = cli("changes", "finish", change.id, "--yes")
        assert ended.code == 0, ended.err
    assert not open_changes()
    left = [row["token"] for row in colleague.call("GET", f"/apps/{app}/api-keys")["data"]]
    assert old not in left
    assert left == [key.read_text().strip()]
    assert colleague.run(app, {"query": "hi", "tone": "plain"})

"""Sealed snapshots of a real instance: no secret in git, a swapped key seen and brought back, a lost app made whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from difyops.clock import SystemClock
from difyops.config import load
from difyops.git_store import GitStore
from difyops.sealing.access import Access
from difyops.sealing.age import new_identity
from difyops.snapshot.seals import NewSeal, set_recipients
from tests.conftest import Cli
from tests.live.test_story import scratch as scratch
from tests.snapshot.colleague import Colleague
from tests.snapshot.test_sealed import everything_in_git
from tests.snapshot.test_story import http_node

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
OLD, NEW = "canary-5f2e8b1c9d7a4e3f", "canary-9a8b7c6d5e4f3a2b"


def http_key(document: dict) -> str:
    nodes = [item["data"] for item in document["graph"]["nodes"] if item["data"]["type"] == "http-request"]
    return str(nodes[-1]["headers"])


def test_a_key_is_sealed_seen_and_brought_back(
    cli: Cli, colleague: Colleague, scratch: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = scratch["workflow"]
    app = colleague.app_id(name)
    colleague.edit(app, lambda document: document["graph"]["nodes"].append(http_node(OLD)))
    colleague.publish(app)
    secret = colleague.clear(app)
    assert cli("snapshot", "create", name, "--tag", "v1", "-q").code == 0
    assert cli("snapshot", "create", name, "-o", "json").json["data"]["changed"] is False
    assert cli("snapshot", "drift", name).code == 0

    def swap(document: dict) -> None:
        document["graph"]["nodes"][-1]["data"].update(http_node(NEW)["data"])

    colleague.edit(app, swap)
    colleague.publish(app)
    assert "a sealed value changed" in cli("snapshot", "drift", name).out
    done = cli("snapshot", "rollback", name, "--to", "v1", "--yes")
    assert done.code == 0, done.err
    assert http_key(colleague.live(app)) == f"X-Api-Key:{OLD}"

    context = load().context().name
    store = GitStore.open(load().store)
    mine = new_identity()
    monkeypatch.setenv("DIFYOPS_SEAL_IDENTITY", mine.secret.reveal())
    access = Access(state=load().state, identity="env:DIFYOPS_SEAL_IDENTITY")
    wanted = NewSeal(recipients=(str(mine.recipient), str(new_identity().recipient)))
    set_recipients(store, context, wanted, access, SystemClock())
    assert cli("snapshot", "create", name, "-q").code == 0
    status = cli("snapshot", "seal", "status", "-o", "json").json["data"]
    assert (status["opens"], status["lost"]) == (True, 0)
    copy = f"{name}-back"
    restored = cli("snapshot", "restore", app, "--name", copy, "--yes", "-o", "json")
    assert restored.code == 0, restored.err
    new = restored.json["data"]["apps"][0]["app_id"]
    try:
        assert http_key(colleague.live(new)) == f"X-Api-Key:{OLD}"
        assert colleague.clear(new) == secret
    finally:
        colleague.call("DELETE", f"/apps/{new}")
    held = everything_in_git(Path(load().store))
    for value in (OLD, NEW, *map(str, secret.values())):
        assert len(value) < 10 or value.encode() not in held

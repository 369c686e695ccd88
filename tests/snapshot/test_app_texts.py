"""A secret in an app's description or on its web page is in no snapshot and no ledger, and comes back with the app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from difyops.clock import SystemClock
from difyops.git_store import GitStore
from difyops.sealing.access import Access
from difyops.sealing.age import new_identity
from difyops.snapshot.seals import NewSeal, set_recipients
from tests.conftest import Cli
from tests.places import context_name
from tests.snapshot.colleague import Colleague
from tests.snapshot.test_sealed import everything_in_git

KEY = "sk-canary-77aa1c2b3d4e5f60718293a4b5c6d7e8"
OTHER = "sk-canary-88bb1c2b3d4e5f60718293a4b5c6d7e8"


def describe(colleague: Colleague, text: str, name: str = "wf-echo") -> str:
    app = colleague.app_id("wf-echo") if name == "wf-echo" else name
    now = colleague.call("GET", f"/apps/{app}")
    kept = ("name", "icon_type", "icon", "icon_background")
    colleague.call("PUT", f"/apps/{app}", {**{key: now[key] for key in kept}, "description": text})
    return app


def drifted(cli: Cli) -> list[tuple[str, str]]:
    return [(item["kind"], item["what"]) for item in cli("snapshot", "drift", "-o", "json").json["data"]["apps"]]


def test_it_is_not_in_git_and_a_swapped_one_is_drift(
    cli: Cli, connected: str, colleague: Colleague, tmp_path: Path
) -> None:
    app = describe(colleague, f"Call it with Authorization: Bearer {KEY}.")
    assert cli("snapshot", "create", "--tag", "v1", "-q").code == 0
    assert cli("snapshot", "create", "-o", "json").json["data"]["changed"] is False
    assert drifted(cli) == []
    describe(colleague, f"Call it with Authorization: Bearer {OTHER}.")
    [(kind, what)] = drifted(cli)
    assert kind == "settings changed"
    assert KEY not in what
    assert OTHER not in what
    held = everything_in_git(tmp_path / "data" / "difyops" / "snapshots")
    assert KEY.encode() not in held
    assert cli("snapshot", "leaks").code == 0
    assert app


def test_a_rollback_with_the_name_keeps_it_out_of_the_ledger_and_writes_no_mark(
    cli: Cli, connected: str, colleague: Colleague, tmp_path: Path
) -> None:
    app = describe(colleague, f"Call it with Authorization: Bearer {KEY}.")
    assert cli("snapshot", "create", "--tag", "v1", "-q").code == 0
    describe(colleague, "Something else.")
    done = cli("snapshot", "rollback", "wf-echo", "--to", "v1", "--with-name", "--yes")
    assert done.code == 0, done.err
    text = colleague.call("GET", f"/apps/{app}")["description"]
    assert text == "Call it with Authorization: Bearer …."
    describe(colleague, f"Call it with Authorization: Bearer {KEY}.")
    assert cli("snapshot", "rollback", "wf-echo", "--to", "v1", "--with-name", "--yes").code == 0
    assert KEY in colleague.call("GET", f"/apps/{app}")["description"], "it is the same text: nothing was written"
    for path in (tmp_path / "state").rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_with_an_identity_a_lost_app_has_its_description_again(
    cli: Cli, connected: str, colleague: Colleague, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = new_identity()
    monkeypatch.setenv("DIFYOPS_SEAL_IDENTITY", made.secret.reveal())
    text = f"Call it with Authorization: Bearer {KEY}."
    app = describe(colleague, "Plain.")
    assert cli("snapshot", "create", "-q").code == 0
    store = GitStore.open(tmp_path / "data" / "difyops" / "snapshots")
    access = Access(state=tmp_path / "state", identity="env:DIFYOPS_SEAL_IDENTITY")
    both = NewSeal(recipients=(str(made.recipient), str(new_identity().recipient)))
    set_recipients(store, context_name(), both, access, SystemClock())
    assert cli("snapshot", "create", "-q").code == 0
    describe(colleague, text)
    assert cli("snapshot", "create", "-q").code == 0
    assert cli("snapshot", "create", "-o", "json").json["data"]["changed"] is False
    colleague.call("DELETE", f"/apps/{app}")
    done = cli("snapshot", "restore", "wf-echo", "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert colleague.call("GET", f"/apps/{done.json['data']['apps'][0]['app_id']}")["description"] == text


def test_a_text_that_looks_like_a_mark_stays_what_it_is(cli: Cli, connected: str, colleague: Colleague) -> None:
    text = "It says <difyops:secret> and <difyops:sealed:12345678:00112233445566778899aabbccddeeff>."
    app = describe(colleague, text)
    assert cli("snapshot", "create", "--tag", "v1", "-q").code == 0
    assert drifted(cli) == []
    describe(colleague, "Else.")
    assert cli("snapshot", "rollback", "wf-echo", "--to", "v1", "--with-name", "--yes").code == 0
    assert colleague.call("GET", f"/apps/{app}")["description"] == text


def test_an_older_snapshot_with_it_in_clear_makes_no_drift(cli: Cli, connected: str, colleague: Colleague) -> None:
    import json
    from datetime import UTC, datetime

    from difyops import config
    from difyops.snapshot.layout import MANIFEST, digest

    text = f"Call it with Authorization: Bearer {KEY}."
    app = describe(colleague, text)
    assert cli("snapshot", "create", "-q").code == 0
    store, branch = GitStore.open(config.load().store), context_name()
    path = f"apps/{app}/app.json"
    record: dict[str, Any] = json.loads(store.read(branch, path))
    content = json.dumps({**record, "description": text}).encode()
    manifest = json.loads(store.read(branch, MANIFEST))
    manifest["files"][path] = digest(content)
    files = {path: content, MANIFEST: json.dumps(manifest).encode()}
    when = datetime(2026, 1, 1, tzinfo=UTC)
    store.commit(branch, files, base=store.head(branch), replace=False, message="old", author="a <a@b>", when=when)
    assert drifted(cli) == []
    assert cli("snapshot", "leaks").code == 5

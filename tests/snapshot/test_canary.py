"""Secrets never reach argv, child environments, output, logs, tracebacks, git objects, SQLite or other files."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.processes import run
from tests.snapshot.colleague import Colleague, break_prompt, node, set_secret

ENV = "canary-environment-41f7"
HTTP = "canary-http-header-93ab"
BEARER = "canary-bearer-77c1"
DRAFT = "canary-draft-5d2e"
PASSWORD = "Canary-Passw0rd-8e1!"
CANARIES = (ENV, HTTP, BEARER, DRAFT, PASSWORD)


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(password=PASSWORD, apps=8)


def hide_canaries(document: dict) -> None:
    set_secret(ENV)(document)
    http = {
        "type": "http-request",
        "title": "Call",
        "method": "post",
        "url": "https://api.example.com/v1",
        "headers": f"X-Api-Key:{HTTP}\nAccept:application/json",
        "params": "",
        "body": {"type": "none", "data": []},
        "authorization": {"type": "api-key", "config": {"type": "bearer", "api_key": BEARER}},
        "timeout": {},
    }
    document["graph"]["nodes"].append({"id": "http1", "type": "custom", "data": http, "position": {"x": 0, "y": 0}})


def everything_below(folder: Path) -> bytes:
    """Return all bytes below a folder, git objects unpacked."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found.append(content)
            if "objects" in path.parts:
                with contextlib.suppress(zlib.error):
                    found.append(zlib.decompress(content))
    for repository in folder.rglob(".git"):
        listed = ["git", "-C", str(repository.parent), "cat-file", "--batch-all-objects", "--batch"]
        found.append(subprocess.run(listed, capture_output=True, check=True).stdout)
    return b"\n".join(found)


def test_no_canary_anywhere_after_the_whole_story(cli: Cli, connected: str, emulator: Emulator, tmp_path: Path) -> None:
    colleague = Colleague(connected, str(emulator.admin_key), emulator.workspace_id)
    app = colleague.app_id("wf-llm")
    colleague.edit(app, hide_canaries)
    colleague.publish(app)
    said = ""
    before: list[tuple[str, ...]] = [
        ("snapshot", "create", "--tag", "v1", "-vv"),
        ("snapshot", "show", "v1", "-o", "json"),
        ("doctor", "-vv"),
        ("app", "show", "wf-llm", "-o", "json"),
    ]
    for words in before:
        ran = cli(*words)
        assert ran.code in (0, 5), ran.err
        said += ran.out + ran.err
    colleague.edit(app, break_prompt)
    colleague.publish(app)

    def unfinished(document: dict) -> None:
        node(document, "start")["title"] = "half done"
        set_secret(DRAFT)(document)

    colleague.edit(app, unfinished)
    after: list[tuple[str, ...]] = [
        ("snapshot", "drift", "-o", "json"),
        ("snapshot", "diff", "v1", "-o", "json", "-vv"),
        ("snapshot", "rollback", "wf-llm", "--to", "v1", "--dry-run", "-o", "json"),
        ("snapshot", "rollback", "wf-llm", "--to", "v1", "--yes", "-vv", "--log-format", "json"),
        ("snapshot", "create", "-o", "yaml"),
    ]
    for words in after:
        ran = cli(*words)
        assert ran.code in (0, 5), ran.err
        said += ran.out + ran.err
    assert colleague.clear(app)["API_TOKEN"] == DRAFT
    assert "X-Api-Key:" + HTTP in str(colleague.live(app)["graph"])
    leaked = [canary for canary in CANARIES if canary in said]
    assert leaked == []
    on_disk = everything_below(tmp_path)
    assert [canary for canary in CANARIES if canary.encode() in on_disk] == []


def test_no_canary_in_arguments_or_children(
    cli: Cli, connected: str, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shim in front of git writes down the arguments and environment of every child."""
    log = tmp_path / "shim.log"
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    shim.write_text(f'#!/bin/sh\n{{ echo "$@"; env; }} >> {log}\nexec {real} "$@"\n')
    shim.chmod(0o755)
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    monkeypatch.delenv("DIFY_PASSWORD")
    for name in ("DIFY_BASE_URL", "DIFY_EMAIL"):
        monkeypatch.delenv(name)
    assert cli("context", "add", "prod", "--url", connected, "--email", emulator.email,
               "--password", f"file:{secret}").code == 0  # fmt: skip
    colleague = Colleague(connected, str(emulator.admin_key), emulator.workspace_id)
    colleague.edit(colleague.app_id("wf-llm"), hide_canaries)
    colleague.publish(colleague.app_id("wf-llm"))
    environment = {**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "difyops", "snapshot", "create", "-vv"]
    ran = run(command, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    seen = log.read_text() + ran.stdout + ran.stderr
    assert "fast-import" in seen
    assert [canary for canary in CANARIES if canary in seen] == []


def test_no_canary_in_a_traceback(connected: str, emulator: Emulator) -> None:
    """Even a bug that prints every local variable shows no secret."""
    program = (
        "import traceback, sys\n"
        "from difyops.secret_text import SecretText\n"
        f"secret = SecretText({PASSWORD!r})\n"
        "try:\n    raise ValueError(f'bad {secret}')\n"
        "except ValueError as error:\n"
        "    print(''.join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))\n"
        "    print(repr([secret]), str(secret), '%s' % secret)\n"
    )
    ran = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, check=True)
    assert PASSWORD not in ran.stdout.replace(program, "")

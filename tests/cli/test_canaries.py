"""Made-up secrets are followed through whole commands: they reach their destination, and no other place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.cli.processes import WORDS
from tests.processes import run

PASSWORD, ADMIN = "canary-passw0rd-31337", "canary-adm1n-key-31337"
WORKSPACE = "00000000-0000-4000-8000-000000000001"


def everything_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder where git is replaced by a program that writes down how it was called."""
    (tmp_path / "bin").mkdir()
    spy = tmp_path / "bin" / "git"
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    spy.write_text(f'#!/bin/sh\n{{ echo "$@"; env; }} >> {tmp_path}/children.txt\nexec {real} "$@"\n')
    spy.chmod(0o755)
    return tmp_path


@pytest.mark.exhaustive(2)
@pytest.mark.parametrize("how", ["password", "admin key", "password from a file", "password from a command"])
def test_the_secrets_of_a_login_stay_where_they_belong(place: Path, how: str) -> None:
    emulator = Emulator(password=PASSWORD, admin_key=ADMIN, workspace_id=WORKSPACE)
    secret = place / "pw"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    fields = {
        "password": "email: admin@example.com, password: 'env:PW'",
        "admin key": f"admin_key: 'env:KEY', workspace_id: {WORKSPACE}",
        "password from a file": "email: admin@example.com, password: 'file:pw'",
        "password from a command": f"email: admin@example.com, password: 'cmd:cat {secret}'",
    }[how]
    environment = {**os.environ, "PATH": f"{place}/bin:{os.environ['PATH']}", "DIFYOPS_DEBUG": "1"}
    own = {"PW": PASSWORD} if how == "password" else {"KEY": ADMIN} if how == "admin key" else {}
    said = b""
    with emulator.listening() as url:
        (place / "difyops.yaml").write_text(f"contexts: {{t: {{url: '{url}', {fields}}}}}\n")
        (place / "difyops.yaml").chmod(0o600)
        emulator.control.mood("flaky")
        for words in (
            ["context", "check", "-vv"],  # refused: the file was found
            ["trust", "--yes"],
            ["context", "check", "-vv"],
            ["context", "show", "-o", "json"],
            ["app", "list", "-vv", "--log-format", "json"],
            ["app", "disable", "wf-echo", "--yes", "-vv"],
            ["doctor", "-vv", "-o", "yaml"],
            ["snapshot", "create", "-vv"],
            ["app", "list", "--nope"],
            ["app", "list", "-c", "nope"],
        ):
            done = run([*WORDS, *words], env={**environment, **own}, cwd=place, capture_output=True)
            said += done.stdout + done.stderr
        assert b"wf-echo" in said
    for name in ("pw", "difyops.yaml"):
        (place / name).unlink()
    children = (place / "children.txt").read_text() if (place / "children.txt").exists() else ""
    (place / "children.txt").unlink(missing_ok=True)
    for canary in (PASSWORD, ADMIN):
        assert canary.encode() not in said
        assert canary.encode() not in everything_below(place)
        lines = [line for line in children.splitlines() if canary in line]
        assert set(lines) <= {f"{name}={value}" for name, value in own.items()}  # the operator's own, as it was


def test_an_answer_that_echoes_the_secret_does_not_spread_it(place: Path) -> None:
    from tests import faults

    echo = {"code": "invalid_param", "message": f"bad login {PASSWORD} {ADMIN}", "status": 400}
    setup = {"/console/api/setup": faults.answer(200, {"step": "finished"})}
    with faults.serving(faults.by_path(setup, faults.answer(400, echo))) as server:
        environment = {
            **os.environ,
            "DIFY_BASE_URL": server.url,
            "DIFY_ADMIN_API_KEY": ADMIN,
            "DIFY_WORKSPACE_ID": WORKSPACE,
        }
        for form in ("table", "json", "yaml"):
            done = run([*WORDS, "app", "list", "-vv", "-o", form], env=environment, capture_output=True)
            assert ADMIN.encode() not in done.stdout + done.stderr
            assert b"bad login" in done.stdout + done.stderr


def test_a_traceback_of_ours_holds_no_secret(place: Path) -> None:
    code = (
        "import os\nfrom difyops import targets\n"
        "def broken(*a, **k): raise ZeroDivisionError('nobody thought of this')\n"
        "targets.select = broken\nfrom difyops.cli.root import run\nrun(['app', 'list', 'x'])"
    )
    emulator = Emulator(password=PASSWORD)
    with emulator.listening() as url:
        environment = {
            **os.environ, "DIFY_BASE_URL": url, "DIFY_EMAIL": emulator.email, "DIFY_PASSWORD": PASSWORD,
            "DIFYOPS_DEBUG": "1",
        }  # fmt: skip
        done = run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "ZeroDivisionError" in done.stderr
    assert PASSWORD not in done.stdout + done.stderr

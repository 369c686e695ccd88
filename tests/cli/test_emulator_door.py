"""``difyops emulator``: started detached, used, asked, stopped; what is wrong is said before anything starts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from difyops.cli import emulator as door
from difyops.emulator import MOODS, VERSIONS
from tests import faults
from tests.cli.processes import piped
from tests.conftest import Cli
from tests.waiting import wait_until


def test_from_start_to_stop(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    port = str(faults.free_port())
    # a process of its own: this one may have learnt the emulator's password as a secret, and would show stars
    started = piped("emulator", "start", "--detach", "--port", port, "--server-version", "1.15", "-o", "json")
    try:
        assert started.returncode == 0, started
        running = json.loads(started.stdout)["data"]
        for name, value in running["environment"].items():
            monkeypatch.setenv(name, value)
        assert "1.15" in cli("context", "check").out
        assert cli("emulator", "status").code == 0
        again = cli("emulator", "start", "--detach", "--port", port)
        assert again.code == 8
        assert "runs already" in again.err
    finally:
        assert cli("emulator", "stop", "-o", "json").json["data"] == {"stopped": True}
    assert cli("emulator", "status").code == 5
    assert cli("emulator", "stop").code == 0
    wait_until(lambda: _is_gone(running["pid"]))
    assert _is_gone(running["pid"])


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_port_that_is_taken_is_said(cli: Cli) -> None:
    with faults.serving(faults.answer(404, {})) as server:
        for words in (["--detach"], []):
            ran = cli("emulator", "start", *words, "--port", server.url.rpartition(":")[2])
            assert (ran.code, ran.out) == (1, "")
            assert "in use" in ran.err


@pytest.mark.parametrize(
    ("words", "known"), [(("--server-version", "2.0"), "1.13.0"), (("--mood", "sulky"), "redis_down")]
)
@pytest.mark.parametrize("mode", ["--detach", "--dry-run"])
def test_unknown_versions_and_moods_list_the_known_ones(
    cli: Cli, words: tuple[str, ...], known: str, mode: str
) -> None:
    ran = cli("emulator", "start", mode, *words)
    assert ran.code == 2
    assert known in ran.err


@pytest.mark.parametrize("mood", ["slow", "gateway_down"])
def test_it_is_found_and_stopped_in_any_mood(cli: Cli, mood: str) -> None:
    port = str(faults.free_port())
    assert piped("emulator", "start", "--detach", "--port", port, "--mood", mood).returncode == 0
    assert cli("emulator", "status").code == 0
    stopped = cli("emulator", "stop", "-o", "json")
    assert (stopped.code, stopped.json["data"]["stopped"]) == (0, True)
    assert cli("emulator", "status").code == 5


def test_the_help_names_every_version_and_mood() -> None:
    assert ", ".join(VERSIONS) == door._VERSIONS
    assert ", ".join(name for name in MOODS if name != "happy") == door._MOODS


def test_what_is_printed_can_be_typed_into_a_shell(cli: Cli) -> None:
    port = str(faults.free_port())
    started = piped("emulator", "start", "--detach", "--port", port)
    try:
        (line,) = [row for row in started.stdout.splitlines() if row.startswith("export ")]
        said = subprocess.run(["bash", "-c", f"{line}; env"], capture_output=True, text=True, check=True).stdout
        assert f"DIFY_BASE_URL=http://127.0.0.1:{port}\n" in said
        assert "DIFY_PASSWORD=Passw0rd!1\n" in said
    finally:
        cli("emulator", "stop")

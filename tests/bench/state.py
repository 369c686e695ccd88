"""State in a PostgreSQL against state in a file: whole processes, taken in turn, on the emulator."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from difyops.emulator import Emulator
from difyops.emulator.fleet import load_fleet
from tests.bench.table import Figure
from tests.runbook import servers

APPS, ROUNDS = 100, 7
COMMANDS = {
    "secret rotate": ("secret", "rotate", "app-key", "wf-echo", "--yes", "--no-probe", "--by-hand", "--grace", "0s"),
    "snapshot create": ("snapshot", "create"),
}


def main() -> list[Figure]:
    """Measure both commands."""
    emulator = Emulator()
    load_fleet(emulator.instance, APPS)
    with emulator.listening() as url, servers.postgres() as server, tempfile.TemporaryDirectory() as folder:
        places = {name: _place(Path(folder) / name, url, emulator) for name in ("file", "server")}
        address, _, password = _parts(server.address)
        places["server"] |= {"DIFYOPS_STATE_FOLDER": places["server"]["DIFYOPS_STATE"], "DIFYOPS_STATE": address}
        places["server"]["DIFYOPS_STATE_PASSWORD"] = password
        return [_compared(name, words, places) for name, words in COMMANDS.items()]


def _compared(name: str, words: tuple[str, ...], places: dict[str, dict[str, str]]) -> Figure:
    taken: dict[str, list[float]] = {place: [] for place in places}
    for number in range(ROUNDS + 1):
        for place in sorted(places, reverse=bool(number % 2)):
            seconds = _timed(words, places[place])
            if number:  # the first of each makes files, tables and compiled modules
                taken[place].append(seconds)
    file, server = (statistics.median(taken[place]) for place in ("file", "server"))
    return Figure(f"{name}, state in a PostgreSQL / in a file", server / file, 1.15, f"{server:.2f} s, {file:.2f} s")


def _timed(words: tuple[str, ...], place: dict[str, str]) -> float:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "difyops", *words],
        env=place,
        cwd=place["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return time.monotonic() - began


def _place(folder: Path, url: str, emulator: Emulator) -> dict[str, str]:
    folder.mkdir()
    own = {
        "HOME": str(folder), "DIFYOPS_STATE": str(folder / "state"), "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CONFIG_HOME": str(folder / "config"), "DIFY_BASE_URL": url, "DIFY_EMAIL": emulator.email,
        "DIFY_PASSWORD": emulator.password,
    }  # fmt: skip
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DIFY", "XDG_"))}
    return kept | own


def _parts(address: str) -> tuple[str, str, str]:
    """Return an address without its password, the user, and the password."""
    scheme, _, rest = address.partition("://")
    login, _, place = rest.rpartition("@")
    user, _, password = login.partition(":")
    return f"{scheme}://{user}@{place}", user, password

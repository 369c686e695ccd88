"""Made-up secrets followed through whole rotations of every kind: they reach their readers, and no other place."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.processes import run
from tests.rotation.rig import CASES, Case, Console, furnish, held_files, value_in_use

EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
HALF = pytest.mark.exhaustive(2)  # of the kinds in each run
PASSWORD, CONFIGURED, VAULT = "canary-passw0rd-31337", "canary-c0nfigured-31337", "vault-token-of-the-helper"
NAPS = (
    "import asyncio, datetime, sys, time\n"  # the pauses that a real server needs are skipped, on every clock
    "from difyops.clock import SystemClock\n"
    "skipped = 0.0\n"
    "async def skip(clock, seconds):\n"
    "    global skipped\n"
    "    skipped += seconds\n"
    "    await asyncio.sleep(0.001)\n"
    "SystemClock.sleep = skip\n"
    "SystemClock.now = lambda clock: datetime.datetime.fromtimestamp(time.time() + skipped, datetime.UTC)\n"
    "SystemClock.monotonic = lambda clock: time.monotonic() + skipped\n"
)
END = "from difyops.cli.root import run\nsys.exit(run(sys.argv[1:]))\n"
QUICKLY = (sys.executable, "-c", NAPS + END)
DETACHED = ("--grace", "1h", "--detach")
pytestmark = pytest.mark.slow


@dataclass
class Place:
    """A folder to work in, with commands that write down what they see of the process that calls them."""

    folder: Path
    emulator: Emulator
    url: str

    def script(self, name: str, does: str) -> str:
        path = self.folder / name
        seen = self.folder / "seen"
        path.write_text(f'#!/bin/sh\n{{ echo "$@"; env; tr "\\0" "\\n" </proc/$PPID/cmdline; }} >> {seen}\n{does}\n')
        path.chmod(0o700)
        return f"cmd:{path}"

    def run(self, *words: str) -> bytes:
        """Run difyops; all that it says, and fail when it failed."""
        done = run([*QUICKLY, *words], env=self.environment, cwd=self.folder, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return bytes(done.stdout + done.stderr)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DIFYOPS_STATE": str(self.folder / "state"),
            "DIFY_BASE_URL": self.url,
            "DIFY_ADMIN_API_KEY": str(self.emulator.admin_key),
            "DIFY_WORKSPACE_ID": self.emulator.workspace_id,
            "DIFY_PASSWORD": PASSWORD,
            "STAGING_PASSWORD": CONFIGURED,
            "VAULT_TOKEN": VAULT,
            "DIFYOPS_DEBUG": "1",
        }

    def written(self) -> bytes:
        """Return every byte in the state folder but the values held in private files while a rotation is open."""
        state = self.folder / "state"
        files = {path for path in state.rglob("*") if path.is_file()}
        assert any(path.name.startswith("ledger") for path in files)
        return b"".join(path.read_bytes() for path in files - set(held_files(state)))


@pytest.fixture
def place(tmp_path: Path, case: Case) -> Iterator[Place]:
    emulator = Emulator("1.13.0", speed=200.0)
    with emulator.listening() as url:
        console = Console(url, emulator.workspace_id, str(emulator.admin_key))
        furnish(emulator, console, case.kind)
        console.http.close()
        (tmp_path / "difyops.yaml").write_text(
            f"contexts: {{staging: {{url: '{url}', email: a@b.c, password: 'env:STAGING_PASSWORD'}}}}\n"
        )
        yield Place(tmp_path, emulator, url)


def rotate(place: Place, case: Case) -> tuple[str, ...]:
    """Return the words of a rotation whose value comes from a command and goes to another."""
    source = place.folder / "source"
    source.write_text(case.new)
    source.chmod(0o600)
    taken = place.folder / "taken"
    given = ("--value-from", place.script("give.sh", f"cat {source}")) if case.needs_value else ()
    deliver = ("--deliver", f"{place.script('take.sh', f'cat > {taken}')} put")
    talk = ("-c", "env", "-vv", "--log-format", "json")
    return ("secret", "rotate", case.kind, *case.arguments, *given, *deliver, *talk, "--no-probe", "--yes")


@HALF
@EVERY
def test_no_secret_shows_anywhere_while_or_after_it_is_rotated(case: Case, place: Place) -> None:
    old = value_in_use(place.emulator, case.kind)
    words = rotate(place, case)
    said = place.run(*words, *DETACHED)
    written = place.written()  # while it is open, the write-ahead log of the ledger included
    taken = (place.folder / "taken").read_text()
    said += place.run("secret", "revert", "-c", "env", "--yes", "-vv", "-o", "yaml")
    said += place.run(*words, "--grace", "100ms")
    said += place.run("secret", "history", "-c", "env", "-o", "json", "-vv")
    new = value_in_use(place.emulator, case.kind)
    written += place.written()
    assert not held_files(place.folder / "state")
    assert (place.folder / "taken").read_text() == new
    seen = (place.folder / "seen").read_text()
    assert VAULT in seen, "a helper needs its own token"
    for secret in (old, new, taken, PASSWORD, CONFIGURED, str(place.emulator.admin_key)):
        assert secret
        assert secret.encode() not in said
        assert secret.encode() not in written
        assert json.dumps(secret)[1:-1].encode() not in written
        assert secret not in seen


@pytest.mark.parametrize("case", [CASES[kind] for kind in ("app-key", "env", "provider")], ids=lambda case: case.kind)
def test_an_exception_nobody_thought_of_shows_no_secret_and_leaves_a_rotation_that_goes_on(
    case: Case, place: Place
) -> None:
    code = (
        "from difyops.rotation import steps\n"
        "from difyops.rotation.machine import RotationAction\n"
        "async def broken(job, kind):\n"
        "    value = (await kind.new_value(job)).reveal()\n"
        "    raise ZeroDivisionError(f'nobody thought of {value!r}')\n"
        "steps._STEPS[RotationAction.SWITCH] = broken\n"
    )
    old = value_in_use(place.emulator, case.kind)
    words = [sys.executable, "-c", NAPS + code + END, *rotate(place, case)]
    done = run(words, env=place.environment, cwd=place.folder, capture_output=True)
    assert done.returncode == 1
    assert b"ZeroDivisionError" in done.stderr
    taken = (place.folder / "taken").read_text()
    written = place.written()
    for secret in (old, taken):
        assert secret.encode() not in done.stdout + done.stderr
        assert secret.encode() not in written
    place.run("secret", "resume", "-c", "env", "--detach")
    place.run("secret", "revert", "-c", "env", "--yes")
    assert value_in_use(place.emulator, case.kind) == old

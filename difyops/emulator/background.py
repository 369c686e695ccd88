"""The emulator for people: in the foreground, or detached with a note of where it runs in the state folder."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess  # starts the detached emulator
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.emulator.emulator import PASSWORD, Emulator
from difyops.errors import LockHeld, StoreError, UsageError

_START_SECONDS = 60.0
_EMAIL = "admin@example.com"
_CONTROL = "/_emulator/control"  # answers at once, whatever delay or mood the emulator is in


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What to start: port on 127.0.0.1, server version, apps in the seeded fleet, moods, the world to play in."""

    port: int = 5901
    version: str = "1.13.0"
    apps: int = 0
    seed: int = 7
    moods: tuple[str, ...] = ()
    play: bool = False

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A detached emulator: where, which process, what to export to use it, how often it was asked what."""

    url: str
    pid: int
    version: str
    environment: Mapping[str, str]
    counts: Mapping[str, Any] = field(default_factory=dict)


def environment(settings: Settings) -> dict[str, str]:
    """Return what a shell exports to use the emulator. The credentials are made up and the same everywhere."""
    return {"DIFY_BASE_URL": settings.url, "DIFY_EMAIL": _EMAIL, "DIFY_PASSWORD": PASSWORD}


def serve(settings: Settings, *, quiet: bool = False) -> None:
    """Serve in the foreground until interrupted.

    Raises:
        UsageError: there is no such version or mood. StoreError: the port is taken.
    """
    _check_free(settings.port)
    emulator = Emulator(
        version=settings.version, apps=settings.apps, seed=settings.seed, email=_EMAIL, playful=settings.play
    )
    for mood in settings.moods:
        emulator.control.mood(mood)
    if not quiet:
        lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment(settings).items())
        sys.stdout.write(f"# difyops emulator {settings.version} at {settings.url}; Ctrl-C stops it\n{lines}")
        sys.stdout.flush()
    emulator.serve("127.0.0.1", settings.port)


def start(state: Path, settings: Settings) -> Running:
    """Start detached and return when it answers.

    Raises:
        LockHeld: one runs already. StoreError: the port is taken, or it did not come up; names its log.
    """
    running = status(state)
    if running is not None:
        raise LockHeld(f"An emulator runs already at {running.url}.", hint="difyops emulator stop")
    _check_free(settings.port)
    log = state / "emulator.log"
    atomic_file.make_private_folder(state)
    words = [sys.executable, "-m", "difyops", "emulator", "start", "--quiet", "--port", str(settings.port)]
    words += ["--server-version", settings.version, "--apps", str(settings.apps), "--seed", str(settings.seed)]
    words += ["--play"] if settings.play else []
    words += [word for mood in settings.moods for word in ("--mood", mood)]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, atomic_file.PRIVATE)
    with os.fdopen(descriptor, "wb") as output:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    body = {"pid": process.pid, **asdict(settings)}
    atomic_file.write(_note(state), json.dumps(body).encode(), mode=atomic_file.PRIVATE)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _asked(settings.url + _CONTROL) is not None and process.poll() is None:
            return _running(process.pid, settings)
        time.sleep(0.05)
    atomic_file.remove(_note(state))
    lines = log.read_text(errors="replace").strip().splitlines()
    raise StoreError(f"The emulator did not start: {lines[-1] if lines else 'no answer'}.", hint=f"See {log}")


def _check_free(port: int) -> None:
    """Refuse a port on which somebody listens.

    Raises:
        StoreError: it is taken.
    """
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError as error:
            raise StoreError(
                f"Port {port} of 127.0.0.1 cannot be listened on: {error.strerror}.", hint="Take another: --port N"
            ) from error


def status(state: Path) -> Running | None:
    """Return the detached emulator that runs, ``None`` when there is none."""
    try:
        body = json.loads(_note(state).read_bytes())
        pid = int(body.pop("pid"))
        settings = Settings(**{**body, "moods": tuple(body.get("moods") or ())})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    control = _asked(settings.url + _CONTROL)
    if control is None or control.get("pid") != pid:
        return None  # nothing there, or another program on that port
    return _running(pid, settings)


def running_one(state: Path) -> Running:
    """Return the detached emulator.

    Raises:
        UsageError: none runs.
    """
    running = status(state)
    if running is None:
        raise UsageError("No emulator runs.", hint="difyops emulator start --play --detach")
    return running


def play(state: Path, verb: str, app: str) -> Running:
    """Let somebody else do ``verb`` to an app of the detached emulator.

    Raises:
        UsageError: none runs, there is no such app, or it cannot be done to it.
    """
    running = running_one(state)
    order = json.dumps({"play": {verb: app}}).encode()
    request = urllib.request.Request(running.url + _CONTROL, data=order, method="POST")  # noqa: S310  loopback
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10.0):
            return running
    except urllib.error.HTTPError as error:
        body = json.loads(error.read() or b"{}")
        raise UsageError(str(body.get("message") or error)) from error
    except OSError as error:
        raise StoreError(f"The emulator does not answer: {error}.") from error


def stop(state: Path) -> bool:
    """Stop the detached emulator; says whether one was running."""
    running = status(state)
    if running is None:
        atomic_file.remove(_note(state))
        return False
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline and _asked(running.url + _CONTROL) is not None:
        time.sleep(0.05)
    atomic_file.remove(_note(state))
    return True


def _running(pid: int, settings: Settings) -> Running:
    body = _asked(settings.url + _CONTROL) or {}
    found = body.get("counts")
    counts: dict[str, Any] = found if isinstance(found, dict) else {}
    return Running(
        url=settings.url, pid=pid, version=settings.version, environment=environment(settings), counts=counts
    )


def _asked(url: str) -> dict[str, Any] | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2.0) as answer:
            body = json.loads(answer.read())
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return body if isinstance(body, dict) else {}


def _note(state: Path) -> Path:
    return state / "emulator.json"

"""Fixtures that all tests share: an emulator on a loopback socket, a folder of one's own, the command line in process.

Canaries are made up; ``canary_free`` fails a test when one of them shows anywhere.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import certifi
import pytest
from hypothesis import HealthCheck, settings

from difyops import secret_text
from difyops.cli.root import run
from difyops.cli.session import Session, begin
from difyops.emulator import Emulator
from tests import processes, schemas, unflushed
from tests.forks import import_all
from tests.unflushed import flushed as flushed

pytest_plugins = ["tests.order", "tests.workers"]

unflushed.install()

# jsonschema compiles forty grammars for the formats of IRIs, for seconds, and no schema here asks for them.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

# Compiled modules are kept, however pytest was started: the tests start many processes, and each would compile it all.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# No example fails for being slow: a busy machine is no fault of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40)
settings.load_profile("any machine")

_numbers = count()
_OURS = ("DIFY", "XDG_", "NO_COLOR", "CI", "COLUMNS")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Load once what all workers need, and keep it out of what is looked through for garbage."""
    from tests import workers  # pytest itself imports it first, as a plugin

    if workers.wanted(session):
        import_all()
        processes.begin()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_sessionfinish() -> None:
    processes.end()
    gc.collect()
    gc.freeze()  # pytest collects five times more


@dataclass(frozen=True)
class Ran:
    """One run of the command line: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Parse standard output as JSON."""
        import json

        return json.loads(self.out)


Cli = Callable[..., Ran]


@pytest.fixture(scope="session")
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with one certificate authority: to read all of them takes longer than most tests."""
    path = tmp_path_factory.mktemp("authority") / "one.pem"
    end = "-----END CERTIFICATE-----\n"
    path.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    return path


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder, numbered by us: pytest's own looks through all earlier ones for the next number."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    path = tmp_path_factory.getbasetemp() / f"{name}{next(_numbers)}"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_authority: Path) -> Path:
    """Give every test a folder, an empty environment of ours, and no keyring."""
    secret_text.forget_all()
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSL_CERT_FILE", str(one_authority))
    monkeypatch.setenv("DIFYOPS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run a command line in this process, as a pipe sees it."""

    def invoke(*words: str) -> Ran:
        begin(Session())
        capfd.readouterr()
        try:
            code = run([str(word) for word in words])
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        out, err = capfd.readouterr()
        schemas.hold(out)
        return Ran(code, out, err)

    return invoke


@pytest.fixture
def emulator() -> Emulator:
    """Return a fresh emulator with the eight known apps, version 1.13.0."""
    return Emulator()


@pytest.fixture
def url(emulator: Emulator) -> Iterator[str]:
    """Listen on a loopback socket."""
    with emulator.listening() as base_url:
        yield base_url


@pytest.fixture
def connected(emulator: Emulator, url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the environment at the emulator with e-mail and password; returns the URL."""
    monkeypatch.setenv("DIFY_BASE_URL", url)
    monkeypatch.setenv("DIFY_EMAIL", emulator.email)
    monkeypatch.setenv("DIFY_PASSWORD", emulator.password)
    return url

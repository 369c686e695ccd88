"""Every command that docs/state.md shows is run, in its order, against a real PostgreSQL."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.runbook.servers import PG_CANARY

PAGE = (Path(__file__).parents[2] / "docs" / "state.md").read_text()
ADDRESS = "postgresql://difyops@db.example.com:5432/difyops"


@pytest.mark.usefixtures("connected")
def test_every_command_of_the_page(cli: Cli, shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_STATE", PG_CANARY)
    assert cli("app", "disable", "wf-echo", "--yes").code == 0
    commands = re.findall(r"^\$ difyops (.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 3
    for line in commands:
        assert cli(*shlex.split(line.replace(ADDRESS, shared_url))).code == 0, line
    (settings,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    Path("difyops.yaml").write_text(settings.replace(ADDRESS, shared_url))
    assert cli("trust", "--yes").code == 0
    assert cli("app", "enable", "wf-echo", "--yes").code == 0

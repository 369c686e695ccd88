"""Every command that docs/releases.md shows is run, in its order, with the exit code that it states."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.release.conftest import better, broken
from tests.snapshot.colleague import Colleague

PAGE = Path(__file__).parents[2] / "docs" / "releases.md"


def test_every_command_of_the_page(cli: Cli, connected: str, emulator: Emulator) -> None:
    colleague = Colleague(connected, str(emulator.admin_key), emulator.workspace_id)
    app = colleague.app_id("wf-echo")
    colleague.call("POST", f"/apps/{app}/name", {"name": "support"})
    ran = 0
    for match in re.finditer(r"<!-- test: (.*?) -->|^\$ difyops (.*)$", PAGE.read_text(), re.MULTILINE):
        match (match[1] or "").split():
            case ["traffic", "support", count]:
                for number in range(int(count)):
                    colleague.run(app, {"text": f"hi {number}"})
            case ["edit", "support", kind]:
                colleague.edit(app, better if kind == "good" else broken)
            case []:
                done = cli(*shlex.split(match[2], comments=True))
                expected = re.search(r"# exit (\d+)", match[2])
                assert done.code == (int(expected[1]) if expected else 0), (match[2], done.out, done.err)
                ran += 1
            case other:
                raise AssertionError(other)
    assert ran >= 8

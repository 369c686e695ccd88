"""Every command that docs/promotion.md shows is run between two instances, with the exit code that it states."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.release.conftest import better
from tests.snapshot.colleague import Colleague

PAGE = (Path(__file__).parents[2] / "docs" / "promotion.md").read_text()


def test_every_command_of_the_page(
    cli: Cli, connected: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    prod = Emulator(seed=99)
    monkeypatch.setenv("PROD_TOKEN", "a-made-up-token")
    with prod.listening() as url:
        dev_side = Colleague(connected, str(emulator.admin_key), emulator.workspace_id)
        prod_side = Colleague(url, str(prod.admin_key), prod.workspace_id)
        for name, where, email in (("dev", connected, emulator.email), ("prod", url, prod.email)):
            words = ("context", "add", name, "--user", "--url", where, "--email", email)
            assert cli(*words, "--password", "env:DIFY_PASSWORD").code == 0
        for side, name in ((dev_side, "support-dev"), (prod_side, "support")):
            side.call("POST", f"/apps/{side.app_id('wf-echo')}/name", {"name": name})
        app = prod_side.app_id("support")
        for number in range(20):
            prod_side.run(app, {"text": f"hi {number}"})
        keys = prod_side.call("GET", f"/apps/{app}/api-keys")
        ran = 0
        for match in re.finditer(r"<!-- test: (.*?) -->|^\$ difyops (.*)$", PAGE, re.MULTILINE):
            match (match[1] or "").split():
                case ["file", path]:
                    Path(path).write_text(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1])  # type: ignore[index]
                case ["edit", "support-dev", "good"]:
                    dev_side.edit(dev_side.app_id("support-dev"), better)
                    dev_side.publish(dev_side.app_id("support-dev"))
                case ["traffic", "support", count]:
                    for number in range(int(count)):
                        prod_side.run(app, {"text": f"hi {number}"})
                case []:
                    done = cli(*shlex.split(match[2], comments=True))
                    expected = re.search(r"# exit (\d+)", match[2])
                    assert done.code == (int(expected[1]) if expected else 0), (match[2], done.out, done.err)
                    ran += 1
                case other:
                    raise AssertionError(other)
        assert ran == 4
        assert "# better" in str(prod_side.live(app)["graph"])
        assert prod_side.call("GET", f"/apps/{app}/api-keys") == keys
    assert os.environ["PROD_TOKEN"] not in Path("promotion.yaml").read_text()

"""Two machines race for one rollback, as processes of their own: one rolls back, the other is told by whom."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.cli.processes import WORDS
from tests.conftest import Cli
from tests.processes import Process
from tests.runbook.servers import PG_CANARY
from tests.snapshot.colleague import Colleague
from tests.snapshot.conftest import colleague, v1
from tests.snapshot.test_faults import spoiled

__all__ = ["colleague", "v1"]
HOSTS = ("machine-a", "machine-b")


def started(host: str, folder: Path, shared_url: str) -> Process:
    own = {
        "DIFYOPS_HOST": host, "DIFYOPS_STATE": shared_url, "DIFYOPS_STATE_PASSWORD": PG_CANARY,
        "DIFYOPS_STATE_FOLDER": str(folder / host),
    }  # fmt: skip
    return Process(
        [*WORDS, "snapshot", "rollback", "wf-llm", "--to", "v1", "--yes", "-o", "json"],
        env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rounds", [1, pytest.param(50, marks=pytest.mark.long)])
def test_of_two_machines_one_rolls_back_and_the_other_is_told(
    v1: str, colleague: Colleague, emulator: Emulator, cli: Cli, tmp_path: Path, shared_url: str, rounds: int
) -> None:
    app = emulator.app_named("wf-llm")
    target = colleague.live(app.id)["graph"]
    emulator.control.seconds = 0.05  # the first is still at it when the second comes
    for _ in range(rounds):
        spoiled(colleague)
        before = len(app.versions)
        racing = [started(host, tmp_path, shared_url) for host in HOSTS]
        said = [json.loads(process.communicate(timeout=600)[0]) for process in racing]
        assert colleague.live(app.id)["graph"] == target
        assert len(app.versions) == before + 1, "published once"
        acted = [each for each in said if each["ok"] and each["data"]["apps"][0]["state"] == "rolled back"]
        assert len(acted) == 1, said
        (other,) = (each for each in said if each is not acted[0])
        if not other["ok"]:
            assert other["error"]["code"] == "lock_held", other
            assert HOSTS[said.index(acted[0])] in other["error"]["message"]

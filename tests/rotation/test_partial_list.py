"""``secret list``: what could not be seen makes it partial (3); a date in the future is a finding."""

from __future__ import annotations

from pathlib import Path

from difyops.emulator import Emulator
from difyops.runbook.result import Fail
from tests.conftest import Cli
from tests.runbook.runbook_tools import check, staged


def test_the_list_of_a_normal_member_is_partial(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.account("owner").role = "normal"
    ran = cli("secret", "list", "-o", "json")
    assert ran.code == 3, ran.err
    assert ran.json["error"]["code"] == "partial"
    assert ran.json["warnings"]


async def test_a_secret_that_was_made_in_the_future_is_a_finding(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        stage.emulator.app_named("wf-llm").keys[0].created_at += 90 * 86400
        async with stage.resources() as resources:
            found = await check(resources, "secret.age")
    assert isinstance(found, Fail), found
    assert "1 secret is dated in the future" in found.text
    assert "wf-llm" in found.text

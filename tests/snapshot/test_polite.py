"""What the server is asked for, counted by the server itself."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.snapshot.colleague import Colleague, break_prompt


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(apps=4)


def counted(emulator: Emulator) -> dict[str, Any]:
    return dict(emulator.control.counts())


def per_app(emulator: Emulator) -> dict[str, int]:
    return dict(counted(emulator)["app_calls"])


def test_at_most_four_calls_for_a_new_app_and_two_or_three_for_an_unchanged_one(
    cli: Cli, connected: str, emulator: Emulator
) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    first = per_app(emulator)
    assert len(first) == 12
    assert max(first.values()) <= 4
    assert counted(emulator)["max_in_flight"] <= 4
    emulator.control.reset_counts()
    assert cli("snapshot", "create", "-q").code == 0
    calls = per_app(emulator)
    assert max(calls.values()) <= 3  # one of them for the triggers, which are switched without a new version
    assert sum(number > 2 for number in calls.values()) == 2


def test_live_only_asks_for_nothing_beyond_the_list(cli: Cli, connected: str, emulator: Emulator) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    colleague = Colleague(connected, str(emulator.admin_key), emulator.workspace_id)
    app = colleague.app_id("wf-llm")
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    emulator.control.reset_counts()
    assert cli("snapshot", "create", "--live-only", "-q").code == 0
    assert set(per_app(emulator)) == {app}


def test_no_more_in_flight_than_asked_for(cli: Cli, connected: str, emulator: Emulator) -> None:
    emulator.control.delay(0.005)
    assert cli("snapshot", "create", "-q", "--max-in-flight", "9").code == 0
    assert 5 <= counted(emulator)["max_in_flight"] <= 9

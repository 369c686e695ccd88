"""The emulator answers as the recorded server did: same status, same headers that matter, same JSON shape."""

from __future__ import annotations

import inspect

import pytest

from difyops.emulator import events
from tests.emulator import scenarios_1_13_0, scenarios_1_13_0_runs, scenarios_1_16_1, scenarios_later, test_stops
from tests.emulator.replay import RECORDINGS, Case, Replay, Scenario

SCENARIOS = (
    *scenarios_1_13_0.SCENARIOS,
    *scenarios_1_13_0_runs.SCENARIOS,
    *scenarios_later.SCENARIOS,
    *scenarios_1_16_1.SCENARIOS,
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda item: f"{item.folder}/{item.name}")
async def test_the_emulator_answers_as_recorded(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    if scenario.name != "stop-and-ping":
        monkeypatch.setattr(events, "PING_SECONDS", 10_000.0)  # no ping comes because this machine is slow
    replay = Replay(scenario)
    differences: list[str] = []
    async with replay.client:
        for step in scenario.steps:
            if isinstance(step, Case):
                differences += await replay.play(step)
                continue
            done = step(replay)
            if inspect.isawaitable(done):
                await done
    assert not differences, "\n".join(differences)


def test_every_recording_in_the_folder_is_replayed() -> None:
    replayed = {
        (scenario.folder, step.name) for scenario in SCENARIOS for step in scenario.steps if isinstance(step, Case)
    }
    replayed |= {("1.13.0", name) for name in test_stops.RECORDINGS}
    kept = {(path.parent.name, path.stem) for path in RECORDINGS.glob("*/*.json")}
    assert kept == replayed

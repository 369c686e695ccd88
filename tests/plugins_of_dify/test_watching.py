"""Runs after an upgrade against those before it: what is proven worse takes it back, what cannot be told is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.errors import AnswerIsNo
from difyops.plugins_of_dify.plan import make_plan
from difyops.plugins_of_dify.upgrade import UpgradeOptions, upgrade
from difyops.plugins_of_dify.watching import UpgradeWatch, judge
from difyops.release.gates import GateEvent
from difyops.release.plan import Gates
from tests.release.conftest import ANY_SPEED, timed_rig

MODELS = "langgenius/openai"


def events(count: int, failed: int = 0, outcome: str = "ours") -> list[GateEvent]:
    """Return runs of which the last ones failed."""
    return [
        GateEvent(id=str(number), outcome=outcome if number >= count - failed else "good", ended=float(number))
        for number in range(count)
    ]


def word(before: dict[str, list[GateEvent]], after: dict[str, list[GateEvent]], number: int = 1) -> str:
    return judge(before, after, Gates(), number=number, wanted=10).word


def test_one_broken_app_among_many_is_found() -> None:
    names = [f"app-{number}" for number in range(50)]
    before = {name: events(60) for name in names}
    after = {name: events(10) for name in names}
    assert word(before, after) == "pass"
    assert word(before, {**after, "app-7": events(10, 10)}) == "fail"


def test_what_breaks_all_of_them_is_found_after_few_runs_each() -> None:
    before = {f"app-{number}": events(60) for number in range(6)}
    assert word(before, {name: events(1, 1) for name in before}) == "fail"
    assert word(before, {name: events(1, 1) for name in list(before)[:2]}) == "inconclusive"


def test_apps_that_failed_before_prove_nothing() -> None:
    before = {"app": [*events(30, 15), *events(30, 15)]}
    assert word(before, {"app": events(20, 10)}) == "pass"


def test_failures_of_others_and_too_few_runs_decide_nothing() -> None:
    before = {"app": events(60)}
    assert word(before, {"app": events(20, 20, "provider")}) == "inconclusive"
    assert word(before, {"app": events(9)}) == "inconclusive"
    assert word({}, {"app": events(20, 20)}) == "pass"  # nothing is known of before: nothing is worse


@pytest.mark.parametrize(
    ("said", "mood", "back"),
    [("hi [[fail=bad]]", "happy", True), ("hi", "provider_down", False), ("hi", "happy", False)],
)
async def test_apps_that_name_no_version_are_watched_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, mood: str, back: bool
) -> None:
    """A model names its provider only: nothing is rewritten, and whether its apps still work is seen all the same."""
    monkeypatch.setenv("EMULATED_PASSWORD", Emulator().password)
    async with timed_rig(tmp_path / "state") as (rig, clock):
        daemon, workspace = rig.emulator.instance.daemon, rig.workspace
        (former,) = [item["plugin_unique_identifier"] for item in daemon.installed() if item["plugin_id"] == MODELS]
        daemon.offer(MODELS, "9.9.9")
        await rig.ask("wf-llm", 30, query="hi")
        plan = await make_plan(workspace.instance, [app async for app in rig.console.apps()], MODELS, None)
        assert plan.apps == ()
        assert rig.app_id("wf-llm") in plan.users

        class Busy:
            """The same clock with callers: while one waits, they ask."""

            now, monotonic = clock.now, clock.monotonic

            async def sleep(self, seconds: float) -> None:
                clock.seconds += max(seconds, 70)  # a server that does not tell its time: a minute of doubt
                rig.emulator.control.mood(mood)
                await rig.ask("wf-llm", 6, query=said)

        watch = UpgradeWatch(
            instance=workspace.instance, app_ids=plan.users, clock=Busy(), state=workspace.state, seconds=200.0,
            gates=ANY_SPEED,
        )  # fmt: skip
        clock.seconds += 70
        await watch.begin()
        options = UpgradeOptions(watch=watch)
        if back:
            with pytest.raises(AnswerIsNo, match="18 of 18 runs failed after the upgrade, 0 of 30 before it"):
                await upgrade(workspace, plan, options)
        else:
            await upgrade(workspace, plan, options)
            assert watch.last.events == (18 if mood == "happy" else 0)
        installed = [item["plugin_unique_identifier"] for item in daemon.installed()]
        assert (former in installed) == back

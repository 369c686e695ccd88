"""The process ends before or after each effect: finished or undone by the next command, nothing left, nothing lost."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.release.holds import holds
from difyops.release.plan import ReleasePlan, Shadow
from difyops.release.run import ReleaseOptions, apply
from tests.drill.conftest import Killed, killing
from tests.release.conftest import Rig, better, broken

FORWARD, BACK = 41, 7


class Names(list[str]):
    """A checkpoint that counts."""

    def __call__(self, name: str) -> None:
        self.append(name)


async def ready(rig: Rig) -> ReleasePlan:
    """Return the plan of a good version that stands in a shadow first."""
    for number in range(3):
        await rig.ask("wf-echo", 1, text=f"hi {number}")
    await rig.edit("wf-echo", better)
    return await rig.plan("wf-echo", shadow=Shadow(calls=3, least=2, at_once=1))


async def failing(rig: Rig) -> ReleasePlan:
    """Return the plan of a broken version that is live and failed one look; the next one takes it back."""
    rig.past("wf-echo", 60)
    await rig.edit("wf-echo", broken)
    plan = await rig.plan("wf-echo")
    await rig.apply(plan)
    await rig.ask("wf-echo", 6)
    assert (await rig.apply(plan)).looks[-1]["word"] == "fail"
    await rig.ask("wf-echo", 6)
    return plan


async def end(rig: Rig, way: str) -> Any:
    """End what is open, as the next command does."""
    recovery = Recovery(journal=rig.workspace.journal, kinds=kinds())
    for record in rig.open:
        assert await recovery.tell(rig.workspace.instance, record)
        ended = await (recovery.finish if way == "finish" else recovery.undo)(rig.workspace.instance, record)
        assert ended.error is None, ended
    assert rig.open == []


async def test_these_are_all_the_steps(rig: Rig) -> None:
    names = Names()
    await rig.apply(await ready(rig), checkpoint=names)
    assert len(names) == FORWARD, names
    await end(rig, "undo")
    names = Names()
    await rig.apply(await failing(rig), checkpoint=names)
    assert len(names) == BACK, names


@pytest.mark.exhaustive(20)
@pytest.mark.parametrize("step", range(1, FORWARD + 1))
@pytest.mark.parametrize("way", ["finish", "undo"])
async def test_killed_on_the_way_to_live(rig: Rig, step: int, way: str) -> None:
    former, apps = await rig.live_graph("wf-echo"), rig.names()
    plan = await ready(rig)
    drafted = await rig.draft_graph("wf-echo")
    with pytest.raises(Killed):
        await apply(rig.workspace, plan, ReleaseOptions(wait=0.0, checkpoint=killing(step)))
    await end(rig, way)
    assert await rig.live_graph("wf-echo") == (drafted if way == "finish" else former)
    assert await rig.draft_graph("wf-echo") == drafted
    assert rig.names() == apps


@pytest.mark.exhaustive(6)
@pytest.mark.parametrize("step", range(1, BACK + 1))
@pytest.mark.parametrize("way", ["finish", "undo"])
async def test_killed_on_the_way_back(rig: Rig, step: int, way: str) -> None:
    former = await rig.live_graph("wf-echo")
    plan = await failing(rig)
    drafted = await rig.draft_graph("wf-echo")
    with pytest.raises(Killed):
        await apply(rig.workspace, plan, ReleaseOptions(wait=0.0, checkpoint=killing(step)))
    await end(rig, way)
    assert await rig.live_graph("wf-echo") == former
    assert await rig.draft_graph("wf-echo") == drafted
    assert len(holds(rig.workspace.ledger, plan.app_id)) == (way == "finish")

"""Promotion between two instances: what is translated, what is refused, what stays, rings."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from difyops.api.instance import ConnectOptions, connect
from difyops.clock import SystemClock
from difyops.config import Context
from difyops.emulator import Emulator
from difyops.emulator.routes.service_datasets import new_dataset
from difyops.errors import StalePlan, UsageError
from difyops.ledger import Ledger
from difyops.release.cases import gate_of
from difyops.release.plan import Gates, Shadow, runs_of, write_plan
from difyops.release.planning import PlanRequest
from difyops.release.promote.bindings import Bindings, read_bindings
from difyops.release.promote.plan import Promotion, read_promotion
from difyops.release.promote.run import Promoting, carry_out, make_promotion
from difyops.release.run import ReleaseOptions
from difyops.release.status import abort
from difyops.workspace import Workspace
from tests.release.conftest import ANY_SPEED, QUICK, Rig, better, broken, node_of


class Fleet:
    """Several instances in process: the first one is where apps come from."""

    def __init__(self, rigs: dict[str, Rig]) -> None:
        self.rigs = rigs

    def __getitem__(self, name: str) -> Rig:
        return self.rigs[name]

    async def plan(
        self, *apps: str, to: tuple[str, ...] = ("prod",), how: Bindings | None = None, **fields: Any
    ) -> Promotion:
        source = self.rigs["dev"]
        chosen = [app async for app in source.console.apps() if app.name in apps]
        watch = replace(QUICK, events=4, least=2)
        gates, cases = fields.pop("gates", ANY_SPEED), fields.pop("cases", None)
        request = PlanRequest(app_id="", shadow=Shadow(calls=0), watch=watch, gates=gates, cases=cases)
        targets = [(self.rigs[name].workspace, how or Bindings()) for name in to]
        return await make_promotion(
            source.workspace.instance, chosen, targets, request,
            **{"pause": 0.0, "with_secrets": False, "clock": SystemClock(), **fields},
        )  # fmt: skip

    async def apply(self, promotion: Promotion) -> Promoting:
        @contextlib.asynccontextmanager
        async def opened(name: str) -> AsyncIterator[Workspace]:
            yield self.rigs[name].workspace

        options = ReleaseOptions(wait=0.0)
        return await carry_out(self.rigs["dev"].workspace.instance, opened, promotion, options)


async def rig_of(name: str, state: Path) -> Rig:
    emulator = Emulator(seed=sum(map(ord, name)))
    context = Context(
        name=name, url=f"http://{name}.test", source="test", email=emulator.email, password="env:EMULATED_PASSWORD"
    )
    carrier = httpx.ASGITransport(emulator.app, raise_app_exceptions=False)
    instance = await connect(context, ConnectOptions(state=state, carrier=carrier))
    return Rig(
        emulator, Workspace(instance=instance, state=state, ledger=Ledger.open(state / "ledger.sqlite3"), actor="t")
    )


@pytest.fixture
async def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    monkeypatch.setenv("EMULATED_PASSWORD", Emulator().password)
    rigs = {name: await rig_of(name, tmp_path / name) for name in ("dev", "prod", "last")}
    try:
        yield Fleet(rigs)
    finally:
        for rig in rigs.values():
            await rig.workspace.instance.close()
            rig.workspace.ledger.close()


async def publish(rig: Rig, name: str, change: Any) -> None:
    await rig.edit(name, change)
    await rig.console.publish(rig.app_id(name))


async def kept_of(rig: Rig, name: str) -> dict[str, Any]:
    """Return what must stay in a target: id, name, address, keys, switches, secrets."""
    app = await rig.console.app(rig.app_id(name))
    keys = [key.token for key in rig.emulator.instance.keys.values() if key.app_id == app.id]
    return {
        "id": app.id, "name": app.name, "api": app.enable_api, "site": app.enable_site, "keys": keys,
        "url": app.raw.get("site"), "secrets": await rig.console.clear_environment(app.id) if app.has_workflow else {},
    }  # fmt: skip


async def test_what_is_live_goes_over_and_everything_else_stays(fleet: Fleet) -> None:
    dev, prod = fleet["dev"], fleet["prod"]
    await publish(dev, "wf-llm", lambda document: document["graph"]["nodes"][0]["data"].update(title="Begin"))

    def secret(document: dict[str, Any]) -> None:
        document["environment_variables"][0]["value"] = "prod-token-canary"

    await publish(prod, "wf-llm", secret)
    before = await kept_of(prod, "wf-llm")
    await prod.ask("wf-llm", 8, query="hi")
    promotion = await fleet.plan("wf-llm")
    assert promotion.problems == ()
    assert "canary" not in str(promotion.as_data())
    held = await fleet.apply(promotion)
    assert [(row.state, row.verdict) for row in held.rows] == [("held", "inconclusive")]
    assert held.error is not None
    assert held.error.exit_code == 3
    assert (await prod.live_graph("wf-llm"))["nodes"][0]["data"]["title"] == "Begin"
    await prod.ask("wf-llm", 5, query="hi")
    done = await fleet.apply(promotion)
    assert [row.state for row in done.rows] == ["passed"], done
    assert done.error is None
    assert await kept_of(prod, "wf-llm") == before
    assert "prod-token-canary" in before["secrets"].values()
    again = await fleet.apply(promotion)
    assert [row.state for row in again.rows] == ["passed"]


async def test_a_dataset_is_bound_by_name_or_stops_the_plan(fleet: Fleet) -> None:
    dev, prod = fleet["dev"], fleet["prod"]
    here = new_dataset(dev.emulator.instance, "handbook-dev")

    def look_up(document: dict[str, Any]) -> None:
        data = {
            "type": "knowledge-retrieval",
            "title": "Look up",
            "dataset_ids": [here.id],
            "query_variable_selector": [],
        }
        document["graph"]["nodes"].append({"id": "look", "type": "custom", "data": data})

    await publish(dev, "wf-echo", look_up)
    blocked = await fleet.plan("wf-echo", "wf-llm")
    ((ring, app, row),) = blocked.problems
    assert (ring, app, row.kind, row.name) == ("prod", "wf-echo", "dataset", "handbook-dev")
    assert blocked.rings[0].steps[0].source_name == "wf-echo"  # what cannot be resolved comes first
    with pytest.raises(StalePlan):
        await fleet.apply(blocked)
    there = new_dataset(prod.emulator.instance, "handbook")
    bound = await fleet.plan("wf-echo", how=Bindings(datasets={"handbook-dev": "handbook"}))
    assert bound.problems == ()
    await fleet.apply(bound)
    (node,) = [node for node in (await prod.live_graph("wf-echo"))["nodes"] if node["id"] == "look"]
    assert node["data"]["dataset_ids"] == [there.id]
    await abort(prod.workspace, "wf-echo")
    again = await fleet.plan("wf-echo", how=Bindings(datasets={"handbook-dev": "handbook"}))
    prod.emulator.instance.datasets.clear()
    with pytest.raises(StalePlan, match="handbook"):  # a binding that vanished
        raise (await fleet.apply(again)).error or AssertionError


@pytest.mark.parametrize("moved", ["dev", "prod"])
async def test_a_side_that_moved_refuses(fleet: Fleet, moved: str) -> None:
    await publish(fleet["dev"], "wf-echo", better)
    promotion = await fleet.plan("wf-echo")
    await publish(fleet[moved], "wf-echo", lambda document: node_of(document, "code").update(title="moved"))
    before = await fleet["prod"].live_graph("wf-echo")
    with pytest.raises(StalePlan):
        await fleet.apply(promotion)
    assert await fleet["prod"].live_graph("wf-echo") == before


async def test_a_failed_gate_stops_the_rings_after_it(fleet: Fleet) -> None:
    await publish(fleet["dev"], "wf-echo", broken)
    former, last = await fleet["prod"].live_graph("wf-echo"), await fleet["last"].live_graph("wf-echo")
    fleet["prod"].past("wf-echo", 60)
    promotion = await fleet.plan("wf-echo", to=("prod", "last"))
    found = await fleet.apply(promotion)
    assert [(row.ring, row.state) for row in found.rows] == [("prod", "held"), ("last", "not begun")]
    for _ in range(2):
        await fleet["prod"].ask("wf-echo", 6)
        found = await fleet.apply(promotion)
    assert [(row.ring, row.state) for row in found.rows] == [("prod", "rolled back"), ("last", "not begun")]
    assert found.error is not None
    assert found.error.exit_code == 5
    assert await fleet["prod"].live_graph("wf-echo") == former
    assert await fleet["last"].live_graph("wf-echo") == last


async def test_variables_and_secrets_by_the_bindings(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def more(document: dict[str, Any]) -> None:
        document["environment_variables"] += [
            {"id": f"v{number}", "name": name, "value_type": kind, "value": value, "description": ""}
            for number, (name, kind, value) in enumerate(
                [("REGION", "string", "dev"), ("LIMIT", "number", 1), ("NEW_KEY", "secret", "dev-secret-canary")]
            )
        ]

    await publish(fleet["dev"], "wf-llm", more)
    blocked = await fleet.plan("wf-llm")
    assert [(row.kind, row.here) for _, _, row in blocked.problems] == [("secret", "env:NEW_KEY")]
    monkeypatch.setenv("PROD_KEY", "prod-secret-canary")
    how = Bindings(variables={"REGION": "=eu", "LIMIT": "take"}, secrets={"NEW_KEY": "env:PROD_KEY"})
    bound = await fleet.plan("wf-llm", how=how)
    assert bound.problems == ()
    assert "canary" not in str(bound.as_data())
    await fleet.apply(bound)
    live = await fleet["prod"].console.clear_environment(fleet["prod"].app_id("wf-llm"))
    assert (live["NEW_KEY"], live["REGION"], live["LIMIT"]) == ("prod-secret-canary", "eu", 1)
    await abort(fleet["prod"].workspace, "wf-llm")
    taken = await fleet.plan("wf-llm", with_secrets=True)
    assert taken.problems == ()
    assert "canary" not in str(taken.as_data())


async def test_what_is_not_there_is_named(fleet: Fleet) -> None:
    await fleet["dev"].console.update_app(fleet["dev"].app_id("wf-echo"), {"name": "only-here", "icon": "x"})
    found = await fleet.plan("only-here", "wf-llm", how=Bindings(models={"gpt-4o-mini": "gpt-none"}))
    said = {(app, row.kind): row.problem for _, app, row in found.problems}
    assert "no app is called 'only-here' in prod" in said["only-here", "app"]
    assert "gpt-none" in said["wf-llm", "model"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", ":1: must be a mapping (bindings)"),
        ("bindings:\n  - {from: dev}", ":2: bindings[0].to: this field is required"),
        (
            "bindings:\n  - from: dev\n    to: prod\n    data: {}",
            ":4: bindings[0].data: unknown field 'data'",
        ),
        ("bindings:\n  - from: dev\n    to: prod\n    datasets: [a]", ":4: bindings[0].datasets: must be a mapping"),
        ("bindings:\n  - from: dev\n    to: prod\n    variables: {A: b}", ":4: bindings[0].variables.A: expected keep"),
    ],
)
def test_a_bindings_file_that_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_bindings(path, "dev", "prod")
    assert said in caught.value.message


async def test_the_gates_of_cases_and_prices_go_along(fleet: Fleet, tmp_path: Path) -> None:
    file, path = tmp_path / "cases.jsonl", tmp_path / "p.yaml"
    file.write_text('{"id": "one", "inputs": {"text": "hi"}, "expect": [{"contains": "HI"}]}\n')
    await publish(fleet["dev"], "wf-echo", better)
    gate = gate_of(file, margin=0.1)
    made = await fleet.plan("wf-echo", cases=gate, gates=Gates(pricier=0.2))
    write_plan(path, made.as_data())
    (step,) = read_promotion(path).rings[0].steps
    assert step.plan is not None
    assert (step.plan.cases, step.plan.gates.pricier) == (gate, 0.2)
    assert runs_of(step.plan) == 4

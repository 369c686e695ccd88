"""Each shipped runbook, run against the emulated instance in the state it is for, and in a healthy one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from difyops.clock import SystemClock, iso
from difyops.cost.budgets_file import FILE as BUDGETS
from difyops.cost.budgets_file import Budget, write_budgets
from difyops.cost.prices import load_prices
from difyops.emulator.providers import SECRET_FIELD, Credential
from difyops.emulator.routes.console_keys import new_key
from difyops.emulator.routes.service_datasets import new_dataset, new_document
from difyops.history.store import History
from difyops.ledger import Event, Ledger
from difyops.runbook.library import shipped_folder
from difyops.runbook.load import load
from difyops.runbook.resources import Resources
from difyops.runbook.undoing import undoing
from difyops.snapshot.take import TakeOptions, take
from tests.cost.conftest import Book, node
from tests.runbook.runbook_tools import Stage, add_run, carried, change_live, consent, results
from tests.slo.kept import App as Kept

Prepare = Callable[[Stage], None]
SCHEMA = str(Path(__file__).parent / "answer.schema.json")


def nothing(stage: Stage) -> None:
    """Leave the instance as it is: well."""


def traffic(stage: Stage, app: str = "wf-echo", *, failed: int = 0, seconds: float = 1.0) -> None:
    for number in range(30):
        add_run(stage, app, ago=5000 - number)
    for number in range(30):
        status = "failed" if number < failed else "succeeded"
        add_run(stage, app, ago=1000 - number, status=status, seconds=seconds)


def busy_yesterday(stage: Stage) -> None:
    for number in range(400):  # one every six minutes of the last two days: yesterday has some in any time zone
        add_run(stage, "wf-echo", ago=48 * 3600 - number * 360)


def knowledge(stage: Stage) -> Any:
    instance = stage.emulator.instance
    new_key(instance, None)
    document = new_document(instance, new_dataset(instance, "handbook"), "hours.txt", "Opening hours are nine to five.")
    document.ready_at = 0.0
    return document


def fallback_key(stage: Stage) -> None:
    instance = stage.emulator.instance
    item = Credential(id=instance.new_id(), name="fallback", values={SECRET_FIELD: "sk-good-2"})
    instance.provider.credentials.append(item)


def costs(stage: Stage, tokens: int = 11_000) -> None:
    add_run(stage, "wf-echo", ago=5000, total_tokens=10_000)
    add_run(stage, "wf-echo", ago=1000, total_tokens=tokens)


def mood(name: str) -> Prepare:
    return lambda stage: stage.emulator.control.mood(name)


def spike(stage: Stage) -> None:
    traffic(stage, "wf-llm", failed=20)
    change_live(stage, "wf-llm", lambda graph: graph["nodes"][0]["data"].update(title="Release of Friday"))


def revoked(stage: Stage) -> None:
    fallback_key(stage)
    stage.emulator.control.revoke("sk-good-1")


def empty_store(stage: Stage) -> None:
    knowledge(stage).enabled = False


def failed_document(stage: Stage) -> None:
    document = knowledge(stage)
    document.broken = True


def dead_run(stage: Stage) -> None:
    add_run(stage, "wf-echo", ago=9000, status="running")


def switched_off(stage: Stage) -> None:
    state = stage.emulator.app_named("wf-echo")
    state.enable_api = False
    state.changed()


def both_off(stage: Stage) -> None:
    for name in ("wf-echo", "wf-llm"):
        state = stage.emulator.app_named(name)
        state.enable_api = False
        state.changed()


def old_key(stage: Stage) -> None:
    stage.emulator.app_named("wf-llm").keys[0].created_at -= 200 * 86400


def broken_app(stage: Stage) -> None:
    change_live(stage, "wf-llm", lambda graph: graph["edges"].clear())


def goals(stage: Stage, *, failing: int = 0) -> None:
    """Keep a week of an app's runs, of which the newest failed, and a goal for them."""
    now = stage.emulator.instance.clock.now().timestamp()
    Path("slo.yaml").write_text("goals:\n  - name: echo-works\n    apps: [wf-echo]\n    target: 99\n    period: 7d\n")
    with History.open(stage.folder / "state") as history:
        app = Kept(history, id=stage.emulator.app_named("wf-echo").id, name="wf-echo", context="emu")
        app.spread(300, now - 6 * 86400, now - 3600)
        app.spread(
            30, now - 3600, now - 200, "failed" if failing else "succeeded", kind="other", node=("code", "other")
        )
        app.write(since=now - 8 * 86400, upto=now - 120)


def drilled(stage: Stage) -> None:
    """Let a drill have passed a day ago."""
    yesterday = SystemClock().now() - timedelta(days=1)
    data = {"id": "d", "ended": iso(yesterday), "verdict": "pass", "apps": [], "rto": 1.0, "findings": []}
    with contextlib.closing(Ledger.open(stage.folder / "state" / "ledger.sqlite3")) as ledger:
        ledger.append(Event(kind="drill.ended", subject="emu", when=yesterday, context="emu", data=data))


def few_apps(stage: Stage) -> None:
    """Leave two apps, so that the drill is short."""
    instance = stage.emulator.instance
    for app in list(instance.apps.values()):
        if app.name not in ("wf-echo", "chat-basic"):
            del instance.apps[app.id]


def over_budget(stage: Stage) -> None:
    """Keep runs that cost more than a budget of today allows."""
    costs(stage)
    now = stage.emulator.instance.clock.now().timestamp()
    app = stage.emulator.app_named("wf-echo").id
    made = Budget(
        name="echo", context="emu", hard=Decimal(5), soft=Decimal(4), period="day", apps=("wf-echo",), price="dify"
    )
    write_budgets(stage.folder / BUDGETS, [made])
    with History.open(stage.folder / "state") as history:
        book = Book(history, load_prices(), context="emu")
        history.note_app("emu", app, name="wf-echo", mode="workflow")
        book.run(app, node("draft", 100, 10, "9"), at=now - now % 86400)
        book.cover(app, now - 40 * 86400, now - 120)


@dataclass(frozen=True)
class Case:
    """A runbook in one state of the instance, and what it must say."""

    runbook: str
    state: str
    verdict: str
    prepare: Prepare = nothing
    inputs: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    snapshot: bool = True
    act: bool = False
    before: Prepare = nothing


CASES = [
    Case("morning-check", "healthy", "pass", inputs={"probe_app": "wf-echo"}, before=busy_yesterday),
    Case(
        "morning-check", "redis down", "fail", mood("redis_down"), {"probe_app": "wf-echo"},
        {"health": "fail", "worker": "skipped", "wiring": "skipped", "backup": "pass"},
    ),
    Case("morning-check", "quiet", "pass", inputs={}, steps={"failures": "skipped", "health": "pass"}),
    Case(
        "latency-and-failure-spike", "healthy", "pass", before=lambda s: traffic(s, "wf-llm"),
        inputs={"app": "wf-llm"}, steps={"failures": "pass", "latency": "pass", "decide": "skipped"},
    ),
    Case(
        "latency-and-failure-spike", "after a release", "fail", spike, {"app": "wf-llm"},
        {"failures": "fail", "changed": "warn", "decide": "pass", "keep": "pass", "rollback": "pass", "after": "pass"},
        act=True,
    ),
    Case(
        "provider-outage-fallback", "healthy", "pass", fallback_key,
        {"app": "wf-llm", "fallback_credential": "fallback"},
        {"credential": "pass", "probe": "pass", "switch_key": "skipped", "again": "skipped"}, act=True,
    ),
    Case(
        "provider-outage-fallback", "key revoked", "repaired", revoked,
        {"app": "wf-llm", "fallback_credential": "fallback"},
        {"credential": "fail", "probe": "fail", "switch_key": "pass", "again": "pass", "accepted": "pass"}, act=True,
    ),
    Case(
        "provider-outage-fallback", "provider down", "fail", mood("provider_down"),
        {"app": "wf-llm", "model": "gpt-4o-mini", "fallback_model": "gpt-4o"},
        {"credential": "pass", "probe": "fail", "switch_key": "skipped", "switch_model": "pass", "again": "fail"},
        act=True,
    ),
    Case(
        "vector-store-degradation", "healthy", "pass", nothing,
        {"dataset": "handbook", "question": "opening hours?", "document": "hours.txt", "keyword": True},
        before=knowledge,
    ),
    Case(
        "vector-store-degradation", "store empty", "fail", empty_store,
        {"dataset": "handbook", "question": "opening hours?", "document": "hours.txt", "keyword": True},
        {"known": "fail", "exact": "fail", "indexing": "pass"},
    ),
    Case(
        "vector-store-degradation", "document in error", "fail", failed_document,
        {"dataset": "handbook", "question": "opening hours?", "keyword": True},
        {"known": "fail", "indexing": "fail", "retry": "skipped"},
    ),
    Case("queue-saturation", "healthy", "pass", inputs={"probe_app": "wf-echo"}),
    Case("queue-saturation", "neither probe nor broker", "inconclusive", mood("worker_down"), {}, {"health": "pass"}),
    Case(
        "queue-saturation", "no worker", "fail", mood("worker_down"),
        {"probe_app": "wf-echo", "flooding_app": "wf-hook"}, {"health": "pass", "worker": "fail", "protect": "pass"},
        act=True,
    ),
    Case("retry-storm", "healthy", "pass", before=traffic),
    Case(
        "retry-storm", "a storm", "fail", lambda stage: traffic(stage, failed=25), {"flooding_app": "wf-echo"},
        {"attempts": "fail", "decide": "pass", "protect": "pass"}, act=True,
    ),
    Case("runaway-cost", "healthy", "pass", inputs={"window": "1h"}, before=costs),
    Case(
        "runaway-cost", "ten times as much", "fail", nothing, {"window": "1h", "capped_app": "wf-echo"},
        {"tokens": "fail", "cap": "pass"}, act=True, before=lambda stage: costs(stage, 100_000),
    ),
    Case(
        "runaway-cost", "a budget that is over", "fail", nothing,
        {"window": "1h", "budget": "echo", "capped_app": "wf-echo"},
        {"tokens": "pass", "budget": "fail", "cap": "pass"}, act=True, before=over_budget,
    ),
    Case("malformed-answers", "healthy", "pass", inputs={"app": "wf-llm", "schema": SCHEMA}),
    Case(
        "malformed-answers", "after a release", "repaired", broken_app, {"app": "wf-llm", "schema": SCHEMA},
        {"answers": "fail", "changed": "warn", "rollback": "pass", "after": "pass"}, act=True,
    ),
    Case("doctor", "healthy", "pass", inputs={"probe_app": "wf-echo"}),
    Case("doctor", "redis down", "fail", mood("redis_down"), {}, {"parts": "fail", "instance": "pass", "git": "pass"}),
    Case("stuck-runs", "healthy", "pass", inputs={"probe_app": "wf-echo"}),
    Case("stuck-runs", "a worker was killed", "fail", dead_run, {}, {"stuck": "fail", "health": "pass"}),
    Case("auth-failures", "healthy", "pass"),
    Case("auth-failures", "API off on purpose", "pass", before=switched_off, steps={"access": "pass"}),
    Case(
        "auth-failures", "two were switched off and one is on again", "fail", both_off, {"enable": "wf-echo"},
        {"access": "fail", "open": "pass", "after": "fail"}, act=True,
    ),
    Case(
        "auth-failures", "API switched off", "repaired", switched_off, {"enable": "wf-echo"},
        {"health": "pass", "access": "fail", "changed": "warn", "open": "pass", "after": "pass"}, act=True,
    ),
    Case("recovery-drill", "healthy", "pass", before=drilled, steps={"age": "pass", "drill": "skipped"}),
    Case(
        "recovery-drill", "no drill yet", "repaired", nothing, steps={"age": "fail", "drill": "pass", "after": "pass"},
        act=True, before=few_apps,
    ),
    Case("slo-burn", "healthy", "pass", before=goals),
    Case("slo-burn", "nothing kept", "inconclusive", steps={"burn": "inconclusive", "health": "pass"}),
    Case(
        "slo-burn", "a budget burns", "fail", spike, steps={"burn": "fail", "health": "pass", "changed": "warn"},
        before=lambda stage: goals(stage, failing=30),
    ),
    Case("secret-expiry", "healthy", "pass"),
    Case("secret-expiry", "an old key", "fail", old_key, {}, {"age": "fail", "provider": "pass", "access": "pass"}),
    Case("backup-freshness", "healthy", "pass"),
    Case(
        "backup-freshness", "no snapshot", "repaired", nothing, {}, {"age": "fail", "take": "pass", "after": "pass"},
        snapshot=False, act=True,
    ),
    Case("upgrade-preflight", "healthy", "pass", inputs={"from_version": "1.13.0", "probe_app": "wf-echo"}),
    Case(
        "upgrade-preflight", "a broken app", "fail", broken_app, {"from_version": "1.13.0"},
        {"wiring": "fail", "version": "pass"},
    ),
    Case(
        "upgrade-verify", "healthy", "pass",
        inputs={"to_version": "1.13.0", "probe_app": "wf-echo", "answer_app": "wf-llm"},
    ),
    Case(
        "upgrade-verify", "not upgraded, worker away", "fail", mood("worker_down"),
        {"to_version": "1.13.3", "probe_app": "wf-echo"}, {"version": "fail", "health": "fail"},
    ),
    Case("incident-response", "healthy", "pass", inputs={"what": "nothing"}, before=traffic),
    Case(
        "incident-response", "an app was switched off", "fail", switched_off, {"what": "403 for everybody"},
        {"health": "pass", "access": "fail", "changed": "warn", "keep": "pass"}, act=True, before=traffic,
    ),
]  # fmt: skip


@pytest.mark.exhaustive(2)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.runbook}: {case.state}")
async def test_a_shipped_runbook_gives_the_right_verdict(stage: Stage, case: Case) -> None:
    runbook = _impatient(load(shipped_folder() / f"{case.runbook}.yaml"))
    case.before(stage)
    async with stage.resources() as resources:
        if case.snapshot:
            await take(await resources.instance(), resources.make_store(), TakeOptions())
        await resources.instance()
        case.prepare(stage)
        resources = _quick(resources)
        allowed = consent(act=case.act, approved=frozenset({"all"}))
        record = await carried(runbook, resources, allow=allowed, inputs=case.inputs)
    found = results(record)
    said = {step.id: (step.result, step.text) for step in record.steps}
    assert record.verdict == case.verdict, said
    assert {key: found[key] for key in case.steps} == case.steps, said


async def test_the_rollback_of_a_spike_can_be_taken_back(stage: Stage) -> None:
    runbook = _impatient(load(shipped_folder() / "latency-and-failure-spike.yaml"))
    async with stage.resources() as resources:
        await take(await resources.instance(), resources.make_store(), TakeOptions())
        spike(stage)
        allowed = consent(act=True, approved=frozenset({"all"}))
        record = await carried(runbook, _quick(resources), allow=allowed, inputs={"app": "wf-llm"})
        assert _title(stage) != "Release of Friday"
        back = await carried(undoing(record), resources, allow=consent(act=True))
    assert back.verdict == "pass", back.steps
    assert _title(stage) == "Release of Friday"


def _title(stage: Stage) -> str:
    live = stage.emulator.app_named("wf-llm").live
    assert live is not None
    return str(live.graph["nodes"][0]["data"]["title"])


def _quick(resources: Resources) -> Resources:
    """Let the clock of the resources not wait: pauses between measurements are not what these tests are about."""
    from difyops.clock import SystemClock

    class Hasty(SystemClock):
        async def sleep(self, seconds: float) -> None:
            await SystemClock.sleep(self, min(seconds, 0.02))

    resources.clock = Hasty()
    return resources


def _impatient(runbook: Any) -> Any:
    """Wait a second instead of half a minute for a worker that is away, and let any disk be large enough."""
    from dataclasses import replace

    def hurried(step: Any) -> Any:
        more: dict[str, Any] = {}
        if step.tool.name == "instance.health":
            more = {"silence": 1}
        if step.tool.name == "disk":
            more = {"min_free_percent": 0, "warn_free_percent": 0}
        return replace(step, parameters={**step.parameters, **more})

    return replace(runbook, steps=tuple(hurried(step) for step in runbook.steps))


def test_every_shipped_runbook_is_tried_healthy_and_in_the_state_it_is_for() -> None:
    names = {path.stem for path in shipped_folder().glob("*.yaml")}
    for name in names - {"canary-failed"}:  # it needs a release: test_runbook_release
        states = [case for case in CASES if case.runbook == name]
        assert any(case.state == "healthy" and case.verdict == "pass" for case in states), name
        assert any(case.verdict in ("fail", "repaired") for case in states), name

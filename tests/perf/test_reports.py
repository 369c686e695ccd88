"""Reports from the history of an emulator: right figures, honest intervals, predictions that come true."""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from difyops.clock import SystemClock
from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past, load_past
from difyops.emulator.records import Run
from difyops.errors import AnswerIsNo
from difyops.history.store import History
from difyops.history.sync import SyncRequest, sync
from difyops.ledger import AuditEntry, Ledger
from difyops.perf.compare import compare
from difyops.perf.facts import Scope, runs, sampled
from difyops.perf.nodes import bottlenecks, profile
from difyops.perf.path import path_of
from difyops.perf.summary import summarise
from difyops.perf.trend import trend
from difyops.perf.whatif import whatif
from difyops.render import perf as views
from difyops.render import perf_nodes as node_views
from difyops.statistics import Interval
from tests.history.conftest import DAY, open_instance, salted

NOW = float(int(SystemClock().now().timestamp()))
CHANGED = NOW - 3 * DAY


def version(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


FIRST, SECOND = version(NOW - 40 * DAY), version(CHANGED)


@dataclass(frozen=True)
class Known:
    """A history, and what really happened."""

    history: History
    state: Path
    runs: list[Run]
    apps: dict[str, str]

    def scope(self, name: str, back: float = 7 * DAY, **fields) -> Scope:
        until = fields.pop("until", NOW)
        since = fields.pop("since", until - back)
        return Scope(context="emu", app=self.apps[name], name=name, since=since, until=until, **fields)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    state = tmp_path_factory.mktemp("perf") / "state"
    emulator = Emulator()
    slower = ((CHANGED, SECOND, {"draft": 2.0}),)
    plan = Past(count=700, since=NOW - 7 * DAY, until=NOW - 300, version=FIRST, changes=slower,
                sources=("app-run", "app-run", "app-run", "webhook", "schedule"))  # fmt: skip
    made = load_past(emulator.instance, emulator.app_named("wf-echo"), plan)
    halved = Past(count=500, since=NOW - DAY, until=NOW - 300, seed=77, version=FIRST, factors={"draft": 0.5})
    usual = Past(count=500, since=NOW - 3 * DAY, until=NOW - 2 * DAY, seed=78, version=FIRST)
    load_past(emulator.instance, emulator.app_named("wf-llm"), halved)
    load_past(emulator.instance, emulator.app_named("wf-llm"), usual)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMULATED_PASSWORD", emulator.password)
        with History.open(state) as history:
            salted(history)
            apps = asyncio.run(_fill(emulator, history, state))
            yield Known(history, state, made, apps)


async def _fill(emulator: Emulator, history: History, state: Path) -> dict[str, str]:
    instance = await open_instance(emulator, state)
    try:
        apps = [app async for app in instance.console.apps()]
        chosen = tuple(app for app in apps if app.name in ("wf-echo", "wf-llm", "chat-basic"))
        request = SyncRequest(apps=chosen, state=state, back=8 * DAY, share=0.2, max_calls=10_000)
        found = await sync(instance, history, request, clock=SystemClock())
        assert found.error is None
        return {app.name: app.id for app in chosen}
    finally:
        await instance.close()


def test_a_summary_counts_what_was(known: Known) -> None:
    found = summarise(known.history, known.scope("wf-echo"))
    timed = [run for run in known.runs if run.status in ("succeeded", "partial-succeeded", "failed")]
    times = sorted(run.elapsed_time for run in timed)
    assert found.period.runs == len(known.runs)
    assert found.period.at(0.95).value == times[math.ceil(0.95 * len(times)) - 1]
    assert found.period.average == pytest.approx(statistics.fmean(times))
    assert (found.period.minimum, found.period.maximum) == (times[0], times[-1])
    assert found.period.tokens == sum(run.total_tokens for run in known.runs)
    assert found.period.success.hits == sum(run.status != "failed" for run in timed)
    assert {name: item.runs for name, item in found.sources.items()} == {
        name: sum(run.triggered_from == name for run in known.runs) for name in ("app-run", "schedule", "webhook")
    }
    assert found.before.runs == 0
    assert found.before.success.share is None


def test_cost_from_a_sample_is_near_the_truth_with_its_interval(known: Known) -> None:
    truth = 0.0
    for run in known.runs:
        assert run.make_nodes is not None
        rows = run.make_nodes()
        truth += sum(float((row.metadata or {}).get("total_price", 0)) for row in rows if row.node_id != "each")
    found = summarise(known.history, known.scope("wf-echo"))
    assert found.cost is not None
    assert found.cost.interval is not None
    assert found.cost.total == pytest.approx(truth, rel=0.06)
    assert found.cost.interval.low < truth * 1.03
    assert found.cost.interval.high > truth * 0.97
    assert found.currency == "USD"


def test_chances_are_recorded_and_failures_are_all_there(known: Known) -> None:
    reads = sampled(known.history, known.scope("wf-echo"), most=10_000)
    reasons = {read.reason for read in reads}
    assert reasons == {"failure", "slow", "drawn"}
    failed = {run.id for run in known.runs if run.status in ("failed", "partial-succeeded")}
    assert failed <= {read.run.id for read in reads}
    assert all(read.chance == 1.0 for read in reads if read.reason != "drawn")
    drawn = [read.chance for read in reads if read.reason == "drawn"]
    assert 0.12 < statistics.fmean(drawn) < 0.3
    weight = sum(1 / read.chance for read in reads)
    assert weight == pytest.approx(len(known.runs), rel=0.12)


def is_near(truth: float, found: float, between: Interval | None) -> bool:
    """Say whether the truth is within twice the reach of an interval: outside of it once is one time in twenty."""
    return between is not None and abs(truth - found) <= 2 * (between.high - found)


def test_shares_from_a_sample_are_weighted(known: Known) -> None:
    """Every failure was read and a fifth of the rest: counted bare, failures would be five times as many."""
    rows = [row for run in known.runs if run.make_nodes for row in run.make_nodes() if run.status != "stopped"]
    found = {node.node: node for node in profile(known.history, known.scope("wf-echo")).nodes}
    for name in ("draft", "search"):
        mine = [row for row in rows if row.node_id == name and row.status != "retry"]
        truth = sum(row.status in ("failed", "exception") for row in mine) / len(mine)
        failures = found[name].failures
        assert failures.share is not None
        assert failures.interval is not None
        assert failures.interval.low <= truth <= failures.interval.high
        assert failures.share == pytest.approx(truth, abs=0.01)
    retried = sum(row.status == "retry" for row in rows if row.node_id == "search")
    search = found["search"]
    assert search.retries == pytest.approx(retried, rel=0.5)
    assert is_near(retried, search.retries, search.retries_interval)
    spent = [(row.metadata or {}).get("total_tokens", 0) for row in rows if row.node_id == "draft"]
    assert is_near(statistics.fmean(spent), found["draft"].tokens, found["draft"].tokens_interval)
    assert summarise(known.history, known.scope("wf-echo")).repeats.share is None  # what a sample repeats is no figure


def test_the_slow_node_is_named_first(known: Known) -> None:
    since = profile(known.history, known.scope("wf-echo", since=CHANGED))
    assert bottlenecks(since)[0].node == "draft"
    found = profile(known.history, known.scope("wf-echo"))
    by_node = {node.node: node for node in found.nodes}
    assert sum(node.path_share for node in found.nodes) == pytest.approx(1.0, abs=0.02)
    assert by_node["draft"].variance_share > by_node["item"].variance_share
    for value, bounds in (
        (by_node["draft"].drag, by_node["draft"].drag_interval),
        (by_node["draft"].path_share, by_node["draft"].path_interval),
        (by_node["draft"].variance_share, by_node["draft"].variance_interval),
        (by_node["draft"].tokens, by_node["draft"].tokens_interval),
        (by_node["search"].retry_seconds, by_node["search"].retry_seconds_interval),
    ):
        assert bounds is not None
        assert bounds.low < value < bounds.high
    assert by_node["search"].retries > 0
    assert by_node["search"].retry_seconds > 0
    assert 0 <= found.unattributed_share < 0.05
    assert by_node["each"].path_share < by_node["item"].path_share  # a container does not take its children's time


@pytest.mark.parametrize(("node", "factor"), [("draft", 0.5)])
def test_what_if_comes_true_when_the_node_really_is_faster(known: Known, node: str, factor: float) -> None:
    before = known.scope("wf-llm", since=NOW - 3 * DAY, until=NOW - 2 * DAY)
    after = known.scope("wf-llm", back=DAY)
    predicted = whatif(known.history, before, node=node, factor=factor)
    truth = [run.elapsed or 0.0 for run in runs(known.history, after) if run.status != "failed"]
    ordered = sorted(run.elapsed or 0.0 for run in runs(known.history, after))
    assert len(truth) > 450
    for found in predicted.then:
        assert found.value is not None
        assert found.value == pytest.approx(ordered[math.ceil(found.share * len(ordered)) - 1], rel=0.10)
    assert predicted.saved > 0.3


def test_a_change_is_found_and_matched_with_what_was_done(known: Known, tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.sqlite3") as ledger:
        published = datetime.fromtimestamp(CHANGED - 60, UTC)
        for subject, when in (("another app", CHANGED - 5), (known.apps["wf-echo"], published.timestamp())):
            entry = AuditEntry(
                actor="li", action="snapshot.rollback", subject=subject, when=datetime.fromtimestamp(when, UTC),
                context="emu", outcome="done",
            )  # fmt: skip
            ledger.audit(entry)
        (change,) = trend(known.history, known.scope("wf-echo"), ledger).changes
    assert abs(change.at.timestamp() - CHANGED) < 6 * 3600
    assert change.ratio is not None
    assert change.ratio > 1.3
    assert change.cause is not None
    assert (change.cause.by, change.cause.what) == ("li", "snapshot.rollback")
    assert "rose" in views.change_text(change)
    (alone,) = trend(known.history, known.scope("wf-echo"), None).changes
    assert alone.cause is not None
    assert alone.cause.subject == SECOND
    quiet = trend(known.history, known.scope("wf-echo", until=CHANGED, back=3 * DAY), None)
    assert quiet.changes == ()


def test_versions_are_compared_and_no_evidence_is_an_outcome(known: Known) -> None:
    one, two = (known.scope("wf-echo", version=name) for name in (FIRST, SECOND))
    found = compare(known.history, one, two, (FIRST, SECOND))
    assert found.verdict == "slower"
    assert isinstance(found.error, AnswerIsNo)
    assert found.times is not None
    assert found.times.interval is not None
    assert found.times.interval.low > 0
    assert found.nodes[0].node == "draft"
    assert compare(known.history, two, one, (SECOND, FIRST)).verdict == "faster"
    a = known.scope("wf-echo", since=NOW - 7 * DAY, until=NOW - 5 * DAY)
    b = known.scope("wf-echo", since=NOW - 5 * DAY, until=CHANGED - 60)
    same = compare(known.history, a, b, ("a", "b"))
    assert same.verdict == "no evidence"
    assert same.error is None
    few = compare(known.history, known.scope("wf-echo", back=600), a, ("a", "b"))
    assert few.verdict == "not enough"


def test_the_path_of_one_run(known: Known) -> None:
    run = sampled(known.history, known.scope("wf-echo"))[0].run
    name, line = path_of(known.history, "emu", run.id[:13])
    assert name == "wf-echo"
    assert line.run == run.id
    assert line.path[0].node == "start"


def test_an_app_without_runs_says_so_in_every_report(known: Known) -> None:
    scope = known.scope("chat-basic")
    empty = summarise(known.history, scope)
    assert empty.period.runs == 0
    assert empty.period.at(0.5).value is None
    assert profile(known.history, scope).nodes == ()
    assert trend(known.history, scope, None).changes == ()
    for outcome in (views.summary(empty), node_views.nodes(profile(known.history, scope))):
        assert outcome.error is None

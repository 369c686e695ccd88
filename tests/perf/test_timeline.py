"""Timelines of recorded runs (1.16.1), critical path and drag as CRISP finds them, and schedules with known answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from difyops.api.run_records import LoggedRun, NodeRecord, graph_shape
from difyops.perf.critical import Span, critical_path, drag
from difyops.perf.facts import NodeFact, RunFact
from difyops.perf.timeline import TimelinePlan, plan, timeline

DATA = Path(__file__).parent / "data"
CRISP = json.loads((DATA / "crisp.json").read_text(encoding="utf-8"))["cases"]
RECORDED = json.loads((DATA / "recorded_1_16_1.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CRISP, ids=[case["case"] for case in CRISP])
def test_critical_path_and_drag_are_those_of_crisp(case) -> None:
    spans = {}
    for name, parent, start, length, end in case["spans"]:
        spans[name] = Span(name, start, end)
        assert end - start == length
        if parent is not None:
            spans[parent].children.append(spans[name])
    root = spans[case["spans"][0][0]]
    path = critical_path(root)
    assert [span.id for span in path] == case["path"]
    assert drag(root, path) == case["drag"]


def fact(record: NodeRecord) -> NodeFact:
    return NodeFact(
        run="r", id=record.id, index=record.index, node=record.node, type=record.type, title=record.title,
        status=record.status, started=record.started, finished=record.finished, elapsed=record.elapsed,
        error_kind="", attempt=record.attempt, container=record.container, round=record.round, tokens=record.tokens,
        price=record.price, currency=record.currency, prompt_tokens=None, completion_tokens=None, provider="",
        model="", first_token=None, finish_reason="", input_hash="", output_hash="", output_size=0, prompt_size=0,
        prefix_hash="",
    )  # fmt: skip


def recorded(name: str, *, graph: bool = True) -> TimelinePlan:
    case = RECORDED[name]
    run = LoggedRun.of_run(case["run"], "app-run")
    found = RunFact(
        run.id, run.source, run.status, run.started, run.elapsed, run.version, run.tokens, run.exceptions, "", ""
    )
    shape = graph_shape(case["graph"]) if graph else None
    return plan(found, [fact(NodeRecord.of(row)) for row in case["nodes"]], shape)


@pytest.mark.parametrize("name", [name for name in RECORDED if name != "human"])
@pytest.mark.parametrize("graph", [True, False])
def test_a_timeline_is_as_long_as_the_run_and_nothing_lies_outside(name: str, graph: bool) -> None:
    line = timeline(recorded(name, graph=graph))
    assert line.total == pytest.approx(RECORDED[name]["run"]["elapsed_time"], abs=0.02)
    assert all(-1e-9 <= bar.start <= bar.end <= line.total + 0.02 for bar in line.bars)
    assert 0 <= line.unattributed <= line.total
    assert line.path


def test_parallel_branches_lie_beside_each_other_and_the_longest_is_critical() -> None:
    line = timeline(recorded("parallel"))
    bars = {bar.node: bar for bar in line.bars}
    assert bars["b1"].start == bars["b2"].start == bars["l"].start
    assert [bar.node for bar in line.path] == ["start", "b2", "agg", "end"]
    assert bars["b2"].drag == pytest.approx(2.063401 - 1.038004)  # then b1 is the longest
    assert bars["b1"].drag == 0
    assert line.unattributed < 0.1
    blind = timeline(recorded("parallel", graph=False))
    assert "b2" in [bar.node for bar in blind.path]


def test_children_of_an_iteration_lie_inside_it_and_count_once() -> None:
    for name, side_by_side in (("iteration", False), ("iteration-parallel", True), ("loop", False)):
        line = timeline(recorded(name))
        (container,) = [bar for bar in line.bars if bar.type in ("iteration", "loop")]
        children = sorted((bar for bar in line.bars if bar.container == container.node), key=lambda bar: bar.round or 0)
        assert len(children) == 3
        assert all(container.start - 1e-9 <= bar.start <= bar.end <= container.end + 0.02 for bar in children)
        starts = {round(bar.start, 6) for bar in children}
        assert len(starts) == (1 if side_by_side else 3)
        assert sum(bar.length for bar in line.top) <= line.total + 0.001


def test_the_final_row_contains_its_attempts() -> None:
    line = timeline(recorded("retry"))
    (node,) = [bar for bar in line.bars if bar.node == "c"]
    assert node.retries == 2
    assert node.retry_seconds == pytest.approx(0.131522 + 0.130736)
    assert node.length == pytest.approx(0.310764)
    assert len([bar for bar in line.bars if bar.node == "c"]) == 1


def test_waiting_for_a_person_is_a_pause_not_a_loss() -> None:
    line = timeline(recorded("human"))
    assert line.paused > 2
    assert line.total < 0.1
    assert line.unattributed < 0.1


def rows(*items: tuple[str, float, float]) -> list[NodeFact]:
    made = []
    for number, (name, started, elapsed) in enumerate(items, 1):
        wire = {"id": name, "index": number, "node_id": name, "node_type": "code", "status": "succeeded",
                "created_at": int(started), "elapsed_time": elapsed}  # fmt: skip
        made.append(fact(NodeRecord.of(wire)))
    return made


def run_of(elapsed: float, started: float = 100.0) -> RunFact:
    return RunFact("r", "app-run", "succeeded", started, elapsed, "v", 0, 0, "", "")


SHAPE = {
    "nodes": [{"id": n} for n in "abcd"],
    "edges": [["a", "b", ""], ["a", "c", ""], ["b", "d", ""], ["c", "d", ""]],
}


def test_ten_seconds_that_no_node_explains_are_shown() -> None:
    found = plan(run_of(13.0), rows(("a", 100, 1), ("b", 111, 1), ("c", 101, 0.5), ("d", 112, 1)), SHAPE)
    line = timeline(found)
    assert line.total == pytest.approx(13.0)
    assert line.unattributed == pytest.approx(13 - 1 - 1 - 0.5 - 1, abs=0.01)
    assert next(bar for bar in line.bars if bar.node == "b").wait == pytest.approx(9.0, abs=1.01)


def test_what_if_computes_the_schedule_anew() -> None:
    found = plan(run_of(13.1), rows(("a", 100, 1), ("b", 101, 10), ("c", 101, 4), ("d", 111, 2)), SHAPE)
    assert found.actual == pytest.approx(13.1)

    def then(node: str, factor: float) -> float:
        return found.total(lambda row: factor if row.node == node else 1.0)

    assert then("b", 0.5) == pytest.approx(8.1)
    assert then("b", 0.0) == pytest.approx(7.1)  # c takes over
    assert then("c", 0.0) == pytest.approx(13.1)
    assert then("a", 3.0) == pytest.approx(15.1)
    bars = {bar.node: bar for bar in timeline(found).bars}
    assert bars["b"].drag == pytest.approx(6.0)


@pytest.mark.parametrize("elapsed", [0.0, None, 5.0])
def test_a_run_without_rows_or_time(elapsed: float | None) -> None:
    line = timeline(plan(RunFact("r", "app-run", "failed", 1.0, elapsed, "", 0, 0, "", ""), [], None))
    assert line.bars == ()
    assert line.total == (elapsed or 0.0)
    assert line.unattributed == (elapsed or 0.0)

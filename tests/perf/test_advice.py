"""Each rule on a case made for it, and on one that only looks like it; dismissal; what a CI job reads."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from difyops.errors import UsageError
from difyops.ledger import Ledger
from difyops.perf.advice import CATEGORIES, SEVERITIES, AdviceCase, AdviceFinding, rules
from difyops.perf.advise import dismiss, dismissals
from difyops.perf.facts import NodeFact, ReadFacts, RunFact, Scope
from difyops.perf.timeline import plan, timeline

BLANK = NodeFact("", "", 0, "", "code", "", "succeeded", 0.0, None, 0.0, "", 0, "", None, 0, "", "", None, None, "", "",
                 None, "", "", "", 0, 0, "")  # fmt: skip


def node(name: str, kind: str = "code", **fields):
    return {"id": name, "type": kind, "title": name, "reads": [], **fields}


def case(
    shape_nodes: Sequence[dict], edges: Sequence[tuple[str, str]], times: Callable[[int], dict[str, float | dict]], *,
    n: int = 150, extra: float = 0.0,
) -> AdviceCase:  # fmt: skip
    """Make ``n`` runs; ``times(number)`` gives each node's seconds, or fields of its row."""
    shape = {"nodes": list(shape_nodes), "edges": [[a, b, "source"] for a, b in edges]}
    kinds = {item["id"]: item["type"] for item in shape_nodes}
    reads, plans = [], []
    for number in range(n):
        rows: list[NodeFact] = []
        for name, value in times(number).items():
            fields = value if isinstance(value, dict) else {"elapsed": value}
            row = replace(BLANK, run=f"r{number}", id=f"{number}-{name}", index=len(rows) + 1, started=1000.0 + number,
                          node=name.split("#")[0], title=name, type=kinds.get(name.split("#")[0], "code"))  # fmt: skip
            rows.append(replace(row, **fields))
        failed = any(row.status == "failed" for row in rows)
        run = RunFact(f"r{number}", "app-run", "failed" if failed else "succeeded", 1000.0 + number, None, "v", 0,
                      0, "", "")  # fmt: skip
        bare = plan(run, rows, shape)
        run = replace(run, elapsed=bare.actual + extra)
        reads.append(ReadFacts(run=run, reason="all", chance=1.0, nodes=tuple(rows)))
        plans.append(plan(run, rows, shape))
    lines = [timeline(item) for item in plans]
    return AdviceCase(runs=[read.run for read in reads], reads=reads, plans=plans, lines=lines, shape=shape)


def found(rule: str, made: AdviceCase) -> list[AdviceFinding]:
    return list(rules()[rule].advise(made))


def test_every_rule_has_what_a_rule_has_and_all_categories_are_there() -> None:
    known = rules()
    assert {f"P{number:03}" for number in range(1, 11)} <= set(known)
    assert {rule.CATEGORY for rule in known.values()} == set(CATEGORIES)
    for name, rule in known.items():
        assert rule.__doc__, name
        assert rule.LEAST >= 20, name


LINE = [node("start", "start"), node("a", "llm"), node("b", "llm"), node("end", "end", reads=["a", "b"])]
CHAIN = [("start", "a"), ("a", "b"), ("b", "end")]


def test_p001_two_models_in_a_row() -> None:
    made = case(LINE, CHAIN, lambda _: {"start": 0.0, "a": 2.0, "b": 1.0, "end": 0.0})
    (finding,) = found("P001", made)
    assert finding.id == "P001:a:b"
    assert finding.gain is not None
    assert (finding.gain.low, finding.gain.high) == pytest.approx((1.0, 1.0))
    reads = [LINE[0], LINE[1], node("b", "llm", reads=["a"]), LINE[3]]
    assert found("P001", case(reads, CHAIN, lambda _: {"start": 0.0, "a": 2.0, "b": 1.0, "end": 0.0})) == []


LOOP = [node("start", "start"), node("it", "iteration"), node("in", parent="it"), node("end", "end")]


def rounds(count: int) -> dict:
    inside = {f"in#{k}": {"elapsed": 1.0, "container": "it", "round": k} for k in range(count)}
    return {"start": 0.0, "it": float(count), **inside, "end": 0.0}


def test_p002_an_iteration_one_by_one() -> None:
    edges = [("start", "it"), ("it", "end")]
    (finding,) = found("P002", case(LOOP, edges, lambda _: rounds(4)))
    assert finding.gain is not None
    assert finding.gain.high == pytest.approx(3.0)
    assert found("P002", case(LOOP, edges, lambda _: rounds(1))) == []
    parallel = [LOOP[0], node("it", "iteration", parallel=True), *LOOP[2:]]
    assert found("P002", case(parallel, edges, lambda _: rounds(4))) == []


CALL = [node("start", "start"), node("call", "http-request"), node("end", "end")]
TO_CALL = [("start", "call"), ("call", "end")]


def test_p003_retries_cost_time() -> None:
    def times(number: int) -> dict:
        tries = {"call#1": {"id": f"{number}-call:retry:1", "attempt": 1, "elapsed": 2.0, "status": "retry",
                            "error_kind": "rate_limit"}} if number % 3 == 0 else {}  # fmt: skip
        return {"start": 0.0, **tries, "call": 3.0 if tries else 1.0, "end": 0.0}

    (finding,) = found("P003", case(CALL, TO_CALL, times))
    assert finding.evidence["commonest error"] == "rate_limit"
    assert finding.gain is not None
    assert finding.gain.high == pytest.approx(2.0)
    assert found("P003", case(CALL, TO_CALL, lambda _: {"start": 0.0, "call": 1.0, "end": 0.0})) == []


def test_p004_http_dominates() -> None:
    (finding,) = found("P004", case(CALL, TO_CALL, lambda _: {"start": 0.1, "call": 4.0, "end": 0.1}))
    assert finding.gain is not None
    assert finding.gain.low == pytest.approx(2.0)
    assert found("P004", case(CALL, TO_CALL, lambda _: {"start": 9.0, "call": 4.0, "end": 0.1})) == []


def model(**fields) -> Callable[[int], dict]:
    return lambda number: {"start": 0.0, "a": {"elapsed": 1.0, **{k: v(number) for k, v in fields.items()}}, "end": 0.0}


ONE = [node("start", "start"), node("a", "llm", max_tokens=4000), node("end", "end")]
TO_ONE = [("start", "a"), ("a", "end")]


def test_p005_a_stable_beginning() -> None:
    same = model(prompt_size=lambda _: 9000, prefix_hash=lambda _: "same", prompt_tokens=lambda _: 2000)
    assert [item.id for item in found("P005", case(ONE, TO_ONE, same))] == ["P005:a"]
    other = model(prompt_size=lambda _: 9000, prefix_hash=lambda n: f"h{n}")
    assert found("P005", case(ONE, TO_ONE, other)) == []


def test_p006_a_limit_far_away() -> None:
    assert len(found("P006", case(ONE, TO_ONE, model(completion_tokens=lambda n: 100 + n)))) == 1
    assert found("P006", case(ONE, TO_ONE, model(completion_tokens=lambda n: 2000))) == []


def test_p007_two_speeds_but_not_one_bell() -> None:
    rng = random.Random(4)
    two = model(elapsed=lambda n: rng.lognormvariate(0 if n % 3 else 2.5, 0.15))
    (finding,) = found("P007", case(ONE, TO_ONE, two))
    assert finding.evidence["slow share"] == pytest.approx(1 / 3, abs=0.03)
    assert finding.gain is not None
    assert finding.gain.high > 5
    for seed in range(8):
        bell = random.Random(seed)
        one = model(elapsed=lambda _, bell=bell: bell.lognormvariate(0, 0.6))
        assert found("P007", case(ONE, TO_ONE, one)) == []


def test_p008_the_tail_of_one_provider() -> None:
    slow = model(elapsed=lambda n: 12.0 if n % 15 == 0 else 1.0, provider=lambda _: "openai")
    (finding,) = found("P008", case(ONE, TO_ONE, slow))
    assert finding.id == "P008:openai"
    even = model(elapsed=lambda n: 1.0, provider=lambda _: "openai")
    assert found("P008", case(ONE, TO_ONE, even)) == []


def test_p009_time_that_belongs_to_nobody() -> None:
    (finding,) = found("P009", case(CALL, TO_CALL, lambda _: {"start": 0.0, "call": 1.0, "end": 0.0}, extra=1.0))
    assert finding.gain is not None
    assert finding.gain.high == pytest.approx(1.0, abs=0.01)
    assert found("P009", case(CALL, TO_CALL, lambda _: {"start": 0.0, "call": 1.0, "end": 0.0}, extra=0.05)) == []


def test_p010_never_reached_and_never_taken() -> None:
    nodes = [*CALL, node("island"), node("branch")]
    edges = [*TO_CALL, ("call", "branch")]
    made = case(nodes, edges, lambda _: {"start": 0.0, "call": 1.0, "end": 0.0})
    assert {item.id: item.severity for item in found("P010", made)} == {"P010:island": "low", "P010:branch": "info"}
    few = case(nodes, edges, lambda _: {"start": 0.0, "call": 1.0, "end": 0.0}, n=30)
    assert [item.id for item in found("P010", few)] == ["P010:island"]


def test_p011_no_way_out() -> None:
    def times(number: int) -> dict:
        failed = {"elapsed": 1.0, "status": "failed", "error_kind": "timeout"}
        return {"start": 0.0, "call": failed if number % 12 == 0 else 1.0, "end": 0.0}

    (finding,) = found("P011", case(CALL, TO_CALL, times))
    assert finding.gain is not None
    assert finding.gain.low < 100 / 12 < finding.gain.high
    saved = [CALL[0], node("call", "http-request", on_error="fail-branch"), CALL[2]]
    assert found("P011", case(saved, TO_CALL, times)) == []


def test_p012_slower_when_busy() -> None:
    made = case(CALL, TO_CALL, lambda _: {"start": 0.0, "call": 1.0, "end": 0.0}, n=1)
    rng = random.Random(2)
    runs, at = [], 0.0
    for number in range(600):
        busy = number // 60 % 2
        at += 0.5 if busy else 8.0
        length = rng.lognormvariate(0, 0.2) * (4 if busy else 2)
        runs.append(RunFact(f"r{number}", "app-run", "succeeded", at, length, "v", 0, 0, "", ""))
    (finding,) = found("P012", replace(made, runs=runs))
    assert finding.gain is not None
    assert 1.5 < finding.gain.low < finding.gain.high < 3.0
    alike = [replace(run, elapsed=rng.lognormvariate(0, 0.2) * 2) for run in runs]
    assert found("P012", replace(made, runs=alike)) == []


def test_p013_the_same_again() -> None:
    same = model(prompt_size=lambda _: 50, input_hash=lambda n: f"h{n % 10}")
    (finding,) = found("P013", case(ONE, TO_ONE, same))
    assert finding.evidence["different inputs"] == 10
    assert found("P013", case(ONE, TO_ONE, model(prompt_size=lambda _: 50, input_hash=lambda n: f"h{n}"))) == []


def test_too_few_runs_say_nothing() -> None:
    made = case(LINE, CHAIN, lambda _: {"start": 0.0, "a": 2.0, "b": 1.0, "end": 0.0}, n=5)
    for name in ("P001", "P002", "P003", "P004", "P009"):
        assert found(name, made) == []


def test_every_finding_is_complete() -> None:
    made = case(LINE, CHAIN, lambda _: {"start": 0.0, "a": 2.0, "b": 1.0, "end": 0.0})
    for rule in rules().values():
        for finding in rule.advise(made):
            assert finding.severity in SEVERITIES
            assert finding.n > 0
            assert finding.steps
            assert finding.example
            assert finding.gain is None or finding.gain.low <= finding.gain.high


def test_a_dismissal_ends(tmp_path: Path) -> None:
    scope = Scope(context="emu", app="app", name="n", since=0, until=1)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with Ledger.open(tmp_path / "ledger.sqlite3") as ledger:
        dismiss(ledger, scope, "P004:call", reason="theirs", now=now, until=now + timedelta(days=9))
        assert dismissals(ledger, scope, now=now)["P004:call"].reason == "theirs"
        assert dismissals(ledger, replace(scope, app="other"), now=now) == {}
        assert dismissals(ledger, scope, now=now + timedelta(days=10)) == {}
        for finding, reason in (("P999:x", "r"), ("", "r"), ("P004:call", " ")):
            with pytest.raises(UsageError):
                dismiss(ledger, scope, finding, reason=reason, now=now, until=now)

"""A past for an app: many runs of one small workflow, made cheaply, with node records that are made when asked for.

The workflow branches, joins, iterates and retries: start -> (search, draft) -> merge -> each item of an iteration ->
end. Node times are drawn from the run's own seed, so the same past comes out every time, and a node that is made faster
(``factors``) is faster in truth: the server's schedule is computed anew, with its own waits between the nodes.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from difyops.emulator.instance import Instance
from difyops.emulator.records import EndUser, NodeRun, Run
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import App

_NODES: tuple[tuple[str, str, str, float], ...] = (
    ("start", "start", "", 0.0001),
    ("search", "http-request", "", 1.2),
    ("draft", "llm", "", 2.0),
    ("merge", "template-transform", "", 0.01),
    ("each", "iteration", "", 0.0),
    ("item", "llm", "each", 0.5),
    ("end", "end", "", 0.0001),
)
_EDGES = (
    ("start", "search"), ("start", "draft"), ("search", "merge"), ("draft", "merge"), ("merge", "each"),
    ("each", "end"), ("each-start", "item"),
)  # fmt: skip
_ITEMS = 3
_PRICES = {"draft": 6e-7, "item": 3e-7}


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What happened: how many runs between two moments, who started them, which node was slower or faster when.

    ``factors`` multiply a node's times; ``changes`` are (moment, version, factors) from which on others hold.
    ``bursts`` puts all runs into that many equal moments, so that many have the same time.
    """

    count: int
    since: float
    until: float
    seed: int = 1
    version: str = "2026-01-01 00:00:00.000001"
    sources: tuple[str, ...] = ("app-run",)
    factors: Mapping[str, float] = field(default_factory=dict)
    changes: tuple[tuple[float, str, Mapping[str, float]], ...] = ()
    failing: float = 0.02
    retrying: float = 0.05
    wait: float = 0.02
    parallel: bool = False
    bursts: int = 0
    conversation: str | None = None


def graph_of(*, parallel: bool = False) -> JsonDict:
    """Return the graph of the workflow."""
    nodes = [_node(name, kind, parent, parallel) for name, kind, parent, _ in _NODES]
    nodes.append({"id": "each-start", "parentId": "each", "data": {"type": "iteration-start", "title": ""}})
    edges = [{"source": source, "target": target, "sourceHandle": "source"} for source, target in _EDGES]
    return {"nodes": nodes, "edges": edges}


def _node(name: str, kind: str, parent: str, parallel: bool) -> JsonDict:
    data: JsonDict = {"type": kind, "title": name.title()}
    if name == "each":
        data |= {"is_parallel": parallel, "parallel_nums": 10, "iterator_selector": ["merge", "output"]}
    elif name == "search":
        data |= {"retry_config": {"retry_enabled": True, "max_retries": 2}}
    elif kind == "llm":
        data |= {"model": {"provider": "langgenius/openai/openai", "name": "gpt-4o-mini", "completion_params": {}}}
    return {"id": name, "data": data, **({"parentId": parent} if parent else {})}


def load_past(instance: Instance, app: App, past: Past) -> list[Run]:
    """Give ``app`` the runs of a past, in the order of their beginning; return them."""
    rng = random.Random(past.seed)
    graph = json.dumps(graph_of(parallel=past.parallel))
    users = [EndUser(id=str(uuid.UUID(int=rng.getrandbits(128), version=4)), session_id=f"u-{n}") for n in range(9)]
    moments = sorted(rng.uniform(past.since, past.until) for _ in range(past.count))
    if past.bursts:
        step = (past.until - past.since) / past.bursts
        moments = [past.since + step * (number * past.bursts // past.count) for number in range(past.count)]
    made = [_run(app, past, rng, graph, users, int(moment)) for moment in moments]
    app.runs = sorted([*app.runs, *made], key=lambda run: run.created_at)
    return made


def _run(app: App, past: Past, rng: random.Random, graph: str, users: list[EndUser], moment: int) -> Run:
    seed = rng.getrandbits(60)
    version, factors = past.version, past.factors
    for since, name, other in past.changes:
        if moment >= since:
            version, factors = name, other
    plan = _Plan(seed=seed, moment=moment, factors=factors, past=past)
    rows = plan.rows()
    failed = next((row for row in rows if row.status == "failed"), None)
    retries = sum(row.status == "retry" for row in rows)
    return Run(
        id=str(uuid.UUID(int=rng.getrandbits(128), version=4)), task_id="", app_id=app.id, workflow_id="",
        version=version, graph_text=graph, triggered_from=rng.choice(past.sources), inputs={}, created_at=moment,
        started=0.0, end_user=rng.choice(users), log_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        logged_at=moment, elapsed_time=round(plan.total, 6), total_steps=len(rows),
        total_tokens=sum((row.metadata or {}).get("total_tokens", 0) for row in rows if row.node_id != "each"),
        status="failed" if failed else "partial-succeeded" if retries else "succeeded",
        error=failed.error if failed else None, exceptions_count=retries + bool(failed),
        finished_at=int(moment + plan.total), make_nodes=plan.rows, conversation_id=past.conversation,
    )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class _Plan:
    """The node records of one run, made again from its seed whenever somebody asks."""

    seed: int
    moment: int
    factors: Mapping[str, float]
    past: Past
    total: float = 0.0

    def rows(self) -> list[NodeRun]:
        rng = random.Random(self.seed)
        self.total = 0.0
        rows: list[NodeRun] = []
        fails = rng.random() < self.past.failing
        at = self._add(rows, rng, "start", 0.0)
        searched = self._search(rows, rng, at + self._wait(rng))
        drafted = self._add(rows, rng, "draft", at + self._wait(rng), fails=fails)
        if fails:
            self.total = max(searched, drafted)
            return rows
        merged = self._add(rows, rng, "merge", max(searched, drafted) + self._wait(rng))
        looped = self._each(rows, rng, merged + self._wait(rng))
        self.total = self._add(rows, rng, "end", looped + self._wait(rng)) + self._wait(rng)
        return rows

    def _wait(self, rng: random.Random) -> float:
        return rng.uniform(0, self.past.wait)

    def _search(self, rows: list[NodeRun], rng: random.Random, at: float) -> float:
        retries = rng.random() < self.past.retrying
        began = at
        failed = None
        if retries:
            at += 0.4
            failed = self._row(rows, rng, "search", began, at, status="retry", error="503 Service Unavailable")
        end = at + self._time(rng, "search")
        final = self._row(rows, rng, "search", began, end, index=len(rows) if retries else None)
        if failed is not None:
            failed.id = f"{final.id}:retry:1"
        return end

    def _each(self, rows: list[NodeRun], rng: random.Random, at: float) -> float:
        container = self._row(rows, rng, "each", at, at)
        begin, end, tokens = at, at, 0
        for number in range(_ITEMS):
            begin = at if self.past.parallel else end
            done = begin + self._time(rng, "item")
            child = self._row(rows, rng, "item", begin, done)
            child.metadata = {**(child.metadata or {}), "iteration_id": "each", "iteration_index": number}
            tokens += child.metadata["total_tokens"]
            end = max(end, done) if self.past.parallel else done
        container.elapsed_time = round(end - at, 6)
        container.finished_at = int(self.moment + end)
        container.metadata = {"total_tokens": tokens, "total_price": f"{tokens * 3e-7:.8f}", "currency": "USD"}
        return end

    def _add(self, rows: list[NodeRun], rng: random.Random, name: str, at: float, *, fails: bool = False) -> float:
        end = at + self._time(rng, name)
        error = "[openai] Rate Limit Error, Error code: 429" if fails else None
        self._row(rows, rng, name, at, end, status="failed" if fails else "succeeded", error=error)
        return end

    def _time(self, rng: random.Random, name: str) -> float:
        usual = next(seconds for node, _, _, seconds in _NODES if node == name)
        return usual * self.factors.get(name, 1.0) * rng.lognormvariate(0, 0.3)

    def _row(
        self, rows: list[NodeRun], rng: random.Random, name: str, at: float, end: float, *, status: str = "succeeded",
        error: str | None = None, index: int | None = None,
    ) -> NodeRun:  # fmt: skip
        kind = next(kind for node, kind, _, _ in _NODES if node == name)
        tokens = rng.randint(20, 200) if kind == "llm" and status == "succeeded" else 0
        node_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        row = NodeRun(
            id=node_id, index=index or len(rows) + 1, node_id=name,
            node_type=kind, title=name.title(), created_at=int(self.moment + at), started=at, status=status,
            error=error, elapsed_time=round(end - at, 6), finished_at=int(self.moment + end),
        )  # fmt: skip
        if tokens:
            price = {"total_tokens": tokens, "total_price": f"{tokens * _PRICES[name]:.8f}", "currency": "USD"}
            row.metadata = price
            usage = {**price, "prompt_tokens": tokens // 2, "completion_tokens": tokens - tokens // 2}
            row.process_data = {
                "model_provider": "langgenius/openai/openai", "model_name": "gpt-4o-mini", "usage": usage,
                "prompts": [{"role": "user", "text": f"question {self.seed % 50}"}],
            }  # fmt: skip
            row.inputs, row.outputs = {"q": self.seed % 50}, {"text": "answer", "finish_reason": "stop"}
        rows.append(row)
        return row

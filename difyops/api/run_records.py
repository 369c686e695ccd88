"""Runs, node executions, messages and graphs as history keeps them, read from the wire.

Traps: prices are strings in two spellings; a container (iteration, loop) repeats the sum of its children; a failed
attempt is a row of its own, ``<id>:retry:<n>``, whose time the final row contains; inputs may be an object or a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api import shapes
from difyops.api.model import Wire

_REFERENCE = re.compile(r"\{\{#([^.#{}]+)\.[^#{}]*#\}\}")
_PAGES = ("web-app", "installed-app", "explore")
_KINDS = (
    ("platform", ("plugin daemon", "sandbox service")),
    ("rate_limit", ("rate limit", "429", "too many requests", "quota")),
    ("auth", ("api key", "credential", "unauthorized", "401", "forbidden")),
    ("timeout", ("timeout", "timed out", "time out")),
    ("unavailable", ("503", "502", "504", "unavailable", "overloaded", "connection", "connect")),
    ("invalid", ("invalid", "validation", "400", "bad request", "context_length")),
    ("stopped", ("aborted", "stopped")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRun:
    """One run, or one answered message of an app without workflow. ``logged`` is when its log row was written."""

    id: str
    source: str
    status: str
    started: float
    logged: float
    finished: float | None = None
    elapsed: float | None = None
    version: str = ""
    tokens: int = 0
    steps: int = 0
    exceptions: int = 0
    error: str = ""
    user: str = ""
    conversation: str = ""
    message: str = ""

    @classmethod
    def of_log(cls, row: Wire) -> LoggedRun | None:
        """Read a row of ``workflow-app-logs``."""
        inner = row.get("workflow_run")
        if not isinstance(inner, dict):
            return None
        source = str(inner.get("triggered_from") or "app-run")
        by_page = source == "app-run" and row.get("created_from") in _PAGES
        return cls.of_run(inner, "web-app" if by_page else source, row)

    @classmethod
    def of_run(cls, row: Wire, source: str, outer: Wire | None = None) -> LoggedRun:
        """Read a row of ``workflow-runs``, or the run inside a log row."""
        around = outer if outer is not None else row
        status = str(row.get("status") or "running")
        started = moment(row.get("created_at")) or moment(around.get("created_at")) or 0.0
        return cls(
            id=str(row.get("id")),
            source=source,
            status=status,
            started=started,
            logged=moment(around.get("created_at")) or started,
            finished=moment(row.get("finished_at")),
            elapsed=number(row.get("elapsed_time")) if status not in ("running", "paused") else None,
            version=str(row.get("version") or ""),
            tokens=whole(row.get("total_tokens")),
            steps=whole(row.get("total_steps")),
            exceptions=whole(row.get("exceptions_count")),
            error=str(row.get("error") or ""),
            user=_user(around),
            conversation=str(row.get("conversation_id") or ""),
            message=str(row.get("message_id") or ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """One execution of one node. ``attempt`` is above 0 for a failed try; ``container`` the iteration or loop."""

    id: str
    index: int
    node: str
    type: str
    title: str
    status: str
    started: float
    finished: float | None
    elapsed: float
    error: str = ""
    attempt: int = 0
    container: str = ""
    round: int | None = None
    tokens: int = 0
    price: str = ""
    currency: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    provider: str = ""
    model: str = ""
    first_token: float | None = None
    finish_reason: str = ""
    inputs: Any = field(default=None, repr=False)
    outputs: Any = field(default=None, repr=False)
    prompt: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, row: Wire) -> NodeRecord:
        """Read a row of ``node-executions``."""
        meta = _mapping(row.get("execution_metadata"))
        process = _mapping(row.get("process_data"))
        outputs = _mapping(row.get("outputs"))
        usage = _mapping(process.get("usage")) or _mapping(outputs.get("usage"))
        inside = meta.get("iteration_id") or meta.get("loop_id")
        place = meta.get("iteration_index") if meta.get("iteration_id") else meta.get("loop_index")
        started, finished = moment(row.get("created_at")) or 0.0, moment(row.get("finished_at"))
        return cls(
            id=str(row.get("id")),
            index=whole(row.get("index")),
            node=str(row.get("node_id")),
            type=str(row.get("node_type") or ""),
            title=str(row.get("title") or ""),
            status=str(row.get("status") or ""),
            started=started,
            finished=finished,
            elapsed=number(row.get("elapsed_time")) or 0.0,
            error=str(row.get("error") or ""),
            attempt=attempt_of(row),
            container=str(inside or ""),
            round=_count(place),
            tokens=whole(meta.get("total_tokens") or usage.get("total_tokens")),
            price=str(meta.get("total_price") or usage.get("total_price") or ""),
            currency=str(meta.get("currency") or usage.get("currency") or ""),
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            provider=str(process.get("model_provider") or ""),
            model=str(process.get("model_name") or ""),
            first_token=number(usage.get("time_to_first_token")),
            finish_reason=str(outputs.get("finish_reason") or process.get("finish_reason") or ""),
            inputs=row.get("inputs"),
            outputs=row.get("outputs"),
            prompt=process.get("prompts"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRecord:
    """One question and its answer in a chat, an agent, a chatflow or a completion app."""

    id: str
    conversation: str
    run: str
    status: str
    started: float
    latency: float | None
    prompt_tokens: int
    answer_tokens: int
    price: str = ""
    currency: str = ""
    error: str = ""
    user: str = ""
    inputs: Any = field(default=None, repr=False)
    outputs: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, row: Wire) -> MessageRecord:
        """Read a row of ``chat-messages`` or the message of a completion. An answer left by its reader: cut-off."""
        usage = _mapping(_mapping(row.get("metadata")).get("usage"))
        failed = row.get("status") == "error"
        empty = not row.get("answer") and not whole(row.get("answer_tokens"))
        return cls(
            id=str(row.get("id")),
            conversation=str(row.get("conversation_id") or ""),
            run=str(row.get("workflow_run_id") or ""),
            status="failed" if failed else "cut-off" if empty else "succeeded",
            started=moment(row.get("created_at")) or 0.0,
            latency=number(row.get("provider_response_latency")) if not empty else None,
            prompt_tokens=whole(row.get("message_tokens")),
            answer_tokens=whole(row.get("answer_tokens")),
            price=str(row.get("total_price") or usage.get("total_price") or ""),
            currency=str(row.get("currency") or usage.get("currency") or ""),
            error=str(row.get("error") or ""),
            user=str(row.get("from_end_user_id") or row.get("from_account_id") or ""),
            inputs={"query": row.get("query"), "inputs": row.get("inputs")},
            outputs=row.get("answer"),
        )

    def as_run(self) -> LoggedRun:
        """Return the message as a run: what an app without workflow has instead."""
        return LoggedRun(
            id=self.id, source="chat", status=self.status, started=self.started, logged=self.started,
            elapsed=self.latency, finished=self.started + self.latency if self.latency is not None else None,
            tokens=self.prompt_tokens + self.answer_tokens, error=self.error, user=self.user,
            conversation=self.conversation, message=self.id,
        )  # fmt: skip


def graph_shape(graph: Any) -> dict[str, Any]:
    """Return what timing needs of a graph, and nothing of its texts: nodes, edges, limits, which node reads which."""
    body = _mapping(graph)
    nodes = [_node_shape(node) for node in body.get("nodes") or () if isinstance(node, dict) and node.get("id")]
    edges = [
        [str(edge["source"]), str(edge["target"]), str(edge.get("sourceHandle") or "source")]
        for edge in body.get("edges") or ()
        if isinstance(edge, dict) and edge.get("source") and edge.get("target")
    ]
    return {"nodes": nodes, "edges": edges}


def _node_shape(node: Wire) -> dict[str, Any]:
    data = _mapping(node.get("data"))
    model = _mapping(data.get("model"))
    retry = _mapping(data.get("retry_config"))
    return {
        "id": str(node["id"]),
        "type": str(data.get("type") or ""),
        "title": str(data.get("title") or ""),
        "parent": str(node.get("parentId") or data.get("iteration_id") or data.get("loop_id") or ""),
        "parallel": bool(data.get("is_parallel")),
        "parallel_nums": whole(data.get("parallel_nums")) or 10,
        "max_tokens": _count(_mapping(model.get("completion_params")).get("max_tokens")),
        "provider": str(model.get("provider") or ""),
        "model": str(model.get("name") or ""),
        "retries": whole(retry.get("max_retries")) if retry.get("retry_enabled") else 0,
        "on_error": str(data.get("error_strategy") or ""),
        "reads": sorted(set(_references(data))),
    }


def _references(value: Any) -> Iterator[str]:
    """Yield the node ids that a node's data reads from: selectors (``[node, field]``) and ``{{#node.field#}}``."""
    if isinstance(value, str):
        yield from _REFERENCE.findall(value)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            is_selector = isinstance(item, list) and item and all(isinstance(part, str) for part in item)
            if is_selector and ("selector" in name or name == "variables"):
                yield item[0]
            yield from _references(item)


def error_kind(text: str) -> str:
    """Return which kind of trouble an error text tells of, blank for none: the text itself may quote what was asked."""
    if not text:
        return ""
    lower = text.lower()
    return next((kind for kind, words in _KINDS if any(word in lower for word in words)), "other")


def attempt_of(row: Wire) -> int:
    """Return which failed attempt a row is, 0 for the final row."""
    found = re.search(r":retry:([0-9]{1,9})$", str(row.get("id")))
    if found:
        return int(found[1])
    return max(1, whole(row.get("retry_index"))) if row.get("status") == "retry" else 0


def number(value: Any) -> float | None:
    """Return a number, also one written as text; ``None`` for anything else, and for what no clock or counter means."""
    if not isinstance(value, str):
        return shapes.number(value)
    try:
        return shapes.number(float(value))
    except ValueError:
        return None


def moment(value: Any) -> float | None:
    """Return a time in unix seconds, also one written as text; ``None`` for what is none."""
    return shapes.moment(number(value))


def whole(value: Any) -> int:
    """Return a whole number, 0 for anything else."""
    return int(number(value) or 0)


def _count(value: Any) -> int | None:
    found = number(value)
    return None if found is None else int(found)


def _user(row: Wire) -> str:
    for name in ("created_by_end_user", "created_by_account"):
        person = row.get(name)
        if isinstance(person, dict) and person.get("id"):
            return str(person["id"])
    return ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

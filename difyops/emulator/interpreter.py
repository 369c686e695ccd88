"""Running a workflow: start, follow the edges, end. Yields what happens as ``Event``s and writes the run's row.

The laws that callers rely on: a cut edge still "succeeds" with empty outputs, a failing node fails the run, a stop
may leave the row ``running`` for ever, and secrets show in clear in prompts and outputs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from difyops.emulator import humans
from difyops.emulator.instance import Instance
from difyops.emulator.nodes import NodeFault, Pool, Result, execute
from difyops.emulator.records import NodeRun, Run, Task
from difyops.emulator.shapes import JsonDict

_STOP_POLL = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened: workflow_started, node_started, text, node_finished or workflow_finished."""

    name: str
    data: JsonDict


class _Stopped(Exception):
    """Somebody called the stop endpoint."""


class _Paused(Exception):
    """A node waits for a person."""

    def __init__(self, form: humans.HumanForm) -> None:
        super().__init__(form.id)
        self.form = form


@dataclass(slots=True, kw_only=True)
class Execution:
    """One run of one graph from ``root`` on. ``pool`` holds the inputs, ``sys``, ``env`` and conversation variables."""

    instance: Instance
    run: Run
    graph: JsonDict
    root: str
    pool: Pool
    task: Task
    is_chat: bool = False
    _nodes: dict[str, JsonDict] = field(default_factory=dict)
    _streamed: set[str] = field(default_factory=set)
    _live: set[str] = field(default_factory=set)
    _done: set[str] = field(default_factory=set)

    async def events(self) -> AsyncIterator[Event]:
        """Run to the end, yielding events; the last one is ``workflow_finished``."""
        self._nodes = {node["id"]: node for node in self.graph["nodes"]}
        self._streamed = self._spoken_nodes()
        self._live = {self.root}
        yield Event(name="workflow_started", data=self._started())
        async for event in self._on():
            yield event

    async def resumed(self, row: NodeRun, node: JsonDict, inputs: JsonDict, action: str) -> AsyncIterator[Event]:
        """Go on behind a node whose form was answered; the last event is ``workflow_finished`` or another pause."""
        self._close_row(row, "succeeded", Result(outputs={**inputs, "__action_id": action}))
        self.pool.put(node["id"], inputs)
        self._live.update(self._next(node["id"], action))
        self.run.status = "running"
        async for event in self._on():
            yield event

    async def _on(self) -> AsyncIterator[Event]:
        try:
            async for event in self._walk():
                yield event
            self._close("partial-succeeded" if self.run.exceptions_count else "succeeded", None)
            yield Event(name="workflow_finished", data=self._finished())
        except NodeFault as error:
            self.run.exceptions_count += 1
            self._close("failed", error.text)
            yield Event(name="workflow_finished", data=self._finished())
        except _Paused as pause:
            self.run.status, self.run.total_steps = "paused", len(self.run.nodes)
            reason = pause.form.required()
            yield Event(name="human_input_required", data=reason)
            yield Event(name="workflow_paused", data=self._waiting(pause.form, reason))
        except _Stopped:
            yield Event(name="workflow_finished", data=self._stop())

    async def _walk(self) -> AsyncIterator[Event]:
        for node_id in self._order():
            if node_id not in self._live or node_id in self._done:
                continue
            self._done.add(node_id)
            handle = "source"
            async for item in self._step(self._nodes[node_id]):
                if isinstance(item, str):
                    handle = item
                else:
                    yield item
            self._live.update(self._next(node_id, handle))

    async def _step(self, node: JsonDict) -> AsyncIterator[Event | str]:
        row = self._row(node)
        yield Event(name="node_started", data=_node_started(row))
        if node["data"].get("type") == "human-input":
            raise _Paused(humans.wait_at(self, node, row))
        try:
            async for piece in self._watched(execute(self.instance, node["data"], self._pool_for(node))):
                if isinstance(piece, str):
                    if node["id"] in self._streamed:
                        yield _text(piece, [node["id"], "text"])
                    continue
                self._settle(row, node, piece)
                if node["id"] in self._streamed:
                    yield _text("", [node["id"], "text"])
                for event in self._said(node["id"], piece.handle):
                    yield event
                yield Event(name="node_finished", data=self._node_finished(row))
                yield piece.handle
        except NodeFault as error:
            handle = self._fault(row, node, error)
            yield Event(name="node_finished", data=self._node_finished(row))
            if handle is None:
                raise
            yield handle

    def _fault(self, row: NodeRun, node: JsonDict, error: NodeFault) -> str | None:
        """Write a failed node; return the edge to follow where the node has a fail branch, else None."""
        strategy = node["data"].get("error_strategy")
        inputs = {**error.inputs} if error.inputs else {}
        self._close_row(row, "exception" if strategy else "failed", Result(inputs=inputs))
        row.error = error.text
        if not strategy:
            return None
        self.run.exceptions_count += 1
        outputs: JsonDict = {"error_message": error.text, "error_type": "NodeFault"}
        outputs |= {item["key"]: item["value"] for item in node["data"].get("default_value") or []}
        row.outputs = outputs
        self.pool.put(node["id"], outputs)
        return "fail-branch" if strategy == "fail-branch" else "source"

    async def _watched(self, pieces: AsyncIterator[str | Result]) -> AsyncIterator[str | Result]:
        """Hand on what a node yields, looking every 20 ms whether somebody asked to stop."""
        while True:
            waiting = asyncio.ensure_future(anext(pieces, None))
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=_STOP_POLL)
                if self.task.stop_requested:
                    waiting.cancel()
                    with contextlib.suppress(asyncio.CancelledError, NodeFault):
                        await waiting
                    raise _Stopped
            piece = waiting.result()
            if piece is None:
                return
            yield piece

    def _pool_for(self, node: JsonDict) -> Pool:
        if node["id"] == self.root:
            self.pool.put(self.root, {name: value for name, value in self._inputs().items() if "." not in name})
        return self.pool

    def _settle(self, row: NodeRun, node: JsonDict, result: Result) -> None:
        if node["id"] == self.root:
            shown = self._inputs() if self.instance.release.sys_in_start else self._own_inputs()
            result = Result(inputs=shown, outputs=dict(shown), process_data={})
        elif node["data"].get("type") == "assigner" and self.instance.release.node_type_in_inputs:
            result.inputs = {"type": "assigner", **result.inputs, "selected": node["data"].get("selected", False)}
        self._close_row(row, "succeeded", result)
        self.pool.put(node["id"], {name: value for name, value in result.outputs.items() if "." not in name})
        if result.usage:
            self.run.total_tokens += result.usage["total_tokens"]
            self.run.usages.append(result.usage)
        if node["data"].get("type") in ("end", "answer"):
            self._collect(result.outputs)

    def _collect(self, outputs: JsonDict) -> None:
        if "answer" in outputs and "answer" in self.run.outputs:
            outputs = {**outputs, "answer": self.run.outputs["answer"] + outputs["answer"]}
        self.run.outputs = {**self.run.outputs, **outputs}

    def _close_row(self, row: NodeRun, status: str, result: Result) -> None:
        row.status, row.inputs, row.process_data = status, result.inputs, result.process_data
        row.outputs, row.finished_at = result.outputs, self.instance.now()
        row.elapsed_time = round(self.instance.moment() - row.started, 6)
        names = ("total_tokens", "total_price", "currency")
        row.metadata = {name: result.usage[name] for name in names} if result.usage else None
        self.run.total_steps = len(self.run.nodes)

    def _said(self, node_id: str, handle: str) -> list[Event]:
        """Return the text events of End and Answer nodes that follow directly and were not spoken by a model."""
        events: list[Event] = []
        for target in self._next(node_id, handle):
            data = self._nodes[target]["data"]
            if data.get("type") == "end":
                events += self._end_text(target, data)
            elif data.get("type") == "answer" and not self._speaks(str(data.get("answer", ""))):
                events.append(_text(self.pool.filled(str(data.get("answer", ""))), [target, "answer"]))
        return events

    def _end_text(self, node_id: str, data: JsonDict) -> list[Event]:
        events: list[Event] = []
        for output in data.get("outputs") or []:
            selector = output["value_selector"]
            value = self.pool.get(selector)
            if value is None or selector[0] in self._streamed:
                continue
            if events:
                events.append(_text("\n", [node_id, "answer"]))
            events.append(_text(str(value), selector))
        return events

    def _spoken_nodes(self) -> set[str]:
        models = {node_id for node_id, node in self._nodes.items() if node["data"].get("type") == "llm"}
        texts = [node["data"] for node in self._nodes.values() if node["data"].get("type") in ("end", "answer")]
        return {node_id for node_id in models if any(_mentions(data, node_id) for data in texts)}

    def _speaks(self, template: str) -> bool:
        return any(f"{{{{#{node_id}.text#}}}}" in template for node_id in self._streamed)

    def _order(self) -> list[str]:
        """Return the node ids so that every node comes after those that lead to it."""
        order: list[str] = []
        seen: set[str] = set()
        stack = [(self.root, iter(self._targets(self.root)))]
        seen.add(self.root)
        while stack:
            node_id, targets = stack[-1]
            target = next((item for item in targets if item not in seen), None)
            if target is None:
                order.append(node_id)
                stack.pop()
            else:
                seen.add(target)
                stack.append((target, iter(self._targets(target))))
        return order[::-1]

    def _targets(self, node_id: str) -> list[str]:
        return [edge["target"] for edge in self.graph["edges"] if edge["source"] == node_id and self._known(edge)]

    def _known(self, edge: JsonDict) -> bool:
        return edge["target"] in self._nodes

    def _next(self, node_id: str, handle: str) -> list[str]:
        return [
            edge["target"]
            for edge in self.graph["edges"]
            if edge["source"] == node_id and edge.get("sourceHandle", "source") == handle and self._known(edge)
        ]

    def _inputs(self) -> JsonDict:
        return {**self._own_inputs(), **{name: value for name, value in self.run.inputs.items() if "." in name}}

    def _own_inputs(self) -> JsonDict:
        return {name: value for name, value in self.run.inputs.items() if "." not in name}

    def _row(self, node: JsonDict) -> NodeRun:
        row = NodeRun(
            id=self.instance.new_id(), index=len(self.run.nodes) + 1, node_id=node["id"],
            node_type=str(node["data"].get("type")), title=str(node["data"].get("title", "")),
            created_at=self.instance.now(), started=self.instance.moment(),
        )  # fmt: skip
        self.run.nodes.append(row)
        return row

    def _waiting(self, form: humans.HumanForm, reason: JsonDict) -> JsonDict:
        return {
            "paused_nodes": [form.node["id"]], "reasons": [{"TYPE": "human_input_required", **reason}],
            "outputs": self.run.outputs, "status": "paused", "created_at": self.run.created_at,
            "elapsed_time": 0.0, "total_tokens": self.run.total_tokens, "total_steps": self.run.total_steps,
        }  # fmt: skip

    def _close(self, status: str, error: str | None) -> None:
        run = self.run
        run.status, run.error, run.finished_at = status, error, self.instance.now()
        run.elapsed_time = round(self.instance.moment() - run.started, 6)
        run.total_steps = len(run.nodes)
        if status == "failed":
            run.outputs = {}

    def _stop(self) -> JsonDict:
        """Return the last event after a stop. On older releases the row may be left ``running`` for ever."""
        at_model = self.run.nodes[-1].node_type == "llm" and not self.is_chat
        if self.instance.release.rows_survive_stop and not at_model:
            elapsed = round(self.instance.moment() - self.run.started, 6)
            done = sum(row.status != "running" for row in self.run.nodes)
            return {
                **self._finished(), "status": "stopped", "error": "Stopped by user.", "elapsed_time": elapsed,
                "total_steps": done, "finished_at": self.instance.now(),
            }  # fmt: skip
        self.run.outputs = {}
        self._close("stopped", "Aborted: User requested stop")
        return {**self._finished(), "status": "failed"}

    def _started(self) -> JsonDict:
        run = self.run
        hidden = ("sys.timestamp", "sys.conversation_id")
        shown = {name: value for name, value in run.inputs.items() if name not in hidden}
        return {
            "id": run.id,
            "workflow_id": run.workflow_id,
            "inputs": shown,
            "created_at": run.created_at,
            "reason": "initial",
        }

    def _finished(self) -> JsonDict:
        run = self.run
        return {
            "id": run.id, "workflow_id": run.workflow_id, "status": run.status, "outputs": run.outputs,
            "error": run.error, "elapsed_time": run.elapsed_time, "total_tokens": run.total_tokens,
            "total_steps": run.total_steps, "created_by": run.creator, "created_at": run.created_at,
            "finished_at": run.finished_at, "exceptions_count": run.exceptions_count, "files": [],
        }  # fmt: skip

    def _node_finished(self, row: NodeRun) -> JsonDict:
        return {
            "id": row.id, "node_id": row.node_id, "node_type": row.node_type, "title": row.title, "index": 1,
            "predecessor_node_id": None, "inputs": row.inputs, "inputs_truncated": False,
            "process_data": row.process_data, "process_data_truncated": False, "outputs": row.outputs,
            "outputs_truncated": False, "status": row.status, "error": row.error, "elapsed_time": row.elapsed_time,
            "execution_metadata": row.metadata, "created_at": row.created_at, "finished_at": row.finished_at,
            "files": [], "iteration_id": None, "loop_id": None,
        }  # fmt: skip


def _node_started(row: NodeRun) -> JsonDict:
    return {
        "id": row.id, "node_id": row.node_id, "node_type": row.node_type, "title": row.title, "index": 1,
        "predecessor_node_id": None, "inputs": None, "inputs_truncated": False, "created_at": row.created_at,
        "extras": {}, "iteration_id": None, "loop_id": None, "agent_strategy": None,
    }  # fmt: skip


def _text(text: str, selector: list[str]) -> Event:
    return Event(name="text", data={"text": text, "from_variable_selector": selector})


def _mentions(data: JsonDict, node_id: str) -> bool:
    if data.get("type") == "answer":
        return f"{{{{#{node_id}.text#}}}}" in str(data.get("answer", ""))
    return any(_is_text_of(output, node_id) for output in data.get("outputs") or [])


def _is_text_of(output: Any, node_id: str) -> bool:
    return list(output["value_selector"][:2]) == [node_id, "text"]

"""What running leaves behind: end users, workflow runs with their node executions, conversations, messages, feedback.

State only. The shapes in which the console and the service API show them are in ``record_views``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import Account


@dataclass(slots=True, kw_only=True)
class EndUser:
    """A caller of the service API (``session_id`` is the ``user`` it names), or a trigger."""

    id: str
    session_id: str
    type: str = "service-api"

    def brief(self) -> JsonDict:
        """Return the end user as nested in run rows."""
        return {"id": self.id, "type": self.type, "is_anonymous": False, "session_id": self.session_id}


@dataclass(slots=True, kw_only=True)
class NodeRun:
    """One execution of one node."""

    id: str
    index: int
    node_id: str
    node_type: str
    title: str
    created_at: int
    started: float
    status: str = "running"
    inputs: JsonDict | None = None
    process_data: JsonDict | None = None
    outputs: JsonDict | None = None
    error: str | None = None
    elapsed_time: float = 0.0
    metadata: JsonDict | None = None
    finished_at: int | None = None


@dataclass(slots=True, kw_only=True)
class Run:
    """One workflow run. ``triggered_from`` is app-run, debugging, webhook or schedule."""

    id: str
    task_id: str
    app_id: str
    workflow_id: str
    version: str
    graph_text: str
    triggered_from: str
    inputs: JsonDict
    created_at: int
    started: float
    account: Account | None = None
    end_user: EndUser | None = None
    status: str = "running"
    outputs: JsonDict = field(default_factory=dict)
    error: str | None = None
    elapsed_time: float = 0.0
    total_tokens: int = 0
    total_steps: int = 0
    exceptions_count: int = 0
    finished_at: int | None = None
    nodes: list[NodeRun] = field(default_factory=list)
    log_id: str = ""
    logged_at: int = 0
    conversation_id: str | None = None
    message_id: str | None = None
    usages: list[JsonDict] = field(default_factory=list)
    make_nodes: Callable[[], list[NodeRun]] | None = field(default=None, repr=False)
    """Makes the node records of a seeded run when they are asked for."""

    @property
    def creator(self) -> JsonDict:
        """Return ``created_by`` of ``workflow_finished``."""
        if self.end_user is not None:
            return {"id": self.end_user.id, "user": self.end_user.session_id}
        return self.account.brief() if self.account else {}


@dataclass(slots=True, kw_only=True)
class Message:
    """One question and its answer."""

    id: str
    conversation_id: str
    task_id: str
    inputs: JsonDict
    query: str
    created_at: int
    end_user: EndUser | None = None
    account: Account | None = None
    prompt: list[JsonDict] | str = ""
    answer: str = ""
    message_tokens: int = 0
    answer_tokens: int = 0
    price: str = "0"
    latency: float = 0.0
    status: str = "normal"
    error: str | None = None
    run_id: str | None = None
    usage: JsonDict | None = None
    feedback: JsonDict | None = None
    parent_id: str = "00000000-0000-0000-0000-000000000000"
    finished: bool = False


@dataclass(slots=True, kw_only=True)
class Conversation:
    """A conversation; completion apps make one per message."""

    id: str
    app_id: str
    name: str
    summary: str
    inputs: JsonDict
    created_at: int
    updated_at: int
    end_user: EndUser | None = None
    account: Account | None = None
    messages: list[Message] = field(default_factory=list)
    variables: dict[str, JsonDict] = field(default_factory=dict)
    deleted: bool = False

    def values(self) -> dict[str, Any]:
        """Return the conversation variables by name."""
        return {name: item["value"] for name, item in self.variables.items()}


@dataclass(slots=True)
class Task:
    """What a stop call can reach: a run or a chat answer in flight."""

    stop_requested: bool = False

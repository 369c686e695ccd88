"""What the emulated instance keeps: accounts, apps, workflows (draft and versions), keys, tags, triggers.

Plain mutable state, no HTTP and no rules. A workflow keeps graph and features as JSON text, as the server does, and
its serialised answer until it changes; so a thousand apps are cheap to hold and to serve.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from difyops.emulator.shapes import JsonDict

if TYPE_CHECKING:
    from difyops.emulator.agents import Agent
    from difyops.emulator.records import Conversation, Run

STARS = "*" * 20
HIDDEN = "[__HIDDEN__]"
FLOW_MODES = ("workflow", "advanced-chat")
CHAT_MODES = ("chat", "agent-chat", "completion")
AGENT_MODE = "agent"  # an agent app: own routes and versions, a soul in place of graph or model config


@dataclass(slots=True, kw_only=True)
class Account:
    """A console account and its role in the one workspace."""

    id: str
    name: str
    email: str
    password: str
    role: str
    created_at: int
    last_login_at: int | None = None
    failures: int = 0
    locked_until: float = 0.0

    def brief(self) -> JsonDict:
        """Return ``{id, name, email}``, as nested in answers."""
        return {"id": self.id, "name": self.name, "email": self.email}


@dataclass(slots=True, kw_only=True)
class Workflow:
    """A draft or a version. Variables are lists of ``{id, name, value, value_type, description, selector}``."""

    id: str
    version: str
    graph_text: str
    features_text: str
    env_list: list[JsonDict]
    conversation_list: list[JsonDict]
    created_by: Account
    created_at: int
    updated_at: int
    updated_by: Account | None = None
    marked_name: str = ""
    marked_comment: str = ""
    hash_has_features: bool = True
    cache: dict[str, bytes] = field(default_factory=dict, repr=False)
    _graph: JsonDict | None = field(default=None, repr=False)
    _hash: str = field(default="", repr=False)

    @property
    def graph(self) -> JsonDict:
        """Return the parsed graph. Never change it in place: use ``store_graph``."""
        if self._graph is None:
            self._graph = json.loads(self.graph_text)
        return self._graph

    @property
    def features(self) -> JsonDict:
        """Return the parsed features (a fresh object)."""
        return dict(json.loads(self.features_text))

    @property
    def hash(self) -> str:
        """Return the optimistic lock: SHA-256 over the graph, and up to 1.13 over features; never over variables."""
        if not self._hash:
            self._hash = draft_hash(self.graph, self.features if self.hash_has_features else None)
        return self._hash

    @property
    def env(self) -> dict[str, Any]:
        """Return the environment variables by name, secrets in clear."""
        return {item["name"]: item["value"] for item in self.env_list}

    def store_graph(self, graph: object, features: object) -> None:
        """Replace graph and features."""
        self.graph_text = json.dumps(graph, ensure_ascii=False)
        self.features_text = json.dumps(features, ensure_ascii=False)
        self.changed()

    def changed(self) -> None:
        """Forget everything derived."""
        self.cache.clear()
        self._graph = None
        self._hash = ""


def draft_hash(graph: object, features: object) -> str:
    """Return the server's hash: SHA-256 hex of canonical JSON with ``None`` appended (checked against recordings).

    ``features`` is ``None`` where it does not cover them.
    """
    text = json.dumps({"graph": graph} if features is None else {"graph": graph, "features": features}, sort_keys=True)
    return hashlib.sha256(f"{text}None".encode()).hexdigest()


@dataclass(slots=True, kw_only=True)
class ApiKey:
    """A service key of an app, or of the workspace's datasets when ``app_id`` is None."""

    id: str
    token: str
    app_id: str | None
    created_at: int
    used_at: float | None = None

    def shown(self, last_used_at: int | None) -> JsonDict:
        """Return the key as listed: always with the full token."""
        return {
            "id": self.id,
            "type": "app" if self.app_id else "dataset",
            "token": self.token,
            "last_used_at": last_used_at,
            "created_at": self.created_at,
        }


@dataclass(slots=True, kw_only=True)
class Trigger:
    """A webhook or schedule start node of a published workflow."""

    id: str
    node_id: str
    kind: str
    title: str
    created_at: str
    updated_at: str
    enabled: bool = True

    def shown(self) -> JsonDict:
        """Return the row of ``GET /apps/<id>/triggers``."""
        return {
            "id": self.id,
            "trigger_type": self.kind,
            "title": self.title,
            "node_id": self.node_id,
            "provider_name": "",
            "icon": "",
            "status": "enabled" if self.enabled else "disabled",
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }


@dataclass(slots=True, kw_only=True)
class Webhook:
    """The public address of a webhook node; it exists from the first saved draft on."""

    id: str
    webhook_id: str
    node_id: str
    created_at: str


@dataclass(slots=True, kw_only=True)
class Tag:
    """A tag and the ids of what carries it."""

    id: str
    name: str
    type: str
    targets: set[str] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class App:
    """An app with everything that hangs on it."""

    id: str
    name: str
    mode: str
    description: str
    created_by: Account
    created_at: int
    updated_at: int
    icon: str = "🤖"
    icon_type: str = "emoji"
    icon_background: str = "#FFEAD5"
    use_icon_as_answer_icon: bool = False
    enable_api: bool = True
    enable_site: bool = True
    max_active_requests: int | None = None
    draft: Workflow | None = None
    versions: list[Workflow] = field(default_factory=list)
    live: Workflow | None = None
    model_config: JsonDict | None = None
    agent: Agent | None = None
    config_times: tuple[int, int] = (0, 0)
    site: JsonDict = field(default_factory=dict)
    tracing: JsonDict | None = None
    keys: list[ApiKey] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    webhooks: dict[str, Webhook] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    conversations: dict[str, Conversation] = field(default_factory=dict)
    node_runs: dict[str, bytes] = field(default_factory=dict, repr=False)
    annotations: list[JsonDict] = field(default_factory=list)
    active: int = 0
    deleted: bool = False
    cache: dict[str, bytes] = field(default_factory=dict, repr=False)
    _runs_by_id: dict[str, Run] = field(default_factory=dict, repr=False)

    @property
    def env(self) -> dict[str, Any]:
        """Return the draft's environment variables by name, secrets in clear."""
        return self.draft.env if self.draft else {}

    @property
    def live_env(self) -> dict[str, Any]:
        """Return the published version's environment variables by name, secrets in clear."""
        return self.live.env if self.live else {}

    @property
    def key(self) -> str:
        """Return the token of the first service key."""
        return self.keys[0].token

    @property
    def is_flow(self) -> bool:
        """Tell whether the app has a workflow (mode workflow or advanced-chat)."""
        return self.mode in FLOW_MODES

    def run_named(self, run_id: str) -> Run | None:
        """Return the run with that id."""
        if len(self._runs_by_id) != len(self.runs):
            self._runs_by_id = {run.id: run for run in self.runs}
        return self._runs_by_id.get(run_id)

    def version_by_id(self, workflow_id: str) -> Workflow | None:
        """Return the published version with that id."""
        return next((version for version in self.versions if version.id == workflow_id), None)

    def changed(self) -> None:
        """Forget the serialised answers."""
        self.cache.clear()

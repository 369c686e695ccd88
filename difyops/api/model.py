"""What the platform's answers become: frozen dataclasses. Unknown wire fields are kept in ``raw``.

Shapes as recorded from 1.13.0, 1.13.3 and 1.15 (tests/recordings). Times are unix seconds as the wire has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api.answers import AGENT_MODE, CHAT_MODES, WORKFLOW_MODES
from difyops.api.shapes import moment

__all__ = [
    "AGENT_MODE",
    "CHAT_MODES",
    "WORKFLOW_MODES",
    "AgentVersion",
    "App",
    "Import",
    "ServerInfo",
    "Trigger",
    "Wire",
    "Workflow",
]

Wire = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One app. From the list, ``enable_api``, ``enable_site`` and ``model_config`` are unknown (``None``)."""

    id: str
    name: str
    mode: str
    description: str = ""
    live_version: str | None = None
    tags: tuple[str, ...] = ()
    created_at: float | None = None
    updated_at: float | None = None
    author: str | None = None
    enable_api: bool | None = None
    enable_site: bool | None = None
    model_config: dict[str, Any] | None = field(default=None, repr=False)  # may hold what tools keep secret
    agent_id: str | None = None
    raw: Wire = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, wire: Wire) -> App:
        """Read a list row or a detail (``GET /apps``, ``GET /apps/<id>``)."""
        workflow = wire.get("workflow")
        config = wire.get("model_config")
        tags = wire.get("tags")
        return cls(
            id=str(wire.get("id", "")),
            name=str(wire.get("name", "")),
            mode=str(wire.get("mode", "")),
            description=str(wire.get("description") or ""),
            live_version=str(workflow["id"]) if isinstance(workflow, dict) and workflow.get("id") else None,
            tags=tuple(sorted(str(tag.get("name")) for tag in _objects(tags))),
            created_at=moment(wire.get("created_at")),
            updated_at=moment(wire.get("updated_at")),
            author=_text(wire.get("author_name")),
            enable_api=_flag(wire.get("enable_api")),
            enable_site=_flag(wire.get("enable_site")),
            model_config=config if isinstance(config, dict) else None,
            agent_id=_text(wire.get("bound_agent_id")),
            raw=wire,
        )

    @property
    def has_workflow(self) -> bool:
        """Say whether the app is a graph with drafts and versions."""
        return self.mode in WORKFLOW_MODES

    @property
    def is_agent(self) -> bool:
        """Say whether it is an agent app: a soul with a draft and versions, reached by the id of its agent."""
        return self.mode == AGENT_MODE


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A draft or a published version. ``hash`` covers the graph, up to 1.13 the features, no variables."""

    id: str
    version: str
    graph: dict[str, Any]
    features: dict[str, Any]
    hash: str | None
    environment_variables: tuple[dict[str, Any], ...] = ()
    conversation_variables: tuple[dict[str, Any], ...] = ()
    marked_name: str = ""
    marked_comment: str = ""
    created_by: str | None = None
    created_at: float | None = None
    updated_by: str | None = None
    updated_at: float | None = None
    raw: Wire = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, wire: Any) -> Workflow | None:
        """Read a workflow; the all-null object and ``null`` of a never published app give ``None``."""
        if not isinstance(wire, dict) or not wire.get("id"):
            return None
        return cls(
            id=str(wire["id"]),
            version=str(wire.get("version") or ""),
            graph=_object(wire.get("graph")),
            features=_object(wire.get("features")),
            hash=_text(wire.get("hash")),
            environment_variables=_objects(wire.get("environment_variables")),
            conversation_variables=_objects(wire.get("conversation_variables")),
            marked_name=str(wire.get("marked_name") or ""),
            marked_comment=str(wire.get("marked_comment") or ""),
            created_by=_person(wire.get("created_by")),
            created_at=moment(wire.get("created_at")),
            updated_by=_person(wire.get("updated_by")),
            updated_at=moment(wire.get("updated_at")),
            raw=wire,
        )

    @property
    def is_draft(self) -> bool:
        """Say whether this is the draft."""
        return self.version == "draft"

    @property
    def document(self) -> dict[str, Any]:
        """Return graph, features and variables as one JSON document (secrets masked by the server)."""
        return {
            "graph": self.graph,
            "features": self.features,
            "environment_variables": list(self.environment_variables),
            "conversation_variables": list(self.conversation_variables),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentVersion:
    """The draft or a published version of an agent app. The server tells the ids of people only, no names.

    ``soul`` holds secrets in clear; the list of versions leaves it out. ``operations``: how it came to be.
    """

    id: str
    version: str
    soul: dict[str, Any] = field(repr=False)
    marked_name: str = ""
    marked_comment: str = ""
    created_by: str | None = None
    created_at: float | None = None
    updated_by: str | None = None
    updated_at: float | None = None
    hash: str | None = None
    operations: frozenset[str] = frozenset()

    @classmethod
    def of(cls, wire: Wire) -> AgentVersion:
        """Read a version, a row of the list of versions, or the draft."""
        return cls(
            id=str(wire.get("id") or ""),
            version=str(wire.get("display_version") or wire.get("version") or ""),
            soul=_object(wire.get("config_snapshot")),
            marked_comment=str(wire.get("version_note") or ""),
            created_at=moment(wire.get("created_at")),
            updated_at=moment(wire.get("updated_at")),
            operations=frozenset(str(item.get("operation")) for item in _objects(wire.get("revisions"))),
        )

    @property
    def document(self) -> dict[str, Any]:
        """Return the soul as a document."""
        return {"agent_soul": self.soul}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """The answer to an import. ``status``: completed, completed-with-warnings, pending, failed."""

    id: str
    status: str
    app_id: str | None
    current_dsl_version: str
    imported_dsl_version: str
    error: str

    @classmethod
    def of(cls, wire: Wire) -> Import:
        """Read an Import object."""
        return cls(
            id=str(wire.get("id", "")),
            status=str(wire.get("status", "")),
            app_id=_text(wire.get("app_id")),
            current_dsl_version=str(wire.get("current_dsl_version") or ""),
            imported_dsl_version=str(wire.get("imported_dsl_version") or ""),
            error=str(wire.get("error") or ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A trigger of a published workflow: webhook, schedule or plugin; ``status`` enabled, disabled, ..."""

    id: str
    kind: str
    node_id: str
    title: str
    status: str

    @classmethod
    def of(cls, wire: Wire) -> Trigger:
        """Read a row of ``GET /apps/<id>/triggers``."""
        return cls(
            id=str(wire.get("id", "")),
            kind=str(wire.get("trigger_type", "")),
            node_id=str(wire.get("node_id", "")),
            title=str(wire.get("title") or ""),
            status=str(wire.get("status", "")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What answered: version as it reports it, whether it is set up, which workspace and who we are there."""

    version: str
    url: str
    workspace_id: str
    workspace_name: str
    account: str
    role: str
    timezone: str


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> tuple[dict[str, Any], ...]:
    return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _person(value: Any) -> str | None:
    if isinstance(value, dict):
        name = value.get("name") or value.get("email")
        return str(name) if name else None
    return None

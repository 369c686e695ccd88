"""The shape of a document and the questions others ask about it: which nodes, models, tools and datasets.

A document is the JSON of one app as the instance returns it: ``graph``, ``features``, ``environment_variables`` and
``conversation_variables`` for the workflow modes, ``model_config`` for the chat modes, ``agent_soul`` for agent apps.
It comes from a server, so every reader here takes what has the right shape and passes over what has not; none of them
raises. Documents are never changed in place. No comparing and no secrets here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from difyops.errors import UsageError

JsonObject = dict[str, Any]

WORKFLOW_MODES = frozenset({"workflow", "advanced-chat"})
CHAT_MODES = frozenset({"chat", "agent-chat", "completion"})
AGENT_MODE = "agent"
NOTE_TYPE = "custom-note"

ToolUse = tuple[str, str, str, str | None]


class DslError(UsageError):
    """A YAML or DSL text cannot be used; the message names the place (line, column) and the reason."""

    code = "dsl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of a graph. ``data`` holds its settings; ``index`` is its position in ``graph.nodes``."""

    id: str
    type: str
    title: str
    data: JsonObject
    index: int

    @property
    def name(self) -> str:
        """Return the title people see, or the id when there is none."""
        return self.title or self.id


def iter_nodes(document: Mapping[str, Any]) -> Iterator[Node]:
    """Yield the nodes of a workflow document in their order, sticky notes left out; nothing for the chat modes."""
    for index, raw in enumerate(as_list(as_dict(document.get("graph")).get("nodes"))):
        if isinstance(raw, dict) and raw.get("type") != NOTE_TYPE:
            data = as_dict(raw.get("data"))
            yield Node(
                id=text_of(raw.get("id")),
                type=text_of(data.get("type")),
                title=text_of(data.get("title")),
                data=data,
                index=index,
            )


def node_types(document: Mapping[str, Any]) -> set[str]:
    """Return the node types in use (``llm``, ``http-request``, ...)."""
    return {node.type for node in iter_nodes(document) if node.type}


def trigger_nodes(document: Mapping[str, Any]) -> list[Node]:
    """Return the nodes that start runs by themselves: webhook, schedule and plugin triggers (1.10 and later)."""
    return [node for node in iter_nodes(document) if node.type.startswith("trigger-")]


def env_variables(document: Mapping[str, Any]) -> list[JsonObject]:
    """Return the environment variables as given (``name``, ``value``, ``value_type``, ``id``, ...)."""
    return [item for item in as_list(document.get("environment_variables")) if isinstance(item, dict)]


def conversation_variables(document: Mapping[str, Any]) -> list[JsonObject]:
    """Return the conversation variables as given; only chatflows have any."""
    return [item for item in as_list(document.get("conversation_variables")) if isinstance(item, dict)]


def datasets(document: Mapping[str, Any]) -> set[str]:
    """Return the ids of the datasets in use, as written (a DSL may hold them encrypted)."""
    found = {item for part in _parts(document) for item in as_list(part.get("dataset_ids")) if isinstance(item, str)}
    for entry in _linked_datasets(document):
        if entry.get("enabled") is not False and isinstance(entry.get("id"), str):
            found.add(entry["id"])
    return found - {""}


def tools(document: Mapping[str, Any]) -> set[ToolUse]:
    """Return ``(provider_id, provider_type, tool_name, credential_id or None)`` for every tool in use."""
    uses = (_tool_use(entry) for entry in tool_entries(document))
    return {use for use in uses if use[0] or use[2]}


def agent_assets(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return ``(kind, name)`` of the files and skills of an agent app: a document names them and does not hold them."""
    soul = as_dict(document.get("agent_soul"))
    named = (("skill", "config_skills"), ("file", "config_files"))
    return [(kind, text_of(as_dict(item).get("name"))) for kind, part in named for item in as_list(soul.get(part))]


def models(document: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return ``(provider, model name)`` of every model named: chat, rerank and embedding models alike."""
    found = {pair for part in _parts(document) for value in _dicts(part) for pair in _model_pairs(value)}
    return {(provider, name) for provider, name in found if name}


def tool_entries(document: Mapping[str, Any]) -> Iterator[JsonObject]:
    """Yield the dict that names a tool: tool nodes, tools of agent nodes, tools of an agent app."""
    for node in iter_nodes(document):
        if node.type == "tool":
            yield node.data
        chosen = as_dict(as_dict(node.data.get("agent_parameters")).get("tools")).get("value")
        yield from (item for item in as_list(chosen) if isinstance(item, dict))
    for item in _agent_tools(document):
        if "tool_name" in item:
            yield item
    yield from _soul_tools(document)


def as_dict(value: object) -> JsonObject:
    """Return ``value`` when it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return ``value`` when it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text_of(value: object) -> str:
    """Return ``value`` when it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def word_set(text: str) -> frozenset[str]:
    """Return the words of ``text``; how the tables of names in this room are written."""
    return frozenset(text.split())


def _parts(document: Mapping[str, Any]) -> Iterator[JsonObject]:
    """Yield what settings live in: the data of each node, the features, the model config, the soul."""
    for node in iter_nodes(document):
        yield node.data
    yield as_dict(document.get("features"))
    yield as_dict(document.get("model_config"))
    yield as_dict(document.get("agent_soul"))


def _agent_tools(document: Mapping[str, Any]) -> list[JsonObject]:
    mode = as_dict(as_dict(document.get("model_config")).get("agent_mode"))
    return [item for item in as_list(mode.get("tools")) if isinstance(item, dict)]


def _soul_tools(document: Mapping[str, Any]) -> Iterator[JsonObject]:
    """Yield the tools of an agent app, with their credential where those of other modes have it."""
    for item in as_list(as_dict(as_dict(document.get("agent_soul")).get("tools")).get("dify_tools")):
        tool = as_dict(item)
        credential = as_dict(tool.get("credential_ref")).get("id")
        yield {**tool, "provider_id": tool.get("provider_id") or tool.get("provider"), "credential_id": credential}


def _linked_datasets(document: Mapping[str, Any]) -> Iterator[JsonObject]:
    """Yield ``{"id", "enabled"}`` of the datasets of a chat app (current place, then the legacy agent tool)."""
    configs = as_dict(as_dict(document.get("model_config")).get("dataset_configs"))
    for item in as_list(as_dict(configs.get("datasets")).get("datasets")):
        yield as_dict(as_dict(item).get("dataset"))
    for tool in _agent_tools(document):
        yield as_dict(tool.get("dataset"))
    for group in as_list(as_dict(as_dict(document.get("agent_soul")).get("knowledge")).get("sets")):
        yield from (as_dict(item) for item in as_list(as_dict(group).get("datasets")))


def _tool_use(entry: JsonObject) -> ToolUse:
    provider = text_of(entry.get("provider_id")) or text_of(entry.get("provider_name"))
    kind = text_of(entry.get("provider_type")) or (text_of(entry.get("type")) if entry.get("type") != "tool" else "")
    return (provider, kind, text_of(entry.get("tool_name")), text_of(entry.get("credential_id")) or None)


def _dicts(value: object) -> Iterator[JsonObject]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _model_pairs(value: JsonObject) -> Iterator[tuple[str, str]]:
    """Yield the models that one dict names, in the spellings the platform uses."""
    for key, inner in value.items():
        if key == "model" or key.endswith("_model"):
            chosen = as_dict(inner)
            chosen = as_dict(chosen.get("value")) if "provider" not in chosen else chosen
            yield _pair(chosen, "provider", "name") if "name" in chosen else _pair(chosen, "provider", "model")
            yield _pair(chosen, "reranking_provider_name", "reranking_model_name")
    yield _pair(value, "embedding_provider_name", "embedding_model_name")
    if "model_provider" in value:
        yield _pair(value, "model_provider", "model")


def _pair(value: JsonObject, provider: str, name: str) -> tuple[str, str]:
    return (text_of(value.get(provider)), text_of(value.get(name)))

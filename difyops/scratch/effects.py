"""What an app would do outside when it is run, what keeps it from being run by itself, and what it is asked with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from difyops.api.input_form import InputField, form_of
from difyops.dsl.model import as_dict, as_list, iter_nodes, tool_entries

_READS = {"get", "head", "options"}
_ACTS = {"tool", "agent", "datasource", "knowledge-index"}


def effects_of(document: Mapping[str, Any]) -> list[str]:
    """Name the nodes that may write somewhere: tools, agents, requests other than reading ones, tools of an agent."""
    found = []
    for node in iter_nodes(document):
        method = str(node.data.get("method") or "get").lower()
        if node.type in _ACTS or (node.type == "http-request" and method not in _READS):
            found.append(f"{node.name} ({node.type}{' ' + method.upper() if node.type == 'http-request' else ''})")
    has_tools = any(item.get("enabled") is not False for item in tool_entries(document))
    if not found and (has_tools or _acts_by_soul(document)):
        found.append("tools of the agent")
    return found


def _acts_by_soul(document: Mapping[str, Any]) -> bool:
    """Say whether an agent app may run commands, tools or skills, of whatever kind the server has."""
    soul = as_dict(document.get("agent_soul"))
    return any(as_list(kind) for kind in as_dict(soul.get("tools")).values()) or bool(
        as_list(soul.get("config_skills"))
    )


def owned_files(document: Mapping[str, Any]) -> bool:
    """Say whether an agent app has files or skills: they belong to it, and no other agent can use them."""
    soul = as_dict(document.get("agent_soul"))
    return bool(as_list(soul.get("config_files")) or as_list(soul.get("config_skills")))


def cannot_run(document: Mapping[str, Any]) -> str:
    """Say why a run of its own makes no sense, blank when it does."""
    types = {node.type for node in iter_nodes(document)}
    if any(kind.startswith("trigger-") for kind in types) and "start" not in types:
        return "it begins with a trigger"
    return "it waits for a person" if "human-input" in types else ""


def form(document: Mapping[str, Any]) -> tuple[InputField, ...]:
    """Return the input form of a document."""
    config = document.get("model_config")
    if isinstance(config, Mapping):
        return form_of(config)
    rows = [row for node in iter_nodes(document) if node.type == "start" for row in node.data.get("variables") or ()]
    return form_of({"user_input_form": [{str(row.get("type")): row} for row in rows if isinstance(row, dict)]})

"""Exporting an app as YAML the way the server does, and reading a DSL's workflow part back.

Keys sorted, secrets blank unless asked for, dataset ids encrypted with the workspace's key, webhook addresses and
schedules reset, tool credentials dropped, HTTP keys kept in clear.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import lru_cache
from typing import Any

import yaml

from difyops.emulator import shapes
from difyops.emulator.agents import Agent, without_secrets
from difyops.emulator.instance import Instance
from difyops.emulator.providers import OPENAI, PLUGIN
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import App, Workflow

_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EMOJI = re.compile(r'^([ \t]*\w+: )"((?:\\U[0-9A-F]{8})+)"$', re.MULTILINE)
_SCHEDULE: JsonDict = {
    "frequency": "daily",
    "mode": "visual",
    "timezone": "UTC",
    "visual_config": {"monthly_days": [1], "on_minute": 0, "time": "12:00 AM", "weekdays": ["sun"]},
}
MISSING_DRAFT = "Missing draft workflow configuration, please check."


def export(instance: Instance, app: App, workflow: Workflow | None, *, secrets: bool) -> bytes:
    """Return the answer of the export call: ``{"data": "<yaml>"}``, serialised once per workflow and app name.

    Raises:
        Problem: 400 for a workflow app without that workflow.
    """
    if app.is_flow and workflow is None:
        raise shapes.invalid_param(MISSING_DRAFT)
    place = workflow.cache if app.is_flow and workflow else app.cache
    slot = f"dsl:{secrets and _has_secrets(workflow)}:{app.name}:{app.description}:{app.icon}"
    if slot not in place or app.agent is not None:
        twin = _twin(app, workflow, slot)
        place[slot] = twin or shapes.dumps({"data": yaml_text(instance, app, workflow, secrets=secrets)})
    return place[slot]


def _has_secrets(workflow: Workflow | None) -> bool:
    if workflow is None:
        return False
    return '"credential_id"' in workflow.graph_text or any(i["value_type"] == "secret" for i in workflow.env_list)


def _twin(app: App, workflow: Workflow | None, slot: str) -> bytes | None:
    """Return the same text from the draft or the live version when they have the same contents; dumping is slow."""
    for other in (app.draft, app.live):
        if workflow is None or other is None or other is workflow or slot not in other.cache:
            continue
        same_variables = (other.env_list, other.conversation_list) == (workflow.env_list, workflow.conversation_list)
        if same_variables and other.hash == workflow.hash:
            return other.cache[slot]
    return None


def yaml_text(instance: Instance, app: App, workflow: Workflow | None, *, secrets: bool) -> str:
    """Return the DSL of an app as text."""
    about: JsonDict = {
        "name": app.name,
        "mode": app.mode,
        "icon": app.icon if app.icon_type != "image" else "🤖",
        "icon_background": app.icon_background,
        "description": app.description,
        "use_icon_as_answer_icon": app.use_icon_as_answer_icon,
    }
    if instance.release.icon_type_in_dsl:
        about["icon_type"] = app.icon_type
    document: JsonDict = {"version": instance.release.dsl, "kind": "app", "app": about}
    if app.is_flow and workflow is not None:
        document["workflow"] = _workflow(instance, workflow, secrets)
        document["dependencies"] = _dependencies(workflow.graph_text)
    elif app.agent is not None:
        document |= _agent_package(app, app.agent)
        document["dependencies"] = _dependencies(json.dumps(app.agent.soul))
    else:
        config = _without_credentials(app.model_config or {})
        document["model_config"] = config
        document["dependencies"] = _dependencies(json.dumps(config))
    return _written(json.dumps(document))


@lru_cache(maxsize=128)
def _written(document: str) -> str:
    """Return a document of JSON as YAML; the same apps are made again and again where emulators come and go."""
    text: str = yaml.dump(json.loads(document), Dumper=_DUMPER, allow_unicode=True)
    return _EMOJI.sub(_unescaped, text)


def _agent_package(app: App, agent: Agent) -> JsonDict:
    """Return the draft of an agent, which is all that is ever exported of one; secrets have no value."""
    names = ("name", "description", "icon_type", "icon", "icon_background")
    metadata = {**{name: getattr(app, name) for name in names}, "role": agent.role}
    package = {"metadata": metadata, "omitted_assets": [], "schema_version": 1, "soul": without_secrets(agent.soul)}
    return {"agent": {"package_ref": "agent_1"}, "agent_packages": {"agent_1": package}}


def _unescaped(found: re.Match[str]) -> str:
    """Write an icon as the server does; the fast dumper escapes what lies beyond the basic plane."""
    return found.group(1) + "".join(chr(int(code, 16)) for code in found.group(2).split("\\U")[1:])


def _workflow(instance: Instance, workflow: Workflow, secrets: bool) -> JsonDict:
    graph = json.loads(workflow.graph_text)
    for node in graph.get("nodes") or []:
        _clean_node(instance, node.get("data", {}), secrets)
    return {
        "graph": graph,
        "features": workflow.features,
        "environment_variables": [_exported(item, secrets) for item in workflow.env_list],
        "conversation_variables": [_exported(item, True) for item in workflow.conversation_list],
        "rag_pipeline_variables": [],
    }


def _exported(item: JsonDict, secrets: bool) -> JsonDict:
    hide = item["value_type"] == "secret" and not secrets
    return {**item, "value": "" if hide else item["value"]}


def _clean_node(instance: Instance, data: JsonDict, secrets: bool) -> None:
    match data.get("type"):
        case "knowledge-retrieval":
            data["dataset_ids"] = [encrypted_id(instance.workspace_id, item) for item in data.get("dataset_ids", [])]
        case "tool" if not secrets:
            data.pop("credential_id", None)
        case "trigger-schedule":
            data["config"] = _SCHEDULE
        case "trigger-webhook":
            data["webhook_url"] = data["webhook_debug_url"] = ""
        case "trigger-plugin":
            data["subscription_id"] = ""


def _without_credentials(config: JsonDict) -> JsonDict:
    cleaned: JsonDict = json.loads(json.dumps(config))
    for tool in (cleaned.get("agent_mode") or {}).get("tools") or []:
        tool.pop("credential_id", None)
    return cleaned


def _dependencies(text: str) -> list[JsonDict]:
    if OPENAI not in text:
        return []
    value = {"marketplace_plugin_unique_identifier": PLUGIN, "version": None}
    return [{"current_identifier": None, "type": "marketplace", "value": value}]


def encrypted_id(tenant: str, dataset_id: str) -> str:
    """Return a dataset id as only this workspace can read it; the same id always gives the same text.

    The server uses AES with a key made from the workspace id; this stand-in has the same length, alphabet and law.
    """
    if not _UUID.fullmatch(dataset_id):
        return dataset_id
    padded = dataset_id.encode() + bytes([12]) * 12
    return base64.b64encode(_mixed(tenant, padded)).decode()


def readable_id(tenant: str, text: str) -> str | None:
    """Return the dataset id behind ``text``: a plain UUID as it is, one of another workspace as None."""
    if _UUID.fullmatch(text):
        return text
    try:
        plain = _mixed(tenant, base64.b64decode(text)).rstrip(bytes([12])).decode()
    except ValueError:
        return None
    return plain if _UUID.fullmatch(plain) else None


def _mixed(tenant: str, data: bytes) -> bytes:
    stream = b"".join(hashlib.sha256(f"{tenant}:{block}".encode()).digest() for block in range(len(data) // 32 + 1))
    return bytes(left ^ right for left, right in zip(data, stream, strict=False))


def imported_graph(instance: Instance, graph: JsonDict) -> JsonDict:
    """Return a DSL's graph for storing: dataset ids decrypted, those of other workspaces silently dropped."""
    for node in graph.get("nodes") or []:
        data = node.get("data", {})
        if data.get("type") == "knowledge-retrieval":
            readable = (readable_id(instance.workspace_id, str(item)) for item in data.get("dataset_ids", []))
            data["dataset_ids"] = [item for item in readable if item]
    return graph

"""Importing a DSL: the server's decision table, with its orphans, pending states and silent successes.

The order of the checks is the server's; it decides what is left behind when one of them fails.
"""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass
from functools import lru_cache

import yaml

from difyops.emulator import agents, publishing, shapes
from difyops.emulator.dsl_text import imported_graph
from difyops.emulator.instance import Instance, PendingImport
from difyops.emulator.providers import PLUGIN
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import AGENT_MODE, CHAT_MODES, FLOW_MODES, Account, App

PENDING_SECONDS = 600.0
REDIS_GONE = "Error 111 connecting to 127.0.0.1:16379. Connection refused."
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_VERSION = re.compile(r"\d+(\.\d+)*")
_MODES = (*FLOW_MODES, *CHAT_MODES, "channel", "rag-pipeline")
_STATUS = {"pending": 202, "failed": 400}


class ImportFailed(Exception):
    """An import that ends with ``status: failed`` and this text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The Import object and its HTTP status."""

    body: JsonDict

    @property
    def http_status(self) -> int:
        """Return 200, 202 or 400."""
        return _STATUS.get(self.body["status"], 200)


def start(instance: Instance, account: Account, payload: JsonDict) -> Outcome:
    """Import ``payload["yaml_content"]``, as a new app or over ``payload["app_id"]`` (its draft only).

    Raises:
        Problem: 400 for an unknown mode; 500 under the mood ``half_written_import``.
    """
    mode = payload.get("mode")
    if mode not in ("yaml-content", "yaml-url"):
        raise shapes.invalid_param(f"Invalid import_mode: {mode}")
    import_id = instance.new_id()
    try:
        return _checked(instance, account, payload, import_id)
    except yaml.YAMLError as error:
        return _failed(instance, import_id, f"Invalid YAML format: {error}")
    except ImportFailed as error:
        return _failed(instance, import_id, str(error))


def confirm(instance: Instance, account: Account, import_id: str) -> Outcome:
    """Carry out a pending import, once, within ten minutes."""
    pending = instance.pending.pop(import_id, None)
    if pending is None or pending.expires < instance.moment():
        return _failed(instance, import_id, "Import information expired or does not exist")
    target = instance.apps.get(pending.app_id) if pending.app_id else None
    try:
        app = _write(instance, account, pending.content, pending.wishes, target)
    except ImportFailed as error:
        return _failed(instance, import_id, str(error))
    return _done(instance, import_id, "completed", app, pending.version)


def leaked(instance: Instance, app_id: str) -> list[JsonDict]:
    """Return the dependencies that are not installed as wanted. Empty also means: not known (any more)."""
    items, expires = instance.dependencies.get(app_id, ([], 0.0))
    if expires < instance.moment():
        return []
    return [shown for item in items if (shown := _leak(instance, item)) is not None]


def version_status(imported: str, current: str) -> str:
    """Compare DSL versions: completed, completed-with-warnings, pending, or failed when unreadable."""
    if not _VERSION.fullmatch(imported):
        return "failed"
    theirs, ours = _numbers(imported), _numbers(current)
    if theirs > ours or theirs[0] < ours[0]:
        return "pending"
    return "completed-with-warnings" if theirs[1] < ours[1] else "completed"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple([int(part) for part in text.split(".")] + [0, 0])[:3]


def _checked(instance: Instance, account: Account, payload: JsonDict, import_id: str) -> Outcome:
    content = _parsed(payload)
    version = content.get("version") or "0.1.0"
    if not isinstance(version, str):
        raise ImportFailed(f"Invalid version type, expected str, got {type(version)}")
    status = version_status(version, instance.release.dsl)
    if not content.get("app"):
        raise ImportFailed("Missing app data in YAML content")
    target = _target(instance, payload.get("app_id"))
    if instance.release.agents and content["app"].get("mode") == AGENT_MODE and target is None and status != "failed":
        return _agent(instance, account, content, payload, import_id, status)
    if status == "pending":
        instance.pending[import_id] = PendingImport(
            content=content, wishes=payload, app_id=payload.get("app_id"), version=version,
            expires=instance.moment() + instance.scaled(PENDING_SECONDS),
        )  # fmt: skip
        body = _body(instance, import_id, "pending", app_id=payload.get("app_id"), version=version)
        return Outcome(body=body)
    if not content.get("dependencies") and status == "failed":
        raise ImportFailed(f"Invalid version: '{version}'")
    app = _write(instance, account, content, payload, target)
    leaves = instance.release.failed_imports_leave_orphans or instance.release.garbage_version_leaves_app
    if status == "failed" and target is None and not leaves:
        instance.apps.pop(app.id)
    return _done(instance, import_id, status, app, version)


def _agent(
    instance: Instance, account: Account, content: JsonDict, wishes: JsonDict, import_id: str, status: str
) -> Outcome:
    reference = (content.get("agent") or {}).get("package_ref")
    package = (content.get("agent_packages") or {}).get(reference)
    if package is None:
        raise ImportFailed("Missing Agent package data")
    app, warnings = agents.imported(instance, account, package, **_identity(content["app"], wishes))
    outcome = _done(instance, import_id, status, app, str(content["version"]))
    if warnings:
        outcome.body.update(status="completed-with-warnings", warnings=warnings)
    return outcome


def _parsed(payload: JsonDict) -> JsonDict:
    if payload["mode"] == "yaml-url":
        url = payload.get("yaml_url")
        if not url:
            raise ImportFailed("yaml_url is required when import_mode is yaml-url")
        raise ImportFailed(f"Error fetching YAML from URL: Reached maximum retries (3) for URL {url}")
    text = payload.get("yaml_content")
    if not text:
        raise ImportFailed("yaml_content is required when import_mode is yaml-content")
    content = pickle.loads(_read(text))  # noqa: S301 - pickled by ourselves; a copy of its own for each app
    if not isinstance(content, dict):
        raise ImportFailed("Invalid YAML format: content must be a mapping")
    return content


@lru_cache(maxsize=64)
def _read(text: str) -> bytes:
    """Read a document once: every emulator imports the same known apps, and reading them is most of its start."""
    return pickle.dumps(yaml.load(text, Loader=_LOADER))  # noqa: S506 - the loader is the safe one


def _target(instance: Instance, app_id: str | None) -> App | None:
    if not app_id:
        return None
    app = instance.apps.get(app_id)
    if app is None:
        raise ImportFailed("App not found")
    if not app.is_flow:
        raise ImportFailed("Only workflow or advanced chat apps can be overwritten")
    return app


def _write(instance: Instance, account: Account, content: JsonDict, wishes: JsonDict, target: App | None) -> App:
    about = content["app"]
    mode = about.get("mode")
    if not mode:
        raise ImportFailed("loss app mode")
    if mode not in _MODES:
        raise ImportFailed(f"'{mode}' is not a valid AppMode")
    if target is None:
        app = publishing.new_app(instance, account, mode=mode, **_identity(about, wishes))
    else:
        app = target
        _rename(instance, app, _identity(about, wishes))
    try:
        _fill(instance, account, app, content, mode)
    except ImportFailed:
        if target is None and not instance.release.failed_imports_leave_orphans:
            instance.apps.pop(app.id)
        raise
    return app


def _identity(about: JsonDict, wishes: JsonDict) -> JsonDict:
    names = ("name", "description", "icon_type", "icon", "icon_background")
    found = {name: wishes.get(name) or about.get(name) for name in names}
    return {**found, "use_icon_as_answer_icon": about.get("use_icon_as_answer_icon", False)}


def _rename(instance: Instance, app: App, identity: JsonDict) -> None:
    for name, value in identity.items():
        if value is not None:
            setattr(app, name, value)
    app.updated_at = instance.now()
    app.changed()


def _fill(instance: Instance, account: Account, app: App, content: JsonDict, mode: str) -> None:
    if instance.control.has("redis_down"):
        raise ImportFailed(REDIS_GONE)
    if content.get("dependencies"):
        expires = instance.moment() + instance.scaled(PENDING_SECONDS)
        instance.dependencies[app.id] = (content["dependencies"], expires)
    if mode in FLOW_MODES:
        _fill_workflow(instance, account, app, content.get("workflow"))
    else:
        config = content.get("model_config")
        if not config or not isinstance(config, dict):
            raise ImportFailed("Missing model_config for chat/agent-chat/completion app")
        app.model_config = config
        app.config_times = (app.created_at, instance.now())
        app.changed()


def _fill_workflow(instance: Instance, account: Account, app: App, workflow: object) -> None:
    if not workflow or not isinstance(workflow, dict):
        raise ImportFailed("Missing workflow data for workflow/advanced chat app")
    half = instance.control.has("half_written_import")
    if half and app.draft is None:
        raise shapes.internal_error()
    graph = imported_graph(instance, workflow.get("graph") or {})
    kind = publishing.unknown_node_type(graph)
    if kind is not None and instance.release.rejects_unknown_node_types:
        raise ImportFailed(f"'{kind}' is not a valid NodeType")
    env = [] if half else workflow.get("environment_variables") or []
    conversation = [] if half else workflow.get("conversation_variables") or []
    publishing.save_draft(
        instance, app, account, graph=graph, features=workflow.get("features") or {},
        env=publishing.read_variables(instance, env, [], stars_keep=False),
        conversation=publishing.read_variables(instance, conversation, [], stars_keep=False, prefix="conversation"),
    )  # fmt: skip
    if half:
        raise shapes.internal_error()


def _leak(instance: Instance, item: JsonDict) -> JsonDict | None:
    wanted = str(item.get("value", {}).get("marketplace_plugin_unique_identifier", ""))
    if wanted == PLUGIN or instance.daemon.find(wanted) is not None:
        return None
    name, _, rest = wanted.partition(":")
    found = next((row for row in instance.daemon.installed() if row["plugin_id"] == name), None)
    installed = PLUGIN if name == PLUGIN.partition(":")[0] else found and found["plugin_unique_identifier"]
    value = {"marketplace_plugin_unique_identifier": wanted, "version": rest.partition("@")[0]}
    return {"type": item.get("type", "marketplace"), "value": value, "current_identifier": installed}


def _body(instance: Instance, import_id: str, status: str, **more: object) -> JsonDict:
    return {
        "id": import_id,
        "status": status,
        "app_id": more.get("app_id"),
        "app_mode": more.get("app_mode"),
        "current_dsl_version": instance.release.dsl,
        "imported_dsl_version": more.get("version", ""),
        "error": more.get("error", ""),
        **({"permission_keys": [], "warnings": []} if instance.release.permission_keys else {}),
    }


def _failed(instance: Instance, import_id: str, text: str) -> Outcome:
    return Outcome(body=_body(instance, import_id, "failed", error=text))


def _done(instance: Instance, import_id: str, status: str, app: App, version: str) -> Outcome:
    body = _body(instance, import_id, status, app_id=app.id, app_mode=app.mode, version=version)
    return Outcome(body=body)

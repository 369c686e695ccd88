"""Agent apps (mode ``agent``): a soul with a draft, versions, and one of them live. No routes here.

The draft has no hash and no lock; what a save leaves out goes back to its default. Secrets come back in clear from the
draft and from every version, and never from an export. The version that a new agent begins with is hidden.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from difyops.emulator import publishing, shapes
from difyops.emulator.instance import Instance
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import AGENT_MODE, Account, App

_FEATURES: JsonDict = {
    "opening_statement": None, "suggested_questions": None, "suggested_questions_after_answer": None,
    "speech_to_text": None, "text_to_speech": None, "retriever_resource": None, "sensitive_word_avoidance": None,
    "file_upload": {
        "enabled": True, "allowed_file_extensions": ["JPG", "JPEG", "PNG", "GIF", "WEBP", "SVG"],
        "allowed_file_types": ["document", "image", "audio", "video"],
        "allowed_file_upload_methods": ["local_file", "remote_url"], "image": {"enabled": True}, "number_limits": 3,
    },
}  # fmt: skip
_SOUL: JsonDict = {
    "schema_version": 1, "prompt": {"system_prompt": ""}, "tools": {"dify_tools": [], "cli_tools": []},
    "knowledge": {"sets": []}, "human": {"contacts": [], "tools": []}, "env": {"variables": [], "secret_refs": []},
    "config_skills": [], "config_files": [], "config_note": "", "files": {"skills": [], "files": []},
    "sandbox": {"provider": None, "config": {"image": None, "working_dir": None, "env": [], "cpu": None}},
    "memory": {"scope": None, "budget": None, "artifacts": []}, "model": None, "app_features": _FEATURES,
    "app_variables": [], "misc_legacy": copy.deepcopy(_FEATURES),
}  # fmt: skip
_VARIABLE = dict.fromkeys(("name", "key", "env_name", "variable", "type", "value", "default")) | {"required": False}
_SECRET = dict.fromkeys(
    ("name", "key", "env_name", "variable", "type", "value", "id", "ref", "credential_id", "provider_credential_id")
) | dict.fromkeys(("provider", "permission", "permission_status"))
_MODEL = dict.fromkeys(("plugin_id", "model_provider", "model", "credential_ref"))
_MODEL_SETTINGS = dict.fromkeys(
    ("temperature", "top_p", "presence_penalty", "frequency_penalty", "max_tokens", "stop", "response_format")
)
SHOWN_OPERATIONS = ("publish_draft", "import_package")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentVersion:
    """A version of a soul. ``operation``: create_version (hidden), publish_draft, import_package."""

    id: str
    number: int
    soul: JsonDict
    note: str | None
    operation: str
    created_by: Account
    created_at: int
    revision_id: str
    before: str | None


@dataclass(slots=True, kw_only=True)
class Agent:
    """What an app of mode ``agent`` is made of. ``soul`` is the draft; ``base`` the version it was taken from."""

    id: str
    role: str
    source: str
    soul: JsonDict
    draft_id: str
    created_by: Account
    created_at: int
    updated_at: int
    debug_conversation_id: str
    versions: list[AgentVersion] = field(default_factory=list)
    live_id: str = ""
    base: str = ""

    @property
    def live(self) -> AgentVersion:
        """Return the active version; the hidden first one before anything was published."""
        return next(version for version in self.versions if version.id == self.live_id)

    @property
    def shown(self) -> list[AgentVersion]:
        """Return the versions that the list has, newest first."""
        return [version for version in reversed(self.versions) if version.operation in SHOWN_OPERATIONS]

    @property
    def is_published(self) -> bool:
        """Say whether the draft is what is live; after an import it is not, whatever it holds."""
        return self.live.operation == "publish_draft" and self.soul == self.live.soul


def new_agent(instance: Instance, account: Account, *, name: str, role: str = "", **more: Any) -> App:
    """Create an agent app: API and site are on, nothing is published.

    Raises:
        Problem: 409, the name is taken.
    """
    if any(app.name == name and app.agent is not None for app in instance.apps.values()):
        raise shapes.problem("agent_name_conflict_error", "Agent name already exists.", 409)
    return _made(instance, account, name, role, full_soul({}), "create_version", **more)


def copied(instance: Instance, account: Account, app: App, **wishes: Any) -> App:
    """Copy an agent with its draft, secrets included; nothing of it is published and no name is checked."""
    agent = _agent(app)
    more = {"description": app.description, "icon": app.icon, "icon_background": app.icon_background, **wishes}
    name = more.pop("name", None) or app.name
    return _made(instance, account, name, more.pop("role", None) or agent.role, agent.soul, "create_version", **more)


def imported(instance: Instance, account: Account, package: JsonDict, **identity: Any) -> tuple[App, list[JsonDict]]:
    """Make an app of an agent package: unpublished, although a version is listed. Returns what it needs yet."""
    soul = full_soul(package.get("soul") or {})
    role = (package.get("metadata") or {}).get("role") or ""
    name = identity.pop("name")
    app = _made(instance, account, name, role, soul, "import_package", **identity)
    needed = [item["name"] for item in soul["env"]["secret_refs"] if not item["value"]]
    return app, [
        {
            "code": "agent_secret_required", "path": "agent.soul.env.secret_refs",
            "message": f"Agent secret '{name}' must be configured.", "details": {"name": name},
        }
        for name in needed
    ]  # fmt: skip


def _made(
    instance: Instance, account: Account, name: str, role: str, soul: JsonDict, operation: str, **more: Any
) -> App:
    app = publishing.new_app(instance, account, name=name, mode=AGENT_MODE, **more)
    now = instance.now()
    app.agent = Agent(
        id=instance.new_id(), role=role, soul=copy.deepcopy(soul), draft_id=instance.new_id(), created_by=account,
        created_at=now, updated_at=now, debug_conversation_id=instance.new_id(),
        source="imported" if operation == "import_package" else "agent_app",
    )  # fmt: skip
    add_version(instance, app, account, operation, None)
    return app


def _agent(app: App) -> Agent:
    if app.agent is None:
        raise RuntimeError("an app of another mode has no agent")
    return app.agent


def add_version(instance: Instance, app: App, account: Account, operation: str, note: str | None) -> AgentVersion:
    """Make a version of the draft and make it the live one."""
    agent = _agent(app)
    version = AgentVersion(
        id=instance.new_id(), number=len(agent.versions) + 1, soul=copy.deepcopy(agent.soul), note=note,
        operation=operation, created_by=account, created_at=instance.now(), revision_id=instance.new_id(),
        before=agent.live_id or None,
    )  # fmt: skip
    agent.versions.append(version)
    agent.live_id = agent.base = version.id
    agent.updated_at = instance.now()
    return version


def save(instance: Instance, app: App, soul: JsonDict) -> None:
    """Replace the draft; the last one wins."""
    agent = _agent(app)
    agent.soul, agent.updated_at = full_soul(soul), instance.now()


def publish(instance: Instance, app: App, account: Account, note: str | None) -> AgentVersion:
    """Publish the draft; unchanged ones make one more version.

    Raises:
        Problem: 400, no model is chosen.
    """
    if not (_agent(app).soul["model"] or {}).get("model"):
        text = "Agent App requires the Agent Soul model to be configured."
        raise shapes.problem("agent_model_not_configured", text, 400)
    app.cache.clear()
    return add_version(instance, app, account, "publish_draft", note)


def full_soul(given: JsonDict) -> JsonDict:
    """Return a soul with every field; what is left out has its default.

    Raises:
        Problem: 400, a field that no soul has.
    """
    for name in given:
        if name not in _SOUL:
            text = "Extra inputs are not permitted"
            raise shapes.validation("ComposerSavePayload", f"agent_soul.{name}", text, "extra_forbidden", given[name])
    soul = copy.deepcopy(_SOUL)
    for name, value in given.items():
        if isinstance(soul[name], dict) and isinstance(value, dict):
            soul[name] |= copy.deepcopy(value)
        else:
            soul[name] = copy.deepcopy(value)
    soul["env"] = _env(soul["env"])
    soul["tools"]["cli_tools"] = [
        {**tool, "env": _env(tool.get("env") or {})} for tool in soul["tools"].get("cli_tools") or []
    ]
    if soul["model"]:
        settings = _MODEL_SETTINGS | (soul["model"].get("model_settings") or {})
        soul["model"] = {**_MODEL, **soul["model"], "model_settings": settings}
    return soul


def _env(env: JsonDict) -> JsonDict:
    return {
        "variables": [_VARIABLE | item for item in env.get("variables") or []],
        "secret_refs": [_SECRET | item for item in env.get("secret_refs") or []],
    }


def without_secrets(soul: JsonDict) -> JsonDict:
    """Return a soul as an export has it: no secret has a value, wished for or not."""
    shown = copy.deepcopy(soul)
    for holder in (shown, *shown["tools"]["cli_tools"]):
        for item in holder["env"]["secret_refs"]:
            item["value"] = None
    return shown

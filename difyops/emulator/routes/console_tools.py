"""Builtin tool providers and the credentials of the one that wants a key (several per provider, one the default)."""

from __future__ import annotations

from starlette.responses import Response

from difyops.emulator import canned, shapes
from difyops.emulator.providers import (
    SEARCH_FIELDS,
    SEARCH_SECRET,
    SEARCH_TOOL,
    Credential,
    free_name,
    merged,
    plugin_error,
)
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict

API = "/console/api/workspaces/current"
ONE = f"{API}/tool-provider/builtin/{{org}}/{{plugin}}/{{provider}}"
_NAME_LIMIT = 30
_KINDS = ("api-key", "oauth2", "unauthorized")
_KINDS_TEXT = "'api-key', 'oauth2' or 'unauthorized'"
_NOT_ADDED = f"you have not added provider {SEARCH_TOOL}"
_REFUSED = "Invalid API key. Your API key should be here: https://serpapi.com/manage-api-key"
_LABEL = {"en_US": "Google", "zh_Hans": "Google", "pt_BR": "Google", "ja_JP": "Google"}


def list_tool_providers(call: Call) -> Response:
    """List the tool providers, those without credentials first."""
    call.instance.reach_daemon("tools")
    rows = canned.tool_providers(call.instance)
    search: JsonDict = {
        **rows[0], "id": SEARCH_TOOL, "author": "langgenius", "name": SEARCH_TOOL, "plugin_id": "langgenius/google",
        "plugin_unique_identifier": "langgenius/google:0.0.9@" + "b" * 64, "label": _LABEL, "description": _LABEL,
        "team_credentials": {}, "is_team_authorization": bool(call.instance.tool.credentials), "allow_delete": True,
        "labels": ["search"],
    }  # fmt: skip
    kind = call.query("type")
    return shapes.answer([*rows, search] if kind in ("", "builtin") else [])


def _is_installed(call: Call) -> bool:
    return "/".join(call.params.get(part, "") for part in ("org", "plugin", "provider")) == SEARCH_TOOL


def _check(call: Call) -> None:
    """Refuse a provider that is not installed, the way most of these calls do: with a 500."""
    if not _is_installed(call):
        raise shapes.internal_error()


def _found(call: Call, field: str, model: str, gone: str) -> Credential:
    """Return the credential that the body names: by its id alone, whatever provider the address names."""
    item = call.instance.tool.find(str(call.require(call.json(), field, model)))
    if item is None:
        raise shapes.invalid_param(gone)
    return item


def list_credentials(call: Call) -> Response:
    """List the credentials, masked, the one in use first; none of a provider nobody knows."""
    tool = call.instance.tool
    return shapes.answer([tool.shown(item) for item in tool.listed()] if _is_installed(call) else [])


def info(call: Call) -> Response:
    """Return the credentials with the kinds that can be added."""
    _check(call)
    tool = call.instance.tool
    return shapes.answer(
        {
            "supported_credential_types": ["api-key"],
            "is_oauth_custom_client_enabled": False,
            "credentials": [tool.shown(item) for item in tool.listed()],
        }
    )


def schema(call: Call) -> Response:
    """Return the fields of a credential: a secret one and a public one."""
    _check(call)
    match call.params["kind"]:
        case "api-key":
            more = {"scope": None, "default": None, "options": None, "multiple": False, "label": _LABEL}
            texts = {"help": _LABEL, "url": "https://serpapi.com/manage-api-key", "placeholder": _LABEL}
            kinds = ("secret-input", True), ("text-input", False)
            fields = [
                {"type": kind, "name": name, "required": required, **more, **texts}
                for name, (kind, required) in zip(SEARCH_FIELDS, kinds, strict=True)
            ]
            return shapes.answer(fields)
        case "oauth2":
            return shapes.answer([])
        case kind:
            raise shapes.invalid_param(f"Invalid credential type: {kind}")


def _accepted(call: Call, values: JsonDict) -> dict[str, str]:
    """Return the values when their form is right and the provider accepts them.

    Raises:
        Problem: 400, of the server or in the plugin's words.
    """
    for name, value in values.items():
        if name not in SEARCH_FIELDS:
            raise shapes.invalid_param(f"credential {name} not found in provider {SEARCH_TOOL}")
        if not isinstance(value, str):
            raise shapes.invalid_param(f"credential {name} should be string")
    if SEARCH_SECRET not in values:
        raise shapes.invalid_param(f"credential {SEARCH_SECRET} is required")
    key = values[SEARCH_SECRET]
    if not key or key.startswith("bad") or key in call.instance.control.revoked:
        raise shapes.invalid_param(plugin_error("ToolProviderCredentialValidationError", _REFUSED))
    return dict(values)


def _checked_name(payload: JsonDict, model: str) -> str:
    name = str(payload.get("name") or "")
    if len(name) > _NAME_LIMIT:
        raise shapes.too_long(model, "name", _NAME_LIMIT, name)
    return name


def _check_free(call: Call, name: str) -> None:
    if any(item.name == name for item in call.instance.tool.credentials):
        raise shapes.invalid_param(f"the credential name '{name}' is already used")


def add(call: Call) -> Response:
    """Add a credential, tried first; the oldest is in use until one is made the default."""
    payload, tool, model = call.json(), call.instance.tool, "BuiltinToolAddPayload"
    values = call.require(payload, "credentials", model)
    kind, name = call.require(payload, "type", model), _checked_name(payload, model)
    if kind not in _KINDS:
        raise shapes.validation(model, "type", f"Input should be {_KINDS_TEXT}", "enum", kind)
    if not _is_installed(call):
        raise shapes.invalid_param("req_id: 0123456789 PluginDaemonNotFoundError: no available node, plugin not found")
    accepted = _accepted(call, values)
    if name:
        _check_free(call, name)
    name = name or free_name(item.name for item in tool.credentials)
    tool.credentials.append(Credential(id=call.instance.new_id(), name=name, values=accepted, added_by=call.actor.id))
    tool.settle()
    return shapes.success()


def update(call: Call) -> Response:
    """Change a credential; ``[__HIDDEN__]`` keeps the stored secret, which is tried again."""
    model, payload = "BuiltinToolUpdatePayload", call.json()
    name = _checked_name(payload, model)
    item = _found(call, "credential_id", model, _NOT_ADDED)
    values = _accepted(call, merged(payload["credentials"], item.values)) if payload.get("credentials") else item.values
    if name and name != item.name:
        _check_free(call, name)
    item.values, item.name = values, name or item.name
    return shapes.success()


def delete(call: Call) -> Response:
    """Delete a credential, also one in use or named by nodes; the oldest that remains is used then.

    A provider nobody knows in the address: it is deleted all the same, and the answer is a 500.
    """
    tool = call.instance.tool
    tool.credentials.remove(_found(call, "credential_id", "BuiltinToolCredentialDeletePayload", _NOT_ADDED))
    tool.settle()
    _check(call)
    return shapes.success()


def set_default(call: Call) -> Response:
    """Make a credential the default."""
    chosen = _found(call, "id", "BuiltinProviderDefaultCredentialPayload", "provider not found")
    call.instance.tool.mark(chosen, call.actor.id)
    return shapes.success()


ROUTES = (
    Route("GET", f"{API}/tool-providers", list_tool_providers),
    Route("GET", f"{ONE}/credentials", list_credentials),
    Route("GET", f"{API}/tool-provider/builtin/{{provider}}/credentials", list_credentials),
    Route("GET", f"{ONE}/credential/info", info),
    Route("GET", f"{ONE}/credential/schema/{{kind}}", schema),
    Route("POST", f"{ONE}/add", add),
    Route("POST", f"{ONE}/update", update, role="admin"),
    Route("POST", f"{ONE}/delete", delete, role="admin"),
    Route("POST", f"{ONE}/default-credential", set_default),
)

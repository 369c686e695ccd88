"""Builtin tool providers and the credentials of the one that wants a key (several per provider, one the default)."""

from __future__ import annotations

from starlette.responses import Response

from difyops.emulator import canned, shapes
from difyops.emulator.providers import SEARCH_SECRET, SEARCH_TOOL, Credential, free_name, merged
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict

API = "/console/api/workspaces/current"
ONE = f"{API}/tool-provider/builtin/{{org}}/{{plugin}}/{{provider}}"
_LABEL = {"en_US": "Google", "zh_Hans": "Google", "pt_BR": "Google", "ja_JP": "Google"}


def list_tool_providers(call: Call) -> Response:
    """List the tool providers, those without credentials first."""
    rows = canned.tool_providers(call.instance)
    search: JsonDict = {
        **rows[0], "id": SEARCH_TOOL, "author": "langgenius", "name": SEARCH_TOOL, "plugin_id": "langgenius/google",
        "plugin_unique_identifier": "langgenius/google:0.0.9@" + "b" * 64, "label": _LABEL, "description": _LABEL,
        "team_credentials": {}, "is_team_authorization": bool(call.instance.tool.credentials), "allow_delete": True,
        "labels": ["search"],
    }  # fmt: skip
    kind = call.query("type")
    return shapes.answer([*rows, search] if kind in ("", "builtin") else [])


def _check(call: Call) -> None:
    name = "/".join(call.params[part] for part in ("org", "plugin", "provider"))
    if name != SEARCH_TOOL:
        raise shapes.invalid_param(f"provider {name} not found")


def _found(call: Call, identity: object) -> Credential:
    item = call.instance.tool.find(str(identity))
    if item is None:
        raise shapes.invalid_param(f"you have not added provider {call.instance.tool.name}")
    return item


def list_credentials(call: Call) -> Response:
    """List the credentials, masked."""
    _check(call)
    tool = call.instance.tool
    return shapes.answer([tool.shown(item) for item in tool.credentials])


def info(call: Call) -> Response:
    """Return the credentials with the kinds that can be added."""
    _check(call)
    tool = call.instance.tool
    return shapes.answer(
        {
            "supported_credential_types": ["api-key"],
            "is_oauth_custom_client_enabled": False,
            "credentials": [tool.shown(item) for item in tool.credentials],
        }
    )


def schema(call: Call) -> Response:
    """Return the fields of a credential."""
    _check(call)
    field = {
        "type": "secret-input", "name": SEARCH_SECRET, "scope": None, "required": True, "default": None,
        "options": None, "multiple": False, "label": _LABEL, "help": None, "url": None, "placeholder": _LABEL,
    }  # fmt: skip
    return shapes.answer([field])


def _accepted(values: dict[str, str]) -> dict[str, str]:
    key = values.get(SEARCH_SECRET)
    if not key:
        raise shapes.invalid_param(f"credential {SEARCH_SECRET} is required")
    if key.startswith("bad"):
        raise shapes.invalid_param("Invalid API key. Your API key should be here: https://serpapi.com/manage-api-key")
    return dict(values)


def add(call: Call) -> Response:
    """Add a credential, validated first; the first one is the default."""
    _check(call)
    payload, tool = call.json(), call.instance.tool
    name = payload.get("name") or free_name(item.name for item in tool.credentials)
    if any(item.name == name for item in tool.credentials):
        raise shapes.invalid_param(f"the credential name '{name}' is already used")
    values = _accepted(call.require(payload, "credentials", "BuiltinToolAddPayload"))
    tool.credentials.append(
        Credential(id=call.instance.new_id(), name=name, values=values, is_default=not tool.credentials)
    )
    return shapes.success()


def update(call: Call) -> Response:
    """Change a credential; ``[__HIDDEN__]`` keeps the stored secret."""
    _check(call)
    payload = call.json()
    item = _found(call, payload.get("credential_id"))
    if payload.get("credentials"):
        item.values = _accepted(merged(payload["credentials"], item.values))
    item.name = payload.get("name") or item.name
    return shapes.success()


def delete(call: Call) -> Response:
    """Delete a credential; the first that remains becomes the default."""
    _check(call)
    tool = call.instance.tool
    item = _found(call, call.json().get("credential_id"))
    tool.credentials.remove(item)
    if item.is_default and tool.credentials:
        tool.credentials[0].is_default = True
    return shapes.success()


def set_default(call: Call) -> Response:
    """Make a credential the default."""
    _check(call)
    chosen = _found(call, call.json().get("id"))
    for item in call.instance.tool.credentials:
        item.is_default = item is chosen
    return shapes.success()


ROUTES = (
    Route("GET", f"{API}/tool-providers", list_tool_providers),
    Route("GET", f"{ONE}/credentials", list_credentials),
    Route("GET", f"{ONE}/credential/info", info),
    Route("GET", f"{ONE}/credential/schema/{{kind}}", schema),
    Route("POST", f"{ONE}/add", add, role="admin"),
    Route("POST", f"{ONE}/update", update, role="admin"),
    Route("POST", f"{ONE}/delete", delete, role="admin"),
    Route("POST", f"{ONE}/default-credential", set_default, role="admin"),
)

"""Model providers: their credentials and which is current.

What is not obvious: validation answers 200 either way, a stored key cannot be validated except by a PUT, the current
credential can be deleted, and after a switch the old key may stay in use (mood ``stale_switch``).
"""

from __future__ import annotations

from starlette.responses import Response

from difyops.emulator import canned, shapes
from difyops.emulator.model import is_good_key
from difyops.emulator.providers import OPENAI, SECRET_FIELD, Credential, CustomModel, key_error, masked, merged
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict

WORKSPACE = "/console/api/workspaces/current"
PROVIDERS = f"{WORKSPACE}/model-providers"
ONE = f"{PROVIDERS}/{{org}}/{{plugin}}/{{provider}}"
_NAME_LIMIT = 30
GONE = "Credential record not found."


def check_provider(call: Call) -> None:
    """Refuse a provider that is not installed.

    Raises:
        Problem: 400.
    """
    name = "/".join(call.params[part] for part in ("org", "plugin", "provider"))
    if name != OPENAI:
        raise shapes.invalid_param(f"Provider {name} does not exist.")


async def list_providers(call: Call) -> Response:
    """List the providers. ``status: active`` means "has credentials", not "works"."""
    await call.instance.search_redis(0.9)
    if call.instance.control.has("redis_down"):
        raise shapes.internal_error()
    if not call.instance.release.providers_are_cached:
        call.instance.reach_daemon("models")
    body = canned.openai_provider(call.instance)
    state: JsonDict = {
        "tenant_id": call.instance.workspace_id,
        **body,
        "preferred_provider_type": "custom",
        "custom_configuration": _configuration(call),
        "system_configuration": {"enabled": False, "current_quota_type": None, "quota_configurations": []},
    }
    return shapes.answer({"data": [state]})


def _configuration(call: Call) -> JsonDict:
    provider = call.instance.provider
    current = provider.current
    return {
        "status": "active" if provider.credentials else "no-configure",
        "current_credential_id": current.id if current else None,
        "current_credential_name": current.name if current else None,
        "available_credentials": [brief(item) for item in reversed(provider.credentials)],
        "custom_models": [_custom_model(item) for item in provider.custom],
        "can_added_models": [],
    }


def brief(item: Credential) -> JsonDict:
    """Return a credential's id and name."""
    return {"credential_id": item.id, "credential_name": item.name}


def _custom_model(item: CustomModel) -> JsonDict:
    current = item.current
    return {
        "model": item.name, "model_type": item.type, "credentials": None,
        "current_credential_id": current.id if current else None,
        "current_credential_name": current.name if current else None,
        "available_model_credentials": [brief(known) for known in item.credentials],
        "unadded_to_model_list": False,
    }  # fmt: skip


def show_credentials(call: Call) -> Response:
    """Return a credential, masked: the one in use, or the one named by ``credential_id``."""
    check_provider(call)
    provider, wanted = call.instance.provider, call.query("credential_id")
    if not wanted:
        return shapes.answer({"credentials": masked(provider.cached or {}) if provider.current else {}})
    found = provider.find(wanted)
    if found is None:
        raise shapes.invalid_param(f"Credential with id {wanted} not found.")
    return shapes.answer({"credentials": masked(found.values)})


def validate(call: Call) -> Response:
    """Try credentials: 200 with ``result: success`` or ``error``; 400 only when the key is missing."""
    check_provider(call)
    values = call.require(call.json(), "credentials", "ParserCredentialValidate")
    problem = _refused(call, values)
    return shapes.answer({"result": "error", "error": problem}) if problem else shapes.success()


def _refused(call: Call, values: dict[str, str]) -> str | None:
    key = values.get(SECRET_FIELD)
    if not key:
        raise shapes.invalid_param(f"Variable {SECRET_FIELD} is required")
    return None if is_good_key(call.instance, key) else key_error(key)


def accepted(call: Call, values: dict[str, str]) -> dict[str, str]:
    """Return ``values`` when the provider accepts them.

    Raises:
        Problem: 400 with the provider's text.
    """
    problem = _refused(call, values)
    if problem:
        raise shapes.invalid_param(problem)
    return values


def create_credential(call: Call) -> Response:
    """Add a credential, validated first; the first one becomes current. The answer has no id."""
    check_provider(call)
    provider, payload = call.instance.provider, call.json()
    values = call.require(payload, "credentials", "ParserCredentialCreate")
    name = _free_name(call, payload.get("name"), "ParserCredentialCreate", None)
    item = Credential(id=call.instance.new_id(), name=name, values=dict(accepted(call, values)))
    provider.credentials.append(item)
    if len(provider.credentials) == 1:
        provider.use(item)
    return shapes.success(201)


def _free_name(call: Call, name: str | None, model: str, own: Credential | None) -> str:
    if name and len(name) > _NAME_LIMIT:
        raise shapes.too_long(model, "name", _NAME_LIMIT, name)
    taken = [item.name for item in call.instance.provider.credentials if item is not own]
    if name in taken:
        raise shapes.invalid_param(f"Credential with name '{name}' already exists.")
    return name or (own.name if own else call.instance.provider.free_name())


def update_credential(call: Call) -> Response:
    """Replace a credential's values; ``[__HIDDEN__]`` keeps the stored secret and so validates it."""
    check_provider(call)
    provider, payload = call.instance.provider, call.json()
    item = provider.find(str(call.require(payload, "credential_id", "ParserCredentialUpdate")))
    if item is None:
        raise shapes.invalid_param(GONE)
    values = merged(call.require(payload, "credentials", "ParserCredentialUpdate"), item.values)
    name = _free_name(call, payload.get("name"), "ParserCredentialUpdate", item)
    item.values, item.name = dict(accepted(call, values)), name
    if item is provider.current:
        provider.use(item)
    return shapes.success()


def delete_credential(call: Call) -> Response:
    """Delete a credential, the current one too: then nothing is current and every app fails."""
    check_provider(call)
    provider = call.instance.provider
    wanted = str(call.require(call.json(), "credential_id", "ParserCredentialDelete"))
    item = provider.find(wanted)
    if item is None:
        raise shapes.invalid_param(GONE)
    provider.credentials.remove(item)
    if item is provider.current:
        provider.use(None)
    return shapes.empty()


def switch_credential(call: Call) -> Response:
    """Make a credential current. Under ``stale_switch`` the old key stays in use until it is switched to again."""
    check_provider(call)
    provider = call.instance.provider
    item = provider.find(str(call.require(call.json(), "credential_id", "ParserCredentialSwitch")))
    if item is None:
        raise shapes.invalid_param(GONE)
    moved = item is not provider.current
    provider.use(item, stale=moved and call.instance.control.has("stale_switch"))
    return shapes.success()


def no_triggers(call: Call) -> Response:
    """List trigger plugins: none."""
    return shapes.answer([])


ROUTES = (
    Route("GET", PROVIDERS, list_providers),
    Route("GET", f"{ONE}/credentials", show_credentials),
    Route("POST", f"{ONE}/credentials", create_credential, role="admin"),
    Route("PUT", f"{ONE}/credentials", update_credential, role="admin"),
    Route("DELETE", f"{ONE}/credentials", delete_credential, role="admin"),
    Route("POST", f"{ONE}/credentials/validate", validate),
    Route("POST", f"{ONE}/credentials/switch", switch_credential, role="admin"),
    Route("GET", f"{WORKSPACE}/triggers", no_triggers, when=lambda release: release.triggers),
)

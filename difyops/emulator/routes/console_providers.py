"""Model providers: credentials and which is current, models, default model, plugins.

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

API = "/console/api/workspaces/current"
PROVIDERS = f"{API}/model-providers"
ONE = f"{PROVIDERS}/{{org}}/{{plugin}}/{{provider}}"
_NAME_LIMIT = 30
_GONE = "Credential record not found."


def _checked_provider(call: Call) -> None:
    name = "/".join(call.params[part] for part in ("org", "plugin", "provider"))
    if name != OPENAI:
        raise shapes.invalid_param(f"Provider {name} does not exist.")


def list_providers(call: Call) -> Response:
    """List the providers. ``status: active`` means "has credentials", not "works"."""
    if call.instance.control.has("redis_down"):
        raise shapes.internal_error()
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
        "available_credentials": [_brief(item) for item in reversed(provider.credentials)],
        "custom_models": [_custom_model(item) for item in provider.custom],
        "can_added_models": [],
    }


def _brief(item: Credential) -> JsonDict:
    return {"credential_id": item.id, "credential_name": item.name}


def _custom_model(item: CustomModel) -> JsonDict:
    current = item.current
    return {
        "model": item.name, "model_type": item.type, "credentials": None,
        "current_credential_id": current.id if current else None,
        "current_credential_name": current.name if current else None,
        "available_model_credentials": [_brief(known) for known in item.credentials],
        "unadded_to_model_list": False,
    }  # fmt: skip


def show_credentials(call: Call) -> Response:
    """Return a credential, masked: the one in use, or the one named by ``credential_id``."""
    _checked_provider(call)
    provider, wanted = call.instance.provider, call.query("credential_id")
    if not wanted:
        return shapes.answer({"credentials": masked(provider.cached or {}) if provider.current else {}})
    found = provider.find(wanted)
    if found is None:
        raise shapes.invalid_param(f"Credential with id {wanted} not found.")
    return shapes.answer({"credentials": masked(found.values)})


def validate(call: Call) -> Response:
    """Try credentials: 200 with ``result: success`` or ``error``; 400 only when the key is missing."""
    _checked_provider(call)
    values = call.require(call.json(), "credentials", "ParserCredentialValidate")
    problem = _refused(call, values)
    return shapes.answer({"result": "error", "error": problem}) if problem else shapes.success()


def _refused(call: Call, values: dict[str, str]) -> str | None:
    key = values.get(SECRET_FIELD)
    if not key:
        raise shapes.invalid_param(f"Variable {SECRET_FIELD} is required")
    return None if is_good_key(call.instance, key) else key_error(key)


def _accepted(call: Call, values: dict[str, str]) -> dict[str, str]:
    problem = _refused(call, values)
    if problem:
        raise shapes.invalid_param(problem)
    return values


def create_credential(call: Call) -> Response:
    """Add a credential, validated first; the first one becomes current. The answer has no id."""
    _checked_provider(call)
    provider, payload = call.instance.provider, call.json()
    values = call.require(payload, "credentials", "ParserCredentialCreate")
    name = _free_name(call, payload.get("name"), "ParserCredentialCreate", None)
    item = Credential(id=call.instance.new_id(), name=name, values=dict(_accepted(call, values)))
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
    _checked_provider(call)
    provider, payload = call.instance.provider, call.json()
    item = provider.find(str(call.require(payload, "credential_id", "ParserCredentialUpdate")))
    if item is None:
        raise shapes.invalid_param(_GONE)
    values = merged(call.require(payload, "credentials", "ParserCredentialUpdate"), item.values)
    name = _free_name(call, payload.get("name"), "ParserCredentialUpdate", item)
    item.values, item.name = dict(_accepted(call, values)), name
    if item is provider.current:
        provider.use(item)
    return shapes.success()


def delete_credential(call: Call) -> Response:
    """Delete a credential, the current one too: then nothing is current and every app fails."""
    _checked_provider(call)
    provider = call.instance.provider
    wanted = str(call.require(call.json(), "credential_id", "ParserCredentialDelete"))
    item = provider.find(wanted)
    if item is None:
        raise shapes.invalid_param(_GONE)
    provider.credentials.remove(item)
    if item is provider.current:
        provider.use(None)
    return shapes.empty()


def switch_credential(call: Call) -> Response:
    """Make a credential current. Under ``stale_switch`` the old key stays in use until it is switched to again."""
    _checked_provider(call)
    provider = call.instance.provider
    item = provider.find(str(call.require(call.json(), "credential_id", "ParserCredentialSwitch")))
    if item is None:
        raise shapes.invalid_param(_GONE)
    moved = item is not provider.current
    provider.use(item, stale=moved and call.instance.control.has("stale_switch"))
    return shapes.success()


def list_models(call: Call) -> Response:
    """List the provider's models with their status."""
    _checked_provider(call)
    return shapes.answer({"data": [{**row, "provider": _provider_brief(call)} for row in _models(call)]})


def _models(call: Call) -> list[JsonDict]:
    provider = call.instance.provider
    rows = canned.openai_models(call.instance)
    for row in rows:
        is_off = (row["model"], row["model_type"]) in provider.disabled
        row["status"] = "disabled" if is_off else ("active" if provider.current else "no-configure")
    return rows


def _provider_brief(call: Call) -> JsonDict:
    body = canned.openai_provider(call.instance)
    named = {"provider_name": ""} if call.instance.release.provider_name else {}
    shown = {name: body[name] for name in ("label", "icon_small", "icon_small_dark", "supported_model_types")}
    return {"provider": OPENAI, **named, **shown, "models": [], "tenant_id": call.instance.workspace_id}


def models_by_type(call: Call) -> Response:
    """List usable models of a type, by provider."""
    if call.params["model_type"] != "llm" or not call.instance.provider.current:
        return shapes.answer({"data": []})
    body = canned.openai_provider(call.instance)
    shown = {name: body[name] for name in ("label", "icon_small", "icon_small_dark")}
    head = {"tenant_id": call.instance.workspace_id, "provider": OPENAI, **shown, "status": "active"}
    return shapes.answer({"data": [{**head, "models": _models(call)}]})


def parameter_rules(call: Call) -> Response:
    """Return the parameters a model takes."""
    _checked_provider(call)
    return shapes.answer(canned.parameter_rules())


def enable_model(call: Call) -> Response:
    """Switch a model on."""
    call.instance.provider.disabled.discard(_model_named(call))
    return shapes.success()


def disable_model(call: Call) -> Response:
    """Switch a model off."""
    call.instance.provider.disabled.add(_model_named(call))
    return shapes.success()


def _model_named(call: Call) -> tuple[str, str]:
    _checked_provider(call)
    payload = call.json()
    return str(payload.get("model")), str(payload.get("model_type"))


def set_models(call: Call) -> Response:
    """Refuse load balancing, which the community edition lacks; accept the rest."""
    _checked_provider(call)
    if (call.json().get("load_balancing") or {}).get("enabled"):
        raise shapes.invalid_param("Invalid load balancing config enabled")
    return shapes.success()


def _custom(call: Call, model: str) -> CustomModel | None:
    return next((item for item in call.instance.provider.custom if item.name == model), None)


def show_model_credentials(call: Call) -> Response:
    """Return the credentials of one model."""
    _checked_provider(call)
    provider = call.instance.provider
    custom = _custom(call, call.query("model"))
    current = custom.current if custom else None
    inherit: JsonDict = {
        "id": call.instance.new_id(), "name": "__inherit__", "credentials": {}, "credential_id": None,
        "enabled": True, "in_cooldown": False, "ttl": 0,
    }  # fmt: skip
    known = custom.credentials if custom else list(reversed(provider.credentials))
    return shapes.answer(
        {
            "credentials": masked(current.values) if current else {},
            "current_credential_id": current.id if current else None,
            "current_credential_name": current.name if current else None,
            "load_balancing": {"enabled": False, "configs": [inherit]},
            "available_credentials": [_brief(item) for item in known],
        }
    )


def create_model_credential(call: Call) -> Response:
    """Give a model credentials of its own; the model need not be known."""
    _checked_provider(call)
    payload, provider = call.json(), call.instance.provider
    model = str(call.require(payload, "model", "ParserCreateCredential"))
    values = _accepted(call, call.require(payload, "credentials", "ParserCreateCredential"))
    custom = _custom(call, model)
    if custom is None:
        custom = CustomModel(name=model, type=str(payload.get("model_type", "llm")))
        provider.custom.append(custom)
    name = payload.get("name") or f"API KEY {len(custom.credentials) + 1}"
    item = Credential(id=call.instance.new_id(), name=name, values=dict(values))
    custom.credentials.append(item)
    custom.current = custom.current or item
    return shapes.success(201)


def switch_model_credential(call: Call) -> Response:
    """Make another credential of a model current."""
    payload = call.json()
    custom, item = _custom_credential(call, payload)
    custom.current = item
    return shapes.success()


def delete_model_credential(call: Call) -> Response:
    """Delete a credential of a model."""
    custom, item = _custom_credential(call, call.json())
    custom.credentials.remove(item)
    custom.current = None if custom.current is item else custom.current
    return shapes.empty()


def _custom_credential(call: Call, payload: JsonDict) -> tuple[CustomModel, Credential]:
    _checked_provider(call)
    custom = _custom(call, str(payload.get("model")))
    known = custom.credentials if custom else []
    item = next((entry for entry in known if entry.id == payload.get("credential_id")), None)
    if custom is None or item is None:
        raise shapes.invalid_param(_GONE)
    return custom, item


def delete_model(call: Call) -> Response:
    """Delete a model that has credentials of its own."""
    model, _ = _model_named(call)
    provider = call.instance.provider
    provider.custom = [item for item in provider.custom if item.name != model]
    return shapes.empty()


def default_model(call: Call) -> Response:
    """Return the default model of a type."""
    if call.query("model_type") != "llm" or not call.instance.provider.credentials:
        return shapes.answer({"data": None})
    body = {"model": call.instance.provider.default_model, "model_type": "llm", "provider": _provider_brief(call)}
    return shapes.answer({"data": body})


def set_default_model(call: Call) -> Response:
    """Set default models."""
    for item in call.json().get("model_settings") or []:
        if item.get("model_type") == "llm" and item.get("model"):
            call.instance.provider.default_model = str(item["model"])
    return shapes.success()


def plugins(call: Call) -> Response:
    """List the installed plugins."""
    return shapes.answer(canned.plugins(call.instance))


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
    Route("GET", f"{ONE}/models", list_models),
    Route("POST", f"{ONE}/models", set_models, role="admin"),
    Route("DELETE", f"{ONE}/models", delete_model, role="admin"),
    Route("GET", f"{ONE}/models/parameter-rules", parameter_rules),
    Route("PATCH", f"{ONE}/models/enable", enable_model, role="admin"),
    Route("PATCH", f"{ONE}/models/disable", disable_model, role="admin"),
    Route("GET", f"{ONE}/models/credentials", show_model_credentials),
    Route("POST", f"{ONE}/models/credentials", create_model_credential, role="admin"),
    Route("DELETE", f"{ONE}/models/credentials", delete_model_credential, role="admin"),
    Route("POST", f"{ONE}/models/credentials/switch", switch_model_credential, role="admin"),
    Route("POST", f"{ONE}/models/load-balancing-configs/credentials-validate", validate),
    Route("GET", f"{API}/models/model-types/{{model_type}}", models_by_type),
    Route("GET", f"{API}/default-model", default_model),
    Route("POST", f"{API}/default-model", set_default_model, role="admin"),
    Route("GET", f"{API}/plugin/list", plugins),
    Route("GET", f"{API}/triggers", no_triggers, when=lambda release: release.triggers),
)

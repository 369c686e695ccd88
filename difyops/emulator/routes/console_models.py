"""Models of the provider: which there are, which are on, which have credentials of their own, which is the default."""

from __future__ import annotations

import uuid

from starlette.responses import Response

from difyops.emulator import canned, shapes
from difyops.emulator.providers import OPENAI, Credential, CustomModel, free_name, masked, merged
from difyops.emulator.routes.console_providers import GONE, ONE, WORKSPACE, accepted, brief, check_provider, validate
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict

_NAME_LIMIT = 30
_TYPES = ("llm", "text-embedding", "rerank", "speech2text", "moderation", "tts")


def list_models(call: Call) -> Response:
    """List the provider's models with their status."""
    check_provider(call)
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
    check_provider(call)
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
    check_provider(call)
    payload = call.json()
    return str(payload.get("model")), str(payload.get("model_type"))


def set_models(call: Call) -> Response:
    """Refuse load balancing, which the community edition lacks; accept the rest."""
    check_provider(call)
    if (call.json().get("load_balancing") or {}).get("enabled"):
        raise shapes.invalid_param("Invalid load balancing config enabled")
    return shapes.success()


def _custom(call: Call, model: str) -> CustomModel | None:
    return next((item for item in call.instance.provider.custom if item.name == model), None)


def show_model_credentials(call: Call) -> Response:
    """Return the credentials of one model: those in use, or the one named by ``credential_id``.

    What is in use comes from a cache, and is shown also when nothing is current.
    """
    check_provider(call)
    model = _query_model(call)
    custom, provider, wanted = _custom(call, model), call.instance.provider, call.query("credential_id")
    current = custom.current if custom else None
    values = custom.cached or {} if custom else {}
    if wanted:
        _check_id("ParserGetCredentials", wanted)
        current = custom.find(wanted) if custom else None
        if current is None:
            raise shapes.invalid_param(f"Credential with id {wanted} not found.")
        values = current.values
    inherit: JsonDict = {
        "id": call.instance.new_id(), "name": "__inherit__", "credentials": {}, "credential_id": None,
        "enabled": True, "in_cooldown": False, "ttl": 0,
    }  # fmt: skip
    own = custom.credentials if custom else []
    known = provider.credentials if call.query("config_from") == "predefined-model" else own
    return shapes.answer(
        {
            "credentials": masked(values),
            "current_credential_id": current.id if current else None,
            "current_credential_name": current.name if current else None,
            "load_balancing": {"enabled": False, "configs": [inherit]},
            "available_credentials": [brief(item) for item in reversed(known)],
        }
    )


def _query_model(call: Call) -> str:
    parameters = dict(call.request.query_params)
    for name in ("model", "model_type"):
        call.require(parameters, name, "ParserGetCredentials")
    return call.query("model")


def _check_id(schema: str, text: str) -> None:
    try:
        uuid.UUID(text)
    except ValueError:
        message = f"Value error, {text} is not a valid uuid."
        raise shapes.validation(schema, "credential_id", message, "value_error", text) from None


def _model_and_type(call: Call, schema: str) -> tuple[str, str]:
    payload = call.json()
    model, kind = call.require(payload, "model", schema), call.require(payload, "model_type", schema)
    if kind not in _TYPES:
        raise shapes.validation(schema, "model_type", f"Input should be one of {', '.join(_TYPES)}", "enum", kind)
    return str(model), str(kind)


def _checked_name(custom: CustomModel | None, payload: JsonDict, schema: str, own: Credential | None) -> str:
    name = str(payload.get("name") or "")
    if len(name) > _NAME_LIMIT:
        raise shapes.too_long(schema, "name", _NAME_LIMIT, name)
    if custom and name in {item.name for item in custom.credentials if item is not own}:
        raise shapes.invalid_param(f"Model credential with name '{name}' already exists for {custom.name}.")
    return name


def create_model_credential(call: Call) -> Response:
    """Give a model credentials of its own, tried first; the model need not be known. The first becomes current."""
    check_provider(call)
    payload, schema = call.json(), "ParserCreateCredential"
    model, kind = _model_and_type(call, schema)
    values, custom = call.require(payload, "credentials", schema), _custom(call, model)
    name = _checked_name(custom, payload, schema, None)
    kept = dict(accepted(call, values))
    if custom is None:
        custom = CustomModel(name=model, type=kind)
        call.instance.provider.custom.append(custom)
    name = name or free_name(item.name for item in custom.credentials)
    item = Credential(id=call.instance.new_id(), name=name, values=kept)
    custom.credentials.append(item)
    if len(custom.credentials) == 1:
        custom.use(item)
    return shapes.success(201)


def update_model_credential(call: Call) -> Response:
    """Replace a credential's values; ``[__HIDDEN__]`` keeps the stored secret. The current one's cache is emptied."""
    check_provider(call)
    payload, schema = call.json(), "ParserUpdateCredential"
    model, _ = _model_and_type(call, schema)
    values, identity = call.require(payload, "credentials", schema), call.require(payload, "credential_id", schema)
    _check_id(schema, identity)
    custom = _custom(call, model)
    item = custom.find(identity) if custom else None
    name = _checked_name(custom, payload, schema, item)
    kept = accepted(call, merged(values, item.values if item else {}))
    if custom is None or item is None:
        raise shapes.invalid_param(GONE)
    item.values, item.name = dict(kept), name or item.name
    if item is custom.current:
        custom.use(item)
    return shapes.success()


def switch_model_credential(call: Call) -> Response:
    """Make another credential of a model current; the current one is refused. ``stale_switch`` holds here too."""
    custom, item = _custom_credential(call, "ParserSwitch")
    if item is custom.current:
        raise shapes.invalid_param("Can't add same credential")
    custom.use(item, stale=call.instance.control.has("stale_switch"))
    return shapes.success()


def delete_model_credential(call: Call) -> Response:
    """Delete a credential of a model, the current one too: the cache keeps it in use. The last takes its model."""
    custom, item = _custom_credential(call, "ParserDeleteCredential")
    custom.credentials.remove(item)
    custom.current = None if custom.current is item else custom.current
    if not custom.credentials:
        call.instance.provider.custom.remove(custom)
    return shapes.empty()


def _custom_credential(call: Call, schema: str) -> tuple[CustomModel, Credential]:
    check_provider(call)
    model, _ = _model_and_type(call, schema)
    identity, custom = str(call.require(call.json(), "credential_id", schema)), _custom(call, model)
    item = custom.find(identity) if custom else None
    if custom is None or item is None:
        raise shapes.invalid_param(GONE)
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


ROUTES = (
    Route("GET", f"{ONE}/models", list_models),
    Route("POST", f"{ONE}/models", set_models, role="admin"),
    Route("DELETE", f"{ONE}/models", delete_model, role="admin"),
    Route("GET", f"{ONE}/models/parameter-rules", parameter_rules),
    Route("PATCH", f"{ONE}/models/enable", enable_model, role="admin"),
    Route("PATCH", f"{ONE}/models/disable", disable_model, role="admin"),
    Route("GET", f"{ONE}/models/credentials", show_model_credentials),
    Route("POST", f"{ONE}/models/credentials", create_model_credential, role="admin"),
    Route("PUT", f"{ONE}/models/credentials", update_model_credential, role="admin"),
    Route("DELETE", f"{ONE}/models/credentials", delete_model_credential, role="admin"),
    Route("POST", f"{ONE}/models/credentials/switch", switch_model_credential, role="admin"),
    Route("POST", f"{ONE}/models/credentials/validate", validate),
    Route("POST", f"{ONE}/models/load-balancing-configs/credentials-validate", validate),
    Route("GET", f"{WORKSPACE}/models/model-types/{{model_type}}", models_by_type),
    Route("GET", f"{WORKSPACE}/default-model", default_model),
    Route("POST", f"{WORKSPACE}/default-model", set_default_model, role="admin"),
)

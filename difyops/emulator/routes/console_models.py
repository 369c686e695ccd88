"""Models of the provider: which there are, which are on, which have credentials of their own, which is the default."""

from __future__ import annotations

from starlette.responses import Response

from difyops.emulator import canned, shapes
from difyops.emulator.providers import OPENAI, Credential, CustomModel, masked
from difyops.emulator.routes.console_providers import GONE, ONE, WORKSPACE, accepted, brief, check_provider, validate
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict


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
    """Return the credentials of one model."""
    check_provider(call)
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
            "available_credentials": [brief(item) for item in known],
        }
    )


def create_model_credential(call: Call) -> Response:
    """Give a model credentials of its own; the model need not be known."""
    check_provider(call)
    payload, provider = call.json(), call.instance.provider
    model = str(call.require(payload, "model", "ParserCreateCredential"))
    values = accepted(call, call.require(payload, "credentials", "ParserCreateCredential"))
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
    check_provider(call)
    custom = _custom(call, str(payload.get("model")))
    known = custom.credentials if custom else []
    item = next((entry for entry in known if entry.id == payload.get("credential_id")), None)
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
    Route("DELETE", f"{ONE}/models/credentials", delete_model_credential, role="admin"),
    Route("POST", f"{ONE}/models/credentials/switch", switch_model_credential, role="admin"),
    Route("POST", f"{ONE}/models/load-balancing-configs/credentials-validate", validate),
    Route("GET", f"{WORKSPACE}/models/model-types/{{model_type}}", models_by_type),
    Route("GET", f"{WORKSPACE}/default-model", default_model),
    Route("POST", f"{WORKSPACE}/default-model", set_default_model, role="admin"),
)

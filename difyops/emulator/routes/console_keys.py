"""Service keys of apps and datasets: always listed with the full token, at most ten each."""

from __future__ import annotations

from starlette.responses import Response

from difyops.emulator import shapes
from difyops.emulator.auth import GHOST_SECONDS
from difyops.emulator.instance import Instance
from difyops.emulator.routing import Call, Route
from difyops.emulator.store import ApiKey

API = "/console/api"
ONE = f"{API}/apps/{{app_id:uuid}}/api-keys"
LIMIT = 10
_LAG_SECONDS = 1800.0
_FULL = "Cannot create more than 10 API keys for this resource type."


def new_key(instance: Instance, app_id: str | None) -> ApiKey:
    """Make a key and register it."""
    token = f"{'app' if app_id else 'dataset'}-{instance.new_token(24)}"
    key = ApiKey(id=instance.new_id(), token=token, app_id=app_id, created_at=instance.now())
    instance.keys[token] = key
    if app_id:
        instance.apps[app_id].keys.append(key)
    return key


def list_app_keys(call: Call) -> Response:
    """List the keys of an app; every role sees the tokens."""
    return shapes.answer({"data": [key.shown(_last_used(call.instance, key)) for key in call.app.keys]})


def create_app_key(call: Call) -> Response:
    """Create a key for an app: 201."""
    app = call.app
    if len(app.keys) >= LIMIT:
        raise shapes.bare_message(_FULL, 400, custom="max_keys_exceeded")
    return shapes.answer(new_key(call.instance, app.id).shown(None), 201)


def delete_app_key(call: Call) -> Response:
    """Delete a key of an app; under ``ghost_keys`` it goes on being accepted for a while."""
    app = call.app
    key = next((item for item in app.keys if item.id == call.params["key_id"]), None)
    if key is None:
        raise shapes.bare_message("API key not found", 404)
    app.keys.remove(key)
    return _drop(call, key)


def list_dataset_keys(call: Call) -> Response:
    """List the workspace's dataset keys."""
    keys = [key for key in call.instance.keys.values() if key.app_id is None]
    return shapes.answer({"data": [key.shown(_last_used(call.instance, key)) for key in keys]})


def create_dataset_key(call: Call) -> Response:
    """Create a dataset key: 200, not 201."""
    if sum(key.app_id is None for key in call.instance.keys.values()) >= LIMIT:
        raise shapes.bare_message(_FULL, 400, custom="max_keys_exceeded")
    return shapes.answer(new_key(call.instance, None).shown(None))


def delete_dataset_key(call: Call) -> Response:
    """Delete a dataset key."""
    wanted = call.params["key_id"]
    key = next((item for item in call.instance.keys.values() if item.id == wanted and item.app_id is None), None)
    if key is None:
        raise shapes.bare_message("API key not found", 404)
    return _drop(call, key)


def _drop(call: Call, key: ApiKey) -> Response:
    instance = call.instance
    instance.keys.pop(key.token, None)
    if instance.control.has("ghost_keys"):
        instance.ghosts[key.token] = (key, instance.moment() + instance.scaled(GHOST_SECONDS))
    return shapes.empty()


def _last_used(instance: Instance, key: ApiKey) -> int | None:
    """Return when the key was used, as a job writes it every half hour: late, and null until then."""
    if key.used_at is None or instance.moment() - key.used_at < instance.scaled(_LAG_SECONDS):
        return None
    return instance.now() - int(instance.moment() - key.used_at)


ROUTES = (
    Route("GET", ONE, list_app_keys),
    Route("POST", ONE, create_app_key, role="editor"),
    Route("DELETE", f"{ONE}/{{key_id:uuid}}", delete_app_key, role="admin"),
    Route("GET", f"{API}/datasets/api-keys", list_dataset_keys, role="admin"),
    Route("POST", f"{API}/datasets/api-keys", create_dataset_key, role="admin"),
    Route("DELETE", f"{API}/datasets/api-keys/{{key_id:uuid}}", delete_dataset_key, role="admin"),
)

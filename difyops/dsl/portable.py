"""Puts an app together again: an importable DSL from a stored document, and the ids of another environment in it.

Secrets are put back before (``secrets.reinject``); an import of what still holds a marker would store the marker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from difyops.dsl.locations import ADDRESSES, Path, rewritten, strings
from difyops.dsl.model import AGENT_MODE, CHAT_MODES, JsonObject, as_dict, as_list

_APP_FIELDS = ("name", "mode", "icon", "icon_type", "icon_background", "description", "use_icon_as_answer_icon")
_STAMPS = ("id", "app_id", "created_by", "created_at", "updated_by", "updated_at")


def portable_dsl(
    app: Mapping[str, Any], document: JsonObject, *, dsl_version: str, dependencies: Iterable[Any]
) -> JsonObject:
    """Return the mapping that an import takes, in the shape of the platform's own export.

    ``app`` is the app as the instance returns it (name, mode, icon, description). Dataset ids stay plain, which every
    version accepts; secret variables are as the document has them; webhook addresses are blank, as in an export.
    ``dsl_version`` is the platform's (``0.6.0``); import refuses anything but text there.
    """
    dsl: JsonObject = {
        "kind": "app",
        "version": str(dsl_version),
        "app": {key: app[key] for key in _APP_FIELDS if app.get(key) is not None},
        "dependencies": list(dependencies),
    }
    if app.get("mode") in CHAT_MODES:
        config = as_dict(document.get("model_config"))
        dsl["model_config"] = {key: value for key, value in config.items() if key not in _STAMPS}
        return dsl
    if app.get("mode") == AGENT_MODE:
        return {**dsl, **_agent_package(app, as_dict(document.get("agent_soul")))}
    plain = _without_addresses(document)
    dsl["workflow"] = {
        "graph": as_dict(plain.get("graph")),
        "features": as_dict(plain.get("features")),
        "environment_variables": as_list(plain.get("environment_variables")),
        "conversation_variables": as_list(plain.get("conversation_variables")),
        "rag_pipeline_variables": [],
    }
    return dsl


def map_datasets(document: JsonObject, mapping: Mapping[str, str]) -> tuple[JsonObject, set[str]]:
    """Return the document with dataset ids replaced, and the ids in use that ``mapping`` does not know."""
    return _mapped(document, mapping, _is_dataset_id)


def map_credentials(document: JsonObject, mapping: Mapping[str, str]) -> tuple[JsonObject, set[str]]:
    """Return the document with the ``credential_id`` of tools replaced, and those that ``mapping`` does not know."""
    return _mapped(document, mapping, _is_credential_id)


def _mapped(
    document: JsonObject, mapping: Mapping[str, str], is_wanted: Callable[[Path], bool]
) -> tuple[JsonObject, set[str]]:
    used = {path: text for path, text in strings(document) if text and is_wanted(path)}
    texts = {path: mapping[text] for path, text in used.items() if text in mapping}
    return rewritten(document, texts), set(used.values()) - mapping.keys()


def _is_dataset_id(path: Path) -> bool:
    match path:
        case ("graph", "nodes", int(_), "data", "dataset_ids", int(_)):
            return True
        case ("model_config", "dataset_configs", "datasets", "datasets", int(_), "dataset", "id"):
            return True
        case ("model_config", "agent_mode", "tools", int(_), "dataset", "id"):
            return True
        case ("agent_soul", "knowledge", "sets", int(_), "datasets", int(_), "id"):
            return True
        case _:
            return False


def _is_credential_id(path: Path) -> bool:
    if path[0] == "agent_soul":
        return path[-2:] == ("credential_ref", "id")
    return path[-1] == "credential_id" and path[0] in ("graph", "model_config")


def _agent_package(app: Mapping[str, Any], soul: JsonObject) -> JsonObject:
    """Return an agent app as an export has it: no secret reference has a value, files and skills are named as missing.

    The platform itself only ever exports the draft of an agent; this is the version that the document is.
    """
    assets: list[JsonObject] = []
    changed = _without_references(soul)
    for kind, name in (("skill", "config_skills"), ("file", "config_files")):
        for item in as_list(soul.get(name)):
            about = {key: as_dict(item).get(key) for key in ("name", "size", "hash", "mime_type")}
            assets.append({"kind": kind, **about})
        changed[name] = [{**as_dict(item), "file_id": "", "is_missing": True} for item in as_list(soul.get(name))]
    metadata = {key: app.get(key) or "" for key in ("name", "description", "role")}
    metadata |= {key: app.get(key) for key in ("icon_type", "icon", "icon_background")}
    package = {"metadata": metadata, "omitted_assets": assets, "schema_version": 1, "soul": changed}
    return {"agent": {"package_ref": "agent_1"}, "agent_packages": {"agent_1": package}}


def _without_references(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_references(item) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {key: _without_references(inner) for key, inner in value.items()}
    if isinstance(value.get("secret_refs"), list):
        changed["secret_refs"] = [{**as_dict(item), "value": None} for item in value["secret_refs"]]
    return changed


def _without_addresses(document: JsonObject) -> JsonObject:
    texts = {path: "" for path, text in strings(document) if text and path[-1] in ADDRESSES and path[0] == "graph"}
    return rewritten(document, texts)

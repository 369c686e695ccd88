"""Puts an app together again: an importable DSL from a stored document, and the ids of another environment in it.

Secrets are put back before (``secrets.reinject``); an import of what still holds a marker would store the marker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from difyops.dsl.model import CHAT_MODES, JsonObject, as_dict, as_list
from difyops.dsl.spots import ADDRESSES, Path, rewritten, strings

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
        case _:
            return False


def _is_credential_id(path: Path) -> bool:
    return path[-1] == "credential_id" and path[0] in ("graph", "model_config")


def _without_addresses(document: JsonObject) -> JsonObject:
    texts = {path: "" for path, text in strings(document) if text and path[-1] in ADDRESSES and path[0] == "graph"}
    return rewritten(document, texts)

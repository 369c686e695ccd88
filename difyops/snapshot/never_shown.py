"""What no snapshot can hold, for the server shows it to nobody: credentials of models and tools. Counted and named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from difyops.api.shapes import anything
from difyops.dsl.model import as_dict, as_list, text_of, tools
from difyops.git_store import GitStore
from difyops.snapshot.layout import Manifest, app_file, parsed

_MODELS, _TOOLS = "workspace/models.json", "workspace/tools.json"
_OWN_TOOLS = ("api", "mcp")  # made in the workspace; their keys stand in their settings


def never_shown(store: GitStore, commit: str, manifest: Manifest) -> tuple[str, ...]:
    """Return the credentials that a lost instance would need again, as far as the snapshot names them.

    Of tools of plugins these are the ones that apps name; the inventory does not tell which of the others have any.

    Raises:
        StoreError: the store is damaged.
    """
    apps = [path for app_id in manifest.apps if (path := app_file(app_id, "live.json")) in manifest.files]
    held = store.read_many(commit, [path for path in (_MODELS, _TOOLS, *apps) if path in manifest.files])
    models = as_dict(_parsed(held.get(_MODELS)))
    found = [
        *_of_models(as_list(models.get("providers"))),
        *(
            f"tool provider {text_of(item.get('name'))} ({item['type']}): what it signs in with"
            for item in map(as_dict, as_list(_parsed(held.get(_TOOLS))))
            if item.get("type") in _OWN_TOOLS
        ),
        *sorted(
            {
                f"tool provider {provider}: credential {credential}"
                for path in apps
                for provider, _, _, credential in tools(as_dict(_parsed(held[path])))
                if credential
            }
        ),
    ]
    return tuple(found)


def _of_models(providers: list[Any]) -> Iterator[str]:
    for item in map(as_dict, providers):
        name = text_of(item.get("provider"))
        for credential in as_list(item.get("credentials")) or as_list(item.get("current_credential")):
            yield f"model provider {name}: credential {credential}"
        for model in map(as_dict, as_list(item.get("custom_models"))):
            yield f"model provider {name}: model {text_of(model.get('model'))}"


def _parsed(content: bytes | None) -> Any:
    return None if content is None else parsed(content, anything)

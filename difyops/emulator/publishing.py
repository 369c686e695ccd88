"""Changing a workflow app: saving its draft, publishing it, restoring a version; and the rules for its variables.

The traps are here on purpose: variables left out are deleted, the hash does not cover them, stars may become the
secret, a graph without nodes is stored although the answer is 500.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from difyops.emulator import shapes, views
from difyops.emulator.instance import Instance
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import HIDDEN, STARS, Account, App, Trigger, Webhook, Workflow

_NODE_NAMES = (
    "start end answer llm knowledge-retrieval if-else code template-transform question-classifier http-request tool "
    "datasource variable-aggregator variable-assigner loop loop-start loop-end iteration iteration-start assigner "
    "parameter-extractor document-extractor list-operator agent knowledge-index trigger-webhook trigger-schedule "
    "trigger-plugin human-input"
)
NODE_TYPES = frozenset(_NODE_NAMES.split())
_VALUE_NAMES = (
    "string number integer float secret boolean object array[string] array[number] array[object] array[boolean]"
)
_VALUE_TYPES = frozenset(_VALUE_NAMES.split())
NOT_SYNC = "Workflow graph might have been modified, please refresh and resubmit."


def read_variables(
    instance: Instance, wanted: Sequence[JsonDict], stored: Sequence[JsonDict], *, stars_keep: bool, prefix: str = "env"
) -> list[JsonDict]:
    """Return the variables to store. ``[__HIDDEN__]`` with a known id keeps the secret; so may the stars.

    Raises:
        Problem: 400 for an unknown ``value_type``.
    """
    known = {item["id"]: item["value"] for item in stored}
    return [_variable(instance, item, known, stars_keep, prefix) for item in wanted]


def _variable(instance: Instance, item: JsonDict, known: dict[str, Any], stars_keep: bool, prefix: str) -> JsonDict:
    kind = item.get("value_type")
    if kind not in _VALUE_TYPES:
        raise shapes.invalid_param(f"not supported value type {kind}")
    value, identity = item.get("value"), item.get("id")
    if kind == "secret":
        if stars_keep and value == STARS:
            value = HIDDEN
        if value == HIDDEN and identity in known:
            value = known[identity]
    name = str(item.get("name", ""))
    return {
        "id": identity or instance.new_id(),
        "name": name,
        "value": value,
        "value_type": _number_type(value) if kind in ("number", "integer", "float") else kind,
        "description": item.get("description") or "",
        "selector": [prefix, name],
    }


def _number_type(value: object) -> str:
    return "float" if isinstance(value, float) else "integer"


def check_nodes(instance: Instance, graph: JsonDict) -> None:
    """Refuse node types nobody knows, where the release does so when saving.

    Raises:
        Problem: 400 "'nope' is not a valid NodeType".
    """
    if not instance.release.rejects_unknown_node_types:
        return
    kind = unknown_node_type(graph)
    if kind is not None:
        raise shapes.invalid_param(f"'{kind}' is not a valid NodeType")


def unknown_node_type(graph: JsonDict) -> str | None:
    """Return the first node type that nobody knows, or None. Sticky notes have an empty type and are no nodes."""
    for node in graph.get("nodes") or []:
        kind = (node.get("data") or {}).get("type")
        if node.get("type") != "custom-note" and kind not in NODE_TYPES:
            return str(kind)
    return None


def save_draft(
    instance: Instance,
    app: App,
    account: Account,
    *,
    graph: JsonDict,
    features: JsonDict,
    env: list[JsonDict],
    conversation: list[JsonDict],
) -> Workflow:
    """Store the draft, whatever it was before, and make the webhooks its nodes need.

    Raises:
        Problem: 500 for a graph without nodes; it is stored all the same.
    """
    draft = app.draft
    if draft is None:
        draft = app.draft = new_workflow(instance, account, "draft")
    else:
        draft.updated_by = account
    draft.env_list, draft.conversation_list = env, conversation
    draft.updated_at = instance.now()
    draft.store_graph(graph, features)
    app.cache.pop("row", None)
    if not isinstance(graph.get("nodes"), list):
        raise shapes.internal_error()
    if instance.release.triggers:
        _make_webhooks(instance, app, graph)
    return draft


def new_workflow(instance: Instance, account: Account, version: str) -> Workflow:
    """Return an empty workflow of that version."""
    now = instance.now()
    return Workflow(
        id=instance.new_id(), version=version, graph_text="{}", features_text="{}", env_list=[], conversation_list=[],
        created_by=account, created_at=now, updated_at=now, hash_has_features=instance.release.hash_has_features,
    )  # fmt: skip


def publish(instance: Instance, app: App, account: Account, name: str = "", comment: str = "") -> Workflow:
    """Make the draft a new version and take it live. Nothing is validated but that there is a graph.

    Raises:
        Problem: 400 "No valid workflow found.", 400 "Workflow graph is empty".
    """
    draft = app.draft
    if draft is None:
        raise shapes.invalid_param("No valid workflow found.")
    if draft.graph_text == "{}":
        raise shapes.invalid_param("Workflow graph is empty")
    version = copied(instance, draft, account)
    version.marked_name, version.marked_comment = name, comment
    app.versions.append(version)
    app.live = version
    app.updated_at = instance.now()
    app.changed()
    if instance.release.triggers:
        _sync_triggers(instance, app, version.graph)
    return version


def copied(instance: Instance, source: Workflow, account: Account) -> Workflow:
    """Return a version with the contents of ``source``, secrets included."""
    version = new_workflow(instance, account, instance.stamp())
    version.graph_text, version.features_text = source.graph_text, source.features_text
    version.env_list = [dict(item) for item in source.env_list]
    version.conversation_list = [dict(item) for item in source.conversation_list]
    return version


def restore(instance: Instance, app: App, account: Account, source: Workflow) -> Workflow:
    """Put graph, features and variables of a version, secrets included, into the draft."""
    return save_draft(
        instance,
        app,
        account,
        graph=source.graph,
        features=source.features,
        env=[dict(item) for item in source.env_list],
        conversation=[dict(item) for item in source.conversation_list],
    )


def touch_elsewhere(instance: Instance, draft: Workflow) -> None:
    """Change the draft as another person's browser would (mood ``busy_editor``)."""
    graph = json.loads(draft.graph_text)
    graph["viewport"] = {"x": instance.rng.randint(1, 10**6), "y": 0, "zoom": 1}
    draft.store_graph(graph, draft.features)


def new_app(instance: Instance, account: Account, *, name: str, mode: str, **more: Any) -> App:
    """Create an app: API and site are on from the start."""
    now = instance.now()
    app = App(
        id=instance.new_id(), name=name, mode=mode, description=more.get("description") or "", created_by=account,
        created_at=now, updated_at=now, icon=more.get("icon") or "🤖", icon_type=more.get("icon_type") or "emoji",
        icon_background=more.get("icon_background") or "#FFEAD5",
        use_icon_as_answer_icon=bool(more.get("use_icon_as_answer_icon")),
    )  # fmt: skip
    app.site = views.new_site(instance, app)
    instance.apps[app.id] = app
    return app


def _make_webhooks(instance: Instance, app: App, graph: JsonDict) -> None:
    for node in graph["nodes"]:
        if node.get("data", {}).get("type") == "trigger-webhook" and node["id"] not in app.webhooks:
            app.webhooks[node["id"]] = Webhook(
                id=instance.new_id(),
                webhook_id=instance.new_token(24),
                node_id=node["id"],
                created_at=instance.stamp(iso=True),
            )


def _sync_triggers(instance: Instance, app: App, graph: JsonDict) -> None:
    wanted = {}
    for node in graph.get("nodes") or []:
        data = node.get("data", {})
        if str(data.get("type", "")).startswith("trigger-"):
            wanted[node["id"]] = app.triggers.get(node["id"]) or Trigger(
                id=instance.new_id(),
                node_id=node["id"],
                kind=data["type"],
                title=data.get("title", ""),
                created_at=instance.stamp(iso=True),
                updated_at=instance.stamp(iso=True),
            )
    app.triggers = wanted

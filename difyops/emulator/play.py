"""A world to play in: apps with telling names, tags and a month of runs; and what other people do in it.

``emulator start --play`` loads it. ``break``, ``delete``, ``rotate`` and ``publish`` are done as somebody at the web
page does them: with another account, beside difyops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from difyops.emulator import publishing
from difyops.emulator.fleet_runs import Past, load_past
from difyops.emulator.instance import Instance
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import App, Tag
from difyops.errors import UsageError

NAMES = {
    "wf-llm": "support-triage",
    "chat-basic": "support-chat",
    "wf-echo": "order-lookup",
    "wf-hook": "order-intake",
    "wf-cron": "nightly-report",
    "flow-chat": "hr-assistant",
    "agent": "research-agent",
    "completion-basic": "mail-draft",
}
_TAGS = {"prod": ("support-triage", "support-chat", "order-lookup"), "support": ("support-triage", "support-chat")}
_DAY = 86_400
_BROKEN = "Answer with one word: no."


def load(instance: Instance) -> None:
    """Give the eight known apps telling names, tag some, and let one have run for a month."""
    for old, new in NAMES.items():
        app = instance.app_named(old)
        app.name = new
        app.cache.clear()
    for name, apps in _TAGS.items():
        tag = Tag(id=instance.new_id(), name=name, type="app")
        instance.tags.append(tag)
        for one in apps:
            app = instance.app_named(one)
            app.tags.append(tag)
            tag.targets.add(app.id)
    now = float(instance.now())
    slower = (now - 6 * _DAY, "2026-01-02 00:00:00.000001", {"draft": 2.0})
    load_past(
        instance,
        instance.app_named("support-triage"),
        Past(count=400, since=now - 28 * _DAY, until=now - 300, changes=(slower,)),
    )


def act(instance: Instance, verb: str, name: str) -> None:
    """Do what somebody else does to the app ``name``.

    Raises:
        UsageError: there is no such act, no such app, or it cannot be done to an app of that mode.
    """
    if verb not in ACTS:
        raise UsageError(f"Nobody can {verb!r} an app here.", hint=f"One of: {', '.join(ACTS)}.")
    try:
        app = instance.app_named(name)
    except KeyError:
        there = ", ".join(sorted(item.name for item in instance.apps.values())[:12])
        raise UsageError(f"The emulator has no app {name!r}.", hint=f"There are: {there}.") from None
    ACTS[verb](instance, app)


def _break(instance: Instance, app: App) -> None:
    if app.is_flow:
        _edit(instance, app, _break_prompt)
        publishing.publish(instance, app, _somebody(instance), "friday", "what could go wrong")
    elif app.model_config is not None:
        app.model_config = {**app.model_config, "pre_prompt": _BROKEN}
        app.config_times = (app.config_times[0], instance.now())
        app.updated_at = instance.now()
        app.changed()


def _publish(instance: Instance, app: App) -> None:
    if not app.is_flow:
        raise UsageError(f"{app.name!r} is a {app.mode} app: it has no draft to publish.")
    publishing.publish(instance, app, _somebody(instance), "by a colleague")


def _rotate(instance: Instance, app: App) -> None:
    if app.draft is None or not any(item["value_type"] == "secret" for item in app.draft.env_list):
        raise UsageError(f"{app.name!r} has no secret variable to rotate.")

    def change(document: JsonDict) -> None:
        for item in document["env"]:
            if item["value_type"] == "secret":
                item["value"] = f"rotated-by-a-colleague-{instance.rng.randrange(10**6):06}"

    _edit(instance, app, change)
    publishing.publish(instance, app, _somebody(instance), "rotated")


def _delete(instance: Instance, app: App) -> None:
    instance.apps.pop(app.id).deleted = True
    for key in app.keys:
        instance.keys.pop(key.token, None)
        instance.gone_apps[key.token] = app.id


def _break_prompt(document: JsonDict) -> None:
    nodes: list[dict[str, Any]] = document["graph"]["nodes"]
    for node in nodes:
        if node["data"].get("type") == "llm":
            node["data"]["prompt_template"][0]["text"] = _BROKEN
            return
    nodes[-1]["data"]["title"] = "broken"


def _edit(instance: Instance, app: App, change: Callable[[JsonDict], None]) -> None:
    draft = app.draft
    if draft is None:
        raise UsageError(f"{app.name!r} has no draft.")
    document: JsonDict = {
        "graph": draft.graph,
        "features": draft.features,
        "env": [dict(item) for item in draft.env_list],
        "conversation": [dict(item) for item in draft.conversation_list],
    }
    change(document)
    publishing.save_draft(instance, app, _somebody(instance), **document)


def _somebody(instance: Instance) -> Any:
    return next((item for item in instance.accounts if item.role == "editor"), instance.owner)


ACTS: dict[str, Callable[[Instance, App], None]] = {
    "break": _break,
    "delete": _delete,
    "rotate": _rotate,
    "publish": _publish,
}

"""What the scenarios are written with: cases in bulk, and steps that bring an emulator into a state."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

from difyops.emulator import publishing
from difyops.emulator.routes.console_keys import new_key
from difyops.emulator.store import App
from tests.emulator.replay import Case, Replay, Scenario
from tests.waiting import until

Step = Case | Callable[[Replay], Awaitable[None] | None]
Steps = tuple[Step, ...]

PEOPLE = (".*/last_login_at", ".*/last_login_ip", ".*/last_active_at")
CONFIG = (r"/data\[\]/(model_config|workflow).*",)


def cases(names: str, **how: Any) -> Steps:
    """Return one case per name, all sent the same way."""
    return tuple(Case(name=name, **how) for name in names.split())


def svc(key: str, names: str, **how: Any) -> Steps:
    """Return service cases sent with the key of app ``key``."""
    return cases(names, key=key, **how)


def scenario(
    version: str,
    folder: str,
    name: str,
    steps: tuple[Step | Steps, ...],
    apps: dict[str, str],
    settings: dict[str, Any],
) -> Scenario:
    """Return a scenario, its steps flattened."""
    flat: list[Any] = []
    for step in steps:
        flat += step if isinstance(step, tuple) else [step]
    return Scenario(version=version, folder=folder, name=name, steps=tuple(flat), apps=apps, settings=settings)


def mood(name: str, on: bool = True) -> Step:
    """Return a step that switches a mood."""
    return lambda replay: replay.emulator.control.mood(name, on)


def revoke(key: str, revoked: bool = True) -> Step:
    """Return a step that lets the provider refuse a key."""
    return lambda replay: replay.emulator.control.revoke(key, revoked)


def later(seconds: float) -> Step:
    """Return a step that moves the clock."""

    def move(replay: Replay) -> None:
        replay.clock.offset += seconds

    return move


def known(recorded: str, ours: Callable[[Replay], str]) -> Step:
    """Return a step that tells what a recorded id stands for."""

    def tell(replay: Replay) -> None:
        replay.ids[recorded] = ours(replay)

    return tell


def last_app(replay: Replay) -> App:
    """Return the app made last."""
    return list(replay.emulator.instance.apps.values())[-1]


def with_key(alias: str, name: str) -> Step:
    """Return a step that makes a service key for the newest app called ``name``, known as ``alias``."""

    def make(replay: Replay) -> None:
        apps = [app for app in replay.emulator.instance.apps.values() if app.name == name]
        replay.keys[alias] = new_key(replay.emulator.instance, apps[-1].id).token

    return make


async def fresh_login(replay: Replay) -> None:
    """Log the owner in anew and use those tokens from here on."""
    await replay.login("owner")


async def settle(replay: Replay) -> None:
    """Let background runs end."""
    await until(lambda: replay.emulator.instance.is_at_rest, "the end of the runs")


def keep_tokens(replay: Replay) -> None:
    """Set the owner's tokens aside."""
    replay.jars["old"] = dict(replay.jars["owner"])


def old_tokens(replay: Replay) -> None:
    """Go back to the tokens set aside."""
    replay.jars["owner"] = dict(replay.jars["old"])


async def ticks(replay: Replay) -> None:
    """Let a minute pass for the scheduler."""
    await replay.emulator.tick()


def import_over(name: str, dsl: str) -> Step:
    """Return a step that imports a known app's DSL over the newest app, and learns nothing."""

    async def send(replay: Replay) -> None:
        headers = {
            "authorization": f"Bearer {replay.emulator.admin_key}",
            "x-workspace-id": replay.emulator.workspace_id,
        }
        text = (resources.files("difyops.emulator") / "known_apps" / f"{dsl}.yml").read_text(encoding="utf-8")
        body = {"mode": "yaml-content", "yaml_content": text, "app_id": last_app(replay).id}
        answer = await replay.client.post("/console/api/apps/imports", json=body, headers=headers)
        assert answer.json()["status"] == "completed", answer.text

    return send


def published(replay: Replay) -> None:
    """Publish the newest app."""
    instance = replay.emulator.instance
    publishing.publish(instance, last_app(replay), instance.owner)


def unpublished_flow(replay: Replay) -> None:
    """Make a chatflow that was never published, with a key known as ``unpublished``."""
    instance, source = replay.emulator.instance, replay.emulator.app_named("flow-chat")
    app = publishing.new_app(instance, instance.owner, name="unpublished", mode="advanced-chat")
    publishing.restore(instance, app, instance.owner, source.draft or source.versions[0])
    replay.keys["unpublished"] = new_key(instance, app.id).token


def unlock(replay: Replay) -> None:
    """Lift the lock of the owner's address."""
    replay.emulator.account("owner").failures = 0


def run(app: str, inputs: dict[str, Any], **more: Any) -> Step:
    """Return a step that runs a workflow app once, without comparing anything."""
    return _send(app, "/v1/workflows/run", {"inputs": inputs, "user": "u-1", "response_mode": "blocking", **more})


def ask(app: str, query: str, path: str = "/v1/chat-messages", **more: Any) -> Step:
    """Return a step that asks an app once, without comparing anything."""
    body = {"inputs": {}, "query": query, "user": "u-1", "response_mode": "streaming", **more}
    return _send(app, path, body)


def _send(app: str, path: str, body: dict[str, Any]) -> Step:
    async def send(replay: Replay) -> None:
        key = replay.emulator.app_named(app).key
        answer = await replay.client.post(path, json=body, headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 200, answer.text

    return send


def basic_password(replay: Replay) -> str:
    """Return the emulator's password as newer versions want it."""
    return base64.b64encode(replay.emulator.password.encode()).decode()


def old_csrf(replay: Replay) -> None:
    """Keep the owner's access token good while the CSRF token is another session's, long expired."""
    replay.jars["owner"]["csrf_token"] = "aaa.bbb.ccc"


def credential(recorded: str, name: str) -> Step:
    """Return a step that tells which provider credential a recorded id stands for."""

    def find(replay: Replay) -> str:
        provider = replay.emulator.instance.provider
        return next(item.id for item in provider.credentials if item.name == name)

    return known(recorded, find)


def model_credential(recorded: str, name: str) -> Step:
    """Return a step that tells which credential of the only custom model a recorded id stands for."""

    def find(replay: Replay) -> str:
        credentials = replay.emulator.instance.provider.custom[0].credentials
        return next(item.id for item in credentials if item.name == name)

    return known(recorded, find)


def tool_credential(recorded: str, name: str) -> Step:
    """Return a step that tells which tool credential a recorded id stands for."""

    def find(replay: Replay) -> str:
        return next(item.id for item in replay.emulator.instance.tool.credentials if item.name == name)

    return known(recorded, find)

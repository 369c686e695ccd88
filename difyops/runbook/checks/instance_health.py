"""``instance.health``: which part of an instance is down, told apart by what still answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from difyops.api.instance import Instance
from difyops.api.run_faults import BAD_INPUT, CUT_OFF, PLUGIN_DOWN, RunFailed, kind_of
from difyops.api.service import Question
from difyops.asking import ask_app
from difyops.errors import AuthError, DifyopsError, ServerFault, TimedOut, Unreachable, UnreadableAnswer
from difyops.runbook.parameters import Duration
from difyops.runbook.reaching import is_console, setup_page
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One part: up, down, or not looked at (``unknown``)."""

    name: str
    state: str
    said: str = ""


async def check(
    resources: Resources,
    *,
    worker_app: str | None = None,
    worker_inputs: dict[str, str] | None = None,
    silence: Duration = 25.0,
    patience: Duration = 10.0,
) -> Result:
    """Ask each part for something only it can answer: api and database, login, redis, plugin daemon, worker.

    The platform's own health page stays ok with any of these down, so it is not asked. ``worker_app`` is a small
    workflow that is run as a stream once: only a worker carries that out. Without it the worker is not judged. No
    answer from the api is a failure here, not a failed measurement: it is what this check measures.
    """
    if resources.context is None:
        return Inconclusive(text="no instance is configured", hint="difyops context add NAME --url https://...")
    parts = [await _api(resources, patience)]
    if parts[0].state == "up":
        parts += await _behind_login(resources, worker_app, dict(worker_inputs or {}), silence)
    down = [part for part in parts if part.state == "down"]
    unknown = [part for part in parts if part.state == "unknown"]
    values = tuple(Value(name=part.name.replace(" ", "_"), value=part.state) for part in parts)
    excerpt = "; ".join(f"{part.name}: {part.said}" for part in parts if part.said)
    if down:
        text = f"{' and '.join(part.name for part in down)} of {resources.context_name} down: {down[0].said}"
        return Fail(text=text, values=values, excerpt=excerpt, hint=_HINTS.get(down[0].name))
    if unknown:
        return Inconclusive(text=f"{unknown[0].name}: {unknown[0].said}", values=values, excerpt=excerpt)
    return Pass(text=f"{', '.join(part.name for part in parts)} answer", values=values)


_HINTS = {
    "api": "Look at the api container and the proxy in front of it.",
    "database": "Look at PostgreSQL: connections, disk, the check database.",
    "redis": "Look at Redis: memory, persistence errors, the check queue.depth.",
    "plugin daemon": "Look at the plugin_daemon container; model calls fail until it is back.",
    "worker": "Look at the worker container; do not retry streaming runs, they are queued and will run later.",
}


async def _api(resources: Resources, patience: float) -> _Part:
    assert resources.context is not None  # noqa: S101 - the caller looked
    try:
        answer = await setup_page(resources, resources.context, patience)
    except ServerFault as error:
        # The set-up page is read from the database; a proxy's 502 or 504 says that there is no api behind it.
        return _Part(name="api" if error.retryable else "database", state="down", said=error.message)
    except (Unreachable, TimedOut) as error:
        return _Part(name="api", state="down", said=error.message)
    except DifyopsError as error:
        return _Part(name="api", state="unknown", said=error.message)
    if not is_console(answer):
        return _Part(name="api", state="unknown", said="something answers there, but not a Dify console")
    return _Part(name="api", state="up")


async def _behind_login(
    resources: Resources, worker_app: str | None, inputs: dict[str, str], silence: float
) -> list[_Part]:
    try:
        instance = await resources.instance()
        await instance.workspace.profile()
    except UnreadableAnswer as error:
        return [_Part(name="login", state="unknown", said=error.message)]
    except ServerFault as error:
        # Login and refresh count their tries in Redis; the set-up page did not need it and answered.
        return [_Part(name="redis", state="down", said=f"login does not work: {error.message}")]
    except DifyopsError as error:
        # A refresh with Redis away answers 401 and quotes the connection error: no proof of a dead session.
        if isinstance(error, AuthError) and re.search(r"error 111|connection refused|redis", error.message, re.I):
            return [_Part(name="redis", state="down", said=error.message)]
        return [_Part(name="login", state="unknown", said=error.message)]
    redis = await _redis(instance)
    parts = [_Part(name="database", state="up"), redis]
    if redis.state == "up":
        parts += await _daemon(instance)
    if worker_app and redis.state == "up" and not resources.dry_run:
        parts.append(await _worker(resources, worker_app, inputs, silence))
    return parts


async def _redis(instance: Instance) -> _Part:
    """Ask for the model providers: their configuration is cached in Redis and comes from the plugin daemon."""
    try:
        await instance.workspace.model_providers()
    except DifyopsError as error:
        if kind_of("", error.message) == PLUGIN_DOWN:
            return _Part(name="plugin daemon", state="down", said=error.message)
        if isinstance(error, ServerFault | TimedOut):
            return _Part(name="redis", state="down", said=error.message)
        return _Part(name="redis", state="unknown", said=error.message)
    return _Part(name="redis", state="up")


async def _daemon(instance: Instance) -> list[_Part]:
    """Ask for the list of plugins, which no cache answers: with the daemon away the list of providers still comes.

    What else may go wrong here (a role that may not, a server that has no such list) says nothing about the daemon.
    """
    try:
        await instance.workspace.reach_plugins()
    except DifyopsError as error:
        is_down = kind_of("", error.message) == PLUGIN_DOWN
        return [_Part(name="plugin daemon", state="down", said=error.message)] if is_down else []
    return [_Part(name="plugin daemon", state="up")]


async def _worker(resources: Resources, selector: str, inputs: dict[str, str], silence: float) -> _Part:
    try:
        app = await resources.app(selector)
        question = Question(inputs=inputs, query="ping", user="difyops-health")
        await ask_app(await resources.instance(), app, question, silence=silence)
    except TimedOut as error:
        return _Part(name="worker", state="down", said=f"a streaming run stayed silent: {error.message}")
    except RunFailed as error:
        if error.kind == BAD_INPUT:
            return _Part(name="worker", state="unknown", said=f"{error.message} Give worker_inputs.")
        if error.kind == PLUGIN_DOWN:
            return _Part(name="plugin daemon", state="down", said=error.message)
        if error.kind == CUT_OFF:  # the server closes a stream that nobody works on after five minutes, a proxy sooner
            return _Part(name="worker", state="down", said=f"a streaming run came to nothing: {error.message}")
        return _Part(name="worker", state="up", said=f"it ran, and failed: {error.message}")
    except DifyopsError as error:
        return _Part(name="worker", state="unknown", said=error.message)
    return _Part(name="worker", state="up")

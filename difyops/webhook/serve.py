"""Running the server: its sockets, its life, reload on SIGHUP, and a drain at the end.

One server a state folder; ``webhook.json`` says who and where it is, so that ``reload`` and ``status`` find it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.errors import DifyopsError, LockHeld, UsageError
from difyops.webhook.reaching import Instances
from difyops.webhook.requests import Server, server_of
from difyops.webhook.rules import WebhookRules
from difyops.webhook.server import public_app
from difyops.webhook.serving import Serving, loaded

RUNNING_FILE = "webhook.json"
LOCK_FILE = "webhook.lock"
log = logging.getLogger("difyops.webhook")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that runs: who it is, where it listens, and which rules it holds."""

    pid: int
    listen: str
    admin: str | None
    rules: str
    since: float
    problem: str | None = None


@dataclass(slots=True, kw_only=True)
class Request:
    """What is to be served. ``read`` reads the rules, at the start and at every reload."""

    state: Path
    read: Callable[[], WebhookRules]
    instances: Instances
    ready: Callable[[Running], None] = lambda _: None


class _Gone(logging.Filter):
    """Leaves out what asyncio says about every caller who left in mid-stream: that is no news here."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether to tell it."""
        return record.msg != "socket.send() raised exception."


async def serve(request: Request) -> int:
    """Serve until cancelled, then drain; return how many runs were left to the next process.

    Raises:
        LockHeld: another server has this state folder. UsageError: an address is taken. ConfigError, CredentialError.
    """
    logging.getLogger("asyncio").addFilter(_Gone())
    rules = request.read()
    holds = await loaded(rules)
    with atomic_file.lock(request.state / LOCK_FILE, holding="the webhook server"), contextlib.ExitStack() as stack:
        public = stack.enter_context(_listening(rules.listen))
        admin = stack.enter_context(_listening(rules.admin)) if rules.admin else None
        serving = Serving(request.state, holds, request.instances)
        await serving.start()
        servers = [(server_of(public_app(serving), rules.limits, rules.drain), public)]
        if admin is not None:
            from difyops.webhook.admin import admin_app

            servers.append((server_of(admin_app(serving), rules.limits, 1.0), admin))
        running = Running(
            pid=os.getpid(), listen=_name(public), admin=_name(admin) if admin else None, rules=rules.digest,
            since=time.time(),
        )  # fmt: skip
        stack.callback((request.state / RUNNING_FILE).unlink, missing_ok=True)
        tasks = [asyncio.create_task(server.serve(sockets=[place])) for server, place in servers]
        try:
            await _started([server for server, _ in servers], tasks)
            _on_reload(request, serving, running)
            _note(request.state, running)  # from now on it can be found: it listens, and hears a reload
            request.ready(running)
            await asyncio.wait(tasks)  # they are not cancelled with us: they end as the drain has it
        except asyncio.CancelledError:
            log.info("stopping: nothing more is taken; what is under way has %g s", serving.rules.drain)
        return await _drained(serving, servers, tasks)


async def _drained(serving: Serving, servers: list[tuple[Server, socket.socket]], tasks: list[Any]) -> int:
    serving.draining = True
    left = 0
    try:
        left = await serving.stop(serving.rules.drain)
    finally:
        for server, _ in servers:
            server.should_exit = True
        await asyncio.gather(*tasks, return_exceptions=True)
    return left


async def _started(servers: list[Server], tasks: list[asyncio.Task[None]]) -> None:
    while not all(server.started for server in servers):
        for task in tasks:
            if task.done():
                task.result()
                raise UsageError("The server did not start.")
        await asyncio.sleep(0.01)


def _on_reload(request: Request, serving: Serving, running: Running) -> None:
    """Read the rules again on SIGHUP; rules that cannot be used leave the old ones in place, and are told."""
    pending: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        problem = None
        try:
            rules = request.read()
            if (rules.listen, rules.admin) != (serving.rules.listen, serving.rules.admin):
                raise UsageError("listen and admin are taken at the start only; restart the server for new ones.")
            serving.holds = await loaded(rules)
            serving.desks.found.clear()
            serving.dispatcher.wake()
            log.info("the rules were read anew")
        except DifyopsError as error:
            problem = error.message
            log.error("the rules were left as they were: %s", error.message)
        _note(
            request.state,
            Running(**{**asdict(running), "rules": serving.rules.digest, "problem": problem, "since": time.time()}),
        )

    def begin() -> None:
        task = asyncio.get_running_loop().create_task(reload())
        pending.add(task)
        task.add_done_callback(pending.discard)

    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in a thread of its own
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, begin)


def running_in(state: Path) -> Running | None:
    """Return the server that has this state folder, or ``None``."""
    try:
        found = Running(**json.loads((state / RUNNING_FILE).read_text(encoding="utf-8")))
        os.kill(found.pid, 0)
        with atomic_file.lock(state / LOCK_FILE):
            return None  # a note of one that was killed; the number is another process's now
    except LockHeld:
        return found
    except (OSError, ValueError, TypeError):
        return None


def _note(state: Path, running: Running) -> None:
    atomic_file.write(state / RUNNING_FILE, json.dumps(asdict(running)).encode() + b"\n", mode=atomic_file.PRIVATE)


@contextlib.contextmanager
def _listening(address: tuple[str, int]) -> Any:
    host, port = address
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        place = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind((host, port))
    except OSError as error:
        raise UsageError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}.", hint="Set webhook.listen to another."
        ) from error
    try:
        yield place
    finally:
        place.close()


def _name(place: socket.socket) -> str:
    host, port = place.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

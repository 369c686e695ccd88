"""The ASGI application: finds the handler, checks who calls, puts on the headers, and misbehaves when told to.

Misbehaviour is below everything else, at the ASGI messages, so that no handler knows about it. A dropped connection
needs a real socket; in process it shows as ``ConnectionResetError``.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import struct
from collections.abc import Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from difyops.emulator import auth, shapes
from difyops.emulator.auth import Sessions
from difyops.emulator.instance import Instance
from difyops.emulator.routes import all_routes
from difyops.emulator.routing import Call, Route, Router
from difyops.emulator.shapes import Problem
from difyops.emulator.versions import Release
from difyops.errors import DifyopsError

CONTROL = "/_emulator/"
_HANG_SECONDS = 300.0
_SLOW_SECONDS = 2.0
_NOT_SETUP = (
    "Dify has not been initialized and installed yet. Please proceed with the initialization and installation "
    "process first."
)
_GATEWAY = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


@functools.cache
def _router(release: Release) -> Router:
    return Router(all_routes(), release)


class Application:
    """ASGI application over one instance. ``control_panel`` answers what is below ``/_emulator/``."""

    def __init__(self, instance: Instance, control_panel: Callable[[Request, bytes], Response]) -> None:
        self.instance = instance
        self.sessions = Sessions(instance)
        self.router = _router(instance.release)
        self._panel = control_panel

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            if scope["path"].startswith(CONTROL):
                await self._control(scope, receive, send)
            else:
                await self._serve(scope, receive, send)

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = self._panel(request, await request.body())
        except (DifyopsError, ValueError, TypeError) as error:
            response = shapes.answer({"code": "usage", "message": str(error), "status": 400}, 400)
        await response(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        try:
            found = self.router.find(method, path)
            name, missing = found[0].template, None
        except Problem as problem:
            found, name, missing = None, "unknown", problem.response
        how = self.instance.control.begin(method, path, name)
        wire = _Wire(send, how, self.instance)
        try:
            self.instance.wake_waiting()
            await self._wait()
            if await self._misbehave(how, scope, receive, wire):
                return
            response = missing or await self._respond(Request(scope, receive), found)
            self._head(response, path)
            await response(scope, receive, wire)
            await wire.finish()
        except ClientDisconnect:
            wire.status = 499
        finally:
            self.instance.control.end(wire.status)

    async def _wait(self) -> None:
        control = self.instance.control
        if control.seconds:
            await self.instance.clock.sleep(control.seconds)
        if control.has("slow"):
            await self.instance.pause(_SLOW_SECONDS)

    async def _misbehave(self, how: str | None, scope: Scope, receive: Receive, wire: _Wire) -> bool:
        if how is None or how in ("lost", "cut", "slow") or how.startswith("after:"):
            return False
        if how == "hang":
            await self.instance.pause(_HANG_SECONDS)
            wire.drop()
        elif how == "reset":
            wire.drop()
        elif how == "garbage":
            await Response(b'{"result": "succ\x00\xff\xfe', media_type=shapes.JSON)(scope, receive, wire)
        elif how == "gateway":
            await Response(_GATEWAY, 502, media_type="text/html")(scope, receive, wire)
        else:
            await _refused(int(how.partition(":")[2]))(scope, receive, wire)
        return True

    async def _respond(self, request: Request, found: tuple[Route, dict[str, str]] | None) -> Response:
        if found is None:
            raise RuntimeError("a request without route has its response already")
        route, params = found
        request.scope["emulator.sessions"] = self.sessions
        call = Call(self.instance, request, route, params, await request.body())
        try:
            self._authorize(call)
            return await self.router.run(call)
        except Problem as problem:
            return problem.response

    def _authorize(self, call: Call) -> None:
        access = call.route.access
        if call.path.startswith("/console/api") and access != "unset" and not self.instance.set_up_at:
            raise shapes.problem("not_setup", _NOT_SETUP, 401)
        if access == "console":
            call.account = auth.console_account(call.request, self.sessions)
            auth.check_role(call.account, call.route.role)
        elif access in ("app", "dataset"):
            auth.authorize_service(call)

    def _head(self, response: Response, path: str) -> None:
        headers = response.headers
        headers["x-version"] = self.instance.settings.reported
        headers["x-env"] = "PRODUCTION"
        if path.startswith(("/v1", "/triggers")) and response.media_type != "text/html":
            headers["access-control-allow-origin"] = "*"
            headers["access-control-expose-headers"] = "X-Env, X-Trace-Id, X-Version"
        if self.instance.release.vary_everywhere or path.startswith("/console/api"):
            headers["vary"] = "Cookie"


class _Wire:
    """The way out: counts the status and can lose, cut or dribble what is sent."""

    def __init__(self, send: Send, how: str | None, instance: Instance) -> None:
        self._send = send
        self._how = how
        self._instance = instance
        self._left = int(how[6:]) if how and how.startswith("after:") else None
        self.status = 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        if self._how == "lost":
            return
        if self._how == "cut" and message["type"] == "http.response.body":
            body = message.get("body", b"")
            await self._send({**message, "body": body[: len(body) // 2], "more_body": True})
            self.drop()
        elif self._left is not None and message["type"] == "http.response.body":
            await self._send({**message, "more_body": True})
            self._left -= 1
            if self._left == 0:
                self.drop()
        elif self._how == "slow" and message["type"] == "http.response.body":
            await self._dribble(message)
        else:
            await self._send(message)

    async def _dribble(self, message: Message) -> None:
        body = message.get("body", b"")
        size = max(1, len(body) // 10)
        for at in range(0, len(body), size):
            await self._send({**message, "body": body[at : at + size], "more_body": True})
            await self._instance.pause(1.0)
        await self._send({**message, "body": b""})

    async def finish(self) -> None:
        """Drop the connection after work whose answer is lost."""
        if self._how == "lost":
            self.drop()

    def drop(self) -> None:
        """Drop the connection with a reset; in process, raise."""
        self.status = 499
        transport: Any = getattr(getattr(self._send, "__self__", None), "transport", None)
        if transport is not None:
            connection = transport.get_extra_info("socket")
            with contextlib.suppress(OSError, AttributeError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        raise ConnectionResetError("The emulator dropped the connection, as planned.")


def _refused(status: int) -> Response:
    words = {429: "too_many_requests", 500: "unknown", 502: "bad_gateway", 503: "service_unavailable"}
    body = {"code": words.get(status, "failed"), "message": f"Planned failure {status}.", "status": status}
    headers = {"retry-after": "1"} if status in (429, 503) else None
    return shapes.answer(body, status, headers=headers)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return

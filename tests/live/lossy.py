"""A proxy on loopback before a real server: it passes everything on, and swallows the answers that a test names."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx

from tests.faults import Asked, Behaviour, reset

_OURS = {"host", "connection", "accept-encoding", "content-length"}
_THEIRS = {"connection", "content-encoding", "content-length", "transfer-encoding", "keep-alive"}


@dataclass(slots=True)
class Losses:
    """Which answer is swallowed next, and how many were."""

    method: str = ""
    part: str = ""
    count: int = 0

    def next(self, method: str, part: str) -> None:
        """Swallow the next answer to this method on a path that ends so."""
        self.method, self.part, self.count = method, part, 0

    def takes(self, asked: Asked) -> bool:
        """Say whether the answer to this request is lost; only once."""
        if not self.method or asked.method != self.method or not asked.path.partition("?")[0].endswith(self.part):
            return False
        self.method, self.count = "", self.count + 1
        return True


def forwarding(url: str, losses: Losses) -> Behaviour:
    """Pass requests on to ``url``, and each answer back unless it is lost: then the connection is reset."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        headers = {name: value for name, value in asked.headers.items() if name not in _OURS}
        async with httpx.AsyncClient(timeout=120.0, trust_env=False) as client:
            got = await client.request(
                asked.method, url.rstrip("/") + asked.path, headers=headers, content=asked.body or None
            )
        if losses.takes(asked):
            await reset(asked, writer)
            return
        lines = [f"{name}: {value}" for name, value in got.headers.multi_items() if name.lower() not in _THEIRS]
        lines += [f"content-length: {len(got.content)}", "connection: close"]
        head = "\r\n".join((f"HTTP/1.1 {got.status_code} Said", *lines, "", ""))
        writer.write(head.encode("latin-1") + got.content)
        await writer.drain()

    return behave

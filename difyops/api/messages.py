"""What travels: a call, its answer, and the seam between whoever makes calls and whatever carries them.

httpx has such types, too. They do much that is not needed here, and building them took more than half of the time of a
call: an address is parsed once for an instance, not for each call, and fields are looked at when somebody asks for one.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

MOST_PARTS = 2_000_000  # lists and objects of one answer; of commas twice as many
_SURELY_FEW = 1_000_000  # bytes: what is smaller cannot hold so many


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where calls go: scheme, host in ASCII, port, and the text of a ``Host`` field."""

    scheme: str
    host: str
    port: int
    authority: str

    @classmethod
    def of(cls, url: httpx.URL) -> Origin:
        """Return the origin of an address."""
        port = url.port or (443 if url.scheme == "https" else 80)
        return cls(
            scheme=url.scheme, host=url.raw_host.decode("ascii"), port=port, authority=url.netloc.decode("ascii")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """Seconds: to connect, without a byte, until an answer's head is here, until all of it is.

    ``whole`` is ``None`` for a stream, which its reader watches.
    """

    connect: float = 10.0
    silence: float = 30.0
    head: float = 70.0
    whole: float | None = 300.0

    @classmethod
    def of(cls, *, connect: float, silence: float, whole: float | None) -> CallLimits:
        """Return the limits that go with a silence limit: a head may take two silences after connecting."""
        return cls(connect=connect, silence=silence, head=connect + 2 * silence, whole=whole)


def _nothing() -> None:
    """Do nothing."""


@dataclass(slots=True, kw_only=True)
class HttpCall:
    """One request. ``target`` is path and query, in ASCII, quoted; ``headers`` may be added to before it is sent.

    ``on_send`` is called when a connection is there and the first byte is about to be sent (where a proxy or a library
    of others connects: before that); what it raises keeps the call from being sent.
    """

    method: str
    origin: Origin
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = field(default=b"", repr=False)
    limits: CallLimits = CallLimits()
    on_send: Callable[[], None] = _nothing

    @property
    def url(self) -> str:
        """Return the whole address."""
        return f"{self.origin.scheme}://{self.origin.authority}{self.target}"

    @property
    def path(self) -> str:
        """Return the address without what was asked in it, which may be something that a person typed."""
        return self.target.partition("?")[0]


class HeaderFields:
    """The header fields of an answer. Names in any case; what came several times is joined by commas."""

    __slots__ = ("raw",)

    def __init__(self, raw: Sequence[tuple[bytes, bytes]] | Mapping[str, str] = ()) -> None:
        pairs = raw.items() if isinstance(raw, Mapping) else ()
        self.raw = [(name.encode(), value.encode()) for name, value in pairs] if isinstance(raw, Mapping) else list(raw)

    def get(self, name: str, default: str = "") -> str:
        """Return the value of a field, ``default`` where there is none."""
        found = self.get_list(name)
        return ", ".join(found) if found else default

    def get_list(self, name: str) -> list[str]:
        """Return every value of a field, in their order."""
        wanted = name.lower().encode()
        return [_text(value) for known, value in self.raw if known.lower() == wanted]

    def drop(self, name: str) -> None:
        """Take a field away."""
        wanted = name.lower().encode()
        self.raw = [pair for pair in self.raw if pair[0].lower() != wanted]

    def as_dict(self) -> dict[str, str]:
        """Return the fields by their names in small letters."""
        found: dict[str, list[str]] = {}
        for known, value in self.raw:
            found.setdefault(_text(known).lower(), []).append(_text(value))
        return {name: ", ".join(values) for name, values in found.items()}

    def __contains__(self, name: str) -> bool:
        return bool(self.get_list(name))


def _text(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


class Body(Protocol):
    """The bytes of an answer as they come; to be closed by whoever got it."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the bytes."""

    async def aclose(self) -> None:
        """Be done with it, read or not."""


@dataclass(slots=True, kw_only=True)
class HttpAnswer:
    """One answer. ``body`` is there until somebody read it (``aread``): then ``content`` is."""

    status_code: int
    headers: HeaderFields = field(default_factory=HeaderFields)
    content: bytes = field(default=b"", repr=False)
    body: Body | None = field(default=None, repr=False)
    call: HttpCall | None = field(default=None, repr=False)
    secured: Any = field(default=None, repr=False)

    async def aread(self) -> bytes:
        """Read the body to its end, once, and return it."""
        if self.body is not None:
            body, self.body = self.body, None
            try:
                self.content = b"".join([piece async for piece in body])
            finally:
                await body.aclose()
        return self.content

    async def aclose(self) -> None:
        """Close the body where it was not read."""
        if self.body is not None:
            body, self.body = self.body, None
            await body.aclose()

    @property
    def text(self) -> str:
        """Return the content as text: JSON is UTF-8, whatever charset an answer names."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the content read as JSON.

        Raises:
            TooManyParts: reading it would fill the memory. ValueError: it is none. RecursionError: nested too deep.
        """
        content = self.content
        if len(content) > _SURELY_FEW and (
            content.count(b"{") + content.count(b"[") > MOST_PARTS or content.count(b",") > 2 * MOST_PARTS
        ):
            raise TooManyParts
        return json.loads(content)


class TooManyParts(ValueError):
    """A content of more lists, objects and items than any answer has: empty ones take 60 times their size in memory."""


Flow = AsyncGenerator[HttpCall, HttpAnswer]


class Auth(Protocol):
    """How a call proves who makes it: yields the calls to send, the last of which gives the answer."""

    def flow(self, call: HttpCall) -> Flow:
        """Yield ``call`` with what proves it, and whatever must be sent before it or when it was refused."""


class Carrier(Protocol):
    """What carries calls; it raises httpx's transport errors, which say whether anything was sent."""

    async def exchange(self, call: HttpCall) -> HttpAnswer:
        """Send a call and return its answer as soon as its head is there."""

    async def aclose(self) -> None:
        """Close all connections."""


class ThroughHttpx:
    """A carrier of httpx's (one in this process, a mock), behind our seam."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def exchange(self, call: HttpCall) -> HttpAnswer:
        """Send a call and return its answer."""
        call.on_send()
        times = {
            "connect": call.limits.connect,
            "read": call.limits.silence,
            "write": call.limits.silence,
            "pool": None,
        }
        request = httpx.Request(
            call.method, call.url, headers=call.headers, content=call.content or None, extensions={"timeout": times}
        )
        response = await self._transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - such carriers are asynchronous
        return HttpAnswer(
            status_code=response.status_code,
            headers=HeaderFields(response.headers.raw),
            body=response.stream,
            call=call,
        )

    async def aclose(self) -> None:
        """Close it."""
        await self._transport.aclose()

"""What holds for every request whatever carries it: who we say we are, how long an answer may take, how large it gets.

Wraps a carrier (httpx's own, aiohttp's, an emulator in the same process). The silence limit is the carrier's; it does
not help against a server that sends one header byte a second, or ``103`` for ever, so the head of an answer and the
whole of it have limits of their own. They cover what a login sends on the way, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from difyops import __version__
from difyops.api.decoding import ACCEPTED, CannotDecode, Decoder

USER_AGENT = f"difyops/{__version__}"
LARGEST_ANSWER = 64 * 1024 * 1024
_EXTENSION = "difyops.limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds until an answer's head is here, and until all of it is (``None``: a stream, which its reader watches)."""

    head: float = 70.0
    whole: float | None = 300.0

    @classmethod
    def of(cls, *, connect: float, silence: float, whole: float | None) -> Limits:
        """Return the limits that go with a silence limit: a head may take two silences after connecting."""
        return cls(head=connect + 2 * silence, whole=whole)

    @property
    def extension(self) -> dict[str, object]:
        """Return what carries the limits with a request."""
        return {_EXTENSION: self}


class TooLarge(httpx.DecodingError):
    """An answer is larger than ``LARGEST_ANSWER`` once decoded."""


class TooSlow(httpx.ReadTimeout):
    """An answer was not complete in time though bytes kept coming."""


class Guard(httpx.AsyncBaseTransport):
    """A carrier whose requests say who sends them and whose answers are bounded and decoded."""

    def __init__(self, carrier: httpx.AsyncBaseTransport) -> None:
        self._carrier = carrier

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. The body of the answer comes decoded, its header fields without what was taken off."""
        limits = request.extensions.get(_EXTENSION) or Limits()
        headers = request.headers
        if headers.get("User-Agent", "python-httpx").startswith("python-httpx"):
            headers["User-Agent"] = USER_AGENT
        if headers.get("Accept-Encoding") != "identity":
            headers["Accept-Encoding"] = ACCEPTED
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(limits.head):
                response = await self._carrier.handle_async_request(request)
        except TimeoutError as error:
            raise TooSlow(f"The answer did not begin within {limits.head:g} s.", request=request) from error
        until = None if limits.whole is None else started + limits.whole
        return await _guarded(response, request, until, limits.whole)

    async def aclose(self) -> None:
        """Close the carrier's connections."""
        await self._carrier.aclose()


async def _guarded(
    response: httpx.Response, request: httpx.Request, until: float | None, seconds: float | None
) -> httpx.Response:
    response.encoding = "utf-8"  # JSON has no other; a charset of the answer's own choice may not even be text
    encoding = response.headers.get("content-encoding", "")
    if not encoding and until is None:
        return response  # a stream in clear: its reader counts lines and silence itself
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - carriers are asynchronous
    try:
        decoder = Decoder(encoding)
    except CannotDecode as error:
        await response.aclose()
        raise httpx.DecodingError(str(error), request=request) from error
    kept = [pair for pair in response.headers.raw if pair[0].lower() != b"content-encoding"]
    body = _Body(response.stream, decoder, request, until, seconds)
    decoded = httpx.Response(
        response.status_code, headers=kept, stream=body, request=request, extensions=response.extensions
    )
    decoded.encoding = "utf-8"
    return decoded


class _Body(httpx.AsyncByteStream):
    """The decoded bytes of an answer, counted; late and large ones end with an error."""

    def __init__(
        self,
        inner: httpx.AsyncByteStream,
        decoder: Decoder,
        request: httpx.Request,
        until: float | None,
        seconds: float | None,
    ) -> None:
        self._inner = inner
        self._decoder = decoder
        self._request = request
        self._until = until
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        chunks = self._inner.__aiter__()
        while True:
            try:
                async with asyncio.timeout_at(self._until):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                break
            except TimeoutError as error:
                raise TooSlow(f"not complete after {self._seconds:g} s", request=self._request) from error
            try:
                for piece in self._decoder.pieces(chunk):
                    size += len(piece)
                    if self._until is not None and size > LARGEST_ANSWER:
                        raise TooLarge(f"larger than {LARGEST_ANSWER} bytes", request=self._request)
                    yield piece
            except CannotDecode as error:
                raise httpx.DecodingError(str(error), request=self._request) from error
        try:
            self._decoder.finish()
        except CannotDecode as error:
            raise httpx.DecodingError(str(error), request=self._request) from error

    async def aclose(self) -> None:
        """Close the answer below."""
        await self._inner.aclose()

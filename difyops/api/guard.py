"""What holds for every request whatever carries it: who we say we are, how long an answer may take, how large it gets.

Wraps a carrier (httpx's own, aiohttp's, an emulator in the same process). The silence limit is the carrier's; it does
not help against a server that sends one header byte a second, or ``103`` for ever, so the head of an answer and the
whole of it have limits of their own. They cover what a login sends on the way, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx

from difyops import __version__
from difyops.api.decoding import ACCEPTED, CannotDecode, Decoder
from difyops.api.messages import Body, Carrier, HttpAnswer, HttpCall

USER_AGENT = f"difyops/{__version__}"
LARGEST_ANSWER = 64 * 1024 * 1024


class AnswerTooLarge(httpx.DecodingError):
    """An answer is larger than ``LARGEST_ANSWER`` once decoded."""


class TooSlow(httpx.ReadTimeout):
    """An answer was not complete in time though bytes kept coming."""


class Guard:
    """A carrier whose calls say who sends them and whose answers are bounded and decoded."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    async def exchange(self, call: HttpCall) -> HttpAnswer:
        """Send one call. The body of the answer comes decoded, its header fields without what was taken off.

        Raises:
            httpx.RequestError: no answer, or not in time; its ``request`` names method and address.
        """
        call.headers.setdefault("User-Agent", USER_AGENT)
        call.headers.setdefault("Accept-Encoding", ACCEPTED)
        limits = call.limits
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(limits.head):
                answer = await self._carrier.exchange(call)
        except TimeoutError as error:
            raise _of(call, TooSlow(f"The answer did not begin within {limits.head:g} s.")) from error
        except httpx.RequestError as error:
            raise _of(call, error) from error.__cause__
        until = None if limits.whole is None else started + limits.whole
        return await _guarded(answer, call, until)

    async def aclose(self) -> None:
        """Close the carrier's connections."""
        await self._carrier.aclose()


def _of(call: HttpCall, error: httpx.RequestError) -> httpx.RequestError:
    """Return the error with the request that it is about, which is made only where one failed."""
    error.request = httpx.Request(call.method, call.url)
    return error


async def _guarded(answer: HttpAnswer, call: HttpCall, until: float | None) -> HttpAnswer:
    encoding = answer.headers.get("content-encoding")
    if answer.body is None or (not encoding and until is None):
        return answer  # a stream in clear: its reader counts lines and silence itself
    try:
        decoder = Decoder(encoding) if encoding else None
    except CannotDecode as error:
        await answer.aclose()
        raise _of(call, httpx.DecodingError(str(error))) from error
    if encoding:
        answer.headers.drop("content-encoding")
    answer.body = _Body(answer.body, decoder, call, until)
    return answer


class _Body:
    """The decoded bytes of an answer, counted; late and large ones end with an error."""

    def __init__(self, inner: Body, decoder: Decoder | None, call: HttpCall, until: float | None) -> None:
        self._inner = inner
        self._decoder = decoder
        self._call = call
        self._until = until

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, loop = 0, asyncio.get_running_loop()
        try:
            async for chunk in self._inner:
                if self._until is not None and loop.time() > self._until:  # what says nothing ends by its silence
                    raise TooSlow(f"not complete after {self._call.limits.whole:g} s")
                for piece in (chunk,) if self._decoder is None else self._decoder.pieces(chunk):
                    size += len(piece)
                    if self._until is not None and size > LARGEST_ANSWER:
                        raise AnswerTooLarge(f"larger than {LARGEST_ANSWER} bytes")
                    yield piece
            if self._decoder is not None:
                self._decoder.finish()
        except CannotDecode as error:
            raise _of(self._call, httpx.DecodingError(str(error))) from error
        except httpx.RequestError as error:
            raise _of(self._call, error) from error.__cause__

    async def aclose(self) -> None:
        """Close the answer below."""
        await self._inner.aclose()

"""Answers read from their bytes, and the connections that carry them: kept, closed, never mixed up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import h11
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from difyops.api.direct import DirectCarrier
from difyops.api.http_answer import AnswerReader, BadAnswer
from difyops.api.messages import HttpCall, Origin

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
bodies = st.binary(max_size=40)


@st.composite
def whole_answers(draw: st.DrawFn) -> bytes:
    """An answer in one of the forms that a body may have, after interim ones."""
    body = draw(bodies)
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * draw(st.integers(0, 2))
    status = draw(st.sampled_from([b"200 OK", b"404 ", b"503", b"299 A  B"]))
    spaces = draw(st.sampled_from([b"", b" ", b"\t "]))
    match draw(st.sampled_from(["length", "chunks", "close"])):
        case "length":
            fields, content = b"Content-Length:%s%d\r\n" % (spaces, len(body)), body
        case "chunks":
            size = draw(st.integers(1, 9))
            parts = [body[place : place + size] for place in range(0, len(body), size)]
            more = draw(st.sampled_from([b"", b";name=value"]))
            trailer = draw(st.sampled_from([b"", b"x-sum: 1\r\n"]))
            content = b"".join(b"%x%s\r\n%s\r\n" % (len(part), more, part) for part in parts)
            fields, content = b"Transfer-Encoding: chunked\r\n", content + b"0\r\n" + trailer + b"\r\n"
        case _:
            fields, content = b"", body
    return interim + b"HTTP/1.1 " + status + b"\r\nx-version: 1\r\n" + fields + b"\r\n" + content


def read(pieces: list[bytes]) -> AnswerReader:
    reader = AnswerReader()
    for piece in pieces:
        reader.feed(piece)
    if not reader.ended:
        reader.close()
    return reader


def read_by_another(whole: bytes) -> tuple[int, bytes]:
    """Return status and body as h11 reads them."""
    other = h11.Connection(our_role=h11.CLIENT)
    other.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    other.send(h11.EndOfMessage())
    other.receive_data(whole)
    other.receive_data(b"")
    status, body = 0, b""
    while True:
        match other.next_event():
            case h11.Response() as head:
                status = head.status_code
            case h11.Data() as data:
                body += bytes(data.data)
            case h11.EndOfMessage():
                return status, body


@given(whole_answers(), st.lists(st.integers(0, 400), max_size=6))
def test_however_it_arrives_it_is_the_same_answer(whole: bytes, cuts: list[int]) -> None:
    places = sorted({0, *(min(cut, len(whole)) for cut in cuts), len(whole)})
    reader = read([whole[start:end] for start, end in pairwise(places)])
    assert (reader.status, b"".join(reader.pieces)) == read_by_another(whole)


@given(whole_answers(), st.integers(0, 300), st.binary(max_size=4), st.booleans())
@example(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 0, b"", False)
def test_a_damaged_answer_is_read_or_refused(whole: bytes, place: int, damage: bytes, is_cut: bool) -> None:
    damaged = whole[:place] + damage + (b"" if is_cut else whole[place + len(damage) :])
    try:
        reader = read([damaged])
    except BadAnswer:
        return
    assert reader.ended


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * 5000,
        b"HTTP/1.1 200 OK\r\nname : value\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
    ],
)
def test_what_two_readers_could_read_differently_is_refused(head: bytes) -> None:
    with pytest.raises(BadAnswer):
        AnswerReader().feed(head)


@pytest.mark.parametrize(
    ("whole", "may_go_on"),
    [
        (OK, True),
        (OK + b"x", False),
        (OK.replace(b"\r\n\r\n", b"\r\nConnection: Close\r\n\r\n"), False),
        (OK.replace(b"1.1", b"1.0"), False),
        (OK.replace(b"1.1", b"1.0").replace(b"\r\n\r\n", b"\r\nconnection: keep-alive\r\n\r\n"), True),
        (b"HTTP/1.1 204 No\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", False),
    ],
)
def test_a_connection_goes_on_only_where_the_answer_ended_for_sure(whole: bytes, may_go_on: bool) -> None:
    reader = read([whole])
    assert (reader.ended, reader.may_go_on) == (True, may_go_on)


class Server:
    """A server in this loop: what it does with a request is told from outside; connections are counted."""

    def __init__(self) -> None:
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.answer: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]] = self.say_ok

    async def say_ok(self, _request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self.answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Server, str, DirectCarrier]]:
    server, carrier = Server(), DirectCarrier()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield server, f"http://127.0.0.1:{port}/x", carrier
    finally:
        await carrier.aclose()
        listening.close()
        for writer in list(server.open):
            writer.transport.abort()
        await asyncio.sleep(0)


def call(url: str, method: str = "GET", **headers: str) -> HttpCall:
    parsed = httpx.URL(url)
    return HttpCall(method=method, origin=Origin.of(parsed), target=parsed.raw_path.decode(), headers=headers)


async def asked(carrier: DirectCarrier, url: str, method: str = "GET") -> bytes:
    return await (await carrier.exchange(call(url, method))).aread()


async def test_one_connection_serves_one_call_after_the_other() -> None:
    async with served() as (server, url, carrier):
        for _ in range(20):
            assert await asked(carrier, url) == b"ok"
        assert server.connections == 1
        assert await asyncio.gather(*(asked(carrier, url) for _ in range(200))) == [b"ok"] * 200
        assert server.connections <= 201


async def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    async with served() as (server, url, carrier):
        for number in range(5):
            assert await asked(carrier, url, "POST") == b"ok"
            for writer in list(server.open):
                writer.close()
                await writer.wait_closed()
            assert server.connections == number + 1


async def test_an_unused_connection_is_closed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("difyops.api.direct._IDLE", 0.01)
    async with served() as (server, url, carrier):
        await asked(carrier, url)
        async with asyncio.timeout(20):
            while server.open:
                await asyncio.sleep(0.01)


async def test_who_leaves_in_the_middle_does_not_leave_the_rest_to_the_next() -> None:
    async def endless(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")

    async with served() as (server, url, carrier):
        server.answer = endless
        response = await carrier.exchange(call(url))
        assert response.body is not None
        assert await anext(aiter(response.body)) == b"first"
        await response.aclose()
        waiting = asyncio.create_task(asked(carrier, url))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        server.answer = server.say_ok
        assert await asked(carrier, url) == b"ok"


async def test_a_server_that_is_faster_than_its_reader_is_made_to_wait() -> None:
    size = 64 * 1024 * 1024

    async def flood(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            writer.write(b"x" * 65536)
            await writer.drain()

    async with served() as (server, url, carrier):
        server.answer = flood
        response = await carrier.exchange(call(url))
        assert response.body is not None
        pieces = aiter(response.body)
        got = len(await anext(pieces))
        connection = response.body._connection  # type: ignore[attr-defined]
        while not connection._is_paused:
            await asyncio.sleep(0)
        for _ in range(100):  # turns of the loop in which the server would go on
            await asyncio.sleep(0)
        assert sum(map(len, connection.reader.pieces)) < 4 * 1024 * 1024
        async for piece in pieces:
            got += len(piece)
        assert got == size
        await response.aclose()


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\0b"])
async def test_a_field_that_would_begin_another_is_never_sent(value: str) -> None:
    async with served() as (_server, url, carrier):
        with pytest.raises(httpx.LocalProtocolError):
            await carrier.exchange(call(url, Authorization=value))
        assert await asked(carrier, url) == b"ok"


async def test_nothing_was_sent_is_told_from_an_answer_that_was_lost() -> None:
    async with served() as (server, url, carrier):

        async def hang_up(_request: bytes, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server.answer = hang_up
        with pytest.raises(httpx.RemoteProtocolError, match="there was no answer"):
            await asked(carrier, url, "POST")
    with pytest.raises(httpx.ConnectError):
        await asked(DirectCarrier(), url, "POST")

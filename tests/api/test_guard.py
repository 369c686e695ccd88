"""Hostile servers on real sockets, through both carriers: each ends within its limit, nothing grows for ever."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from difyops import __version__
from difyops.api.auth import Login
from difyops.api.decoding import CannotDecode, Decoder
from difyops.api.proxied import ProxiedCarrier
from difyops.api.session import SessionFile
from difyops.api.transport import Transport, TransportOptions, json_of
from difyops.errors import DifyopsError, ServerFault, TimedOut, Unreachable, UnreadableAnswer
from difyops.secret_text import SecretText
from tests import faults
from tests.faults import Asked, Behaviour, answer, serving, whole

PATIENT = TransportOptions(tries=1)
QUICK = TransportOptions(connect=0.2, read=0.3, total=1.0, tries=1)  # for what goes on for ever
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"

Make = Callable[..., Transport]


def plain(url: str, options: TransportOptions = PATIENT) -> Transport:
    return Transport(url, options)


def fast(url: str, options: TransportOptions = PATIENT) -> Transport:
    return Transport(url, options, carrier=ProxiedCarrier(None, url))


@pytest.fixture(params=[plain, fast], ids=["direct", "aiohttp"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


async def read(make: Make, behaviour: Behaviour, options: TransportOptions = PATIENT) -> Any:
    with serving(behaviour) as server:
        transport = make(server.url, options)
        try:
            return json_of(await transport.request("GET", "/x", doing="read it"), doing="read it")
        finally:
            await transport.close()


def trickle(start: bytes, again: bytes, every: float = 0.05) -> Behaviour:
    async def behave(asked: Asked, writer: Any) -> None:
        writer.write(start)
        while True:
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(every)

    return behave


@pytest.mark.parametrize(
    "behaviour",
    [
        trickle(b"", b"H"),
        trickle(b"HTTP/1.1 200 OK\r\nx-long: ", b"y"),
        trickle(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
        trickle(HEAD + b"content-length: 99999\r\n\r\n", b" "),
        trickle(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        trickle(HEAD + b"transfer-encoding: chunked\r\ncontent-encoding: gzip\r\n\r\n", b"1\r\n\x1f\r\n", 0.5),
        faults.hang,
    ],
)
async def test_whatever_trickles_in_ends_within_the_limit(make: Make, behaviour: Behaviour) -> None:
    with pytest.raises(DifyopsError):  # the other side goes on for ever: that this ends is the proof
        await read(make, behaviour, QUICK)


async def test_a_login_that_trickles_ends_too(tmp_path: Path) -> None:
    with serving(trickle(b"", b"H")) as server:
        transport = plain(server.url, QUICK)
        auth = Login(
            base_url=server.url, email="a@b.c", password=lambda: SecretText("p"), store=SessionFile(tmp_path / "s.json")
        )
        with pytest.raises(TimedOut):
            await transport.request("GET", "/x", doing="read it", auth=auth)
        await transport.close()


@functools.cache
def bomb(layers: int, size: int) -> bytes:
    content = b"\0" * size
    for _ in range(layers):
        content = gzip.compress(content, 1, mtime=0)
    return content


@pytest.mark.parametrize("names", ["gzip, gzip", "gzip,gzip,gzip", "deflate, gzip", "br", "zstd", "compress", "x, y"])
async def test_encodings_that_were_not_asked_for_are_refused(make: Make, names: str) -> None:
    content = bomb(2, 30_000_000)
    tracemalloc.start()
    with pytest.raises(ServerFault, match="cannot be decoded"):
        await read(make, answer(200, content, content_encoding=names))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20_000_000


@pytest.mark.parametrize("unit", [b"{},", b"[],", b"1,"])
async def test_an_answer_of_too_many_parts_is_not_read(unit: bytes) -> None:
    content = b"[" + unit * (9_000_000 // len(unit)) + b"1]"
    with pytest.raises(UnreadableAnswer, match="more than 2,000,000 parts"):
        await read(plain, answer(200, gzip.compress(content, 1, mtime=0), content_encoding="gzip"))


async def test_the_limit_counts_what_is_decoded() -> None:
    with pytest.raises(ServerFault, match="larger than 67108864 bytes"):
        await read(plain, answer(200, bomb(1, 70_000_000), content_encoding="gzip"))


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("gzip", gzip.compress(b"[1]", mtime=0)),
        ("x-gzip", gzip.compress(b"[1]", mtime=0)),
        ("deflate", zlib.compress(b"[1]")),
        ("deflate", zlib.compress(b"[1]")[2:-4]),
        ("identity", b"[1]"),
        ("", b"[1]"),
        ("Identity, GZIP", gzip.compress(b"[1]", mtime=0)),
    ],
)
async def test_what_was_asked_for_is_decoded(make: Make, encoding: str, content: bytes) -> None:
    assert await read(make, answer(200, content, content_encoding=encoding)) == [1]


@pytest.mark.parametrize(
    "content", [gzip.compress(b"[1]", mtime=0)[:-6], b"no gzip", gzip.compress(b"[1]", mtime=0)[:5] + b"xxxxxxx"]
)
async def test_a_broken_encoding_is_told(make: Make, content: bytes) -> None:
    with pytest.raises(ServerFault, match="cannot be decoded"):
        await read(make, answer(200, content, content_encoding="gzip"))


def test_a_decoder_hands_out_bounded_pieces() -> None:
    sizes = [len(piece) for piece in Decoder("gzip").pieces(bomb(1, 5_000_000))]
    assert sum(sizes) == 5_000_000
    assert max(sizes) <= 1024 * 1024
    with pytest.raises(CannotDecode):
        Decoder("gzip, gzip")


@pytest.mark.parametrize("charset", ["rot13", "base64", "utf-7", "nothing-known", "undefined", "hex", "\xff"])
@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
async def test_any_charset_is_survived(charset: str, status: int) -> None:
    said = whole(status, {"code": "x", "message": "no"}, content_type=f"application/json; charset={charset}")
    try:
        assert await read(plain, faults.raw(said)) == {"code": "x", "message": "no"}
    except DifyopsError as error:
        assert status >= 400
        assert "no" in error.message  # noqa: PT017


@pytest.mark.parametrize("field", [b"x-version: \xff\xfe", b"x-odd: caf\xe9", b"server: \x80", b"set-cookie: \xff=1"])
async def test_any_octets_in_header_fields_are_survived(make: Make, field: bytes) -> None:
    said = HEAD + field + b"\r\ncontent-length: 3\r\nconnection: close\r\n\r\n[1]"
    with contextlib.suppress(ServerFault, Unreachable):  # a carrier may refuse them, in its own words
        assert await read(make, faults.raw(said)) == [1]


async def test_every_request_says_who_sends_it(make: Make, tmp_path: Path) -> None:
    """Firewalls block what has no User-Agent; a login and its renewal are requests, too."""
    with serving(answer(401, {"code": "unauthorized", "message": "expired"})) as server:
        transport = make(server.url)
        file = SessionFile(tmp_path / "s.json")
        file._write({"tokens": {"access": "a", "refresh": "r", "csrf": "c", "cookies": True, "prefix": ""}})
        auth = Login(base_url=server.url, email="a@b.c", password=lambda: SecretText("p"), store=file)
        with pytest.raises(DifyopsError):
            await transport.request("GET", "/x", doing="read it", auth=auth)
        with pytest.raises(DifyopsError):
            async with transport.stream("POST", "/x", doing="run it", auth=auth):
                pass
        await transport.close()
        paths = {item.path for item in server.asked}
        assert {"/x", "/console/api/refresh-token", "/console/api/login"} <= paths
        assert {item.headers.get("user-agent") for item in server.asked} == {f"difyops/{__version__}"}


@pytest.mark.parametrize(
    "cookie", ['access_token="\\377\\012x"', 'access_token="a\\015\\012b: c"', "access_token=caf\xe9; Path=/"]
)
async def test_octets_in_a_login_that_cannot_be_sent_back_are_refused(tmp_path: Path, cookie: str) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: {cookie}\r\n".encode("latin-1")
    said = head + b"set-cookie: refresh_token=r\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
    probe = answer(401, {"code": "authentication_failed", "message": "Invalid encrypted data"})
    with serving(faults.in_turn(probe, faults.raw(said))) as server:
        transport = plain(server.url)
        auth = Login(
            base_url=server.url, email="a@b.c", password=lambda: SecretText("p"), store=SessionFile(tmp_path / "s.json")
        )
        with pytest.raises(DifyopsError, match=r"cannot be sent back|session|broke"):
            await transport.request("GET", "/x", doing="read it", auth=auth)
        await transport.close()

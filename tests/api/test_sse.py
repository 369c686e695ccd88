"""Streams: recorded ones are read whole, silence and cuts have a name, and text is never torn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.api.messages import HttpAnswer
from difyops.api.sse import ServerEvent, events, parse_line
from difyops.errors import ServerFault, TimedOut, Unreachable


class Chunks(httpx.AsyncByteStream):
    """A body that comes in these pieces; an exception among them is raised."""

    def __init__(self, *pieces: bytes | Exception, pause: float = 0.0) -> None:
        self._pieces, self._pause = pieces, pause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if self._pause:
                await asyncio.sleep(self._pause)
            if isinstance(piece, Exception):
                raise piece
            yield piece


async def read(*pieces: bytes | Exception, pause: float = 0.0, silence: float = 5.0) -> list[ServerEvent]:
    response = HttpAnswer(status_code=200, body=Chunks(*pieces, pause=pause))
    return [event async for event in events(response, silence=silence)]


def line(**body: Any) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


async def test_events_and_pings_come_in_order() -> None:
    found = await read(line(event="message", answer="a"), b"event: ping\n\n", line(event="message_end"))
    assert [event.name for event in found] == ["message", "ping", "message_end"]


async def test_what_is_not_known_is_skipped() -> None:
    assert await read(b": comment\nid: 7\nretry: 10\nevent: other\ndata:\n\n\n") == []


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
async def test_unusual_line_ends_inside_an_answer_do_not_tear_it(odd: str) -> None:
    body = {"event": "message", "answer": f"one{odd}two"}
    raw = b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"
    (event,) = await read(raw)
    assert event.body["answer"] == f"one{odd}two"


async def test_carriage_returns_before_line_feeds_are_fine() -> None:
    (event,) = await read(b'data: {"event": "message"}\r\n\r\n')
    assert event.name == "message"


@given(st.lists(st.text(max_size=12), min_size=1, max_size=5), st.integers(1, 9))
async def test_however_the_bytes_are_cut_the_events_are_the_same(texts: list[str], size: int) -> None:
    whole = b"".join(line(event="message", answer=text) for text in texts)
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert [event.body["answer"] for event in await read(*pieces)] == texts


async def test_silence_ends_the_stream() -> None:
    with pytest.raises(TimedOut, match=r"fell silent for 0\.05 s"):
        await read(line(event="message"), line(event="message"), pause=0.3, silence=0.05)


async def test_pings_keep_a_quiet_stream_alive() -> None:
    found = await read(*[b"event: ping\n\n"] * 8, line(event="message_end"), pause=0.05, silence=0.2)
    assert found[-1].name == "message_end"


async def test_a_slow_reader_is_not_taken_for_a_silent_server() -> None:
    response = HttpAnswer(status_code=200, body=Chunks(line(event="message"), line(event="message_end")))
    found = []
    async for event in events(response, silence=0.05):
        await asyncio.sleep(0.15)
        found.append(event.name)
    assert found == ["message", "message_end"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ReadError("reset"), Unreachable),
        (httpx.RemoteProtocolError("cut"), Unreachable),
        (httpx.DecodingError("garbled"), Unreachable),
        (httpx.ReadTimeout("late"), TimedOut),
    ],
)
async def test_a_broken_connection_has_a_name_and_says_that_the_run_may_go_on(
    error: Exception, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match="the run may go on"):
        await read(line(event="message"), error)


async def test_a_stream_that_ends_within_a_line_broke_off() -> None:
    with pytest.raises(Unreachable, match="in the middle of a line"):
        await read(line(event="message"), b'data: {"event": "mess')


async def test_a_last_line_without_its_end_counts_when_it_is_whole() -> None:
    found = await read(b'data: {"event": "message_end"}')
    assert [event.name for event in found] == ["message_end"]


@pytest.mark.parametrize("raw", [b"data: {broken\n", b"data: [1]\n", b"data: 7\n", b"data: " + b"[" * 100_000 + b"\n"])
async def test_a_line_that_is_no_object_is_a_server_fault(raw: bytes) -> None:
    with pytest.raises(ServerFault):
        await read(raw)


async def test_an_endless_line_is_given_up() -> None:
    with pytest.raises(ServerFault, match="longer than"):
        await read(*[b"data: " + b"x" * (1 << 20)] * 40)


@given(st.text())
def test_a_line_is_an_event_or_nothing_or_a_server_fault(text: str) -> None:
    try:
        found = parse_line(text)
    except ServerFault:
        assert text.startswith("data:")
        return
    assert found is None or isinstance(found, ServerEvent)


def test_the_data_of_an_event_without_data_is_empty() -> None:
    assert ServerEvent(name="message", body={"data": None}).data == {}

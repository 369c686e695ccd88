"""A stream that breaks: the end of the same run is found by its id, and the app is never run twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from difyops.api.run_answer import EVENTS, POLLED, STREAM
from difyops.api.run_faults import CUT_OFF, PAUSED, RunFailed
from difyops.api.run_transport import run_transport
from difyops.api.service import Question, Service
from difyops.api.sse import ServerEvent
from difyops.config import Context
from difyops.emulator import Emulator
from difyops.errors import Unreachable
from difyops.render.stream import TextStream
from difyops.secret_text import SecretText
from tests.conftest import Cli

RUNS = r"/v1/(workflows/run|chat-messages)$"


@asynccontextmanager
async def service(emulator: Emulator, url: str, name: str) -> AsyncIterator[Service]:
    app = emulator.app_named(name)
    transport = run_transport(Context(name="t", url=url), limit=4)
    try:
        yield Service(transport, SecretText(app.key), app.mode)
    finally:
        await transport.close()


def question(text: str) -> Question:
    return Question(inputs={"query": text}, query=text, user="somebody")


@pytest.fixture(params=["1.13.0", "1.15", "1.16.1"])
def any_emulator(request: pytest.FixtureRequest) -> Iterator[tuple[Emulator, str]]:
    emulator = Emulator(request.param)
    with emulator.listening() as base_url:
        yield emulator, base_url


@pytest.mark.parametrize("name", ["wf-llm", "flow-chat"])
@pytest.mark.parametrize("pieces", [2, 5])
async def test_the_same_run_is_found_again(any_emulator: tuple[Emulator, str], name: str, pieces: int) -> None:
    emulator, url = any_emulator
    said: list[str] = []
    async with service(emulator, url, name) as asked:
        whole = await asked.run(question("hello there [[chunks=6]]"))
        emulator.control.fail(method="POST", path=RUNS, how=f"after:{pieces}")
        answer = await asked.run(question("hello there [[chunks=6]]"), on_delta=said.append)
    assert (answer.text, answer.outputs, answer.status) == (whole.text, whole.outputs, whole.status)
    assert whole.learned == STREAM
    assert answer.learned == POLLED if emulator.version == "1.13.0" else answer.learned in (EVENTS, POLLED)
    assert len(emulator.app_named(name).runs) == 2
    if name == "flow-chat":
        assert "".join(said) == answer.text


async def test_a_run_that_goes_on_is_asked_for_until_it_has_ended(any_emulator: tuple[Emulator, str]) -> None:
    emulator, url = any_emulator
    emulator.control.fail(method="POST", path=RUNS, how="after:2")
    async with service(emulator, url, "wf-llm") as asked:
        answer = await asked.run(question("slow [[delay=40]]"))
    assert "slow" in answer.text
    assert answer.learned == POLLED
    assert len(emulator.app_named("wf-llm").runs) == 1


async def test_a_failure_is_found_as_what_it_is(any_emulator: tuple[Emulator, str]) -> None:
    emulator, url = any_emulator
    emulator.control.fail(method="POST", path=RUNS, how="after:2")
    async with service(emulator, url, "wf-llm") as asked:
        with pytest.raises(RunFailed) as failed:
            await asked.run(question("[[fail=auth]]"))
    assert failed.value.kind == "provider_auth"


async def test_what_is_away_for_a_while_is_asked_again(emulator: Emulator, url: str) -> None:
    emulator.control.fail(method="POST", path=RUNS, how="after:2")
    emulator.control.fail(path=r"/v1/workflows/run/", times=3, how="status:502")
    async with service(emulator, url, "wf-llm") as asked:
        assert (await asked.run(question("hello"))).learned == POLLED


async def test_a_run_that_never_ends_is_given_up_in_time(emulator: Emulator, url: str) -> None:
    emulator.control.fail(method="POST", path=RUNS, how="after:2")
    async with service(emulator, url, "wf-llm") as asked:
        with pytest.raises(RunFailed, match="may go on") as failed:
            await asked.run(question("slow [[delay=600]]"), patience=0.5)
    assert failed.value.kind == CUT_OFF


async def test_without_a_run_id_it_is_said_to_be_unknown(emulator: Emulator, url: str) -> None:
    async with service(emulator, url, "wf-llm") as asked:
        for how in ("after:1", "lost"):
            emulator.control.fail(method="POST", path=RUNS, how=how)
            with pytest.raises(Unreachable, match="unknown whether the app ran"):
                await asked.run(question("hello"))
    async with service(emulator, url, "chat-basic") as asked:
        emulator.control.fail(method="POST", path=RUNS, how="after:2")
        with pytest.raises(Unreachable, match="The run began; its end is not known"):
            await asked.run(question("hello [[chunks=9]]"))


async def test_a_line_that_is_no_event_counts_as_a_break(emulator: Emulator, url: str) -> None:
    seen: list[ServerEvent | None] = []

    def spoil(line: str, event: ServerEvent | None) -> None:
        seen.append(event)
        if event is not None and event.name == "workflow_started":
            line_after.append(line)

    line_after: list[str] = []
    emulator.control.fail(method="POST", path=RUNS, how="after:3")
    async with service(emulator, url, "wf-llm") as asked:
        answer = await asked.run(question("hello"), on_line=spoil)
    assert str(answer.run_id) in line_after[0]
    assert [event.name for event in seen if event][:2] == ["ping", "workflow_started"]


async def test_the_end_of_an_earlier_run_is_told_to_who_began_it() -> None:
    emulator = Emulator("1.16.1")
    with emulator.listening() as url:
        async with service(emulator, url, "wf-llm") as asked:
            run = await asked.run(question("hello"))
            assert run.run_id
            mine, others = await asyncio.gather(
                asked.end_of(run.run_id, "somebody"), asked.end_of(run.run_id, "somebody else")
            )
        assert (mine.text, others.text) == (run.text, run.text)
        async with service(emulator, url, "wf-echo") as other_app:
            with pytest.raises(RunFailed, match="no run of that id"):
                await other_app.end_of(run.run_id, "somebody", patience=0.3)


async def test_a_run_that_waits_for_a_person_is_no_broken_stream(emulator: Emulator, url: str) -> None:
    from difyops.api.run_answer import Gathered

    gathered = Gathered(mode="workflow", ids={"workflow_run_id": "r"})
    gathered.take(ServerEvent(name="workflow_paused"), 0.0, None, None)
    with pytest.raises(RunFailed) as failed:
        gathered.answer(0.0)
    assert failed.value.kind == PAUSED


def test_app_run_says_how_the_end_was_learned(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.control.fail(method="POST", path=RUNS, how="after:2")
    ran = cli("app", "run", "wf-llm", "--input", "query=hello", "-o", "json")
    assert (ran.code, ran.json["data"]["learned"]) == (0, "polled")
    assert len(emulator.app_named("wf-llm").runs) == 1


@pytest.mark.parametrize("how", ["", "after:5"])
def test_app_run_streams_the_text(cli: Cli, emulator: Emulator, connected: str, how: str) -> None:
    plain = cli("app", "run", "flow-chat", "hello one two [[chunks=7]]")
    if how:
        emulator.control.fail(method="POST", path=RUNS, how=how)
    ran = cli("app", "run", "flow-chat", "hello one two [[chunks=7]]", "--stream")
    assert (ran.code, ran.out) == (0, plain.out)
    outputs = cli("app", "run", "wf-echo", "--input", "text=hi")
    assert cli("app", "run", "wf-echo", "--input", "text=hi", "--stream").out.startswith(outputs.out.rstrip())
    assert cli("app", "run", "flow-chat", "hello", "--stream", "-o", "json").code == 2


def test_a_secret_in_pieces_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    SecretText("s3cr3t-c4n4ry-99")
    stream = TextStream()
    for piece in ("the key: s3cr3t", "-c4n", "4ry-99", "\nand ", "\x1b[31m", "一二三"):
        stream.write(piece)
    rest = stream.end("something else")
    out = capsys.readouterr().out
    assert "c4n" not in out
    assert out.startswith("the key: ********\nand \ufffd[31m一二三")
    assert rest == b"\n\nsomething else\n"

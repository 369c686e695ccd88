"""What one bad agent does to itself and to nobody else. Real sockets, no doubles of ours between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from difyops.broadcast.engine import AnswerEnded
from difyops.broadcast.plan import Attachment
from tests.broadcast.agents import BIG, NASTY, REFUSALS, AgentServer, ask, ends, options, plan_for


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("limit", "concurrency"),
        ("auth", "provider_auth"),
        ("rate", "provider_rate_limit"),
        ("quota", "quota"),
        ("input", "bad_input"),
        ("unpublished", "unpublished"),
        ("provider", "provider_missing"),
        ("daemon", "plugin_down"),
        ("nokey", "not_authenticated"),
        ("disabled", "forbidden"),
        ("busy", "server_fault"),
        ("always429", "rate_limit"),
        ("reset", "unreachable"),
        ("half", "unreachable"),
        ("early", "cut_off"),
        ("garbage", "server_fault"),
        ("html", "server_fault"),
        ("failing", "provider_down"),
    ],
)
async def test_a_broken_agent_fails_with_its_class_and_the_others_answer(kind: str, word: str) -> None:
    async with AgentServer().listening() as server:
        found = ends(await ask(server, plan_for(["good", kind]), options(tries=1)))
    assert found["good"].ok
    assert found["good"].text == "fine"
    assert found["good"].tokens == 10
    assert (found[kind].status, found[kind].error) == ("failed", word)
    assert found[kind].message


async def test_a_hanging_agent_ends_at_its_own_time_out() -> None:
    async with AgentServer().listening() as server:
        found = ends(await ask(server, plan_for(["hang", "good"]), options(timeout=0.4)))
    assert found["hang"].error == "timed_out"
    assert found["good"].ok


async def test_a_stream_that_falls_silent_is_noticed_and_its_run_is_stopped_on_the_server() -> None:
    async with AgentServer().listening() as server:
        found = ends(await ask(server, plan_for(["silent"]), options(silence=0.4, timeout=30)))
    assert found["silent"].error == "timed_out"
    assert "silent" in found["silent"].message
    assert server.stopped == ["task-app-silent-0"]


async def test_what_came_of_half_a_stream_is_kept_and_the_run_is_not_repeated() -> None:
    async with AgentServer().listening() as server:
        found = ends(await ask(server, plan_for(["half"])))
    assert found["half"].text == "half an "
    assert sum(server.runs.values()) == 1


async def test_a_timed_out_run_is_stopped_on_the_server() -> None:
    async with AgentServer().listening() as server:
        found = ends(await ask(server, plan_for(["slow"]), options(timeout=0.4)))
    assert found["slow"].error == "timed_out"
    assert found["slow"].text == "half an "
    assert server.stopped == ["task-app-slow-0"]


async def test_a_rate_limited_run_is_tried_again_because_it_was_not_begun() -> None:
    async with AgentServer().listening() as server:
        found = ends(await ask(server, plan_for(["later"])))
    assert found["later"].ok
    assert found["later"].attempts == 2


@pytest.mark.parametrize("kind", ["reset", "half", "early", "busy", "failing", "auth", "rate", "garbage"])
async def test_a_run_that_may_have_begun_is_never_repeated_unasked(kind: str) -> None:
    async with AgentServer().listening() as server:
        await ask(server, plan_for([kind]), options(tries=3))
    assert sum(server.runs.values()) == 1


async def test_an_app_without_a_key_is_refused_without_a_call() -> None:
    async with AgentServer().listening() as server:
        found = ends(await ask(server, plan_for(["keyless", "good"])))
    assert (found["keyless"].status, found["keyless"].error) == ("refused", "credential")
    assert found["good"].ok
    assert sum(server.runs.values()) == 1


async def test_an_answer_of_five_megabytes_arrives_whole() -> None:
    async with AgentServer().listening() as server:
        found = ends(await ask(server, plan_for(["big"])))
    assert found["big"].text == BIG


async def test_line_separators_and_escape_codes_in_an_answer_do_not_tear_the_stream() -> None:
    async with AgentServer().listening() as server:
        found = ends(await ask(server, plan_for(["nasty"])))
    assert found["nasty"].text == NASTY


async def test_no_answer_of_any_kind_keeps_the_tally_from_adding_up() -> None:
    kinds = [*REFUSALS, "reset", "half", "early", "garbage", "html", "failing", "good", "later", "keyless"]
    async with AgentServer().listening() as server:
        events = await ask(server, plan_for(kinds), options(tries=1))
    ended = [item.target.id for item in events if isinstance(item, AnswerEnded)]
    assert sorted(ended) == sorted(set(ended))
    assert len(ended) == len(kinds)


async def test_nobody_there_costs_at_most_eleven_tenths_of_a_call_per_target_and_says_so() -> None:
    async with AgentServer().listening() as server:
        found = [
            item.answer
            for item in await ask(server, plan_for(["busy"] * 200, repeatable=True), options(max_in_flight=20))
            if isinstance(item, AnswerEnded)
        ]
        assert sum(server.runs.values()) <= 220
    assert len(found) == 200
    assert not any(answer.ok for answer in found)


async def test_a_refused_connection_is_named_and_not_waited_for() -> None:
    async with AgentServer().listening() as server:
        pass
    found = ends(await ask(server, plan_for(["good"]), options(tries=1)))
    assert found["good"].error == "unreachable"
    assert "connect" in found["good"].message


async def test_many_broken_targets_do_not_open_the_breaker_for_the_healthy_ones() -> None:
    kinds = ["reset", "good", "busy", "good", "good"] * 40
    async with AgentServer().listening() as server:
        events = await ask(server, plan_for(kinds), options(max_in_flight=50))
    answers = [item.answer for item in events if isinstance(item, AnswerEnded)]
    assert sum(1 for answer in answers if answer.ok) == 120


async def test_files_are_uploaded_to_every_app_and_named_in_its_inputs() -> None:
    plan = plan_for(["good"])
    paper = Attachment(name="paper.pdf", content=b"%PDF", media_type="application/pdf")
    async with AgentServer().listening() as server:
        server.form.append({"file": {"variable": "paper", "type": "file", "required": False}})
        found = ends(await ask(server, replace(plan, attachments=(paper,))))
    assert found["good"].ok
    sent = server.bodies[0]["inputs"]["paper"]
    assert (sent["type"], sent["transfer_method"]) == ("document", "local_file")
    assert sent["upload_file_id"].startswith("file-")


async def test_an_input_that_does_not_fit_is_refused_without_a_run() -> None:
    async with AgentServer().listening() as server:
        server.form.append({"text-input": {"variable": "style", "required": True}})
        found = ends(await ask(server, plan_for(["good"])))
    assert (found["good"].status, found["good"].error) == ("refused", "bad_input")
    assert not server.runs

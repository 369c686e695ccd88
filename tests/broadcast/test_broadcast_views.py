"""What a person sees: the live view, the table at the end, and that nothing remote is drawn raw."""

from __future__ import annotations

import io
import json
import re
import sys
from decimal import Decimal

import pytest
from rich.console import Console
from rich.live import Live

from difyops.broadcast.aggregate import Combined
from difyops.broadcast.answer import AgentAnswer
from difyops.broadcast.result import Broadcast
from difyops.outcome import Outcome
from difyops.render import broadcast as views
from difyops.render.live import View, live_view
from difyops.render.look import Look
from difyops.render.machine import as_json
from difyops.render.plain import as_plain
from difyops.render.terminal import as_terminal
from tests.waiting import wait_until

RED = "\x1b[31mred\x1b[0m"


def answer(number: int, status: str = "answered", text: str = "fine", **more: object) -> AgentAnswer:
    return AgentAnswer(
        target=f"a/{number}",
        context="a",
        app_id=str(number),
        app=f"bot {number}",
        mode="chat",
        status=status,
        text=text,
        **more,  # type: ignore[arg-type]
    )


def shown(*answers: AgentAnswer, combined: Combined | None = None, ended: str = "all") -> Outcome:
    result = Broadcast(question="?", user="me", answers=answers, seconds=1.5, combined=combined, ended=ended)
    return views.broadcast(result)


def screen() -> tuple[View, io.StringIO]:
    buffer = io.StringIO()
    console = Console(file=buffer, force_terminal=True, width=60, markup=False, highlight=False, emoji=False)
    view = View(3, shows_answers=True)
    view.screen = Live(console=console, get_renderable=view.picture, auto_refresh=False, transient=True)
    view.screen.start()
    return view, buffer


def test_the_live_view_prints_answers_as_they_come_and_counts() -> None:
    view, buffer = screen()
    view.started("a/1", "bot 1")
    view.delta("a/1", "thinking")
    view.ended("a/1", "bot 1", "answered", "the answer", 1.25)
    view.drawn = 0.0
    view.started("a/2", "bot 2")
    assert view.screen
    view.screen.stop()
    assert "✓ bot 1 1.2 s" in buffer.getvalue()
    assert "the answer" in buffer.getvalue()
    assert "1 of 3 ended" in buffer.getvalue()


def test_remote_codes_and_markup_are_inert_in_the_live_view() -> None:
    view, buffer = screen()
    view.started("a/1", f"bot {RED}")
    view.drawn = 0.0
    view.delta("a/1", RED + "[bold]x[/bold]")
    view.ended("a/1", f"bot {RED}", "failed", RED + "[blink]y[/blink]", None)
    assert view.screen
    view.screen.stop()
    assert "\x1b[31mred" not in buffer.getvalue()
    assert "[blink]y[/blink]" in buffer.getvalue()


def test_silent_agents_are_all_shown_and_their_seconds_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    with live_view(3) as view:
        for number in range(3):
            view.started(f"a/{number}", f"bot {number}")
        wait_until(lambda: len(set(re.findall(r"bot (\d)  [1-9]\d* s", terminal.getvalue()))) == 3)


def test_without_a_terminal_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with live_view(2) as view:
        view.started("a/1", "bot")
        view.delta("a/1", "x")
        view.ended("a/1", "bot", "answered", "y", 0.1)
    assert capsys.readouterr().err == ""
    assert view.done == 1


def test_the_table_names_every_agent_with_status_price_and_reason() -> None:
    outcome = shown(
        answer(1, price=Decimal("9.0E-7"), currency="USD", tokens=7),
        answer(2, "failed", "", error="provider_auth", message="no such key"),
    )
    text = as_plain(outcome.blocks)
    assert "0.00000090 USD" in text
    assert "provider_auth: no such key" in text
    assert outcome.exit_code == 3
    assert "1 answered, 1 failed" in (outcome.summary or "")


def test_a_reason_that_was_on_the_screen_is_one_word_in_the_table() -> None:
    long = "The app has no text input that could take the question (it has: none)."
    failed = answer(1, "refused", "", error="bad_input", message=long)
    result = Broadcast(question="?", user="me", answers=(failed,), seconds=1.5)
    assert long in as_plain(views.broadcast(result).blocks)
    told = as_plain(views.broadcast(result, answers_shown=True).blocks)
    assert long not in told
    assert "bad_input" in told


def test_codes_in_answers_are_inert_in_every_format() -> None:
    outcome = shown(answer(1, text=RED))
    look = Look(form="table", colour=True, width=80)
    for text in (as_plain(outcome.blocks), as_terminal(outcome.blocks, look), as_json(outcome)):
        assert RED not in text
    assert json.loads(as_json(outcome))["data"]["answers"][0]["text"] == RED


def test_a_long_answer_is_cut_on_the_screen_and_whole_in_json() -> None:
    outcome = shown(answer(1, text="line\n" * 5000))
    assert len(as_plain(outcome.blocks)) < 5000
    assert json.loads(as_json(outcome))["data"]["answers"][0]["text"] == "line\n" * 5000


def test_what_the_aggregator_made_of_it_is_shown() -> None:
    vote = Combined(how="vote", value="yes", text="yes", used=3, asked=4, details={"margin": 2}, notes=("close",))
    text = as_plain(shown(answer(1), combined=vote).blocks)
    assert "Together: vote" in text
    assert "3 of 4" in text
    assert "close" in text


@pytest.mark.parametrize(
    ("answers", "ended", "code"),
    [
        ([answer(1), answer(2)], "all", 0),
        ([answer(1), answer(2, "failed", exit_code=1)], "all", 3),
        ([answer(1, "failed", exit_code=4), answer(2, "failed", exit_code=4)], "all", 4),
        ([answer(1, "failed", exit_code=4), answer(2, "failed", exit_code=1)], "all", 1),
        ([answer(1), answer(2, "stopped")], "interrupted", 130),
        ([answer(1), answer(2, "skipped")], "budget", 7),
        ([answer(1), answer(2, "stopped")], "deadline", 3),
        ([answer(1, "stopped"), answer(2, "skipped")], "deadline", 1),
    ],
)
def test_the_exit_code_says_what_became_of_it(answers: list[AgentAnswer], ended: str, code: int) -> None:
    assert shown(*answers, ended=ended).exit_code == code


def test_a_reached_quorum_is_a_success_though_others_were_stopped() -> None:
    answers = (answer(1), answer(2, "stopped"), answer(3, "failed", exit_code=1))
    result = Broadcast(question="?", user="me", answers=answers, seconds=1, ended="quorum", wanted=1)
    assert result.error is None
    missed = Broadcast(question="?", user="me", answers=answers, seconds=1, wanted=2)
    assert missed.error is not None
    assert missed.error.exit_code == 3

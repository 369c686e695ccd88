"""Who is asked what: selectors, panels, the question's place in an app's form."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.api.input_form import InputField
from difyops.api.model import App
from difyops.api.run_faults import RunFailed
from difyops.broadcast.inputs import mapped
from difyops.broadcast.panel import panel_named
from difyops.broadcast.plan import Attachment, Member, Target, Wishes, make_plan
from difyops.errors import ConfigError, SelectorError, UsageError

BOT = App(id="1", name="bot", mode="workflow", live_version="v")
CHAT = App(id="2", name="chat", mode="chat")
DRAFT = App(id="3", name="draft", mode="workflow")
PIPE = App(id="4", name="pipe", mode="rag-pipeline")
TEXT = InputField(name="text", kind="paragraph", required=True)
NOTE = InputField(name="note", kind="text-input")
TONE = InputField(name="tone", kind="select", options=("mild", "harsh"))
COUNT = InputField(name="count", kind="number")
URGENT = InputField(name="urgent", kind="checkbox")
PAPER = InputField(name="paper", kind="file")
PAPERS = InputField(name="papers", kind="file-list")


def target(app: App = BOT, question_as: str | None = None, **inputs: Any) -> Target:
    return Target(id=f"a/{app.id}", context="a", app=app, inputs=inputs, question_as=question_as)


def test_what_the_app_list_forbids_is_refused_in_the_plan() -> None:
    plan = make_plan("?", [Member(selector="all")], {"a": [BOT, CHAT, DRAFT, PIPE]})
    refused = {item.app.name: item.refusal.kind for item in plan.targets if item.refusal}
    assert refused == {"draft": "unpublished", "pipe": "wrong_mode"}


def test_an_app_named_by_two_selectors_is_asked_once() -> None:
    plan = make_plan("?", [Member(selector="bot"), Member(selector="b*")], {"a": [BOT, CHAT]})
    assert [item.id for item in plan.targets] == ["a/1"]


def test_an_app_with_other_inputs_is_asked_again_under_another_id() -> None:
    members = [Member(selector="bot", inputs={"tone": tone}) for tone in ("mild", "harsh", "mild")]
    plan = make_plan("?", members, {"a": [BOT]})
    assert [item.id for item in plan.targets] == ["a/1", "a/1#2"]


def test_a_selector_has_to_match_in_one_of_the_contexts_only() -> None:
    plan = make_plan("?", [Member(selector="bot"), Member(selector="chat")], {"a": [BOT], "b": [CHAT, BOT]})
    assert [item.id for item in plan.targets] == ["a/1", "b/1", "b/2"]


def test_a_selector_that_matches_nowhere_is_an_error() -> None:
    with pytest.raises(SelectorError):
        make_plan("?", [Member(selector="bto")], {"a": [BOT], "b": [CHAT]})


@pytest.mark.parametrize(("question", "members"), [("", [Member(selector="all")]), ("?", [])])
def test_no_question_and_no_target_are_usage_errors(question: str, members: list[Member]) -> None:
    with pytest.raises(UsageError):
        make_plan(question, members, {"a": [BOT]})


def test_an_empty_workspace_is_an_error_and_not_an_empty_success() -> None:
    with pytest.raises(SelectorError):
        make_plan("?", [Member(selector="all")], {"a": []})


def test_the_question_goes_into_the_only_required_text_input() -> None:
    fit = mapped(target(), [NOTE, TEXT, TONE], "hello")
    assert (fit.inputs, fit.query) == ({"text": "hello"}, "")


def test_the_question_goes_into_the_named_input() -> None:
    fit = mapped(target(question_as="note", text="fixed"), [NOTE, TEXT], "hello")
    assert fit.inputs == {"note": "hello", "text": "fixed"}


def test_an_input_that_is_given_leaves_the_other_for_the_question() -> None:
    other = InputField(name="style", kind="text-input", required=True)
    fit = mapped(target(style="short"), [TEXT, other], "hello")
    assert fit.inputs == {"style": "short", "text": "hello"}


@pytest.mark.parametrize("form", [[], [TONE], [TEXT, InputField(name="b", kind="paragraph", required=True)]])
def test_a_workflow_without_one_place_for_the_question_is_refused(form: list[InputField]) -> None:
    with pytest.raises(RunFailed) as caught:
        mapped(target(), form, "hello")
    assert caught.value.kind == "bad_input"


def test_a_chat_app_gets_the_question_as_its_query() -> None:
    fit = mapped(target(CHAT, note="x"), [NOTE], "hello")
    assert (fit.query, fit.inputs) == ("hello", {"note": "x"})


def test_inputs_that_the_app_does_not_have_are_left_out_and_named() -> None:
    fit = mapped(target(CHAT, tone="mild", other="x"), [TONE], "hello")
    assert (fit.inputs, fit.unused) == ({"tone": "mild"}, ("other",))


def test_numbers_on_the_command_line_become_numbers() -> None:
    assert mapped(target(CHAT, count="7"), [COUNT], "hello").inputs == {"count": 7}
    assert mapped(target(CHAT, count="7.5"), [COUNT], "hello").inputs == {"count": 7.5}
    assert mapped(target(CHAT, urgent="Yes"), [URGENT], "hello").inputs == {"urgent": True}


@pytest.mark.parametrize(
    "inputs",
    [{"tone": "loud"}, {"count": "many"}, {"urgent": "maybe"}, {"note": 5}, {"note": ["a"]}, {"paper": "a.txt"}],
)
def test_a_value_that_does_not_fit_is_refused_with_the_field_named(inputs: dict[str, Any]) -> None:
    with pytest.raises(RunFailed, match=next(iter(inputs))):
        mapped(target(CHAT, **inputs), [TONE, COUNT, URGENT, NOTE, PAPER], "hello")


def test_a_file_goes_to_the_only_file_input_the_named_one_or_beside_the_query() -> None:
    file = Attachment(name="a.txt", content=b"x", media_type="text/plain")
    named = Attachment(name="a.txt", into="papers", content=b"x")
    assert mapped(target(), [TEXT, PAPER], "?", [file]).placed[0][0] == PAPER
    assert mapped(target(), [TEXT, PAPER, PAPERS], "?", [named]).placed[0][0] == PAPERS
    assert mapped(target(CHAT), [NOTE], "?", [file]).placed[0][0] is None
    with pytest.raises(RunFailed):
        mapped(target(), [TEXT], "?", [file])
    with pytest.raises(RunFailed):
        mapped(target(), [TEXT, PAPER], "?", [file, file])


def test_a_panel_says_who_how_and_how_many() -> None:
    body = {
        "to": ["bot", {"app": "chat", "context": "b", "inputs": {"tone": "mild"}}],
        "aggregate": {"vote": {"majority": 0.6}},
        "wait": 2,
        "timeout": "60s",
        "max_tokens": 500,
    }
    panel = panel_named({"panels": {"review": body}}, "review")
    assert [item.selector for item in panel.members] == ["bot", "chat"]
    assert panel.members[1].inputs == {"tone": "mild"}
    assert (panel.aggregate, panel.wait, panel.max_tokens) == ("vote:majority=0.6", "2", 500)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"to": 7}, "panels.review.to"),
        ({"to": ["a"], "colour": "red"}, "colour"),
        ({"to": [{"context": "b"}]}, "app"),
        ({"to": ["a"], "max_tokens": "many"}, "panels.review.max_tokens"),
        ({"to": ["a"], "inputs": ["x"]}, "panels.review.inputs"),
        ({"to": ["a"], "aggregate": {"vote": {}, "list": {}}}, "panels.review.aggregate"),
    ],
)
def test_a_wrong_panel_names_the_field(body: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        panel_named({"panels": {"review": body}}, "review")


def test_a_panel_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(ConfigError, match="known: review"):
        panel_named({"panels": {"review": {"to": ["a"]}}}, "reviews")


def test_what_holds_for_all_yields_to_what_a_member_says() -> None:
    wishes = Wishes(inputs={"tone": "mild", "lang": "en"})
    plan = make_plan("?", [Member(selector="bot", inputs={"tone": "harsh"})], {"a": [BOT]}, wishes)
    assert plan.targets[0].inputs == {"tone": "harsh", "lang": "en"}

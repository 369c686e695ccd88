"""Reading runbooks: everything that is wrong is named with file, line and field; nothing wrong is found in ours."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from difyops.runbook.library import shipped_folder
from difyops.runbook.load import RunbookError, lint, load, parse
from difyops.runbook.skeleton import text_of
from difyops.setting_problems import Problem

HEAD = "runbook: trial\ntitle: A trial\nwhy: To see.\n"


def problems(text: str) -> list[Problem]:
    return parse(text.encode(), Path("trial.yaml"))[1]


def only(text: str) -> Problem:
    found = problems(text)
    assert len(found) == 1, [item.text_with_place for item in found]
    return found[0]


def test_a_whole_runbook_is_read() -> None:
    text = HEAD + (
        "deadline: 2m\ninputs:\n  path: {type: text, default: /}\nsteps:\n"
        "  - id: room\n    check: disk\n    with: {path: '${inputs.path}', min_free_percent: 1}\n    for: 2 of 3\n"
        "  - {id: later, check: tcp, with: {host: localhost, port: 1}, needs: [room],"
        " when: steps.room.status == 'pass'}\n"
    )
    runbook, found = parse(text.encode(), Path("trial.yaml"))
    assert not found
    assert runbook is not None
    assert runbook.deadline == 120
    assert runbook.step("room").rule.text == "2 of 3"
    assert runbook.step("later").waits_for == {"room"}
    assert not runbook.acts


@pytest.mark.parametrize(
    ("steps", "line", "field", "words"),
    [
        ("  - {id: a, check: dsk}\n", 5, "steps[0].check", "did you mean disk"),
        ("  - {id: a, action: app.disable}\n", 5, "steps[0].action", "app.disable_api"),
        (
            "  - id: a\n    check: disk\n    with: {min_free_percent: lots}\n",
            7,
            "steps[0].with.min_free_percent",
            "number",
        ),
        ("  - id: a\n    check: disk\n    with:\n      pth: /\n", 8, "steps[0].with.pth", "did you mean 'path'"),
        ("  - id: a\n    check: tcp\n    with: {host: h}\n", 7, "steps[0].with", "needs port"),
        ("  - {id: a, check: disk, with: {min_free_gb: .nan}}\n", 5, "steps[0].with.min_free_gb", "expected number"),
        ("  - {id: a, check: disk, with: {min_free_gb: .inf}}\n", 5, "steps[0].with.min_free_gb", "expected number"),
        ("  - {id: a, check: disk, timeout: 9999999d}\n", 5, "steps[0].timeout", "100 years"),
        ("  - {id: a, action: wait, with: {seconds: 90}}\n", 5, "steps[0].with.seconds", "cuts this wait off"),
        ("  - {id: a, action: wait, timeout: 2m, with: {seconds: 2m}}\n", 5, "steps[0].with.seconds", "120 s"),
        ("  - {id: a, check: disk, needs: [b]}\n", 5, "steps[0].needs", "no step 'b'"),
        ("  - {id: A-b, check: disk}\n", 5, "steps[0].id", "small letters"),
        ("  - {id: if, check: disk}\n", 5, "steps[0].id", "small letters"),
        ("  - {id: a, check: disk, for: 3 of 2}\n", 5, "steps[0].for", "2 of 3"),
        ("  - {id: a, check: disk, when: 'open(1)'}\n", 5, "steps[0].when", "only names"),
        ("  - {id: a, check: disk, when: inputs.x}\n", 5, "steps[0].when", "no input 'x'"),
        ("  - {id: a, check: disk, with: {path: '${inputs.x}'}}\n", 5, "steps[0].with.path", "no input 'x'"),
        ("  - {id: a, check: disk, with: {path: '${env.HOME}'}}\n", 5, "steps[0].with.path", "cannot be filled in"),
        ("  - {id: a, check: disk, timeout: soon}\n", 5, "steps[0].timeout", "duration"),
        ("  - {id: a, check: disk, retries: -1}\n", 5, "steps[0].retries", "from 0 to 20"),
        ("  - {id: a, check: disk, severity: bad}\n", 5, "steps[0].severity", "fail, warn"),
        ("  - {id: a, action: wait, with: {seconds: 1}, for: 2 of 3}\n", 5, "steps[0].for", "for checks"),
        ("  - {id: a, check: disk, action: wait}\n", 5, "steps[0]", "either check or action"),
        ("  - {id: a, check: disk}\n  - {id: a, check: disk}\n", 6, "steps[1].id", "twice"),
        ("  - {id: a, check: disk, nonsense: 1}\n", 5, "steps[0].nonsense", "unknown field"),
        ("  - just text\n", 5, "steps[0]", "expected a step"),
        ("  - {id: a, check: disk, with: [1]}\n", 5, "steps[0].with", "mapping"),
    ],
)
def test_a_mistake_is_named_with_line_and_field(steps: str, line: int, field: str, words: str) -> None:
    found = problems(HEAD + "steps:\n" + steps)
    assert any(item.line == line and item.field == field and words in item.text for item in found), found


def test_steps_that_wait_for_each_other_are_named_in_order() -> None:
    text = HEAD + (
        "steps:\n  - {id: a, check: disk, needs: [c]}\n  - {id: b, check: disk, when: steps.a.status == 'pass'}\n"
        "  - {id: c, check: disk, with: {path: '${steps.b.values.x}'}}\n"
    )
    found = only(text)
    assert found.line == 5
    assert "a -> c -> b -> a" in found.text


@pytest.mark.parametrize(
    "step",
    [
        "{id: a, action: notify, with: {message: hi, webhook: https://example.com/hook}}",
        "{id: a, check: queue.depth, with: {redis: 'redis://:canary-pass-12@host/1'}}",
        "{id: a, check: http, with: {url: 'https://me:canary-pass-12@example.com/'}}",
        "{id: a, check: app.answers, with: {app: x, inputs: {api_key: canary-pass-12}}}",
        "{id: a, check: app.answers, with: {app: x, query: 'sk-canaryCANARY1234567890abcdef'}}",
        "{id: a, check: command, with: {argv: [mysql, --password=canary-pass-12]}}",
        "{id: a, check: command, with: {argv: [mysql, --password, canary-pass-12]}}",
    ],
)
def test_a_secret_in_a_runbook_is_refused_and_not_repeated(step: str) -> None:
    found = problems(HEAD + f"steps:\n  - {step}\n")
    assert found
    assert all(item.line == 5 for item in found)
    assert "canary" not in " ".join(item.text for item in found)


def test_the_names_of_credentials_and_options_are_no_secrets() -> None:
    assert not problems(
        HEAD + "inputs:\n  fallback_credential: second\n  api_key: {type: reference, default: 'env:KEY'}\nsteps:\n"
        "  - {id: a, check: provider.credential, with: {provider: openai, credential: backup}}\n"
        "  - {id: b, check: command, with: {argv: [x, --password-file=/run/x, --token, --verbose, -p]}}\n"
    )


@pytest.mark.parametrize("name", ["from", "App", "two-words"])
def test_an_input_has_a_name_that_a_condition_can_hold(name: str) -> None:
    found = only(HEAD + f"inputs:\n  {name}: x\nsteps:\n  - {{id: a, check: disk}}\n")
    assert (found.line, found.field) == (5, f"inputs.{name}")


@pytest.mark.parametrize("text", ["api_token: canary-pass-12", "password: {type: text, default: canary-pass-12}"])
def test_a_secret_for_a_default_is_refused_by_the_name_of_its_input(text: str) -> None:
    found = only(HEAD + f"inputs:\n  {text}\nsteps:\n  - {{id: a, check: disk}}\n")
    assert found.line == 5
    assert "canary" not in found.text


def test_what_is_wrong_with_a_step_is_told_at_its_place_when_its_id_is_there_twice() -> None:
    found = problems(HEAD + "steps:\n  - {id: a, check: disk, needs: [b]}\n  - {id: a, check: disk}\n")
    assert [(item.line, item.field) for item in found] == [(5, "steps[0].needs"), (6, "steps[1].id")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a mapping"),
        ("- 1\n", "a mapping"),
        (HEAD, "at least one step"),
        ("runbook: a\nrunbook: b\n", "twice"),
        ("a: [\n", "column"),
        (HEAD.replace("trial\n", "other\n") + "steps:\n  - {id: a, check: disk}\n", "name of the file"),
        (HEAD + "inputs: {x: {type: text, default: [1]}}\nsteps:\n  - {id: a, check: disk}\n", "expected text"),
        (HEAD + "inputs: {x: {type: blob}}\nsteps:\n  - {id: a, check: disk}\n", "'blob' is none of text"),
        (HEAD + "ping: https://example.com/x\nsteps:\n  - {id: a, check: disk}\n", "reference"),
    ],
)
def test_a_broken_file_has_a_sentence(text: str, words: str) -> None:
    assert any(words in item.text for item in problems(text))


def test_an_input_of_the_wrong_type_for_a_parameter_is_found_before_anything_runs() -> None:
    text = HEAD + (
        "inputs: {port: {type: 'yes/no', default: true}}\n"
        "steps:\n  - {id: a, check: tcp, with: {host: h, port: '${inputs.port}'}}\n"
    )
    assert "whole number" in only(text).text


def test_loading_a_broken_runbook_says_the_first_problem_and_how_many_more(tmp_path: Path) -> None:
    path = tmp_path / "trial.yaml"
    path.write_text(HEAD + "steps:\n  - {id: a, check: dsk}\n  - {id: b, check: tpc}\n")
    with pytest.raises(RunbookError) as caught:
        load(path)
    assert f"{path}:5: steps[0].check" in caught.value.message
    assert "1 more" in caught.value.message


def test_a_chain_of_hundreds_of_steps_is_no_problem() -> None:
    steps = "".join(f"  - {{id: s{n}, check: disk, needs: [{f's{n - 1}' if n else ''}]}}\n" for n in range(400))
    assert not problems(HEAD + "steps:\n" + steps)


@pytest.mark.parametrize("path", sorted(shipped_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_runbook_is_right_and_says_why_and_what_next(path: Path) -> None:
    runbook, found = lint(path)
    assert not found
    assert runbook is not None
    assert runbook.why
    assert runbook.symptoms
    assert runbook.owner
    assert runbook.escalation
    assert len(runbook.next) >= 2


def test_there_are_nineteen_shipped_runbooks() -> None:
    assert len(list(shipped_folder().glob("*.yaml"))) == 19


def test_the_skeleton_of_a_new_runbook_is_right() -> None:
    text = text_of("my-book", Path("my-book.yaml"))
    assert parse(text.encode(), Path("my-book.yaml"))[1] == []


def test_every_cycle_is_named_at_once() -> None:
    steps = "steps:\n  - {id: a, check: disk, needs: [a]}\n  - {id: b, check: disk, needs: [c]}\n"
    found = problems(HEAD + steps + "  - {id: c, check: disk, when: steps.b.status == 'pass'}\n")
    assert [item.text for item in found] == [
        "steps wait for each other: a -> a",
        "steps wait for each other: b -> c -> b",
    ]


def test_what_is_no_yaml_is_said_once_with_its_place() -> None:
    assert only("a: [").text_with_place.startswith("trial.yaml:2: column 1: ")
    assert not only("a: 1\na: 2\n").text_with_place.endswith("..")


JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, float("nan"), float("inf"), 10**400, "", "x", "${inputs.x}", "${", [], {}, [[]], [None],
     {"a": {}}, "1e999", "9999999999999d", "0s", "2 of 3", "env:", "env:X", "steps.a.status", ["a", 1]]
)  # fmt: skip


@functools.cache
def shipped(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_mistake_in_a_runbook_takes_lint_down(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(shipped_folder().glob("*.yaml"))))
    document = copy.deepcopy(shipped(path))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(_places(document)))
        holder = document
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = copy.deepcopy(data.draw(JUNK))
    for problem in parse(yaml.safe_dump(document).encode(), path)[1]:
        assert problem.line >= 1
        assert problem.text


def _places(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in pairs for place in ((*before, key), *_places(item, (*before, key)))]

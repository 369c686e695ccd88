"""Conditions: what they mean, what they refuse, and that they mean what Python means."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.runbook.expression import STATES, BadExpression, read
from difyops.runbook.result import Result

SCOPE: dict[str, Any] = {
    "inputs": {"app": "bot", "limit": 5, "redis": "", "empty": None},
    "steps": {
        "a": {"status": "fail", "values": {"percent": 12.5, "name": "x"}},
        "b": {"status": "pass", "values": {}},
    },
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('steps.a.status == "fail"', True),
        ("steps.a.values.percent > inputs.limit", True),
        ("steps.a.values.percent > 20", False),
        ("steps.b.values.percent > 20", False),
        ("steps.b.values.percent == null", True),
        ("inputs.redis", False),
        ("not inputs.redis and inputs.app", True),
        ('steps.b.status in ["pass", "warn"]', True),
        ('steps.b.status not in ["pass", "warn"]', False),
        ("1 < steps.a.values.percent < 13", True),
        ("steps.a.values.name > 3", False),
        ("inputs.empty or true", True),
        ('inputs.limit in "abc"', False),
        ("-1 < inputs.limit", True),
    ],
)
def test_a_condition_means_what_it_says(text: str, expected: bool) -> None:
    assert read(text).holds(SCOPE) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "open('x')",
        "__import__('os').system('true')",
        "steps.a.status.__class__",
        "steps.a",
        "inputs.app.upper",
        "inputs['app']",
        "[x for x in inputs.app]",
        "lambda: 1",
        "steps.a.status if inputs.app else 1",
        "inputs.app + 'x'",
        "f'{inputs.app}'",
        "(a := 1)",
        "inputs.app is null",
        "secrets.key == 1",
        "inputs.app == " + "(" * 200 + "1" + ")" * 200,
        " and ".join(["inputs.app"] * 60),
        "x" * 401,
        "\x00",
        "...",
        "1j < 2",
        "inputs.limit in [steps.a.status]",
        "steps.a.status == 'failed'",
        "steps.a.status not in ['pass', 'ok']",
    ],
)
def test_what_is_not_a_condition_is_refused_when_it_is_read(text: str) -> None:
    with pytest.raises(BadExpression):
        read(text)


def test_every_result_has_a_word_that_conditions_know() -> None:
    assert {kind.word for kind in Result.__subclasses__()} == set(STATES)


def test_a_condition_names_the_steps_it_looks_at() -> None:
    assert read('steps.a.status == "fail" and (steps.b.values.n > 1 or inputs.app)').steps == {"a", "b"}


_ATOMS = st.sampled_from(["1", "2", "3.5", "true", "false", "inputs.limit", "'x'", "inputs.app", "null"])
_COMPARED = st.builds(
    lambda left, op, right: f"({left} {op} {right})", _ATOMS, st.sampled_from(["==", "!="]), _ATOMS
) | st.builds(
    lambda left, op, right: f"({left} {op} {right})",
    st.sampled_from(["1", "2.5", "inputs.limit"]),
    st.sampled_from(["<", "<=", ">", ">="]),
    st.sampled_from(["0", "3", "inputs.limit"]),
)
_CONDITIONS = st.recursive(
    _ATOMS | _COMPARED,
    lambda inner: (
        st.builds(lambda a, op, b: f"({a} {op} {b})", inner, st.sampled_from(["and", "or"]), inner)
        | inner.map(lambda a: f"(not {a})")
    ),
    max_leaves=8,
)


class _Names:
    limit = 5
    app = "bot"


@given(_CONDITIONS)
def test_a_condition_means_what_python_means(text: str) -> None:
    try:
        found = read(text)
    except BadExpression:
        return  # too long
    words = {"true": True, "false": False, "null": None, "inputs": _Names}
    assert found.holds(SCOPE) is bool(eval(text, {"__builtins__": {}}, words))


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadExpression):
        read(text).holds(SCOPE)

"""No test depends on how fast the machine is, where the checkout lies, who runs it, or in which order.

The order is shuffled in every run (``tests/order.py``). The rest is looked for in the text of the tests themselves:

- An upper bound on time that passed is a bet on the machine. To prove that nothing waits, let the other side wait for
  ever: a test that comes to its end has shown it. Figures have their place in ``tests/bench``.
- A fixed pause before a look hopes that enough has happened. Wait for the thing itself, in a loop.
- A short time-out on a process is a bet as well; only one that hangs may meet it.
- A path that begins at the root, and a branch on being root, tie the test to one machine or one person.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
OUTSIDE = {"bench", "live"}  # figures and a live server: neither is part of the suite
FILES = [path for path in sorted(TESTS.rglob("*.py")) if path.relative_to(TESTS).parts[0] not in OUTSIDE]
CLOCKS = {"monotonic", "perf_counter", "time", "process_time"}
ENDS = {"communicate", "wait", "run", "join", "check_output", "timeout"}
CALLS = {"Client", "AsyncClient", "get", "post", "put", "patch", "delete", "request", "stream"}
SHORTEST = 60
HERE = Path(__file__).name

Finding = tuple[int, str]


def _called(node: ast.AST) -> str:
    """Return ``module.function`` or ``.method`` of a call, else nothing."""
    if not isinstance(node, ast.Call):
        return ""
    match node.func:
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return f"{owner}.{name}"
        case ast.Attribute(attr=name):
            return f".{name}"
        case ast.Name(id=name):
            return name
    return ""


def _reads_clock(node: ast.AST) -> bool:
    return any(_called(each) in {f"time.{name}" for name in CLOCKS} for each in ast.walk(node))


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _spans(function: ast.AST) -> set[str]:
    """Return the variables that hold a span of time: made from a clock's difference, or from such a variable."""
    named: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and _is_span(node.value, named):
            named |= {each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)}
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[argument]):
                if _is_span(argument, named):
                    named.add(name)
    return named


def _is_span(node: ast.AST, named: set[str]) -> bool:
    for each in ast.walk(node):
        if isinstance(each, ast.BinOp) and isinstance(each.op, ast.Sub) and _reads_clock(each):
            return True
        if isinstance(each, ast.Name) and each.id in named:
            return True
    return False


def bets_on_speed(tree: ast.Module) -> Iterator[Finding]:
    """Find assertions that a span of measured time is below something."""
    if not _reads_clock(tree):
        return
    for function in _functions(tree):
        named = _spans(function)
        for node in ast.walk(function):
            if not isinstance(node, ast.Assert):
                continue
            for each in ast.walk(node.test):
                if isinstance(each, ast.Compare):
                    sides = [each.left, *each.comparators]
                    for left, operator, right in zip(sides, each.ops, sides[1:], strict=False):
                        below = left if isinstance(operator, ast.Lt | ast.LtE) else right
                        if isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE) and _is_span(below, named):
                            yield node.lineno, "an upper bound on time that passed"


def fixed_pauses(tree: ast.Module) -> Iterator[Finding]:
    """Find constant pauses in the body of a test, outside of loops that look again."""

    def look(node: ast.AST) -> Iterator[Finding]:
        for child in ast.iter_child_nodes(node):
            if isinstance(
                child, ast.For | ast.While | ast.AsyncFor | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
            ):
                continue
            if _called(child) in {"time.sleep", "asyncio.sleep"} and isinstance(child, ast.Call):
                match child.args:
                    case [ast.Constant(value=int() | float() as seconds)] if seconds > 0:
                        yield child.lineno, f"a fixed pause of {seconds} s"
            yield from look(child)

    for function in _functions(tree):
        if function.name.startswith("test_"):
            yield from look(function)


def short_ends(tree: ast.Module) -> Iterator[Finding]:
    """Find time-outs on processes and threads that a busy machine may reach."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or _called(node).rpartition(".")[2] not in ENDS:
            continue
        if _called(node) == ".timeout" and node.args:  # pytest's own mark
            match node.args[0]:
                case ast.Constant(value=int() | float() as seconds) if seconds < SHORTEST * 2:
                    yield node.lineno, f"a time-out of {seconds} s on a test"
        if _called(node).endswith((".wait", ".join")):  # of a process, an event, a barrier, a thread
            match node.args:
                case [ast.Constant(value=int() | float() as seconds)] if 1 <= seconds < SHORTEST:
                    yield node.lineno, f"a wait of {seconds} s"
        for keyword in node.keywords:
            match keyword:
                case ast.keyword(arg="timeout", value=ast.Constant(value=int() | float() as seconds)) if (
                    seconds < SHORTEST
                ):
                    yield node.lineno, f"a time-out of {seconds} s on a process"


def impatient_calls(tree: ast.Module) -> Iterator[Finding]:
    """Find calls over a real socket with the five seconds that httpx waits by itself."""
    for node in ast.walk(tree):
        owner, _, name = _called(node).partition(".")
        if owner == "httpx" and name in CALLS and isinstance(node, ast.Call):
            given = {keyword.arg for keyword in node.keywords}
            if not given & {"timeout", "transport", None}:
                yield node.lineno, "a call that waits five seconds at most"


def ties(tree: ast.Module) -> Iterator[Finding]:
    """Find paths of one machine."""
    for node in ast.walk(tree):
        if _called(node) in {"Path", "open", "os.listdir", "subprocess.run", "subprocess.Popen"} and isinstance(
            node, ast.Call
        ):
            for each in node.args:
                match each:
                    case ast.Constant(value=str() as text) if re.match(r"/(home|root|work|tmp|Users|private)\b", text):
                        yield node.lineno, f"the path {text}"


RULES: dict[str, Callable[[ast.Module], Iterator[Finding]]] = {
    "speed": bets_on_speed,
    "pause": fixed_pauses,
    "end": short_ends,
    "patience": impatient_calls,
    "place": ties,
}


WORDS = {
    "speed": "|".join(CLOCKS),
    "pause": r"sleep\(",
    "end": "timeout|wait|join",
    "patience": "httpx",
    "place": "/(home|root|work|tmp|Users)",
}
"""What a file must hold for a rule to find something: to parse all of them for each takes seconds."""


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _files(rule: str) -> list[Path]:
    return [path for path in FILES if re.search(WORDS[rule], path.read_text())]


@pytest.mark.parametrize("rule", RULES)
def test_no_test_bets_on_the_machine(rule: str) -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}: {what}" for path in _files(rule) for line, what in RULES[rule](_tree(path))
    ]
    assert found == [], "see the docstring of this file for what to write instead"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("speed", "def f():\n began = time.monotonic()\n assert time.monotonic() - began < 5"),
        ("speed", "def f():\n took = time.perf_counter() - began\n assert 5 > took"),
        ("speed", "def f():\n later.append(time.monotonic() - b)\n assert min(later) < first * 0.2"),
        ("pause", "async def test_f():\n await asyncio.sleep(0.1)"),
        ("pause", "def test_f():\n with x:\n  time.sleep(1.2)"),
        ("end", "child.communicate(timeout=20)"),
        ("end", "child.wait(10)"),
        ("patience", "httpx.get(url)"),
        ("place", "Path('/home/me/x').read_text()"),
    ],
)
def test_each_rule_sees_what_it_forbids(rule: str, text: str) -> None:
    assert re.search(WORDS[rule], text)
    assert list(RULES[rule](ast.parse(text)))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("speed", "def f():\n began = time.monotonic()\n assert time.monotonic() - began > 0.08"),
        ("pause", "def test_f():\n while not there():\n  time.sleep(0.1)"),
        ("pause", "async def test_f():\n async def slow():\n  await asyncio.sleep(5)"),
        ("end", "child.communicate(timeout=60)"),
        ("patience", "httpx.AsyncClient(base_url=url, timeout=60)"),
    ],
)
def test_a_rule_lets_pass_what_is_no_bet(rule: str, text: str) -> None:
    assert list(RULES[rule](ast.parse(text))) == []

"""Conditions of steps: a small language read with Python's own parser and walked by hand. Never code, never calls.

    steps.api.status == "fail" and steps.rate.values.percent > 20
    inputs.redis and not (steps.depth.status in ["pass", "skipped"])

Names start with ``inputs`` or ``steps``; a step has ``status`` and ``values.NAME``. What is not there is ``null``, and
comparing null by size is false, so a condition never fails while a runbook runs. Everything is checked when it is read.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from difyops.counting import counted

STATES = ("pass", "warn", "fail", "inconclusive", "skipped")
"""What the ``status`` of a step can be."""
MOST_CHARACTERS = 400
_MOST_PARTS = 60

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_WORDS = {"true": True, "false": False, "null": None, "yes": True, "no": False}


class BadExpression(ValueError):
    """The text is not a condition; the message says why."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition that was read and found safe."""

    text: str
    tree: ast.expr

    @property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """Return the dotted names it uses, split at the dots."""
        return tuple(sorted({path for node in ast.walk(self.tree) if _is_full(path := path_of(node))}))

    @property
    def steps(self) -> frozenset[str]:
        """Return the ids of the steps it looks at."""
        return frozenset(path[1] for path in self.names if path[0] == "steps")

    def holds(self, scope: Mapping[str, Any]) -> bool:
        """Say whether the condition is met; ``scope`` has ``inputs`` and ``steps`` as nested mappings."""
        return bool(_value(self.tree, scope))


def read(text: str) -> Expression:
    """Read a condition.

    Raises:
        BadExpression: it is too long, not an expression, or uses something else than names, literals, comparisons,
        ``and``, ``or`` and ``not``.
    """
    if len(text) > MOST_CHARACTERS:
        raise BadExpression(f"a condition has at most {counted(MOST_CHARACTERS, 'character')}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BadExpression("this is not a condition (names, comparisons, and, or, not)") from None
    if sum(1 for _ in ast.walk(tree)) > _MOST_PARTS:
        raise BadExpression("a condition this long cannot be read by people either; split the step")
    _check(tree)
    return Expression(text.strip(), tree)


def _check(node: ast.expr) -> None:
    match node:
        case ast.BoolOp(values=values):
            for value in values:
                _check(value)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _check(operand)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)) if isinstance(value, int | float):
            pass
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for each in (left, *comparators):
                _check(each)
            if any(type(op) not in _COMPARE for op in ops):
                raise BadExpression("compare with ==, !=, <, <=, >, >=, in, not in")
            _check_words([left, *comparators])
        case ast.List(elts=items) | ast.Tuple(elts=items):
            if any(not _is_plain(item) for item in items):
                raise BadExpression("a list holds texts and numbers only")
        case ast.Constant() if _is_plain(node):
            pass
        case ast.Name(id=name) if name in _WORDS:
            pass
        case ast.Attribute():
            _check_path(path_of(node))
        case _:
            raise BadExpression("only names, texts, numbers, comparisons, and, or, not are understood")


def _check_words(sides: Sequence[ast.expr]) -> None:
    """Refuse a comparison of a step's status with a word that no status is: it would never be true."""
    if not any(path_of(side)[-1:] == ("status",) for side in sides):
        return
    for side in sides:
        for item in side.elts if isinstance(side, ast.List | ast.Tuple) else [side]:
            if isinstance(item, ast.Constant) and isinstance(item.value, str) and item.value not in ("", *STATES):
                raise BadExpression(f"a status is {', '.join(STATES)}; {item.value!r} is none")


def _is_plain(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, str | int | float))


def _check_path(path: tuple[str, ...]) -> None:
    if not _is_full(path):
        raise BadExpression("a name is inputs.NAME, steps.ID.status or steps.ID.values.NAME")


def path_of(node: ast.AST) -> tuple[str, ...]:
    """Return a dotted name split at its dots, ``()`` when it is something else."""
    match node:
        case ast.Name(id=name):
            return (name,)
        case ast.Attribute(value=inner, attr=name):
            before = path_of(inner)
            return (*before, name) if before else ()
    return ()


def look_up(path: tuple[str, ...], scope: Mapping[str, Any]) -> Any:
    """Return what a dotted name means in ``scope``; ``None`` when it is not there."""
    found: Any = scope
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _is_full(path: tuple[str, ...]) -> bool:
    if path[:1] == ("inputs",):
        return len(path) == 2
    return path[:1] == ("steps",) and (
        (len(path) == 3 and path[2] == "status") or (len(path) == 4 and path[2] == "values")
    )


def _value(node: ast.expr, scope: Mapping[str, Any]) -> Any:
    match node:
        case ast.BoolOp(op=op, values=values):
            wanted = isinstance(op, ast.Or)
            return next((True for value in values if bool(_value(value, scope)) is wanted), False) is wanted
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, scope)
        case ast.UnaryOp(operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            values = [_value(each, scope) for each in (left, *comparators)]
            pairs = zip(ops, values, values[1:], strict=False)
            return all(_compared(op, first, second) for op, first, second in pairs)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, scope) for item in items]
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _WORDS[name]
    return look_up(path_of(node), scope)


def _compared(op: ast.cmpop, left: Any, right: Any) -> bool:
    try:
        return bool(_COMPARE[type(op)](left, right))
    except TypeError:
        return False  # null, or two things of different kinds, have no order

"""Every regular expression of the package, and the texts that each of them likes least.

They are found in the syntax trees, made of what the modules hold where they are put together of parts, and among the
values of the modules where they are made in a row. ``unknown`` names the calls that none of this explains.
"""

from __future__ import annotations

import ast
import importlib
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from re import _constants as words  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

PACKAGE = Path(__file__).parents[2] / "difyops"
_CALLS = frozenset({"compile", "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"})
_FLAGS = {"IGNORECASE": re.I, "I": re.I, "DOTALL": re.S, "S": re.S, "MULTILINE": re.M, "M": re.M, "VERBOSE": re.X,
          "X": re.X, "ASCII": re.A, "A": re.A}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """One pattern: where it stands, its text, its flags, the call."""

    place: str
    text: str
    flags: int
    call: str


def patterns(*, without: str = "validation") -> Iterator[Found]:
    """Yield the patterns that stand as texts in calls of ``re``, parts of other constants put in.

    ``without``: a room that is left out; validation bounds its texts and its steps itself (tests/validation).
    """
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] == without:
            continue
        if not re.search(r"\bre\.[a-z]", code := path.read_text(encoding="utf-8")):
            continue
        tree = ast.parse(code)
        known = _constants(tree)
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            owner = node.func.value
            if node.func.attr in _CALLS and isinstance(owner, ast.Name) and owner.id == "re":
                text = _made(node.args[0], path) or _text(node.args[0], known)
                if text:
                    flags = sum({_FLAGS[name] for name in _names(node) if name in _FLAGS})
                    for call in _calls(node, tree):
                        yield Found(f"{path.relative_to(PACKAGE)}:{node.lineno}", text, flags, call)
        if path.name == "run_faults.py":
            yield from _table(tree, path.name)
        yield from _in_rows(path)


def unknown() -> set[str]:
    """Return the files with a call of ``re`` whose pattern is not found here: it comes from elsewhere as it runs."""
    files = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        if not re.search(r"\bre\.[a-z]", code := path.read_text(encoding="utf-8")):
            continue
        tree, rows = ast.parse(code), set[int]()
        known = _constants(tree)
        for row in ast.walk(tree):
            if isinstance(row, ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp):
                rows |= {id(node) for node in ast.walk(row)}
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=attr), args=[first, *_]) if (
                    attr in _CALLS
                ):
                    is_row = id(node) in rows and attr == "compile" and any(True for _ in _in_rows(path))
                    if not is_row and not _made(first, path) and not _text(first, known):
                        files.add(str(path.relative_to(PACKAGE)))
    return files


def _module(path: Path) -> Any:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def _made(node: ast.expr, path: Path) -> str:
    """Return the text of an expression of names that the module holds, ``""`` for one of anything else."""
    if isinstance(node, ast.Constant):
        return ""
    try:
        made = eval(compile(ast.Expression(node), "here", "eval"), dict(vars(_module(path))))
    except NameError:
        return ""
    return made.decode("latin-1") if isinstance(made, bytes) else str(made)


def _in_rows(path: Path) -> Iterator[Found]:
    """Yield the patterns in the containers that a module holds."""
    for name, value in list(vars(_module(path)).items()):
        if isinstance(value, tuple | list | set | frozenset | Mapping):
            for pattern in _inside(value):
                text = pattern.pattern.decode("latin-1") if isinstance(pattern.pattern, bytes) else pattern.pattern
                yield Found(f"{path.relative_to(PACKAGE)}:{name}", text, pattern.flags & ~(re.U | re.DEBUG), "search")


def _inside(value: Any) -> Iterator[re.Pattern[Any]]:
    items: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
    for item in items:
        if isinstance(item, re.Pattern):
            yield item
        elif isinstance(item, tuple | list | set | frozenset | Mapping):
            yield from _inside(item)


def _table(tree: ast.Module, name: str) -> Iterator[Found]:
    """Yield the patterns of a table of (pattern, kind)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            first = node.elts[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield Found(f"{name}:{node.lineno}", first.value, 0, "search")


def _calls(node: ast.Call, tree: ast.Module) -> set[str]:
    """Return how a pattern is used: the call itself, or the methods of the name that it is compiled to."""
    assert isinstance(node.func, ast.Attribute)
    if node.func.attr != "compile":
        return {node.func.attr}
    names: set[str] = set()
    for part in tree.body:
        if isinstance(part, ast.Assign) and part.value is node and isinstance(part.targets[0], ast.Name):
            names.add(part.targets[0].id)
    methods = (part.func for part in ast.walk(tree) if isinstance(part, ast.Call))
    used = {
        method.attr
        for method in methods
        if isinstance(method, ast.Attribute) and isinstance(method.value, ast.Name) and method.value.id in names
    }
    return used & _CALLS or {"search"}


def _constants(tree: ast.Module) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        if text := _text(node.value, found):
            found[node.targets[0].id] = text
    return found


def _text(node: ast.expr, known: dict[str, str]) -> str:
    """Return the text of an expression; parts that are not known here become a word."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Constant(value=bytes(content)):
            return content.decode("latin-1")
        case ast.Name(id=name):
            return known.get(name, "")
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            one, two = _text(left, known), _text(right, known)
            return one + two if one and two else ""
        case ast.JoinedStr(values=values):
            return "".join(_part(value, known) for value in values)
    return ""


def _part(node: ast.expr, known: dict[str, str]) -> str:
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, known) or "word"
    return _text(node, known)


def _names(node: ast.Call) -> Iterator[str]:
    for part in [*node.args[1:], *(keyword.value for keyword in node.keywords)]:
        for inner in ast.walk(part):
            if isinstance(inner, ast.Attribute):
                yield inner.attr


def starts(text: str, flags: int) -> list[tuple[str, str]]:
    """Return what hurts a pattern: how the text begins, and what it then repeats.

    Repeated are its own characters, one by one and in pairs, and its beginning; also after its first characters.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = parser.parse(text, flags)
    letters = list(dict.fromkeys(_letters(tree)))[:12]
    singles = [*letters, "a", " ", "\n", "0"]
    opening = _opening(tree)
    pairs = [one + two for one in letters[:4] for two in ("a", " ", letters[0])]
    alone = [*singles, *pairs, opening, opening[:1], opening + "a", opening + " "]
    after = [(opening[:length], again) for length in (1, 2) for again in singles if opening[:length]]
    return list(dict.fromkeys([*(("", again) for again in alone if again), *after]))


def _opening(tree: object) -> str:
    """Return a short text that the beginning of a pattern matches."""
    out = ""
    for code, value in tree:  # type: ignore[attr-defined]
        piece = "".join(list(_letters([(code, value)]))[:1])
        out += piece
        if len(out) > 12:
            break
    return out


def _letters(tree: object) -> Iterator[str]:
    for code, value in tree:  # type: ignore[attr-defined]
        if code in (words.LITERAL, words.NOT_LITERAL):
            yield chr(value)
        elif code is words.IN:
            for kind, inner in value:
                if kind is words.LITERAL:
                    yield chr(inner)
                elif kind is words.RANGE:
                    yield chr(inner[0])
                elif kind is words.CATEGORY:
                    yield {"CATEGORY_DIGIT": "0", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "a"}.get(str(inner), "-")
        elif code is words.ANY:
            yield "x"
        elif code in (words.MAX_REPEAT, words.MIN_REPEAT) or str(code) == "POSSESSIVE_REPEAT":
            yield from _letters(value[2])
        elif code is words.SUBPATTERN:
            yield from _letters(value[3])
        elif code is words.BRANCH:
            for branch in value[1]:
                yield from _letters(branch)
        elif str(code) == "ATOMIC_GROUP":
            yield from _letters(value)
        elif code in (words.ASSERT, words.ASSERT_NOT):
            yield from _letters(value[1])


def keeps_a_group(text: str, flags: int) -> bool:
    """Say whether a pattern repeats a group without ever giving back, or holds an atomic group."""
    stack: list[object] = [parser.parse(text, flags)]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple) and item and item[0] is words.ATOMIC_GROUP:
            return True
        if isinstance(item, tuple) and item and item[0] is words.POSSESSIVE_REPEAT:
            inner = item[1][2]
            single = (words.IN, words.LITERAL, words.NOT_LITERAL, words.ANY)
            if len(inner) != 1 or inner[0][0] not in single:
                return True
        if isinstance(item, tuple | list | parser.SubPattern):
            stack.extend(item)
    return False

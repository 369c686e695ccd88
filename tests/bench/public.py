"""Validation on corpora that others wrote: the input and output pairs in the tests of json-repair and jsonrepair.

    python -m tests.bench.public DIR [DIR ...]      checkouts of mangiucugna/json_repair, josdejong/jsonrepair

Nothing of them is kept here. Their expected output is taken for the truth, a schema made from it for the schema. Their
tests also ask for guesses, so a mechanical rule says whether the text tells the truth at all: it does when its words
and numbers are those of the expected output, none lost and none made up, its brackets and quotes are as many as belong
together, and nothing is left out with dots. White space at the ends of texts is not compared: both trim it at times.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tabulate import tabulate

from tests.bench.validation import OUTCOMES, WAYS
from tests.validation.corpus import Answer
from tests.validation.scoring import Reading, Way, score

Pair = tuple[str, Any]
_QUOTED = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_CALL = re.compile(rf"jsonrepair\(\s*{_QUOTED}\s*\)\)?\s*(?:\.toBe\(|,)\s*{_QUOTED}")
_WORD = re.compile(r"\w+")
_OUTSIDE = re.compile(r"```(?:json)?|\\\\?[nrtbf]|\\u[0-9a-fA-F]{4}")
_LITERALS = {"True": "true", "False": "false", "None": "null"}


def pairs(checkout: Path) -> list[Pair]:
    """Return the pairs of one checkout whose output is an object or a list, each input once."""
    found: dict[str, Any] = {}
    for path in [*sorted((checkout / "tests").glob("test_parse_*.py")), checkout / "tests" / "test_json_repair.py"]:
        if not path.exists():
            continue
        found |= dict(_python_pairs(path.read_text(encoding="utf-8")))
    for path in sorted(checkout.glob("src/*.test.ts")):
        found |= dict(_typescript_pairs(path.read_text(encoding="utf-8")))
    return [(text, value) for text, value in found.items() if isinstance(value, dict | list) and _is_text(value)]


def answers(found: list[Pair]) -> list[Answer]:
    """Return them as answers with known truth."""
    return [
        Answer(kind="public", text=text, schema=schema_of(value), truth=_trim(value), gone=not _is_told(text, value))
        for text, value in found
    ]


def schema_of(value: Any) -> dict[str, Any]:
    """Return the schema that somebody would write who expects values like this one."""
    match value:
        case dict():
            properties = {name: schema_of(inner) for name, inner in value.items()}
            return {"type": "object", "properties": properties, "required": list(value)}
        case list():
            kinds = [schema_of(inner) for inner in value]
            return {"type": "array", "items": {"anyOf": kinds}} if kinds else {"type": "array"}
        case bool():
            return {"type": "boolean"}
        case int() | float():
            return {"type": "number"}
        case str():
            return {"type": "string"}
        case _:
            return {"type": "null"}


def _is_told(text: str, value: Any) -> bool:
    if text.count('"') % 2 or "..." in text:
        return False
    is_closed = all(text.count(one) == text.count(other) for one, other in ("{}", "[]"))
    return is_closed and _words(text) == _words(json.dumps(value, ensure_ascii=False))


def _words(text: str) -> list[str]:
    return [_LITERALS.get(word, word) for word in _WORD.findall(_OUTSIDE.sub(" ", text))]


def _is_text(value: Any) -> bool:
    """Say whether a value can be written as UTF-8; half surrogates cannot."""
    return not re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False))


def _python_pairs(source: str) -> Iterator[Pair]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assert(test=ast.Compare(left=ast.Call(args=[given, *_]), comparators=[expected])):
                pass
            case ast.Tuple(elts=[given, expected, *_]):
                pass
            case _:
                continue
        try:
            text, value = ast.literal_eval(given), ast.literal_eval(expected)
            if isinstance(text, str):
                yield text, json.loads(value) if isinstance(value, str) else value
        except (ValueError, TypeError, SyntaxError):
            continue


def _typescript_pairs(source: str) -> Iterator[Pair]:
    for given, expected in _CALL.findall(source):
        try:
            yield ast.literal_eval(given), json.loads(ast.literal_eval(expected))
        except (ValueError, SyntaxError):
            continue


def _trimming(way: Way) -> Way:
    def trimmed(text: str, schema: dict[str, Any]) -> Reading:
        found, value = way(text, schema)
        return found, _trim(value)

    return trimmed


def _trim(value: Any) -> Any:
    match value:
        case dict():
            return {name: _trim(inner) for name, inner in value.items()}
        case list():
            return [_trim(inner) for inner in value]
        case str():
            return value.strip()
        case _:
            return value


def main(checkouts: list[str]) -> None:
    """Print one table for each checkout."""
    for checkout in checkouts:
        known = answers(pairs(Path(checkout)))
        told = sum(not answer.gone for answer in known)
        scores = [(name, score(known, _trimming(way))) for name, way in WAYS]
        rows = [(name, *(f"{result.share(outcome):.3f}" for outcome in OUTCOMES)) for name, result in scores]
        print(f"{checkout}: {len(known)} pairs, of which {told} tell the truth\n")
        print(tabulate(rows, headers=("way", *OUTCOMES), tablefmt="github", disable_numparse=True), end="\n\n")


if __name__ == "__main__":
    main(sys.argv[1:])

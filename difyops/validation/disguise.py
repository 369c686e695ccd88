"""JSON in disguise: encoded twice, escaped once too often, a list without its brackets, or inside a tool call.

Only known wrappings are opened, and the caller opens them only when the value as it stands does not satisfy the schema.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping

_ARGUMENTS = ("arguments", "parameters", "args", "input", "tool_input", "action_input", "kwargs")
_CALL_MARKS = ("name", "tool", "tool_name", "function", "action", "type", "id", "recipient_name", "tool_call_id")
_ENVELOPES = (
    "result", "results", "data", "output", "outputs", "answer", "response", "json", "content", "structured_output",
    "final_answer", "value", "object", "payload",
)  # fmt: skip
_CALLS = ("function_call", "functionCall", "tool_call", "function", "message", "content")
_LISTS = ("tool_calls", "choices", "content", "candidates", "parts")
_BLOCKS = ("text", "thinking", "tool_use", "redacted_thinking")
_ESCAPED = re.compile(r"""[{\[](?:\s|\\[nrt])*\\"|[{\[](?:\s|\\[nrt])*[{\[](?:\s|\\[nrt])*\\\"""")
_OPENS = re.compile(r"[{\[]\s*\"[^\"\n]*\"\s*[:,]")
_ESCAPED_BODY = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)
_CSV_QUOTES = re.compile(r'[{\[,:]\s*""[^",:}\]\s]')
_ENTITY = re.compile(r"&(?:quot|apos|#39|#x27|#34|#x22);")
_DOUBLED = re.compile(r"\s*\{\{\s*[\"'\w]")
_QUOTED_JSON = re.compile(r"^>\s*(?:[{\[]|```|~~~)", re.MULTILINE)
_MARKED_LINE = re.compile(r"^>.*$", re.MULTILINE)
_LINE_MARK = re.compile(r"^> ?", re.MULTILINE)
_ROW_OPENS = re.compile(r"\s*(?:[^\n{}\[\]\"]*\n\s*)?(?:(?:```|~~~)[\w-]*\s*)?")
_BETWEEN = re.compile(r"\s*,?\s*(?=[{\[])")
_ROW_ENDS = re.compile(r"\s*(?:(?:```|~~~)\s*)?\Z")
_DECODER = json.JSONDecoder()

ENCODED_TWICE = "encoded twice"
Step = str | int


def inside(value: object) -> Iterator[tuple[tuple[Step, ...], object]]:
    """Yield what a known wrapping holds, with the path to it; one layer."""
    if isinstance(value, list) and (_is_message(value) or (len(value) == 1 and _is_calling(value[0]))):
        for index, block in enumerate(value):
            for path, inner in inside(block):
                yield (index, *path), inner
    if not isinstance(value, dict):
        return
    for key in _LISTS:
        for index, call in enumerate(_calls(value.get(key))):
            yield (key, index), call
    if _is_call(value):
        for key in _ARGUMENTS:
            if isinstance(value.get(key), dict | list | str):
                yield (key,), value[key]
    for key in _CALLS:
        if isinstance(value.get(key), dict):
            yield (key,), value[key]
    if "role" in value and isinstance(value.get("content"), str):
        yield ("content",), value["content"]
    elif value.get("type") == "text" and isinstance(value.get("text"), str):
        yield ("text",), value["text"]
    elif len(value) == 1:
        key, inner = next(iter(value.items()))
        if key.lower() in (*_ENVELOPES, *_ARGUMENTS) and isinstance(inner, dict | list | str):
            yield (key,), inner


def _is_message(value: list[object]) -> bool:
    """Say whether a list is the content of a message: blocks of text and of tool use."""
    kinds = [item.get("type") if isinstance(item, dict) else None for item in value]
    return bool(kinds) and all(kind in _BLOCKS for kind in kinds)


def _is_calling(value: object) -> bool:
    return isinstance(value, dict) and (_is_call(value) or "functionCall" in value)


def _is_call(value: Mapping[str, object]) -> bool:
    return any(mark in value for mark in _CALL_MARKS) and any(key in value for key in (*_ARGUMENTS, *_CALLS))


def _calls(value: object) -> list[object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def undisguised(text: str) -> Iterator[tuple[str, str]]:
    """Yield other texts that ``text`` may stand for, with the reason: escaped once too often, HTML, doubled braces,
    a list whose brackets are missing.
    """
    if (start := _ESCAPED.search(text)) is not None and not _OPENS.search(text, 0, start.start()):
        body = _ESCAPED_BODY.match(text, start.start())
        decoded = _decoded(body[0]) if body is not None else None
        if decoded is not None:
            yield decoded, ENCODED_TWICE
    if len(_CSV_QUOTES.findall(text)) > 1:
        yield text.replace('""', '"'), "doubled quotes"
    if _ENTITY.search(text) and not ('"' in text and "&quot;" in text):
        yield html.unescape(text), "HTML entities"
    if _DOUBLED.match(text.removeprefix("```json")) and "}}" in text:
        yield text.replace("{{", "{").replace("}}", "}"), "doubled braces"
    if len(items := _in_a_row(text)) > 1:
        yield f"[{','.join(items)}]", "items in a row"


def without_marks(text: str) -> str:
    """Return the text of a quotation without the marks before its lines, where all of its JSON is quoted."""
    if not (text.startswith(">") or "\n>" in text) or not _QUOTED_JSON.search(text):
        return text
    bare = _MARKED_LINE.sub("", text)
    return text if "{" in bare or "[" in bare else _LINE_MARK.sub("", text)


def _in_a_row(text: str) -> list[str]:
    """Return the objects and arrays that are all of a text, or of its fence: one a line, or with commas between."""
    opening = _ROW_OPENS.match(text)
    items: list[str] = []
    at = opening.end() if opening else len(text)
    while at < len(text) and text[at] in "{[":
        try:
            end = _DECODER.raw_decode(text, at)[1]
        except (ValueError, RecursionError):
            return []
        items.append(text[at:end])
        between = _BETWEEN.match(text, end)
        at = between.end() if between else end
    return items if _ROW_ENDS.match(text, at) else []


def _decoded(body: str) -> str | None:
    try:
        decoded = json.loads(f'"{body}"', strict=False)
    except ValueError:
        return None
    return str(decoded)

"""Answers with known truth: values that satisfy a schema, damaged in every way models are known to damage them.

``answers(seed, count)`` is deterministic. Each answer carries the value it was made from and whether that value can
still be known (``gone`` when the damage destroyed a part of it, so that refusing is the right thing to do).
The damages work on text and know nothing about how validation repairs it.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``truth`` is what the model meant; ``gone`` says that the text no longer tells."""

    kind: str
    text: str
    schema: dict[str, Any]
    truth: Any
    gone: bool = False


Damage = Callable[[random.Random, Any, dict[str, Any]], "tuple[str, bool] | None"]

PHRASES = (
    "The customer cannot log in.", "ok", "", "Paris", "a, b and c", 'She said "yes" and left', "it's fine", "x,}", "{,}",
    "see https://example.com/a//b?c=d#e", "// not a comment", "/* neither */ is this", "# nor this",
    "```json\n{}\n```", "use ``` to fence", "C:\\new\\table", "\\d+\\s*", "line one\nline two", "tab\there", "50% off",
    "Größe: 5 µm", "你好，世界", "emoji 🎉 done", 'he wrote "a", "b" and "c"', "[1] see {note}", "key: value",
    'the "id": 5 field', "trailing comma,", "a}", "]", "null", "true", "12", "1,000", "None", "'quoted'", "dogs' toys",
    'a "quoted", word', "x" * 60, "semi; colon", "a = b", "<b>bold</b>", "tom & jerry", "$5.00", "2024-01-31", "-",
)  # fmt: skip
PLAIN = ("alpha", "beta gamma", "Ready to ship", "north", "v2", "Anna Berg", "urgent mail", "open", "one two three", "Oslo")

TICKET: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "title": {"type": "string"},
        "priority": {"enum": ["low", "medium", "high"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "resolved": {"type": "boolean"},
        "score": {"type": "number"},
        "owner": {"type": ["string", "null"]},
    },
    "required": ["id", "title", "priority", "tags", "resolved"],
    "additionalProperties": False,
}
PEOPLE: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}},
        "required": ["name", "age"],
    },
}
ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "customer": {"$ref": "#/$defs/customer"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "total": {"type": "number"},
        "note": {"type": "string"},
    },
    "required": ["customer", "lines", "total"],
    "$defs": {
        "customer": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "email": {"type": "string"}},
            "required": ["name"],
        },
        "line": {
            "type": "object",
            "properties": {"sku": {"type": "string"}, "quantity": {"type": "integer"}, "price": {"type": "number"}},
            "required": ["sku", "quantity"],
        },
    },
}
REVIEW: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "summary": {"type": "string"},
        "sentiment": {"type": "string"},
        "quotes": {"type": "array", "items": {"type": "string"}},
        "details": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["summary", "sentiment"],
}


def _phrase(rng: random.Random) -> str:
    return rng.choice(PHRASES if rng.random() < 0.6 else PLAIN)


def _ticket(rng: random.Random) -> Any:
    value: dict[str, Any] = {
        "id": rng.randrange(1, 100_000),
        "title": _phrase(rng),
        "priority": rng.choice(["low", "medium", "high"]),
        "tags": [_phrase(rng) for _ in range(rng.randrange(4))],
        "resolved": rng.random() < 0.5,
    }
    if rng.random() < 0.6:
        value["score"] = rng.choice([0.5, 12.25, -3, 1e-7, 100])
    if rng.random() < 0.6:
        value["owner"] = rng.choice([None, _phrase(rng)])
    return value


def _people(rng: random.Random) -> Any:
    people = []
    for _ in range(rng.randrange(1, 4)):
        person: dict[str, Any] = {"name": _phrase(rng), "age": rng.randrange(1, 99)}
        if rng.random() < 0.5:
            person["city"] = _phrase(rng)
        people.append(person)
    return people


def _order(rng: random.Random) -> Any:
    lines = [
        {"sku": f"SKU-{rng.randrange(100, 999)}", "quantity": rng.randrange(1, 9), "price": rng.randrange(1, 900) / 4}
        for _ in range(rng.randrange(1, 4))
    ]
    value: dict[str, Any] = {
        "customer": {"name": _phrase(rng), "email": "anna@example.com"},
        "lines": lines,
        "total": rng.randrange(1, 9000) / 4,
    }
    if rng.random() < 0.5:
        value["note"] = _phrase(rng)
    return value


def _review(rng: random.Random) -> Any:
    value: dict[str, Any] = {"summary": _phrase(rng), "sentiment": rng.choice(["positive", "negative", "mixed"])}
    if rng.random() < 0.7:
        value["quotes"] = [_phrase(rng) for _ in range(rng.randrange(1, 4))]
    if rng.random() < 0.5:
        value["details"] = {rng.choice(["tone", "length", "topic"]): _phrase(rng)}
    return value


MAKERS = ((TICKET, _ticket), (PEOPLE, _people), (ORDER, _order), (REVIEW, _review))
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+|\s+', re.DOTALL)


def dump(rng: random.Random, value: Any) -> str:
    """Write valid JSON in one of the usual styles."""
    style = rng.randrange(4)
    if style == 0:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if style == 1:
        return json.dumps(value, ensure_ascii=rng.random() < 0.3)
    return json.dumps(value, indent=2 if style == 2 else 4, ensure_ascii=False)


def tokens(text: str) -> list[str]:
    """Split valid JSON into its tokens; joined they give the text again."""
    return _TOKEN.findall(text)


# -- nothing wrong ------------------------------------------------------------------------------------------------


def valid(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return rng.choice(["", "\n", "  "]) + dump(rng, value) + rng.choice(["", "\n"]), False


# -- wrapped ------------------------------------------------------------------------------------------------------


def fence(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    mark = rng.choice(["```", "```json", "```JSON", "~~~json", "``` json"])
    return f"{mark}\n{dump(rng, value)}\n{mark[:3]}", False


def unclosed_fence(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return f"```json\n{dump(rng, value)}", False


def prose(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    before = rng.choice(["Here is the JSON you asked for:\n\n", "Sure! ", "Result: ", "json\n"])
    after = rng.choice(["", "\n\nLet me know if you need anything else!", "\nHope this helps :)", "\n\nNote: it's final."])
    return before + dump(rng, value) + after, False


def prose_with_brackets(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    before = rng.choice(["As in [the docs](https://example.com), I fill {name} and {0}:\n", "Use {{placeholders}} like {x}. "])
    after = rng.choice(["\nSee [1] and (2).", "\nThe set {a, b} is closed.", ""])
    return f"{before}{dump(rng, value)}{after}", False


def prose_and_fence(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return f"I've done it.\n\n```json\n{dump(rng, value)}\n```\n\nIt's {{valid}}.", False


def thinking(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    draft = rng.choice(["The user wants JSON.", 'Maybe {"id": 1}? No.', dump(rng, _other(rng, schema, value))])
    return f"<think>\n{draft}\n</think>\n\n{dump(rng, value)}", False


def thinking_without_start(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return f"The user wants {dump(rng, _other(rng, schema, value))} or so.\n</think>\n{dump(rng, value)}", False


def bom(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return "\ufeff" + dump(rng, value), False


def encoded_twice(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return json.dumps(dump(rng, value)), False


def escaped(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return json.dumps(dump(rng, value), ensure_ascii=False)[1:-1], False


def tool_call(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    arguments: Any = rng.choice([value, dump(rng, value)])
    shape = rng.randrange(4)
    call: Any = {"name": "submit", "arguments": arguments}
    if shape == 1:
        call = {"type": "function", "function": call}
    elif shape == 2:
        call = {"tool_calls": [{"id": "call_1", "type": "function", "function": call}]}
    elif shape == 3:
        call = {"action": "submit", "action_input": arguments}
    return json.dumps(call, ensure_ascii=False), False


def example_and_answer(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return f'The format {{"example": true}} is not what you want, so:\n{dump(rng, value)}', False


def repeated(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return f"{dump(rng, value)}\n\n{dump(rng, value)}", False


# -- slips --------------------------------------------------------------------------------------------------------


def trailing_comma(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    out: list[str] = []
    for token in tokens(dump(rng, value)):
        if token in "}]" and out:
            last = next(part for part in reversed(out) if part.strip())
            if last not in "{[":
                out.append(",")
        out.append(token)
    return "".join(out), False


def python_repr(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return repr(value), False


def python_literals(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    names = rng.choice([{"true": "True", "false": "False", "null": "None"}, {"true": "TRUE", "false": "FALSE", "null": "NULL"}])
    return "".join(names.get(token, token) for token in tokens(dump(rng, value))), False


def _requoted(text: str, opening: str, closing: str, inside: Callable[[str], str]) -> str:
    return "".join(
        opening + inside(token[1:-1]) + closing if token.startswith('"') else token for token in tokens(text)
    )


def single_quotes(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return _requoted(dump(rng, value), "'", "'", lambda body: body.replace('\\"', '"').replace("'", "\\'")), False


def single_quotes_with_apostrophes(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return _requoted(dump(rng, value), "'", "'", lambda body: body.replace('\\"', '"')), False


def smart_quotes(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return _requoted(dump(rng, value), "“", "”", str), False


def backticks(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    text = dump(rng, value)
    return None if "`" in text else (_requoted(text, "`", "`", str), False)


def unquoted_keys(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    parts = tokens(dump(rng, value))
    for index, token in enumerate(parts):
        if token.startswith('"') and "".join(parts[index + 1 : index + 3]).lstrip()[:1] == ":":
            parts[index] = token[1:-1]
    return "".join(parts), False


def comments(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    out = []
    for token in tokens(json.dumps(value, indent=2, ensure_ascii=False)):
        out.append(token)
        if token in (",", "{") and rng.random() < 0.4:
            out.append(rng.choice([" // the next one, \"quoted\"\n", " /* a, b: {c} */ ", " # why: it's so\n"]))
    return "".join(out), False


def missing_comma(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    parts = tokens(json.dumps(value, indent=rng.choice([None, 2]), ensure_ascii=False))
    spots = [index for index, token in enumerate(parts) if token == ","]
    if not spots:
        return None
    del parts[rng.choice(spots)]
    return "".join(parts), False


def raw_newlines(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    text = dump(rng, value)
    broken = _requoted(text, '"', '"', lambda body: re.sub(r"(?<!\\)\\n", "\n", re.sub(r"(?<!\\)\\t", "\t", body)))
    return None if broken == text else (broken, False)


def unescaped_quotes(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    text = dump(rng, value)
    broken = _requoted(text, '"', '"', lambda body: body.replace('\\"', '"'))
    return None if broken == text else (broken, False)


def unescaped_backslashes(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    text = dump(rng, value)
    broken = _requoted(text, '"', '"', lambda body: body.replace("\\\\", "\\"))
    if broken == text:
        return None
    try:
        json.loads(broken)
    except ValueError:
        return broken, False
    return None  # valid JSON that means something else: nobody can tell


def escaped_apostrophes(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    text = dump(rng, value)
    return (text.replace("'", "\\'"), False) if "'" in text else None


def double_comma(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    parts = tokens(dump(rng, value))
    spots = [index for index, token in enumerate(parts) if token == ","]
    if not spots:
        return None
    parts[rng.choice(spots)] = ",,"
    return "".join(parts), False


def wrong_colons(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    mark = rng.choice([" =", " =>", "："])
    return "".join(mark if token == ":" else token for token in tokens(dump(rng, value))), False


def wide_punctuation(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    wide = {":": "：", ",": "，"}
    return "".join(wide.get(token, token) for token in tokens(dump(rng, value))), False


def odd_spaces(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return "".join("\u00a0" * len(t) if t.isspace() else t for t in tokens(json.dumps(value, indent=2))), False


def extra_closer(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    text = dump(rng, value)
    return text + text[-1], False


def missing_last_closer(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    text = dump(rng, value).rstrip()
    declared = set(schema.get("properties", {}))
    if isinstance(value, list):
        return text[:-1], True
    return text[:-1], not declared <= set(value)


def missing_bracket(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    parts = tokens(dump(rng, value))
    spots = [index for index, token in enumerate(parts) if token in "{}[]" and 0 < index < len(parts) - 1]
    if not spots:
        return None
    del parts[rng.choice(spots)]
    text = "".join(parts)
    try:
        json.loads(text)
    except ValueError:
        return text, False
    return None


def wrong_bracket(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    parts = tokens(dump(rng, value))
    spots = [index for index, token in enumerate(parts) if token in "}]"]
    spot = rng.choice(spots)
    parts[spot] = "]" if parts[spot] == "}" else "}"
    return "".join(parts), False


def missing_quote(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    parts = tokens(dump(rng, value))
    spots = [i for i, token in enumerate(parts) if token.startswith('"') and re.fullmatch(r'"[\w @.-]*\w"', token)]
    if not spots:
        return None
    spot = rng.choice(spots)
    parts[spot] = parts[spot][1:] if rng.random() < 0.5 else parts[spot][:-1]
    return "".join(parts), False


def unquoted_words(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    parts = tokens(dump(rng, value))
    spots = [
        i for i, token in enumerate(parts)
        if re.fullmatch(r'"[A-Za-z]{4,}( [A-Za-z]+)*"', token) and "".join(parts[i + 1 : i + 3]).lstrip()[:1] in ",}]"
        and token not in ('"null"', '"true"', '"None"')
    ]  # fmt: skip
    if not spots:
        return None
    spot = rng.choice(spots)
    parts[spot] = parts[spot][1:-1]
    return "".join(parts), False


def odd_numbers(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    parts = tokens(dump(rng, value))
    spots = [index for index, token in enumerate(parts) if re.fullmatch(r"\d+(\.\d+)?", token)]
    if not spots:
        return None
    for spot in spots:
        token = parts[spot]
        parts[spot] = token[1:] if token.startswith("0.") else rng.choice(["+" + token, "0" + token])
    return "".join(parts), False


# -- the truth is gone --------------------------------------------------------------------------------------------


def cut(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    text = dump(rng, value).rstrip()
    return text[: rng.randrange(1, len(text))], True


def cut_in_fence(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    text = dump(rng, value).rstrip()
    return f"```json\n{text[: rng.randrange(1, len(text))]}{rng.choice(['', chr(10) + '```'])}", True


def echo(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    shape = rng.randrange(3)
    body = schema if shape else {"type": schema["type"], "properties": schema.get("properties", {"name": {"type": "string"}})}
    text = json.dumps(body, indent=2)
    return (f"```json\n{text}\n```" if shape == 2 else text), True


def refusal(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return rng.choice([
        "I'm sorry, but I can't help with that.", "As an AI language model, I cannot provide this.",
        "Unfortunately, I am unable to process the {document}.", "很抱歉，我无法回答这个问题。", '{"error": "I cannot do that"}',
    ]), True  # fmt: skip


def nothing(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return rng.choice(["", "  \n", "```json\n```", "{}" if isinstance(value, dict) else "[]", "<think>hm</think>"]), True


def two_answers(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return f"{dump(rng, value)}\nor, better:\n{dump(rng, _other(rng, schema, value))}", True


def repeated_key(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    members = value if isinstance(value, dict) else value[0]
    key = rng.choice(list(members))
    text = json.dumps(members)[:-1] + f', {json.dumps(key)}: {json.dumps(rng.choice([members[key], "x", 7]))}}}'
    return (text if isinstance(value, dict) else f"[{text}]"), True


def not_a_number(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    parts = tokens(dump(rng, value))
    spots = [index for index, token in enumerate(parts) if re.fullmatch(r"-?\d[\d.e-]*", token)]
    if not spots:
        return None
    parts[rng.choice(spots)] = rng.choice(["NaN", "Infinity", "-Infinity", "1e999"])
    return "".join(parts), True


def left_out(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    parts = tokens(dump(rng, value))
    spots = [index for index, token in enumerate(parts) if token == "]" and "".join(parts[:index]).rstrip()[-1] != "["]
    if not spots:
        return None
    parts[rng.choice(spots)] = rng.choice([", ...]", ", // ...\n]", ", …]"])
    return "".join(parts), True


def value_missing(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    parts = tokens(dump(rng, value))
    spots = [i for i, t in enumerate(parts) if t not in "{}[]:," and not t.isspace() and "".join(parts[:i]).rstrip().endswith(":")]
    if not spots:
        return None
    parts[rng.choice(spots)] = ""
    return "".join(parts), True


def wrong_type(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    changed = json.loads(json.dumps(value))
    target = changed if isinstance(changed, dict) else changed[0]
    target[next(iter(schema.get("required", ["name"])))] = {"oops": 1}
    return dump(rng, changed), True


def half_surrogate(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool]:
    return dump(rng, value).replace('"', '"\\ud83d', 1) if isinstance(value, str) else json.dumps(_with_half(value)), True


def _with_half(value: Any) -> Any:
    changed = json.loads(json.dumps(value))
    target = changed if isinstance(changed, dict) else changed[0]
    key = next(name for name, item in target.items() if isinstance(item, str | dict))
    target[key] = "x\ud83d" if isinstance(target[key], str) else {"name": "x\ud83d"}
    return changed


def _other(rng: random.Random, schema: dict[str, Any], value: Any) -> Any:
    maker = next(make for known, make in MAKERS if known is schema)
    while (other := maker(rng)) == value:
        pass
    return other


WHOLE: tuple[Damage, ...] = (valid,)
WRAPPED: tuple[Damage, ...] = (
    fence, unclosed_fence, prose, prose_with_brackets, prose_and_fence, thinking, thinking_without_start, bom,
    encoded_twice, escaped, tool_call, example_and_answer, repeated,
)  # fmt: skip
SLIPS: tuple[Damage, ...] = (
    trailing_comma, python_repr, python_literals, single_quotes, single_quotes_with_apostrophes, smart_quotes, backticks,
    unquoted_keys, comments, missing_comma, raw_newlines, unescaped_quotes, unescaped_backslashes, escaped_apostrophes,
    double_comma, wrong_colons, wide_punctuation, odd_spaces, extra_closer, missing_last_closer, missing_bracket,
    wrong_bracket, missing_quote, unquoted_words, odd_numbers,
)  # fmt: skip
GONE: tuple[Damage, ...] = (
    cut, cut_in_fence, echo, refusal, nothing, two_answers, repeated_key, not_a_number, left_out, value_missing,
    wrong_type, half_surrogate,
)  # fmt: skip
KINDS = WHOLE + WRAPPED + SLIPS + GONE


def wrapped_slip(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    """Put a damaged text into a fence or between prose."""
    made = rng.choice(SLIPS)(rng, value, schema)
    if made is None:
        return None
    text, gone = made
    wrap = rng.choice(["```json\n{}\n```", "Here it is:\n\n{}\n\nDone.", "{}\n\nLet me know!", "<think>ok</think>\n{}"])
    return wrap.replace("{}", text), gone


def answers(seed: int = 1, count: int = 2_400) -> Iterator[Answer]:
    """Yield ``count`` answers, every kind of damage equally often."""
    rng = random.Random(seed)
    kinds = (*KINDS, wrapped_slip, wrapped_slip, wrapped_slip)
    made = 0
    while made < count:
        damage = kinds[made % len(kinds)]
        schema, maker = rng.choice(MAKERS)
        truth = maker(rng)
        result = damage(rng, truth, schema)
        if result is not None:
            text, gone = result
            yield Answer(kind=damage.__name__, text=text, schema=schema, truth=truth, gone=gone)
            made += 1

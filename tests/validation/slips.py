"""What goes wrong inside the JSON, and leaves the truth in it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

from tests.validation.wrapping import Made, dump, tokens


def trailing_comma(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    out: list[str] = []
    for token in tokens(dump(rng, value)):
        if token in "}]" and out:
            last = next(part for part in reversed(out) if part.strip())
            if last not in "{[":
                out.append(",")
        out.append(token)
    return "".join(out), False


def python_repr(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return repr(value), False


def python_literals(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    names = rng.choice(
        [{"true": "True", "false": "False", "null": "None"}, {"true": "TRUE", "false": "FALSE", "null": "NULL"}]
    )
    return "".join(names.get(token, token) for token in tokens(dump(rng, value))), False


def _requoted(text: str, opening: str, closing: str, inside: Callable[[str], str]) -> str:
    return "".join(
        opening + inside(token[1:-1]) + closing if token.startswith('"') else token for token in tokens(text)
    )


def single_quotes(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return _requoted(dump(rng, value), "'", "'", lambda body: body.replace('\\"', '"').replace("'", "\\'")), False


def single_quotes_with_apostrophes(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return _requoted(dump(rng, value), "'", "'", lambda body: body.replace('\\"', '"')), False


def smart_quotes(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return _requoted(dump(rng, value), "“", "”", str), False


def backticks(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    text = dump(rng, value)
    return None if "`" in text else (_requoted(text, "`", "`", str), False)


def unquoted_keys(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    parts = tokens(dump(rng, value))
    for index, token in enumerate(parts):
        if token.startswith('"') and "".join(parts[index + 1 : index + 3]).lstrip()[:1] == ":":
            parts[index] = token[1:-1]
    return "".join(parts), False


def comments(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    out = []
    for token in tokens(json.dumps(value, indent=2, ensure_ascii=False)):
        out.append(token)
        if token in (",", "{") and rng.random() < 0.4:
            out.append(rng.choice([' // the next one, "quoted"\n', " /* a, b: {c} */ ", " # why: it's so\n"]))
    return "".join(out), False


def missing_comma(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    parts = tokens(json.dumps(value, indent=rng.choice([None, 2]), ensure_ascii=False))
    locations = [index for index, token in enumerate(parts) if token == ","]
    if not locations:
        return None
    del parts[rng.choice(locations)]
    return "".join(parts), False


def raw_newlines(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    text = dump(rng, value)
    broken = _requoted(text, '"', '"', lambda body: re.sub(r"(?<!\\)\\n", "\n", re.sub(r"(?<!\\)\\t", "\t", body)))
    return None if broken == text else (broken, False)


def unescaped_quotes(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    text = dump(rng, value)
    broken = _requoted(text, '"', '"', lambda body: body.replace('\\"', '"'))
    return None if broken == text else (broken, False)


def unescaped_backslashes(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    text = dump(rng, value)
    broken = _requoted(text, '"', '"', lambda body: body.replace("\\\\", "\\"))
    if broken == text:
        return None
    try:
        json.loads(broken)
    except ValueError:
        return broken, False
    return None  # valid JSON that means something else: nobody can tell


def escaped_apostrophes(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    text = dump(rng, value)
    return (text.replace("'", "\\'"), False) if "'" in text else None


def double_comma(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    parts = tokens(dump(rng, value))
    locations = [index for index, token in enumerate(parts) if token == ","]
    if not locations:
        return None
    parts[rng.choice(locations)] = ",,"
    return "".join(parts), False


def wrong_colons(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    mark = rng.choice([" =", " =>", "："])
    return "".join(mark if token == ":" else token for token in tokens(dump(rng, value))), False


def wide_punctuation(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    wide = {":": "：", ",": "，"}
    return "".join(wide.get(token, token) for token in tokens(dump(rng, value))), False


def odd_spaces(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return "".join("\u00a0" * len(t) if t.isspace() else t for t in tokens(json.dumps(value, indent=2))), False


def extra_closer(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    text = dump(rng, value)
    return text + text[-1], False


def missing_last_closer(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    text = dump(rng, value).rstrip()
    declared = set(schema.get("properties", {}))
    if isinstance(value, list):
        return text[:-1], True
    return text[:-1], not declared <= set(value)


def missing_bracket(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    parts = tokens(dump(rng, value))
    locations = [index for index, token in enumerate(parts) if token in "{}[]" and 0 < index < len(parts) - 1]
    if not locations:
        return None
    del parts[rng.choice(locations)]
    text = "".join(parts)
    try:
        json.loads(text)
    except ValueError:
        return text, False
    return None


def wrong_bracket(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    parts = tokens(dump(rng, value))
    locations = [index for index, token in enumerate(parts) if token in "}]"]
    location = rng.choice(locations)
    parts[location] = "]" if parts[location] == "}" else "}"
    return "".join(parts), False


def missing_quote(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    parts = tokens(dump(rng, value))
    locations = [i for i, token in enumerate(parts) if token.startswith('"') and re.fullmatch(r'"[\w @.-]*\w"', token)]
    if not locations:
        return None
    location = rng.choice(locations)
    parts[location] = parts[location][1:] if rng.random() < 0.5 else parts[location][:-1]
    return "".join(parts), False


def joined_texts(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    """Break a text of a member in two, as source code does with long ones."""
    parts = tokens(dump(rng, value))
    locations = [
        i
        for i, token in enumerate(parts)
        if re.fullmatch(r'"[^"\\]{4,}"', token)
        and "".join(parts[:i]).rstrip().endswith(":")
        and not "".join(parts[i + 1 :]).lstrip().startswith(":")
    ]
    if not locations:
        return None
    location = rng.choice(locations)
    at = rng.randrange(2, len(parts[location]) - 1)
    joint = rng.choice([" + ", " +\n  ", "\n    "])
    parts[location] = f'{parts[location][:at]}"{joint}"{parts[location][at:]}'
    return "".join(parts), False


def unquoted_words(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    parts = tokens(dump(rng, value))
    locations = [
        i for i, token in enumerate(parts)
        if re.fullmatch(r'"[A-Za-z]{4,}( [A-Za-z]+)*"', token) and "".join(parts[i + 1 : i + 3]).lstrip()[:1] in ",}]"
        and token not in ('"null"', '"true"', '"None"')
    ]  # fmt: skip
    if not locations:
        return None
    location = rng.choice(locations)
    parts[location] = parts[location][1:-1]
    return "".join(parts), True  # words without quotes are read with coercion only; one that the schema lists is fine


def odd_numbers(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    parts = tokens(dump(rng, value))
    locations = [index for index, token in enumerate(parts) if re.fullmatch(r"\d+(\.\d+)?", token)]
    if not locations:
        return None
    for location in locations:
        token = parts[location]
        parts[location] = token[1:] if token.startswith("0.") else rng.choice(["+" + token, "0" + token])
    return "".join(parts), False

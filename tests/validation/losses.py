"""What takes the truth out of an answer: cut ends, echoes, refusals, two answers, values left out."""

from __future__ import annotations

import json
import random
import re
from typing import Any

from tests.validation.truths import another
from tests.validation.wrapping import Made, dump, tokens


def cut(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    text = dump(rng, value).rstrip()
    return text[: rng.randrange(1, len(text))], True


def cut_in_fence(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    text = dump(rng, value).rstrip()
    return f"```json\n{text[: rng.randrange(1, len(text))]}{rng.choice(['', chr(10) + '```'])}", True


def echo(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    shape = rng.randrange(3)
    body = (
        schema
        if shape
        else {"type": schema["type"], "properties": schema.get("properties", {"name": {"type": "string"}})}
    )
    text = json.dumps(body, indent=2)
    return (f"```json\n{text}\n```" if shape == 2 else text), True


def refusal(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return rng.choice([
        "I'm sorry, but I can't help with that.", "As an AI language model, I cannot provide this.",
        "Unfortunately, I am unable to process the {document}.", "很抱歉，我无法回答这个问题。",
        '{"error": "I cannot do that"}',
    ]), True  # fmt: skip


def nothing(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return rng.choice(
        ["", "  \n", "```json\n```", "{}" if isinstance(value, dict) else "[]", "<think>hm</think>"]
    ), True


def two_answers(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return f"{dump(rng, value)}\nor, better:\n{dump(rng, another(rng, schema, value))}", True


def corrected_badly(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    """Answer, then correct the answer with something that no rule allows to be read."""
    broken = not_a_number(rng, value, schema)
    if broken is None:
        return None
    return f"{dump(rng, another(rng, schema, value))}\n\nCorrected:\n\n{broken[0]}", True


def cut_in_quotation(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    """Cut a text off somewhere behind a quote that nobody escaped."""
    said = rng.choice(['he said "no", then left', 'a 19" rack and more', 'the "}" brace', "tags 'a', \"b\" and so on"])
    text = dump(rng, value).rstrip().removesuffix("}").removesuffix("]").rstrip()
    whole = f'{text}, "zz": "{said}'
    return whole[: rng.randrange(len(whole) - len(said) + said.index('"') + 2, len(whole) + 1)], True


def repeated_key(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    members = value if isinstance(value, dict) else value[0]
    key = rng.choice(list(members))
    text = json.dumps(members)[:-1] + f", {json.dumps(key)}: {json.dumps(rng.choice([members[key], 'x', 7]))}}}"
    return (text if isinstance(value, dict) else f"[{text}]"), True


def not_a_number(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    parts = tokens(dump(rng, value))
    locations = [index for index, token in enumerate(parts) if re.fullmatch(r"-?\d[\d.e-]*", token)]
    if not locations:
        return None
    parts[rng.choice(locations)] = rng.choice(["NaN", "Infinity", "-Infinity", "1e999"])
    return "".join(parts), True


def left_out(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    parts = tokens(dump(rng, value))
    locations = [
        index for index, token in enumerate(parts) if token == "]" and "".join(parts[:index]).rstrip()[-1] != "["
    ]
    if not locations:
        return None
    parts[rng.choice(locations)] = rng.choice([", ...]", ", // ...\n]", ", …]"])
    return "".join(parts), True


def value_missing(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    parts = tokens(dump(rng, value))
    locations = [
        i
        for i, t in enumerate(parts)
        if t not in "{}[]:," and not t.isspace() and "".join(parts[:i]).rstrip().endswith(":")
    ]
    if not locations:
        return None
    parts[rng.choice(locations)] = ""
    return "".join(parts), True


def wrong_type(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made | None:
    changed = json.loads(json.dumps(value))
    target = changed if isinstance(changed, dict) else changed[0]
    target[next(iter(schema.get("required", ["name"])))] = {"oops": 1}
    return dump(rng, changed), True


def half_surrogate(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return dump(rng, value).replace('"', '"\\ud83d', 1) if isinstance(value, str) else json.dumps(
        _with_half(value)
    ), True


def _with_half(value: Any) -> Any:
    changed = json.loads(json.dumps(value))
    target = changed if isinstance(changed, dict) else changed[0]
    key = next(name for name, item in target.items() if isinstance(item, str | dict))
    target[key] = "x\ud83d" if isinstance(target[key], str) else {"name": "x\ud83d"}
    return changed

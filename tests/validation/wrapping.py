"""What stands around the JSON in an answer: nothing, prose, fences, thinking, an encoding, a tool call."""

from __future__ import annotations

import json
import random
import re
from typing import Any

from tests.validation.truths import another

Made = tuple[str, bool]
"""A text, and whether the truth is gone from it."""
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


def valid(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return rng.choice(["", "\n", "  "]) + dump(rng, value) + rng.choice(["", "\n"]), False


def fence(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    mark = rng.choice(["```", "```json", "```JSON", "~~~json", "``` json"])
    return f"{mark}\n{dump(rng, value)}\n{mark[:3]}", False


def unclosed_fence(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return f"```json\n{dump(rng, value)}", False


def prose(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    before = rng.choice(["Here is the JSON you asked for:\n\n", "Sure! ", "Result: ", "json\n"])
    after = rng.choice(
        ["", "\n\nLet me know if you need anything else!", "\nHope this helps :)", "\n\nNote: it's final."]
    )
    return before + dump(rng, value) + after, False


def prose_with_brackets(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    before = rng.choice(
        ["As in [the docs](https://example.com), I fill {name} and {0}:\n", "Use {{placeholders}} like {x}. "]
    )
    after = rng.choice(["\nSee [1] and (2).", "\nThe set {a, b} is closed.", ""])
    return f"{before}{dump(rng, value)}{after}", False


def prose_and_fence(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return f"I've done it.\n\n```json\n{dump(rng, value)}\n```\n\nIt's {{valid}}.", False


def thinking(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    draft = rng.choice(["The user wants JSON.", 'Maybe {"id": 1}? No.', dump(rng, another(rng, schema, value))])
    return f"<think>\n{draft}\n</think>\n\n{dump(rng, value)}", False


def thinking_without_start(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return f"The user wants {dump(rng, another(rng, schema, value))} or so.\n</think>\n{dump(rng, value)}", False


def bom(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return "\ufeff" + dump(rng, value), False


def encoded_twice(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return json.dumps(dump(rng, value)), False


def escaped(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return json.dumps(dump(rng, value), ensure_ascii=False)[1:-1], False


def tool_call(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
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


def message(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    """Write the answer as the APIs of other vendors wrap it."""
    use = {"type": "tool_use", "id": "t1", "name": "submit", "input": value}
    text = {"type": "text", "text": "I submit it now."}
    call = {"functionCall": {"name": "submit", "args": value}}
    whole = rng.choice([
        [text, use],
        {"role": "assistant", "content": [use], "stop_reason": "tool_use"},
        {"type": "text", "text": dump(rng, value)},
        call,
        {"candidates": [{"content": {"parts": [call], "role": "model"}}]},
    ])  # fmt: skip
    return json.dumps(whole, ensure_ascii=False), False


def other_thinking(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    draft = dump(rng, another(rng, schema, value))
    text = dump(rng, value)
    return rng.choice([
        f"◁think▷{draft}◁/think▷\n{text}",
        f"<|channel|>analysis<|message|>{draft}<|end|><|start|>assistant<|channel|>final<|message|>{text}",
        f"<answer><![CDATA[{text}]]></answer>",
    ]), False  # fmt: skip


def example_and_answer(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return f'The format {{"example": true}} is not what you want, so:\n{dump(rng, value)}', False


def repeated(rng: random.Random, value: Any, schema: dict[str, Any]) -> Made:
    return f"{dump(rng, value)}\n\n{dump(rng, value)}", False

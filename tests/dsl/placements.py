"""Secrets in every place and format: documents with one invented secret each, and how many of them are found.

Two tables by two recipes: ``generated`` crosses every place with the shapes that stand there, ``by_hand`` puts lines as
people write them into the texts of an app.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from difyops.dsl.secret_places import found_in
from tests.dsl.canaries import ALL, OPAQUE, PROVIDERS
from tests.dsl.dsl_samples import env, http, node, workflow
from tests.dsl.placements_anywhere import LINES as ANYWHERE
from tests.dsl.placements_by_hand import LINES
from tests.dsl.placements_unusual import LINES as UNUSUAL

Document = dict[str, Any]
Path = tuple[str | int, ...]
_SLOT = re.compile("§([a-z0-9_]+)§")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One document, the secrets it holds, and words for people: where and what."""

    name: str
    document: Document
    secrets: tuple[str, ...]


def _tool(**data: Any) -> Document:
    return workflow(node("t", "tool", provider_id="acme/x/x", provider_type="builtin", tool_name="x", **data))


def _agent_tool(settings: Document) -> Document:
    tool = {"tool_name": "x", "provider_name": "acme/x/x", "type": "builtin", "enabled": True, "settings": settings}
    return workflow(node("a", "agent", agent_parameters={"tools": {"type": "constant", "value": [tool]}}))


def _model(**params: Any) -> Document:
    return {"provider": "langgenius/openai/openai", "name": "gpt-4o", "mode": "chat", "completion_params": params}


def _app(**config: Any) -> Document:
    return {"model_config": {"model": _model(temperature=0.7), "pre_prompt": "Be kind.", **config}}


def _llm(text: str) -> Document:
    return workflow(node("l", "llm", model=_model(), prompt_template=[{"id": "p", "role": "system", "text": text}]))


def _body(kind: str, text: str) -> Document:
    return http(body={"type": kind, "data": [{"id": "d", "key": "", "type": "text", "value": text}]})


def _authorization(kind: str, text: str) -> Document:
    return http(authorization={"type": "api-key", "config": {"type": kind, "header": "X-Acme", "api_key": text}})


# The place before a colon needs the name after it; a text is put where ``text`` stands.
NAMED: dict[str, Callable[[str, str], Document]] = {
    "secret": lambda name, text: workflow(environment_variables=[env(name, text)]),
    "plain": lambda name, text: workflow(environment_variables=[env(name, text, "string")]),
    "conversation": lambda name, text: workflow(conversation_variables=[env(name, text, "string")]),
    "conversation_secret": lambda name, text: workflow(conversation_variables=[env(name, text)]),
    "conversation_object": lambda name, text: workflow(conversation_variables=[env("c", {name: text}, "object")]),
    "conversation_list": lambda name, text: workflow(conversation_variables=[env(name, [text], "array[string]")]),
    "tool": lambda name, text: _tool(tool_parameters={name: {"type": "mixed", "value": text}}),
    "tool_old": lambda name, text: _tool(tool_parameters={name: text}),
    "configuration": lambda name, text: _tool(tool_configurations={name: text}),
    "configuration_new": lambda name, text: _tool(tool_configurations={name: {"type": "constant", "value": text}}),
    "agent": lambda name, text: workflow(
        node("a", "agent", agent_parameters={name: {"type": "constant", "value": text}})
    ),
    "agent_tool": lambda name, text: _agent_tool({name: {"value": {"type": "constant", "value": text}}}),
    "app_tool": lambda name, text: _app(
        agent_mode={"enabled": True, "tools": [{"tool_name": "x", "tool_parameters": {name: text}}]}
    ),
    "credentials": lambda name, text: _app(
        agent_mode={"enabled": True, "tools": [{"tool_name": "x", "credentials": {name: text}}]}
    ),
    "completion": lambda name, text: workflow(node("l", "llm", model=_model(**{name: text}))),
    "completion_headers": lambda name, text: workflow(node("l", "llm", model=_model(extra_headers={name: text}))),
    "app_completion": lambda name, text: _app(model=_model(**{name: text})),
    "trigger": lambda name, text: workflow(
        node("w", "trigger-plugin", event_parameters={name: {"type": "constant", "value": text}})
    ),
    "datasource": lambda name, text: workflow(
        node("d", "datasource", datasource_parameters={name: {"type": "constant", "value": text}})
    ),
    "start": lambda name, text: workflow(
        node("s", "start", variables=[{"variable": name, "label": name, "type": "text-input", "default": text}])
    ),
    "form_default": lambda name, text: _app(
        user_input_form=[{"text-input": {"label": "Value", "variable": name, "default": text}}]
    ),
    "external_tool": lambda name, text: _app(
        external_data_tools=[{"type": "api", "variable": "x", "config": {name: text}}]
    ),
    "moderation": lambda name, text: workflow(
        features={"sensitive_word_avoidance": {"enabled": True, "type": "api", "config": {name: text}}}
    ),
    "loop": lambda name, text: workflow(
        node("o", "loop", loop_variables=[{"id": "v", "label": name, "var_type": "string", "value": text}])
    ),
    "condition": lambda name, text: workflow(
        node(
            "i",
            "if-else",
            cases=[
                {
                    "case_id": "true",
                    "conditions": [{"comparison_operator": "is", "value": text, "variable_selector": ["s", name]}],
                }
            ],
        )
    ),
    "assigner": lambda name, text: workflow(
        node("v", "assigner", items=[{"variable_selector": ["conversation", name], "value": text, "operation": "set"}])
    ),
    "form": lambda name, text: http(
        body={"type": "form-data", "data": [{"id": "d", "key": name, "type": "text", "value": text}]}
    ),
    "urlencoded": lambda name, text: http(
        body={"type": "x-www-form-urlencoded", "data": [{"id": "d", "key": name, "type": "text", "value": text}]}
    ),
    "header": lambda name, text: http(headers=f"Accept:*/*\n{name}:{text}"),
    "param": lambda name, text: http(params=f"page:2\n{name}:{text}"),
    "url_query": lambda name, text: http(url=f"https://api.example.test/v1?page=2&{name}={text}&q={{{{#s.q#}}}}"),
    "json_body": lambda name, text: _body("json", f'{{"user": "bob", "{name}": "{text}", "q": {{{{#s.q#}}}}}}'),
    "xml_body": lambda name, text: _body("raw-text", f"<r><user>bob</user><{name}>{text}</{name}></r>"),
    "raw_form": lambda name, text: _body("raw-text", f"user=bob&{name}={text}&x=1"),
    "mcp_env": lambda name, text: _tool(tool_parameters={"mcp": {"value": f'{{"env": {{"{name}": "{text}"}}}}'}}),
    "mcp_url": lambda name, text: _tool(tool_parameters={"server": {"value": f"https://m.test/sse?{name}={text}"}}),
    "python": lambda name, text: workflow(node("c", "code", code=f'def f():\n    {name} = "{text}"\n    return {{}}')),
    "python_dict": lambda name, text: workflow(node("c", "code", code=f"h = {{'{name}': '{text}'}}")),
    "javascript": lambda name, text: workflow(node("c", "code", code=f"function f() {{ const {name} = `{text}`; }}")),
    "keyword": lambda name, text: workflow(node("c", "code", code=f"client = Client('x', {name}='{text}')")),
    "jinja": lambda name, text: workflow(node("j", "template-transform", template=f"{{% set {name} = '{text}' %}}")),
    "template_json": lambda name, text: workflow(
        node("j", "template-transform", template=f'{{"{name}": "{text}", "q": "{{{{ q }}}}"}}')
    ),
    "prompt_line": lambda name, text: _llm(f"Be kind.\n{name}: {text}\nBye."),
    "prompt_assigned": lambda name, text: _llm(f"Be kind.\n{name}={text}\nBye."),
    "prompt_is": lambda name, text: _llm(f"Remember: the {name} is {text}, use it."),
    "prompt_ticks": lambda name, text: _llm(f"The `{name}` is `{text}`."),
}  # fmt: skip
TEXTS: dict[str, Callable[[str], Document]] = {
    "headers": lambda text: http(headers=text),
    "params": lambda text: http(params=text),
    "url": lambda text: http(url=text),
    "json": lambda text: _body("json", text),
    "raw": lambda text: _body("raw-text", text),
    "json_old": lambda text: http(body={"type": "json", "data": text}),
    "form_lines": lambda text: http(body={"type": "form-data", "data": text}),
    "basic_authorization": lambda text: _authorization("basic", text),
    "custom_authorization": lambda text: _authorization("custom", text),
    "bearer_authorization": lambda text: _authorization("bearer", text),
    "code": lambda text: workflow(node("c", "code", code=f"import x\ndef main(q):\n    {text}\n    return {{}}")),
    "template": lambda text: workflow(node("j", "template-transform", template=text)),
    "prompt": _llm,
    "answer": lambda text: workflow(node("n", "answer", answer=text)),
    "description": lambda text: workflow(node("n", "end", desc=text)),
    "title": lambda text: workflow({"id": "n", "data": {"type": "end", "title": text}}),
    "note": lambda text: workflow({"id": "n", "type": "custom-note", "data": {"text": text, "title": "", "type": ""}}),
    "opening": lambda text: workflow(features={"opening_statement": text}),
    "question": lambda text: workflow(features={"suggested_questions": [text]}),
    "pre_prompt": lambda text: _app(pre_prompt=text),
    "opening_app": lambda text: _app(opening_statement=text),
    "classifier": lambda text: workflow(node("q", "question-classifier", instruction=text, classes=[])),
    "extractor": lambda text: workflow(node("q", "parameter-extractor", instruction=text, parameters=[])),
    "query": lambda text: workflow(node("a", "agent", agent_parameters={"query": {"type": "mixed", "value": text}})),
    "memory": lambda text: workflow(node("l", "llm", memory={"query_prompt_template": text})),
    "jinja_prompt": lambda text: workflow(
        node("l", "llm", prompt_template=[{"role": "user", "jinja2_text": text, "edition_type": "jinja2", "text": ""}])
    ),
    "tool_text": lambda text: _tool(tool_parameters={"text": {"type": "mixed", "value": text}}),
}

_STRONG = ("api_key", "accessToken", "client_secret", "password", "X-Auth-Token", "DB_PASSWORD", "apikey", "secretKey")
_CODE_NAMES = tuple(name for name in _STRONG if "-" not in name)
_BROKEN = {"header": (), "param": (), "url_query": ("base64",)}  # what cannot stand there unencoded


def generated() -> Iterator[Placement]:
    """Cross places with shapes: named places with what only its name tells, all texts with the formats of providers."""
    draw = random.Random("places")
    for number, (place, build) in enumerate(NAMED.items()):
        names = _CODE_NAMES if place in ("python", "javascript", "keyword", "jinja", "xml_body") else _STRONG
        for step, (kind, make) in enumerate(OPAQUE.items()):
            if kind not in _BROKEN.get(place, ()):
                name, secret = names[(number + step) % len(names)], make(draw)
                yield Placement(name=f"{place} {name} {kind}", document=build(name, secret), secrets=(secret,))
    for number, (kind, make) in enumerate(PROVIDERS.items()):
        for step in range(3):
            place, text_of = list(TEXTS.items())[(number + 7 * step) % len(TEXTS)]
            secret = make(draw)
            line = _around(place, secret)
            yield Placement(name=f"{place} {kind}", document=text_of(line), secrets=(secret,))


def by_hand(times: int = 2) -> Iterator[Placement]:
    """Put invented secrets into lines as people write them."""
    return _filled(LINES, times)


def unusual(times: int = 2) -> Iterator[Placement]:
    """Put invented secrets into lines as they are seldom written."""
    return _filled(UNUSUAL, times)


def anywhere(times: int = 6) -> Iterator[Placement]:
    """Fill the lines in which no known name stands before the secret."""
    yield from _filled(ANYWHERE, times)


def _filled(lines: tuple[tuple[str, str], ...], times: int) -> Iterator[Placement]:
    draw = random.Random("lines")
    for _ in range(times):
        for place, line in lines:
            secrets: list[str] = []

            def made(slot: re.Match[str], secrets: list[str] = secrets) -> str:
                secrets.append(ALL[slot[1]](draw))
                return secrets[-1]

            text = _SLOT.sub(made, line)
            kind, _, name = place.partition(":")
            document = NAMED[kind](name, text) if name else TEXTS[kind](text)
            yield Placement(name=f"{place} {line}", document=document, secrets=tuple(secrets))


def missed(placement: Placement) -> list[str]:
    """Return the secrets of a placement that are not cut whole."""
    found = found_in(placement.document)
    cut: list[str] = []
    for path, spans in found.items():
        value: Any = placement.document
        for step in path:
            value = value[step]
        cut += [value[span.start : span.end] for span in spans]
    return [secret for secret in placement.secrets if not any(secret in piece for piece in cut)]


def _around(place: str, secret: str) -> str:
    match place:
        case "headers" | "params":
            return f"X-Custom:{secret}"
        case "url":
            return f"https://api.example.test/{secret.replace('/', '%2F')}/run"
        case "code":
            return f"x = '''{secret}'''"
        case _:
            return f"see {secret} for it"

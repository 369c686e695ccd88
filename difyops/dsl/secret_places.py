"""Where the secrets of a document are: which fields, and which part of their text.

A variable of type secret, the webhook address, the texts of an HTTP request, a field with a secret's name, and in
settings of tools anything with the format of a known credential. Prompts and code are not cut here; ``scan`` reports
what it sees in them. Names and formats are in ``suspicion``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from difyops.dsl import http_texts
from difyops.dsl.http_texts import Span
from difyops.dsl.model import JsonObject, as_dict, as_list, word_set
from difyops.dsl.spots import ADDRESSES, Path
from difyops.dsl.suspicion import credentials, is_secret_name, is_suspicious

_NO_SECRETS_BELOW = word_set("completion_params structured_output prompt_template")
_PARAMETERS = word_set(
    "tool_parameters tool_configurations agent_parameters event_parameters datasource_parameters"
    " datasource_configurations agent_mode external_data_tools sensitive_word_avoidance"
)
_VALUE_KEYS = ("value", "default")
_COMMANDS = word_set("command install_commands install_command install setup_command")
_IN_COMMAND = re.compile(  # a header, an option with user and password, or a variable set in a shell command
    r"(?i)(?:(?:authorization|key|token|secret)[ \t]{0,3}:[ \t]{0,3}(?:bearer[ ]|basic[ ]|token[ ])?"
    r"|(?:-u|--user)[ =]['\"]?[^\s:'\"]{1,100}:|(?:key|token|secret|password|passwd)=['\"]?)([^\s'\"{}$]{4,400})"
)
_SOUL_TEXTS = word_set("prompt config_note app_features misc_legacy")


def secret_spans(document: Mapping[str, Any], path: Path, text: str) -> list[Span]:
    """Return the secret parts of the text at ``path``, in order, by where it stands and by what it looks like."""
    judge = _JUDGES.get(path[0])
    return judge(document, path, text) if judge else []


def is_secret_variable(variable: object) -> bool:
    """Return whether an environment variable is of type secret."""
    return as_dict(variable).get("value_type") == "secret"


def merged(spans: Collection[Span]) -> list[Span]:
    """Return the spans in order, overlapping ones made one."""
    done: list[Span] = []
    for start, end in sorted(spans):
        if done and start < done[-1][1]:
            done[-1] = (done[-1][0], max(end, done[-1][1]))
        else:
            done.append((start, end))
    return done


def _in_graph(document: Mapping[str, Any], path: Path, text: str) -> list[Span]:
    if len(path) > 4 and path[1] == "nodes" and path[3] == "data" and isinstance(path[4], str):
        return _in_node(document["graph"]["nodes"][path[2]]["data"], path[4:], text)
    return []


def _in_variable(document: Mapping[str, Any], path: Path, text: str) -> list[Span]:
    if len(path) < 3 or path[2] != "value":
        return []
    if path[0] == "environment_variables" and len(path) == 3 and is_secret_variable(document[path[0]][path[1]]):
        return [(0, len(text))] if text else []
    return [(start, end) for start, end, _ in credentials(text)]


def _in_part(document: Mapping[str, Any], path: Path, text: str) -> list[Span]:
    is_field = len(path) > 1 and isinstance(path[1], str)
    return _in_settings(document[str(path[0])], path[1:], text) if is_field else []


def _in_soul(document: Mapping[str, Any], path: Path, text: str) -> list[Span]:
    """Judge the soul of an agent app: values of secret references whole, wherever they stand; prompts as everywhere."""
    if len(path) < 2 or path[1] in _SOUL_TEXTS:
        return []
    if len(path) > 3 and path[-1] in _VALUE_KEYS and path[-3] == "secret_refs":
        return [(0, len(text))] if text else []
    named = _in_settings(document["agent_soul"], path[1:], text)
    if _COMMANDS & set(path):
        named = [*named, *(match.span(1) for match in _IN_COMMAND.finditer(text))]
    return merged([*named, *((start, end) for start, end, _ in credentials(text))])


def _in_node(data: JsonObject, path: Path, text: str) -> list[Span]:
    if len(path) == 1 and path[0] in ADDRESSES:
        return [(0, len(text))] if text.strip() else []
    if data.get("type") == "http-request" and path[0] in _HTTP_TEXTS:
        spans = [(start, end) for start, end, _ in credentials(text)]
        return merged([*spans, *_HTTP_TEXTS[path[0]](data, path, text)])
    return _in_settings(data, path, text)


def _in_settings(root: JsonObject, path: Path, text: str) -> list[Span]:
    """Judge by the name of the field, then by the name that stands beside the value, then by the value."""
    if path[0] in _NO_SECRETS_BELOW or "completion_params" in path:
        return []
    spans = http_texts.bare(text) if _is_named_secret(root, path) else []
    if path[0] in _PARAMETERS:
        spans = merged([*spans, *((start, end) for start, end, _ in credentials(text))])
    return spans


def _is_named_secret(root: JsonObject, path: Path) -> bool:
    """Return whether the field is a secret's by its own name, or by the name beside it (``{"name": ..., "value"}``)."""
    steps = list(path)
    while len(steps) > 1 and steps[-1] in _VALUE_KEYS:
        steps.pop()
    if isinstance(steps[-1], str) and is_secret_name(steps[-1]):
        return True
    return path[-1] in _VALUE_KEYS and any(is_secret_name(name) for name in _names_beside(root, path))


def _names_beside(root: JsonObject, path: Path) -> Iterator[str]:
    owner: Any = root
    for step in path[:-1]:
        owner = owner[step]
    for key in ("name", "key", "variable") if isinstance(owner, dict) else ():
        if isinstance(owner.get(key), str):
            yield owner[key]


def _in_authorization(data: JsonObject, path: Path, text: str) -> list[Span]:
    return http_texts.bare(text) if path[-1] == "api_key" or _is_named_secret(data, path) else []


def _in_body(data: JsonObject, path: Path, text: str) -> list[Span]:
    """Judge a body: JSON or raw text is one text, a form is a list of fields (or, in older DSL, lines)."""
    body = as_dict(data.get("body"))
    is_form = body.get("type") in ("form-data", "x-www-form-urlencoded")
    match path:
        case ("body", "data"):
            return http_texts.in_lines(text) if is_form else http_texts.in_json(text)
        case ("body", "data", int(index), "value"):
            name = as_dict(as_list(body.get("data"))[index]).get("key")
            if is_form:
                return http_texts.bare(text) if isinstance(name, str) and is_suspicious(name, text) else []
            return http_texts.in_json(text)
        case _:
            return []


_HTTP_TEXTS: Mapping[str | int, Callable[[JsonObject, Path, str], list[Span]]] = {
    "authorization": _in_authorization,
    "headers": lambda data, path, text: http_texts.in_lines(text),
    "params": lambda data, path, text: http_texts.in_lines(text),
    "url": lambda data, path, text: http_texts.in_address(text),
    "body": _in_body,
}

_JUDGES: Mapping[str | int, Callable[[Mapping[str, Any], Path, str], list[Span]]] = {
    "graph": _in_graph,
    "environment_variables": _in_variable,
    "conversation_variables": _in_variable,
    "features": _in_part,
    "model_config": _in_part,
    "agent_soul": _in_soul,
}

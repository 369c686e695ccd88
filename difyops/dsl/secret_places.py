"""Where the secrets of a document are: every text is judged by its place, by the names around it, by what it says.

``found_in`` is the one entry: what it gives is sealed or cut. The rules are data (``secret_rules``), the policy of an
operator adds and excepts (``secret_policy``). What is not sealed by mistake costs a key in git; what is sealed by
mistake costs nothing but its being readable: so a doubt is decided for sealing, except for ids that are public by kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from difyops.dsl import secret_texts as texts
from difyops.dsl.model import JsonObject, as_dict, text_of, word_set
from difyops.dsl.secret_policy import DEFAULT, Policy
from difyops.dsl.secret_texts import CODE, PROSE, SETTING, Hit
from difyops.dsl.spots import ADDRESSES, Addresses, Path
from difyops.dsl.suspicion import (
    NONE,
    STRONG,
    is_literal,
    is_placeholder,
    is_suspicious,
    looks_like_password,
    looks_random,
    strength,
    without_references,
)

Span = tuple[int, int]

# Below these fields stand values that were given, not texts that speak of them.
_SETTINGS = word_set(
    "tool_parameters tool_configurations agent_parameters event_parameters datasource_parameters"
    " datasource_configurations plugin_trigger_parameters agent_mode external_data_tools sensitive_word_avoidance"
    " completion_params credentials authorization headers params url body extra_headers default_headers settings"
    " config mcp_servers env"
)
_VARIABLES = word_set("environment_variables conversation_variables rag_pipeline_variables")
_HEADERS = word_set("headers extra_headers default_headers http_headers extra_query cookies")
_CONTAINERS = word_set("credentials credential secrets")
# Fields that hold the graph together, or name what is used: never a secret, and never to be cut.
_STRUCTURE = word_set(
    "id source target sourceHandle targetHandle type value_type var_type parentId start_node_id iteration_id loop_id"
    " provider_id provider_name provider_type provider tool_name plugin_id plugin_unique_identifier credential_id"
    " subscription_id dataset_ids icon_background mode variable key name case_id hash version created_at updated_at"
    " created_by updated_by agent_strategy_provider_name agent_strategy_name code_language logical_operator"
    " comparison_operator role edition_type operation input_type write_mode method"
)
_SKIPPED = word_set("value_selector variable_selector output_selector selector edges viewport dependencies dataset_ids")
_NO_NAMES = word_set(
    "structured_output structured_output_schema paramSchemas schemas outputs output_schema retriever_resource"
)
_VALUE_KEYS = ("value", "default")
_COMMANDS = word_set("command install_commands install_command install setup_command")
_IN_COMMAND = re.compile(  # a header, an option with user and password, or a variable set in a shell command
    r"(?i)(?:(?:authorization|key|token|secret)[ \t]{0,3}:[ \t]{0,3}(?:bearer[ ]|basic[ ]|token[ ])?"
    r"|(?:-u|--user)[ =]['\"]?[^\s:'\"]{1,100}:|(?:key|token|secret|password|passwd)=['\"]?)([^\s'\"{}$]{4,400})"
)
_SOUL_TEXTS = word_set("prompt config_note app_features misc_legacy")
_NAME_KEYS = ("name", "key", "variable")
_OPEN = word_set(  # beside credentials these are no secrets
    "type id name url endpoint base_url api_base region host port user username email model version provider scope mode"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One secret inside a text. ``kind`` is a word for counts: ``openai_key``, ``secret_variable``, ``header``."""

    start: int
    end: int
    kind: str


class _Text(NamedTuple):
    """One text of the document: its path, what names it, how it is read, and the mapping it stands in."""

    path: Path
    text: str
    name: str
    place: str
    owner: Mapping[str, Any]


def found_in(document: JsonObject, policy: Policy = DEFAULT) -> dict[Path, list[Found]]:
    """Return the secrets of every text that has any, sorted and without overlaps.

    A marker that stands for a secret is none. Never raises, whatever the shape of the document.
    """
    keys = None if policy.is_empty else Addresses(document)
    found: dict[Path, list[Found]] = {}
    for item in _texts(document):
        hits = _hits(document, item)
        if keys is not None:
            hits = _by_policy(hits, item, policy, keys)
        if hits:
            found[item.path] = _apart(hits)
    return found


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


def _apart(hits: list[Hit]) -> list[Found]:
    """Return the hits in order, overlapping ones made one; the kind that says more counts."""
    done: list[Found] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        if done and hit.start < done[-1].end:
            kind = hit.kind if done[-1].kind in _VAGUE else done[-1].kind
            done[-1] = Found(start=done[-1].start, end=max(done[-1].end, hit.end), kind=kind)
        elif hit.end > hit.start:
            done.append(Found(start=hit.start, end=hit.end, kind=hit.kind))
    return done


_VAGUE = ("assigned_secret", "named_field", "generic_key", "password_in_url")


def _texts(document: JsonObject) -> Iterator[_Text]:
    """Yield every text that may hold a secret, in document order, with what names it."""
    stack: list[tuple[Path, Any, str, str, Mapping[str, Any]]] = [((), document, "", PROSE, document)]
    while stack:
        path, value, name, place, owner = stack.pop()
        if isinstance(value, str):
            if value:
                yield _Text(path, value, name, place, owner)
        elif isinstance(value, dict):
            stack += [
                ((*path, key), value[key], *_named(str(key), name, place), value)
                for key in reversed(value)
                if isinstance(value[key], (str, dict, list)) and not _is_skipped(str(key), value[key], place, value)
            ]
        elif isinstance(value, list):
            stack += [
                ((*path, index), value[index], name, place, owner)
                for index in range(len(value) - 1, -1, -1)
                if isinstance(value[index], (str, dict, list))
            ]


def _named(key: str, name: str, place: str) -> tuple[str, str]:
    """Return the name and the way of reading that hold below ``key``."""
    if key in _NO_NAMES:
        return "", _UNNAMED
    if key == "code" and place != SETTING:
        return key, CODE
    if place == PROSE and (key in _SETTINGS or key in _VARIABLES or key == "agent_soul"):
        place = SETTING
    elif key in _SOUL_TEXTS and name == "agent_soul":
        place = PROSE
    return (name if key in _VALUE_KEYS and name else key), place


_UNNAMED = "unnamed"


def _is_skipped(key: str, value: Any, place: str, owner: Mapping[str, Any]) -> bool:
    if key in _SKIPPED:
        return True
    if key == "value" and owner.get("type") == "variable" and isinstance(value, list):
        return True
    return place != SETTING and key in _STRUCTURE and not isinstance(value, dict)


def _hits(document: JsonObject, item: _Text) -> list[Hit]:
    text = without_references(item.text)
    path = item.path
    if path[-1] in ADDRESSES:
        return _all(text, "webhook_address")
    if path[0] in _VARIABLES and path[2:3] == ("value",) and is_secret_variable(item.owner):
        return _all(text, "secret_variable")
    reader = _http_reader(document, path)
    if reader:
        return reader(item, text)
    if path[0] == "agent_soul" and path[-1] in _VALUE_KEYS and path[-3:-2] == ("secret_refs",):
        return _all(text, "secret_reference")
    hits = texts.in_text(text, item.place if item.place in (CODE, SETTING) else PROSE)
    if item.place != _UNNAMED and len(text) <= _LONGEST:
        hits += _by_name(item, text)
    if path[0] == "agent_soul" and not _COMMANDS.isdisjoint(path):
        hits += [Hit(*match.span(1), "assigned_secret") for match in _IN_COMMAND.finditer(text) if "\0" not in match[1]]
    return hits


_LONGEST = 4096  # a longer text is no secret by its name alone


def _all(text: str, kind: str) -> list[Hit]:
    return [Hit(0, len(text), kind)] if text.strip() and "\0" not in text else []


def _by_name(item: _Text, text: str) -> list[Hit]:
    """Judge a text as a whole by the name of its field, then by the name that stands beside it."""
    path, name = item.path, item.name
    leaf = path[-2] if isinstance(path[-1], int) and len(path) > 1 else path[-1]  # items of a list are named as it is
    if _is_in(path, _HEADERS) and isinstance(leaf, str) and is_suspicious(leaf, text.strip()):
        return texts.whole(text, "header", leaf)
    if leaf in _VALUE_KEYS or leaf == name:
        level = strength(name)
        if level == STRONG and not _is_selector(item) and _is_value(item, text):
            return texts.whole(text, "named_field", name)
        if level != NONE and item.place == SETTING and leaf != "key" and looks_random(text.strip()):
            return texts.whole(text, "named_field", name)
    if leaf in _VALUE_KEYS:
        for beside in _names_beside(item.owner):
            if strength(beside) == STRONG and _is_value(item, text):
                kind = "named_variable" if path[0] in _VARIABLES else "named_field"
                return texts.whole(text, kind, beside)
            if strength(beside) != NONE and item.place == SETTING and looks_random(text.strip()):
                return texts.whole(text, "named_field", beside)
        if any(strength(beside) == STRONG for beside in _names_around(item.owner)) and looks_like_password(text):
            return texts.whole(text, "named_field", "compared")
    if _is_in(path, _CONTAINERS) and isinstance(leaf, str) and leaf not in _OPEN and looks_like_password(text):
        return texts.whole(text, "named_field", leaf)
    return []


def _is_value(item: _Text, text: str) -> bool:
    """Return whether a text with a secret's name may be the secret: no sentence, no address, no list of words."""
    value = text.strip()
    if "://" in value[:30] or value.count(" ") > 6 or value.count("\n") > 3:
        return False
    if isinstance(item.path[-1], int) or "completion_params" in item.path:
        return looks_like_password(value) or looks_random(value)
    return True


def _is_selector(item: _Text) -> bool:
    """Return whether the text is a part of a list that points to a variable."""
    return isinstance(item.path[-1], int) and item.place != SETTING


def _names_beside(owner: Mapping[str, Any]) -> Iterator[str]:
    for key in _NAME_KEYS:
        if isinstance(owner.get(key), str):
            yield owner[key]


def _names_around(owner: Mapping[str, Any]) -> Iterator[str]:
    """Yield what says less surely what a value is: a label, or the variable that it is compared with or put into."""
    if isinstance(owner.get("label"), str):
        yield owner["label"]
    selector = owner.get("variable_selector")
    if isinstance(selector, list) and selector and isinstance(selector[-1], str):
        yield selector[-1]


def _is_in(path: Path, names: frozenset[str]) -> bool:
    return any(step in names for step in path[:-1] if isinstance(step, str))


def _http_reader(document: JsonObject, path: Path) -> Callable[[_Text, str], list[Hit]] | None:
    """Return how a text of an HTTP request node is read; nothing for any other text."""
    match path:
        case ("graph", "nodes", int(index), "data", str(field), *_) if field in _HTTP:
            is_http = document["graph"]["nodes"][index]["data"].get("type") == "http-request"
            return _HTTP[field] if is_http else None
        case _:
            return None


def _in_authorization(item: _Text, text: str) -> list[Hit]:
    if item.path[-1] == "api_key":
        span = texts.bare(text)
        return [Hit(*span, "authorization", "api_key")] if span and not is_placeholder(text[slice(*span)]) else []
    return _by_name(item, text) if item.path[-1] not in ("header", "type") else []


def _in_body(item: _Text, text: str) -> list[Hit]:
    """Judge a body: JSON or raw text is one text, a form is a list of fields (or, in older DSL, lines)."""
    hits = texts.in_text(text, SETTING)
    if item.path[-1] == "data":
        return hits + (
            texts.in_lines(text, "body_field") if ":" in text and "{" not in text[:20] else texts.in_json(text)
        )
    if item.path[-1] == "value":
        name = text_of(item.owner.get("key"))
        if name and is_suspicious(name, text):
            return hits + texts.whole(text, "body_field", name)
        return hits + texts.in_json(text)
    return hits if item.path[-1] not in ("key", "type", "id") else []


_HTTP: Mapping[str | int, Callable[[_Text, str], list[Hit]]] = {
    "authorization": _in_authorization,
    "headers": lambda item, text: texts.in_lines(text, "header"),
    "params": lambda item, text: texts.in_lines(text, "query_parameter"),
    "url": lambda item, text: texts.in_text(text, SETTING),
    "body": _in_body,
}


def _by_policy(hits: list[Hit], item: _Text, policy: Policy, keys: Addresses) -> list[Hit]:
    """Return the hits without what the policy excepts, and with what it adds."""
    place = keys.spot(item.path).key
    if hits and hits[0].kind in ("secret_variable", "webhook_address"):
        return hits
    kept = [hit for hit in hits if not policy.excepts(hit.name, f"{place}#{hit.name}" if hit.name else place)]
    names = [item.name, *(_names_beside(item.owner) if item.path[-1] in _VALUE_KEYS else ())]
    text = without_references(item.text)
    for entry in policy.names:
        kept += texts.under(text, entry)
    if is_literal(text) and "\0" not in text and any(policy.adds(name, place) for name in names):
        kept += texts.whole(text, "policy", item.name)
    return kept

"""Where the secrets of a document are: every text is judged by its place, by the names around it, by what it says.

``found_in`` is the one entry: what it gives is sealed or cut. The rules are data (``secret_rules``), the policy of an
operator adds and excepts (``secret_policy``). What is not sealed by mistake costs a key in git; what is sealed by
mistake costs nothing but its being readable: so a doubt is decided for sealing, except for ids that are public by kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from difyops.dsl import secret_texts as texts
from difyops.dsl.locations import ADDRESSES, Locations, Path
from difyops.dsl.model import JsonObject, as_dict, text_of, word_set
from difyops.dsl.secret_policy import DEFAULT, SealPolicy
from difyops.dsl.secret_shapes import standing_alone
from difyops.dsl.suspicion import (
    CODE,
    NONE,
    PROSE,
    SETTING,
    STRONG,
    SuspicionHit,
    is_literal,
    is_odd,
    is_placeholder,
    is_suspicious,
    looks_like_password,
    looks_random,
    strength,
    without_references,
)
from difyops.secret_text import STARS

Span = tuple[int, int]

# Further ways of reading a text, beside those of ``suspicion``.
_HEADERS: Final = "headers"  # a setting: the name of a header, and its value
_CREDENTIALS: Final = "credentials"  # a setting: whatever looks like a password is one
_COMMAND: Final = "command"  # a setting: a line for a shell
_UNNAMED: Final = "unnamed"  # names are those of a schema, not of values
_SETTINGS = frozenset({SETTING, _HEADERS, _CREDENTIALS, _COMMAND})

# Below these fields texts are read in another way.
_AREAS: Mapping[str, str] = {
    word: area
    for area, words in (
        (
            SETTING,
            "tool_parameters tool_configurations agent_parameters event_parameters datasource_parameters agent_mode"
            " datasource_configurations external_data_tools sensitive_word_avoidance completion_params authorization"
            " params url body settings config mcp_servers env environment_variables conversation_variables"
            " rag_pipeline_variables agent_soul",
        ),
        (_HEADERS, "headers extra_headers default_headers http_headers extra_query cookies"),
        (_CREDENTIALS, "credentials credential secrets"),
        (_COMMAND, "command install_commands install_command install setup_command"),
        (_UNNAMED, "structured_output structured_output_schema paramSchemas schemas outputs output_schema"),
    )
    for word in words.split()
}
_VARIABLES = word_set("environment_variables conversation_variables rag_pipeline_variables")
_SOUL_TEXTS = word_set("prompt config_note app_features misc_legacy")
# Fields that hold the graph together, or name what is used: never a secret, and never to be cut.
_STRUCTURE = word_set(
    "id source target sourceHandle targetHandle type value_type var_type parentId start_node_id iteration_id loop_id"
    " provider_id provider_name provider_type provider tool_name plugin_id plugin_unique_identifier credential_id"
    " subscription_id dataset_ids icon_background mode variable key name case_id hash version created_at updated_at"
    " created_by updated_by agent_strategy_provider_name agent_strategy_name code_language logical_operator"
    " comparison_operator role edition_type operation input_type write_mode method"
)
_SKIPPED = word_set("value_selector variable_selector output_selector selector edges viewport dependencies dataset_ids")
_VALUE_KEYS = ("value", "default")
_NAME_KEYS = ("name", "key", "variable")
_OPEN = word_set(  # beside credentials these are no secrets
    "type id name url endpoint base_url api_base region host port user username email model version provider scope mode"
)
_IN_COMMAND = re.compile(  # a header, an option with user and password, or a variable set in a shell command
    r"(?i)(?:(?:authorization|key|token|secret)[ \t]{0,3}:[ \t]{0,3}(?:bearer[ ]|basic[ ]|token[ ])?"
    r"|(?:-u|--user)[ =]['\"]?[^\s:'\"]{1,100}:|(?:key|token|secret|password|passwd)=['\"]?)([^\s'\"{}$\0]{4,400})"
)
_LONGEST = 4096  # a longer text is no secret by its name alone


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceFound:
    """One secret inside a text. ``kind`` is a word for counts: ``openai_key``, ``secret_variable``, ``header``."""

    start: int
    end: int
    kind: str


class _Text(NamedTuple):
    """One text of the document: its path, what names it, how it is read, and the mapping it stands in.

    ``reader`` is how a field of an HTTP request node is read.
    """

    path: Path
    text: Any
    name: str
    place: str
    owner: Mapping[str, Any]
    reader: Callable[[_Text, str], list[SuspicionHit]] | None


def found_in(document: JsonObject, policy: SealPolicy = DEFAULT) -> dict[Path, list[PlaceFound]]:
    """Return the secrets of every text that has any, sorted and without overlaps.

    A marker that stands for a secret is none. Never raises, whatever the shape of the document.
    """
    keys = None if policy.is_empty else Locations(document)
    found: dict[Path, list[PlaceFound]] = {}
    for item in _texts(document):
        hits = _hits(item)
        if keys is not None:
            hits = _by_policy(hits, item, policy, keys)
        if hits:
            found[item.path] = _apart(hits)
    return found


def found_in_text(text: str) -> list[PlaceFound]:
    """Return the secrets of a text that stands in no document: a description, a title, a line of a log."""
    plain = without_references(text)
    return _apart([*texts.in_text(plain), *standing_alone(plain)])


def without_secrets(text: str) -> str:
    """Return a text that stands in no document with stars in place of what looks secret in it."""
    pieces, last = list[str](), 0
    for hit in found_in_text(text):
        pieces += [text[last : hit.start], STARS]
        last = hit.end
    return "".join([*pieces, text[last:]])


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


_VAGUEST = "generated"
_VAGUE = (_VAGUEST, "assigned_secret", "named_field", "generic_key", "password_in_url")


def _apart(hits: list[SuspicionHit]) -> list[PlaceFound]:
    """Return the hits in order, overlapping ones made one; the kind that says more counts."""
    done: list[PlaceFound] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        if done and hit.start < done[-1].end:
            kind = hit.kind if done[-1].kind in _VAGUE and hit.kind != _VAGUEST else done[-1].kind
            done[-1] = PlaceFound(start=done[-1].start, end=max(done[-1].end, hit.end), kind=kind)
        elif hit.end > hit.start:
            done.append(PlaceFound(start=hit.start, end=hit.end, kind=hit.kind))
    return done


def _texts(document: JsonObject) -> Iterator[_Text]:
    """Yield every text that may hold a secret, in document order, with what names it."""
    stack = [_Text((), document, "", PROSE, document, None)]
    while stack:
        item = stack.pop()
        path, value, name, place, owner, reader = item
        if isinstance(value, str):
            yield item
        elif isinstance(value, dict):
            stack += _members(item, value)
        else:
            stack += [
                _Text((*path, index), value[index], name, place, owner, reader)
                for index in range(len(value) - 1, -1, -1)
                if value[index] and isinstance(value[index], _READ)
            ]


_READ = (str, dict, list)


def _members(item: _Text, value: JsonObject) -> list[_Text]:
    """Return the members of a mapping, the last one first, with the names and the way of reading that hold for them."""
    path, outer, above, reader = item.path, item.place, item.name, item.reader
    is_setting, keeps_name = outer in _SETTINGS, bool(above) and outer != _UNNAMED
    kind = value.get("type")
    is_http, is_reference = kind == "http-request", kind == "variable"
    is_class = len(path) > 1 and path[-2] == "classes"  # of a classifier: what people wrote, under "name"
    found: list[_Text] = []
    for key, inner in reversed(value.items()):
        if not inner or not isinstance(inner, _READ) or key in _SKIPPED:
            continue
        if is_reference and key == "value" and isinstance(inner, list):
            continue
        if key in _STRUCTURE and not is_setting and not isinstance(inner, dict) and not (is_class and key == "name"):
            continue
        name = above if keeps_name and key in _VALUE_KEYS else str(key)
        if is_http:
            reader = _HTTP.get(key)
        found.append(_Text((*path, key), inner, name, _place(key, above, outer), value, reader))
    return found


def _place(key: str, name: str, outer: str) -> str:
    """Return the way of reading that holds below ``key``."""
    if outer == PROSE:
        return CODE if key == "code" else _AREAS.get(key, PROSE)
    if outer == SETTING:
        if key in _SOUL_TEXTS and name == "agent_soul":
            return PROSE
        return _AREAS.get(key, SETTING)
    return outer


def _hits(item: _Text) -> list[SuspicionHit]:
    path, place = item.path, item.place
    text = without_references(item.text)
    if path[-1] in ADDRESSES:
        return _all(text, "webhook_address")
    if _is_whole_secret(item):
        return _all(text, "secret_variable")
    if item.reader:
        return item.reader(item, text)
    if place in _SETTINGS:
        hits = texts.in_text(text, SETTING)
        if place == _COMMAND:
            hits += [SuspicionHit(*match.span(1), "assigned_secret") for match in _IN_COMMAND.finditer(text)]
    else:
        hits = texts.in_text(text, CODE if place == CODE else PROSE)
    if place != _UNNAMED and len(text) <= _LONGEST:
        hits += _by_name(item, text)
    return [*hits, *standing_alone(text, (item.name, *_names_beside(item.owner)))]


def _is_whole_secret(item: _Text) -> bool:
    """Return whether the text is the value of a secret variable, or of a secret reference of an agent app."""
    path = item.path
    if len(path) < 3:
        return False
    if path[-1] == "value" and item.owner.get("value_type") == "secret" and path[-3] in _VARIABLES:
        return True
    return path[-1] in _VALUE_KEYS and path[-3] == "secret_refs"


def _all(text: str, kind: str) -> list[SuspicionHit]:
    return [SuspicionHit(0, len(text), kind)] if text.strip() and "\0" not in text else []


def _by_name(item: _Text, text: str) -> list[SuspicionHit]:
    """Judge a text as a whole by the name of its field, then by the name that stands beside it."""
    path, name, place = item.path, item.name, item.place
    leaf = path[-2] if isinstance(path[-1], int) and len(path) > 1 else path[-1]  # items of a list are named as it is
    if place == _HEADERS and isinstance(leaf, str) and is_suspicious(leaf, text.strip()):
        return texts.whole(text, "header", leaf)
    is_value = leaf in _VALUE_KEYS
    if is_value or leaf == name:
        found = _named(item, text, name, "named_field")
        if found:
            return found
    if is_value:
        kind = "named_variable" if len(path) > 2 and path[-3] in _VARIABLES else "named_field"
        for beside in _names_beside(item.owner):
            found = _named(item, text, beside, kind)
            if found:
                return found
        if any(strength(beside) == STRONG for beside in _names_around(item.owner)) and looks_like_password(text):
            return texts.whole(text, "named_field", "compared")
    if place == _CREDENTIALS and isinstance(leaf, str) and leaf not in _OPEN and looks_like_password(text):
        return texts.whole(text, "named_field", leaf)
    return []


def _named(item: _Text, text: str, name: str, kind: str) -> list[SuspicionHit]:
    """Return the text as a secret of this name: the name says so, or hints at it and the text is random."""
    level = strength(name)
    if level == STRONG and _is_value(item, text):
        return texts.whole(text, kind, name)
    value = text.strip()
    if level != NONE and item.place in _SETTINGS and is_odd(value):
        return texts.whole(text, kind, name)
    return []


def _is_value(item: _Text, text: str) -> bool:
    """Return whether a text with a secret's name may be the secret: no sentence, no address, no list of words."""
    value = text.strip()
    if "://" in value[:30] or value.count(" ") > 6 or value.count("\n") > 3:
        return False
    if isinstance(item.path[-1], int):
        return item.place in _SETTINGS and (looks_like_password(value) or looks_random(value))
    if "completion_params" in item.path:
        return looks_like_password(value) or looks_random(value)
    return True


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


def _in_authorization(item: _Text, text: str) -> list[SuspicionHit]:
    if item.path[-1] == "api_key":
        span = texts.bare(text)
        return (
            [SuspicionHit(*span, "authorization", "api_key")] if span and not is_placeholder(text[slice(*span)]) else []
        )
    return _by_name(item, text) if item.path[-1] not in ("header", "type") else []


def _in_body(item: _Text, text: str) -> list[SuspicionHit]:
    """Judge a body: JSON or raw text is one text, a form is a list of fields (or, in older DSL, lines)."""
    hits = [*texts.in_text(text, SETTING), *standing_alone(text, (text_of(item.owner.get("key")),))]
    if item.path[-1] == "data":
        is_form = ":" in text and "{" not in text[:20]
        return hits + (texts.in_lines(text, "body_field") if is_form else texts.in_json(text))
    if item.path[-1] == "value":
        name = text_of(item.owner.get("key"))
        if name and is_suspicious(name, text):
            return hits + texts.whole(text, "body_field", name)
        return hits + texts.in_json(text)
    return hits if item.path[-1] not in ("key", "type", "id") else []


_HTTP: Mapping[str, Callable[[_Text, str], list[SuspicionHit]]] = {
    "authorization": _in_authorization,
    "headers": lambda item, text: [*texts.in_lines(text, "header"), *standing_alone(text)],
    "params": lambda item, text: [*texts.in_lines(text, "query_parameter"), *standing_alone(text)],
    "url": lambda item, text: texts.in_text(text, SETTING),
    "body": _in_body,
}


def _by_policy(hits: list[SuspicionHit], item: _Text, policy: SealPolicy, keys: Locations) -> list[SuspicionHit]:
    """Return the hits without what the policy excepts, and with what it adds."""
    if hits and hits[0].kind in ("secret_variable", "webhook_address"):
        return hits
    place = keys.location(item.path).key
    kept = [hit for hit in hits if not policy.excepts(hit.name, f"{place}#{hit.name}" if hit.name else place)]
    names = [item.name, *(_names_beside(item.owner) if item.path[-1] in _VALUE_KEYS else ())]
    text = without_references(item.text)
    for entry in policy.names:
        kept += texts.under(text, entry)
    if is_literal(text) and "\0" not in text and any(policy.adds(name, place) for name in names):
        kept += texts.whole(text, "policy", item.name)
    return kept

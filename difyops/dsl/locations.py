"""Locations of secrets inside a document, and the walking and rewriting that they need.

A location is logical: it names a node by id and a variable by name, so it stays the same when nodes move. Its ``key``
is stable text for files and command lines:

    env:API_TOKEN                                     an environment variable
    conversation:memory                               a conversation variable
    node:http1/authorization.config.api_key           a field of a node's data
    node:http1/headers#Authorization                  one header inside a text of several
    node:llm/prompt_template.0.text#~1                the first marker inside any other text
    config:agent_mode.tools.0.tool_parameters.key     the model config of a chat app
    soul:env.secret_refs.0.value                      the soul of an agent app
    feature:..., document:...                         features; anything else

A text holds a mark (``marks``) where a secret was. Which texts are secret is decided in ``secrets``, not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from difyops.dsl.marks import MARK, marks
from difyops.dsl.model import DslError, JsonObject, as_dict, as_list, text_of

ADDRESSES = frozenset({"webhook_url", "webhook_debug_url"})

Path = tuple[str | int, ...]

_KINDS = frozenset({"env", "conversation", "node", "feature", "config", "soul", "document"})
_WORDS = {"env": "environment variable", "conversation": "conversation variable", "document": "document"}
_VARIABLES = {"environment_variables": "env", "conversation_variables": "conversation"}
_SETTINGS = {"features": "feature", "model_config": "config", "agent_soul": "soul"}
_RESERVED = re.compile(r"[%./#\s\x00-\x1f\x7f]")
_LINES_OF = {"headers": "header", "params": "parameter", "data": "body field"}
_HEADER = re.compile(r"[\w\-. ]{1,100}")
_QUERY = re.compile(r"[?&]([^=&?\s]+)=(?:\{\{[^{}]*\}\}|[^&#\s])*$")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Location:
    """Where one secret lives. Equality, order and hash ignore ``label``, which is for people.

    ``place`` is the name of the variable, or node id and path, or the path; ``part`` names one of several secrets
    inside one text (a header, a query parameter, ``~1`` for the first otherwise unnamed one).
    """

    kind: str
    place: tuple[str, ...]
    part: str = ""
    label: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """Return the stable text form, which ``parse`` reads back."""
        text = ".".join(_quoted(step) for step in self.place)
        if self.kind == "node":
            text = text.replace(".", "/", 1)
        return f"{self.kind}:{text}" + (f"#{_quoted(self.part)}" if self.part else "")

    @property
    def is_generated(self) -> bool:
        """Return whether the server makes this value itself (webhook addresses); nobody has to keep it."""
        return self.kind == "node" and self.place[-1] in ADDRESSES

    @classmethod
    def parse(cls, key: str) -> Location:
        """Return the location of a ``key``.

        Raises:
            DslError: the text has not the form of a key.
        """
        kind, colon, rest = key.partition(":")
        text, _, part = rest.partition("#")
        if not colon or kind not in _KINDS or not text:
            raise DslError(
                f"{key!r} is not the location of a secret.", hint="Locations look like env:API_TOKEN or node:ID/field."
            )
        steps = text.replace("/", ".", 1).split(".") if kind == "node" else text.split(".")
        place = tuple(unquote(step) for step in steps)
        return cls(kind=kind, place=place, part=unquote(part), label=_label(kind, place, unquote(part), ""))


class Locations:
    """Turns paths of one document into locations; unique even where ids or names repeat."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        nodes = as_list(as_dict(document.get("graph")).get("nodes"))
        self._nodes = unique([text_of(as_dict(node).get("id")) for node in nodes])
        self._titles = [text_of(as_dict(as_dict(node).get("data")).get("title")) for node in nodes]
        self._names = {
            part: unique([text_of(as_dict(item).get("name")) for item in as_list(document.get(part))])
            for part in _VARIABLES
        }

    def location(self, path: Path, part: str = "") -> Location:
        """Return the location of the text at ``path``, or of one ``part`` of it."""
        kind, place, title = self._logical(path)
        return Location(kind=kind, place=place, part=part, label=_label(kind, place, part, title))

    def locations_in(self, path: Path, text: str) -> list[Location]:
        """Return one location for each mark in ``text``, in their order; no two are equal."""
        if MARK.fullmatch(text):
            return [self.location(path)]
        seen: set[str] = set()
        return [self.location(path, _fresh(_part_name(path, text, *found.span()), seen)) for found in marks(text)]

    def _logical(self, path: Path) -> tuple[str, tuple[str, ...], str]:
        match path:
            case ("graph", "nodes", int(index), "data", str(_), *_):
                return "node", (self._nodes[index], *_texts(path[4:])), self._titles[index]
            case (("environment_variables" | "conversation_variables") as part, int(index), "value", *rest):
                return _VARIABLES[part], (self._names[part][index], *_texts(rest)), ""
            case (("features" | "model_config" | "agent_soul") as part, str(_), *_):
                return _SETTINGS[part], _texts(path[1:]), ""
            case _:
                return "document", _texts(path), ""


def strings(document: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield every text of a document with its path, in document order; keys of mappings are not texts here."""
    stack: list[tuple[Path, Iterator[tuple[str | int, Any]]]] = [((), iter(document.items()))]
    while stack:
        path, members = stack[-1]
        for key, value in members:
            if isinstance(value, str):
                yield (*path, key), value
            elif value and isinstance(value, (dict, list)):
                stack.append(((*path, key), iter(value.items() if isinstance(value, dict) else enumerate(value))))
                break
        else:
            stack.pop()


def text_at(document: Mapping[str, Any], path: Path) -> str:
    """Return the text at ``path``."""
    value: Any = document
    for step in path:
        value = value[step]
    return str(value)


def rewritten(document: JsonObject, texts: Mapping[Path, str]) -> JsonObject:
    """Return the document with the texts at these paths replaced; what is not touched is shared, not copied."""
    if not texts:
        return dict(document)
    tree: dict[str | int, Any] = {}
    for path, text in texts.items():
        branch = tree
        for step in path[:-1]:
            branch = branch.setdefault(step, {})
        branch[path[-1]] = text
    changed: JsonObject = _grafted(document, tree)
    return changed


def unique(names: list[str]) -> list[str]:
    """Return the names, made different where they repeat or are missing: ``id``, ``id~2``; ``~1`` without a name."""
    seen: set[str] = set()
    return [_fresh(name, seen) for name in names]


def _grafted(value: Any, tree: Any) -> Any:
    if isinstance(tree, str):
        return tree
    copy = dict(value) if isinstance(value, dict) else list(value)
    for step, branch in tree.items():
        copy[step] = _grafted(copy[step], branch)
    return copy


def _part_name(path: Path, text: str, start: int, end: int) -> str:
    """Return the name that the text itself gives to what stands at ``start``: its header or its parameter."""
    if path[-1] in _LINES_OF:
        name, colon, _ = text[text.rfind("\n", 0, start) + 1 : start].partition(":")
        return name.strip() if colon and _HEADER.fullmatch(name) else ""
    if path[-1] == "url":
        named = _QUERY.search(text, 0, start)
        if named:
            return named.group(1)
        return "userinfo" if text.startswith("@", end) else ""
    return ""


def _fresh(name: str, seen: set[str]) -> str:
    number = 1
    part = name or "~1"
    while part in seen:
        number += 1
        part = f"{name}~{number}"
    seen.add(part)
    return part


def _texts(path: Iterator[str | int] | Path | list[str | int]) -> tuple[str, ...]:
    return tuple(str(step) for step in path)


def _quoted(step: str) -> str:
    return _RESERVED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found.group().encode()), step)


def _label(kind: str, place: tuple[str, ...], part: str, title: str) -> str:
    if kind == "node":
        name, path = f'node "{title or place[0]}"', place[1:]
    elif kind in ("env", "conversation"):
        name, path = f"{_WORDS[kind]} {place[0]}", place[1:]
    else:
        name, path = _WORDS.get(kind, kind), place
    detail = _detail(path, part)
    return f"{name} · {detail}" if detail else name


def _detail(path: tuple[str, ...], part: str) -> str:
    if part and not part.startswith("~") and path:
        return f"{_LINES_OF.get(path[-1], 'query parameter' if part != 'userinfo' else 'address')} {part}"
    return ".".join(path) + (f", secret {part[1:]}" if part else "")

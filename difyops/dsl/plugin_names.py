"""Where a document names a plugin, and the same document with another version of it. Pure.

A plugin is named by its identifier (``org/name:version@checksum``: tools, agent strategies, triggers), by a provider of
its own (``org/name/provider``: models and tools), and in old documents by the bare name of a provider.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from difyops.dsl.locations import strings
from difyops.dsl.model import iter_nodes, models

_IDENTIFIER = re.compile(r"[^\s:@]+/[^\s:@/]+:[^\s:@]+@[0-9a-zA-Z]+")
_LONGEST = 400  # characters of an id
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One place that names a plugin. ``identifier`` is blank where only its provider is named.

    ``node`` and ``title`` are blank outside of a graph.
    """

    node: str
    title: str
    place: str
    identifier: str
    name: str


def references(document: Mapping[str, Any], plugin: str) -> list[Reference]:
    """Return every place of a document that names ``plugin`` (``org/name``)."""
    found: list[Reference] = []
    inside: set[int] = set()
    for node in iter_nodes(document):
        inside.add(node.index)
        for path, text in strings(node.data):
            if names(text, plugin):
                found.append(_reference(node.id, node.name, path, text, plugin))
        bare = {(provider, name) for provider, name in models({"graph": {"nodes": [{"data": node.data}]}})}
        for provider, name in sorted(bare):
            if provider and provider == plugin.rpartition("/")[2]:
                found.append(Reference(node=node.id, title=node.name, place="model.provider", identifier="", name=name))
    for path, text in strings(document):
        if path[:2] != ("graph", "nodes") and names(text, plugin):
            found.append(_reference("", "", path, text, plugin))
    return found


def named(document: Mapping[str, Any], known: Collection[str]) -> dict[str, set[str]]:
    """Return which of the ``known`` plugins a document names, by whatever part of it, and the identifiers in it."""
    found: dict[str, set[str]] = {}
    for _, text in strings(document):
        if "/" in text[:_LONGEST]:
            plugin = "/".join(text[:_LONGEST].split(":", 1)[0].split("/", 2)[:2])
            if plugin in known and names(text, plugin):
                identifiers = found.setdefault(plugin, set())
                if is_identifier_of(text, plugin):
                    identifiers.add(text)
    for provider, _ in models(document):
        if "/" not in provider and (plugin := f"langgenius/{provider}") in known:
            found.setdefault(plugin, set())
    return found


def required(document: Mapping[str, Any]) -> set[str]:
    """Return the plugins that a document names by an identifier, and those of agent strategies."""
    found = set()
    for path, text in strings(document):
        if _IDENTIFIER.fullmatch(text):
            found.add(text.partition(":")[0])
        elif path and path[-1] == "agent_strategy_provider_name" and text.count("/") == 2:
            found.add(text.rpartition("/")[0])
    return found


def names(text: str, plugin: str) -> bool:
    """Say whether a text is the plugin's id, an identifier of any of its versions, or a provider of it."""
    return text == plugin or text.startswith(f"{plugin}/") or is_identifier_of(text, plugin)


def is_identifier_of(text: str, plugin: str) -> bool:
    """Say whether a text is the identifier of some version of a plugin."""
    return text.startswith(f"{plugin}:") and _IDENTIFIER.fullmatch(text) is not None


def stale(document: Any, plugin: str, identifier: str) -> int:
    """Return how many places name another version of ``plugin`` than ``identifier``."""
    return sum(is_identifier_of(text, plugin) and text != identifier for _, text in strings(document))


def rewritten(document: Any, plugin: str, identifier: str) -> Any:
    """Return a document in which each identifier of ``plugin`` is ``identifier``; the argument stays as it is."""
    if isinstance(document, str):
        return identifier if is_identifier_of(document, plugin) else document
    if isinstance(document, Mapping):
        return {name: rewritten(item, plugin, identifier) for name, item in document.items()}
    if isinstance(document, list):
        return [rewritten(item, plugin, identifier) for item in document]
    return document


def _reference(node: str, title: str, path: Path, text: str, plugin: str) -> Reference:
    is_identifier = is_identifier_of(text, plugin)
    return Reference(
        node=node,
        title=title,
        place=".".join(str(step) for step in path),
        identifier=text if is_identifier else "",
        name="" if is_identifier else text,
    )

"""Replacing one model by another in a document: which places name it, and a copy that names the other."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from difyops.runbook.providers import same_provider

JsonObject = dict[str, Any]


def switched(document: JsonObject, former: tuple[str | None, str], wanted: tuple[str, str]) -> tuple[JsonObject, int]:
    """Return a copy of a graph or model config in which ``wanted`` stands where ``former`` stood, and how often.

    A pair is (provider, model); a former provider of ``None`` means any. Settings of the model stay as they are.
    """
    changed = copy.deepcopy(document)
    count = 0
    for place in _places(changed):
        key = "name" if "name" in place else "model"
        provider = str(place.get("provider") or "")
        fits = former[0] is None or same_provider(provider, former[0])
        if place.get(key) == former[1] and fits:
            place[key], place["provider"] = wanted[1], wanted[0]
            count += 1
    return changed, count


def used(document: JsonObject) -> frozenset[tuple[str, str]]:
    """Return the pairs (provider, model) that a graph or model config names."""
    return frozenset(
        (str(place.get("provider") or ""), str(place.get("name") if "name" in place else place.get("model")))
        for place in _places(document)
    )


def _places(value: Any) -> Iterator[JsonObject]:
    """Yield the dicts that choose a model: ``{"provider", "name"}`` of nodes and configs, ``{"provider", "model"}`` of
    agent parameters. Dataset settings with embedding and rerank models have other keys and are left alone.
    """
    if isinstance(value, dict):
        chooses = "provider" in value and any(key in value for key in ("completion_params", "mode", "model_type"))
        if chooses and isinstance(value.get("name", value.get("model")), str):
            yield value
        for item in value.values():
            yield from _places(item)
    elif isinstance(value, list):
        for item in value:
            yield from _places(item)

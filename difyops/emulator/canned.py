"""Large answers that never change, kept as JSON files beside this module: plugins, providers, models, switches."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

from difyops.emulator.instance import Instance
from difyops.emulator.shapes import JsonDict


@functools.cache
def _text(name: str) -> str:
    return (resources.files("difyops.emulator") / "canned" / f"{name}.json").read_text(encoding="utf-8")


def _filled(instance: Instance, name: str) -> Any:
    return json.loads(instance.tenant_text(_text(name)))


def features() -> JsonDict:
    """Return the switches of a workspace."""
    return dict(json.loads(_text("features")))


def system_features() -> JsonDict:
    """Return the switches of an instance."""
    return dict(json.loads(_text("system_features")))


def parameter_rules() -> JsonDict:
    """Return the parameters of a model."""
    return dict(json.loads(_text("parameter_rules")))


def plugins(instance: Instance) -> JsonDict:
    """Return the installed plugins: one, the model provider."""
    body: JsonDict = _filled(instance, "plugins")
    if instance.release.provider_name:
        body["plugins"][0]["declaration"]["model"]["provider_name"] = ""
    return body


def openai_provider(instance: Instance) -> JsonDict:
    """Return the model provider without its configuration."""
    return dict(_filled(instance, "openai_provider"))


def openai_models(instance: Instance) -> list[JsonDict]:
    """Return the provider's models without their state."""
    return list(_filled(instance, "openai_models"))


def tool_providers(instance: Instance) -> list[JsonDict]:
    """Return the builtin tool providers that want no credentials."""
    return list(_filled(instance, "tool_providers"))

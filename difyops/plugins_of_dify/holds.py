"""Which plugins are not to be upgraded: ``plugins:`` in ``difyops.yaml``.

plugins:
  hold: {langgenius/openai: "0.2.8 until the proxy is fixed"}    # or a list of ids; globs match
  exclude: ["acme/*"]                                            # never told as outdated
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.errors import ConfigError

SECTION = "plugins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """Holds by glob with their reason, and globs of what is left out."""

    held: Mapping[str, str] = field(default_factory=dict)
    excluded: tuple[str, ...] = ()

    def reason(self, plugin: str) -> str | None:
        """Return why a plugin is held, ``None`` when it is not."""
        return next((why for entry, why in self.held.items() if fnmatch.fnmatchcase(plugin, entry)), None)

    def excludes(self, plugin: str) -> bool:
        """Say whether a plugin is left out of what is outdated."""
        return any(fnmatch.fnmatchcase(plugin, entry) for entry in self.excluded)


def holds_of(sections: Mapping[str, Any]) -> Holds:
    """Read the section.

    Raises:
        ConfigError: it has another shape; names the field.
    """
    body = sections.get(SECTION) or {}
    if not isinstance(body, Mapping):
        raise ConfigError("plugins: a mapping is expected.")
    unknown = sorted(set(map(str, body)) - {"hold", "exclude"})
    if unknown:
        raise ConfigError(f"plugins: unknown field {unknown[0]!r} (known: exclude, hold).")
    held = body.get("hold") or {}
    if isinstance(held, list):
        held = dict.fromkeys(held, "held in the configuration")
    excluded = body.get("exclude") or []
    if not isinstance(held, Mapping) or not all(isinstance(item, str) for pair in held.items() for item in pair):
        raise ConfigError(
            "plugins.hold: a list of plugins, or of plugin: reason, is expected.",
            hint='Example: hold: {langgenius/openai: "until the proxy is fixed"}',
        )
    if not isinstance(excluded, list) or not all(isinstance(item, str) for item in excluded):
        raise ConfigError("plugins.exclude: a list of plugins is expected.", hint='Example: exclude: ["acme/*"]')
    return Holds(held=dict(held), excluded=tuple(excluded))

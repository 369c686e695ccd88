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

from difyops.sections import Fields

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
    body = Fields(sections.get(SECTION), SECTION)
    given, excluded = body.get("hold", (list, dict)) or {}, body.texts("exclude")
    body.done()
    held = given if isinstance(given, dict) else dict.fromkeys(given, "held in the configuration")
    if not all(isinstance(item, str) for pair in held.items() for item in pair):
        hint = 'Example: hold: {langgenius/openai: "until the proxy is fixed"}'
        body.fail("hold", "must be a list of plugins, or of plugin: reason", hint)
    return Holds(held=dict(held), excluded=excluded)

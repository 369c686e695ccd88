"""Which plugins are not to be upgraded: ``plugins:`` in ``difyops.yaml``.

plugins:
  hold: {langgenius/openai: "0.2.8 until the proxy is fixed"}    # or a list of ids; globs match
  exclude: ["acme/*"]                                            # never told as outdated
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from difyops.setting_problems import BadSetting
from difyops.setting_values import Name
from difyops.settings import Named, SettingType, read_section

SECTION = "plugins"


def _held(value: Any) -> Mapping[str, str]:
    held = dict.fromkeys(value, "held in the configuration") if isinstance(value, list) else value
    if isinstance(held, dict) and all(isinstance(item, str) for pair in held.items() for item in pair):
        return held
    example = 'Example: hold: {langgenius/openai: "until the proxy is fixed"}'
    raise BadSetting("must be a list of plugins, or of plugin: reason", example)


_HOLD = SettingType(_held, {"type": ["object", "array"]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """Holds by glob with their reason, and globs of what is left out."""

    held: Annotated[Mapping[str, str], _HOLD, Named("hold"), "plugins that are not upgraded, and why"] = field(
        default_factory=dict
    )
    excluded: Annotated[tuple[Name, ...], Named("exclude"), "plugins that are never told as outdated"] = ()

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
    return read_section(Holds, sections, SECTION)

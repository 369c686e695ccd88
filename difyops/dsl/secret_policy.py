"""What an operator adds to the rules for secrets and excepts from them: ``secrets:`` in ``difyops.yaml``.

    secrets:
      add: ["customer_pin", "X-Tenant-Seal", "node:*/tool_parameters.seed.value"]
      except: ["app_token", "conversation:session_key", "node:llm/prompt_template.*"]

An entry is the name of a field (``*`` and ``?`` match, upper and lower case are one), or, with a colon, a place as
``snapshot`` shows it. A variable of type secret and the address of a webhook are never excepted.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from difyops.setting_problems import source_of
from difyops.setting_values import Name
from difyops.settings import Named, read, shape_of

_JOINTS = re.compile(r"[-_\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SealPolicy:
    """Names and places that are secret beside the rules, and those that are not although a rule says so."""

    added: Annotated[tuple[Name, ...], Named("add"), "names and places that are secret beside the rules"] = ()
    excepted: Annotated[tuple[Name, ...], Named("except"), "those that are not although a rule says so"] = ()

    @property
    def is_empty(self) -> bool:
        """Return whether the rules hold as they are."""
        return not self.added and not self.excepted

    @property
    def names(self) -> tuple[str, ...]:
        """Return the added names that stand for one name each: they are looked for inside texts as well."""
        return tuple(entry for entry in self.added if not set(":*?[") & set(entry))

    def adds(self, name: str, place: str) -> bool:
        """Return whether a field of this name, or the text at this place, is a secret by the policy."""
        return _fits(self.added, name, place)

    def excepts(self, name: str, place: str) -> bool:
        """Return whether what was found by this name, or at this place, stays in clear."""
        return _fits(self.excepted, name, place)


DEFAULT = SealPolicy()


def policy_of(sections: Mapping[str, Any]) -> SealPolicy:
    """Read ``add`` and ``except`` of the section ``secrets``; its other fields are for ``rotation.policy``.

    Raises:
        ConfigError: one of them is no list of texts; names file, line and field.
    """
    body = sections.get("secrets") or {}
    known = [item.written for item in shape_of(SealPolicy)]
    mine = {name: body[name] for name in known if name in body} if isinstance(body, Mapping) else body
    return read(SealPolicy, mine, source_of(sections, "secrets"), ("secrets",))


def _fits(entries: tuple[str, ...], name: str, place: str) -> bool:
    plain = _plain(name)
    return any(
        fnmatch.fnmatchcase(place, entry) or fnmatch.fnmatchcase(place.partition("#")[0], entry)
        if ":" in entry
        else bool(plain) and fnmatch.fnmatchcase(plain, _plain(entry))
        for entry in entries
    )


def _plain(name: str) -> str:
    return _JOINTS.sub("_", name.strip().lower())

"""What the configuration asks for: ``secrets:`` and ``deliver:``, validated here.

``add`` and ``except`` of ``secrets:`` are for ``dsl.secret_policy``.

    secrets:
      rotate_every: 90d                  # every secret, unless a rule says otherwise
      failures: 2                        # so many failed health rounds in a row turn back (2 by default)
      hold: keyring                      # where held values are kept while a rotation is open; default: private files
      probes:
        support-bot: {inputs: {...}, query: hello, contains: help, schema: {...}, max_seconds: 10}
      rules:
        - {match: "app-key/support-*", grace: 1h, failures: 3, probe: [support-bot], deliver: "file:/run/key"}
    deliver:
      "app-key/support-bot": ["keyring:support/dify", "cmd:vault-put support"]

Addresses: ``app-key/APP``, ``dataset-key``, ``env/APP/NAME``, ``provider/NAME``, ``tool/NAME``,
``model/PROVIDER/NAME``; ``*`` and ``?`` match. Later rules win.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from difyops.dsl.secret_policy import SealPolicy
from difyops.errors import DifyopsError
from difyops.rotation.deliver import check_references
from difyops.rotation.record import ProbeSpec
from difyops.rotation.vault import FILE, KEYRING
from difyops.setting_problems import BadSetting
from difyops.setting_values import Duration, Name, one_of, whole
from difyops.settings import Named, SettingType, read_names, read_section


def _receiver(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    try:
        check_references((text,))
    except DifyopsError as error:
        raise BadSetting(error.message, error.hint) from error
    return text


_RECEIVER = SettingType(_receiver)
_FAILURES = whole(1, 100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """What holds for the addresses that ``match`` fits; times in seconds; ``None`` and ``()`` say nothing."""

    match: Annotated[Name, 'an address, such as "app-key/support-*"']
    rotate_every: Duration | None = None
    grace: Annotated[Duration | None, "how long the old value works beside the new one"] = None
    failures: Annotated[int | None, _FAILURES, "so many failed health rounds in a row turn back"] = None
    probes: Annotated[tuple[Name, ...], Named("probe"), "names of probes, or of apps"] = ()
    deliver: tuple[Annotated[str, _RECEIVER], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsSection(SealPolicy):
    """The section ``secrets``."""

    rotate_every: Annotated[Duration | None, "every secret, unless a rule says otherwise"] = None
    failures: Annotated[int | None, _FAILURES, "so many failed health rounds in a row turn back"] = None
    hold: Annotated[str, one_of(FILE, KEYRING), "where held values are kept while a rotation is open"] = FILE
    probes: Mapping[str, ProbeSpec] = field(default_factory=dict)
    rules: tuple[PolicyRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPolicy:
    """The two sections, read."""

    rules: tuple[PolicyRule, ...] = ()
    probes: Mapping[str, ProbeSpec] = field(default_factory=dict)
    hold: str = FILE

    def for_address(self, address: str) -> PolicyRule:
        """Return the rules that fit, made one."""
        found: dict[str, Any] = {}
        for rule in self.rules:
            if fnmatch.fnmatchcase(address, rule.match):
                found |= {
                    name: getattr(rule, name)
                    for name in ("rotate_every", "grace", "failures", "probes", "deliver")
                    if getattr(rule, name) not in (None, ())
                }
        return PolicyRule(match=address, **found)


def policy_of(sections: Mapping[str, Any]) -> RotationPolicy:
    """Read the sections.

    Raises:
        ConfigError: a field is unknown or has the wrong type; names file, line and field.
    """
    secrets = read_section(SecretsSection, sections, "secrets")
    deliver = read_names(tuple[Annotated[str, _RECEIVER], ...], sections, "deliver")
    rules = (PolicyRule(match="*", rotate_every=secrets.rotate_every, failures=secrets.failures), *secrets.rules)
    receivers = (PolicyRule(match=address, deliver=found) for address, found in deliver.items())
    return RotationPolicy(rules=(*rules, *receivers), probes=secrets.probes, hold=secrets.hold)

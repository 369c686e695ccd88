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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.dsl.secret_policy import FIELDS as FINDING_FIELDS
from difyops.errors import ConfigError, DifyopsError
from difyops.rotation.deliver import check_references
from difyops.rotation.record import ProbeSpec
from difyops.rotation.vault import FILE, KEYRING

Duration = Callable[[str], float]
_PROBE_FIELDS = {"inputs": dict, "query": str, "contains": str, "schema": dict, "max_seconds": (int, float)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """What holds for the addresses that ``match`` fits; times in seconds; ``None`` and ``()`` say nothing."""

    match: str = "*"
    rotate_every: float | None = None
    grace: float | None = None
    failures: int | None = None
    probes: tuple[str, ...] = ()
    deliver: tuple[str, ...] = ()


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


def policy_of(sections: Mapping[str, Any], duration: Duration) -> RotationPolicy:
    """Read the sections; ``duration`` reads ``90d``.

    Raises:
        ConfigError: a field is unknown or has the wrong type; names it.
    """
    fields = {"rotate_every", "failures", "hold", "probes", "rules", *FINDING_FIELDS}
    body = _mapping(sections.get("secrets") or {}, "secrets", fields)
    hold = body.get("hold") or FILE
    if hold not in (FILE, KEYRING):
        raise ConfigError(f"secrets.hold: {hold!r} is neither file nor keyring.")
    every = _seconds(body.get("rotate_every"), "secrets.rotate_every", duration)
    rules = [PolicyRule(rotate_every=every, failures=_count(body.get("failures"), "secrets.failures"))]
    for number, item in enumerate(_list(body.get("rules"), "secrets.rules")):
        rules.append(_rule(item, f"secrets.rules[{number}]", duration))
    deliver = sections.get("deliver") or {}
    for address, places in _mapping(deliver, "deliver", None).items():
        rules.append(PolicyRule(match=str(address), deliver=_references(places, f"deliver.{address}")))
    probes = _mapping(body.get("probes") or {}, "secrets.probes", None)
    specs = {str(app): _probe(str(app), item) for app, item in probes.items()}
    return RotationPolicy(rules=tuple(rules), probes=specs, hold=str(hold))


def _rule(item: Any, place: str, duration: Duration) -> PolicyRule:
    body = _mapping(item, place, {"match", "rotate_every", "grace", "failures", "probe", "deliver"})
    if not isinstance(body.get("match"), str):
        raise ConfigError(f"{place}.match: an address is missing.", hint='Example: match: "app-key/support-*"')
    return PolicyRule(
        match=body["match"],
        rotate_every=_seconds(body.get("rotate_every"), f"{place}.rotate_every", duration),
        grace=_seconds(body.get("grace"), f"{place}.grace", duration),
        failures=_count(body.get("failures"), f"{place}.failures"),
        probes=tuple(_texts(body.get("probe"), f"{place}.probe")),
        deliver=_references(body.get("deliver"), f"{place}.deliver"),
    )


def _probe(app: str, item: Any) -> ProbeSpec:
    place = f"secrets.probes.{app}"
    body = _mapping(item or {}, place, set(_PROBE_FIELDS))
    for name, value in body.items():
        if isinstance(value, bool) or not isinstance(value, _PROBE_FIELDS[name]):  # type: ignore[arg-type]
            raise ConfigError(f"{place}.{name} has the wrong type ({type(value).__name__}).")
    return ProbeSpec(app="", name=app, **body)


def _references(value: Any, place: str) -> tuple[str, ...]:
    found = tuple(_texts(value, place))
    try:
        check_references(found)
    except DifyopsError as error:
        raise ConfigError(f"{place}: {error.message}", hint=error.hint) from error
    return found


def _texts(value: Any, place: str) -> list[str]:
    items = [value] if isinstance(value, str) else _list(value, place)
    if not all(isinstance(item, str) for item in items):
        raise ConfigError(f"{place} must be text, or a list of texts.")
    return items


def _list(value: Any, place: str) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise ConfigError(f"{place} must be a list.")
    return value or []


def _mapping(value: Any, place: str, known: set[str] | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{place} must be a mapping.")
    for key in value:
        if known is not None and key not in known:
            raise ConfigError(f"{place}: unknown field {key!r} (known: {', '.join(sorted(known))}).")
    return value


def _count(value: Any, place: str) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigError(f"{place} must be a whole number, 1 or more.")
    return value


def _seconds(value: Any, place: str, duration: Duration) -> float | None:
    if value is None:
        return None
    try:
        return duration(str(value))
    except DifyopsError as error:
        raise ConfigError(f"{place}: {error.message}", hint=error.hint) from error

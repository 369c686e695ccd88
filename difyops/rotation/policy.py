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
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.dsl.secret_policy import FIELDS as FINDING_FIELDS
from difyops.errors import ConfigError, DifyopsError
from difyops.rotation.deliver import check_references
from difyops.rotation.record import ProbeSpec
from difyops.rotation.vault import FILE, KEYRING
from difyops.sections import Fields


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


def policy_of(sections: Mapping[str, Any]) -> RotationPolicy:
    """Read the sections.

    Raises:
        ConfigError: a field is unknown or has the wrong type; names it.
    """
    body = Fields(sections.get("secrets"), "secrets")
    hold = body.text("hold", FILE)
    if hold not in (FILE, KEYRING):
        body.fail("hold", f"{hold!r} is neither file nor keyring")
    rules = [PolicyRule(rotate_every=_seconds(body, "rotate_every"), failures=_count(body))]
    rules += [_rule(Fields(item, place)) for place, item in body.items("rules")]
    whole = Fields(dict(sections), "the configuration")
    deliver = Fields(whole.mapping("deliver"), "deliver")
    rules += [PolicyRule(match=str(address), deliver=_references(deliver, address)) for address in deliver.body]
    specs = {app: _probe(app, item) for app, item in body.mappings("probes")}
    body.asked.update(FINDING_FIELDS)  # ``dsl.secret_policy`` reads these
    body.done()
    return RotationPolicy(rules=tuple(rules), probes=specs, hold=hold)


def _rule(body: Fields) -> PolicyRule:
    match = body.text("match")
    if not match:
        body.fail("match", "is missing: an address", 'Example: match: "app-key/support-*"')
    rule = PolicyRule(
        match=match,
        rotate_every=_seconds(body, "rotate_every"),
        grace=_seconds(body, "grace"),
        failures=_count(body),
        probes=body.texts("probe"),
        deliver=_references(body, "deliver"),
    )
    body.done()
    return rule


def _probe(app: str, body: Fields) -> ProbeSpec:
    spec = ProbeSpec(
        app="",
        name=app,
        inputs=body.get("inputs", dict) or {},
        query=body.text("query", "ping"),
        contains=body.get("contains", str),
        schema=body.get("schema", dict),
        max_seconds=body.get("max_seconds", (int, float)),
    )
    body.done()
    return spec


def _references(body: Fields, name: str) -> tuple[str, ...]:
    found = body.texts(name)
    try:
        check_references(found)
    except DifyopsError as error:
        raise ConfigError(f"{body.place}.{name}: {error.message}", hint=error.hint) from error
    return found


def _count(body: Fields) -> int | None:
    return body.count("failures", 0) if body.get("failures", object) is not None else None


def _seconds(body: Fields, name: str) -> float | None:
    return body.seconds(name, 0.0, longest=math.inf) if body.get(name, object) is not None else None

"""From what a person asked and what the configuration says to a whole plan: grace period, places, health checks.

Which apps to run as health checks is found by reading the workspace, when nobody names them: a few that the secret
serves and whose run has no effect outside (no tools, no HTTP requests), for a health check is a real run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from difyops.api.model import App
from difyops.dsl.model import node_types, tools
from difyops.errors import Refused, UsageError
from difyops.rotation.deliver import anchored, check_commands
from difyops.rotation.job import Workbench
from difyops.rotation.kinds import WantedSecret, kind_named
from difyops.rotation.planning import plan
from difyops.rotation.policy import PolicyRule, RotationPolicy
from difyops.rotation.reading import WorkspaceReading
from difyops.rotation.record import PlannedRotation, ProbeSpec, RotationSettings

T = TypeVar("T")

_MOST_PROBES = 3
_DAY = 86400.0
_LONGEST_GRACE = 366 * _DAY
_NOBODY = (
    "Nobody is handed the new key: callers that do not take it from the web page within the grace period lose their "
    "access."
)
_NO_WAY_BACK = (
    "A revert cannot hand the old value out again, for the server never shows it: those places keep the new one."
)
_HOW = "Name where callers read it (--deliver REF), or say that you bring it to them yourself (--by-hand)."
_ACTING = frozenset({"http-request", "agent", "tool"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationRequest:
    """The options of a rotation that a policy may fill in; ``grace`` in seconds.

    ``also_from`` are references to the other secrets of a credential, by field; ``failures`` is how many failed health
    rounds in a row turn back; ``by_hand`` says that a person brings a new key to its callers, ``is_looked_at`` that
    somebody sees the plan before it is carried out.
    """

    value_from: str | None = None
    also_from: Mapping[str, str] = field(default_factory=dict)
    probes: tuple[str, ...] = ()
    no_probe: bool = False
    deliver: tuple[str, ...] = ()
    grace: float | None = None
    failures: int | None = None
    force: bool = False
    by_hand: bool = False
    is_looked_at: bool = False


async def prepare(
    bench: Workbench,
    reading: WorkspaceReading,
    request: tuple[str, WantedSecret],
    asked: RotationRequest,
    policy: RotationPolicy,
) -> PlannedRotation:
    """Return the whole plan; nothing is changed.

    Raises:
        Refused: a key that somebody may use would be replaced by one that nobody is handed. SelectorError: a health
        check names no app. UsageError: the grace period is longer than a year, or a command
        to hand the value to is not there. What ``planning.plan`` raises.
    """
    settings = RotationSettings(
        deliver=asked.deliver,
        value_from=anchored(asked.value_from) if asked.value_from else None,
        also_from={name: anchored(reference) for name, reference in asked.also_from.items()},
        force=asked.force,
    )
    wanted = replace(request[1], others=tuple(asked.also_from))
    planned = await plan(bench, reading, (request[0], wanted), settings)
    rule = policy.for_address(address_of(planned))
    deliver = tuple(anchored(reference) for reference in asked.deliver or rule.deliver)
    check_commands(deliver)
    unheard = _check_handed_out(planned, deliver, asked)
    probes, warnings = await _probes(reading, planned, (asked, rule), policy)
    settings = replace(
        settings,
        grace=_bounded(_first(asked.grace, rule.grace, settings.grace)),
        sick_limit=_first(asked.failures, rule.failures, settings.sick_limit),
        deliver=deliver,
        probes=probes,
    )
    if deliver and kind_named(planned.kind).has_fields:
        warnings.append(_NO_WAY_BACK)
    return replace(planned, settings=settings, warnings=(*planned.warnings, *warnings, *unheard))


def _check_handed_out(planned: PlannedRotation, deliver: tuple[str, ...], asked: RotationRequest) -> tuple[str, ...]:
    """Return what to know where a new key is handed to nobody, and nobody said that its callers are told by hand.

    Raises:
        Refused: there is an old key, and nobody looks at the plan.
    """
    if deliver or asked.by_hand or kind_named(planned.kind).needs_value:
        return ()
    if planned.old is not None and not asked.is_looked_at:
        raise Refused(_NOBODY, hint=_HOW)
    return (f"{_NOBODY} {_HOW}",)


def _bounded(grace: float) -> float:
    """Return the grace period (seconds) again.

    Raises:
        UsageError: it is longer than a year.
    """
    if grace > _LONGEST_GRACE:
        raise UsageError(f"A grace period of {grace / _DAY:.0f} days is longer than a year.", hint="Example: 7d.")
    return grace


def _first(*given: T | None) -> T:
    """Return the first that was given; the last always is."""
    return next(one for one in given if one is not None)


def address_of(planned: PlannedRotation) -> str:
    """Return what policies match: names instead of ids."""
    match planned.kind:
        case "app-key":
            return f"app-key/{planned.target['app']}"
        case "env":
            return f"env/{planned.target['app']}/{planned.target['name']}"
        case _:
            return planned.subject


async def _probes(
    reading: WorkspaceReading,
    planned: PlannedRotation,
    named: tuple[RotationRequest, PolicyRule],
    policy: RotationPolicy,
) -> tuple[tuple[ProbeSpec, ...], list[str]]:
    asked, rule = named
    if asked.no_probe:
        return (), ["No app is run as a health check."]
    if names := asked.probes or rule.probes:
        return tuple([replace(_spec(policy, await reading.app(name)), found=False) for name in names]), []
    apps = await kind_named(planned.kind).users(reading.instance, reading, planned)
    chosen = await _harmless(reading, apps, policy)
    left_out = [app.name for app in apps if app not in chosen]
    warnings = []
    if not apps:
        warnings.append("No app is known to use it: none is run as a health check (name one with --probe).")
    elif not chosen:
        warnings.append("No app was found that can be run as a health check without effects; name one with --probe.")
    elif left_out:
        warnings.append(f"Not probed, though affected: {', '.join(left_out[:5])}{' ...' * (len(left_out) > 5)}.")
    return tuple(_spec(policy, app) for app in chosen), warnings


async def _harmless(reading: WorkspaceReading, apps: list[App], policy: RotationPolicy) -> list[App]:
    """Choose those with a configured check, then those whose run has no effect outside."""
    chosen = [app for app in apps if app.name in policy.probes]
    for app in apps:
        if len(chosen) >= _MOST_PROBES:
            break
        if app in chosen:
            continue
        document = await reading.document(app)
        if document and not tools(document.body) and not node_types(document.body) & _ACTING:
            chosen.append(app)
    return chosen


def _spec(policy: RotationPolicy, app: App) -> ProbeSpec:
    known = policy.probes.get(app.name) or policy.probes.get(app.id)
    return replace(known, app=app.id, name=app.name) if known else ProbeSpec(app=app.id, name=app.name, found=True)

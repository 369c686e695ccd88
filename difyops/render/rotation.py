"""How the rotation room's results look: result in, ``Outcome`` out. The verdict of a run is read from its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from difyops.clock import iso
from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure, Refused
from difyops.ledger import AuditEntry
from difyops.outcome import Block, Facts, Outcome, Table
from difyops.rotation.deliver import shown
from difyops.rotation.engine import Driven
from difyops.rotation.facts import gather
from difyops.rotation.inventory import InClear, ListedSecret, SecretInventory
from difyops.rotation.journal import JournalLine
from difyops.rotation.machine import RotationAction, State, next_step
from difyops.rotation.record import PlannedRotation, Rotation

_DAY = 86400.0


class Parked(DifyopsError):
    """A rotation stopped and waits for a person."""

    code = "parked"


def inventory(found: SecretInventory, *, only_overdue: bool, kinds: Sequence[str] = ()) -> Outcome:
    """Show what secrets there are; with ``only_overdue`` the exit code is 5 when there is one.

    It is 3 when something failed to be read: what is not seen may be overdue, too.
    """
    chosen = [item for item in found.secrets if not kinds or item.kind in kinds]
    overdue = [item for item in chosen if item.overdue]
    listed = overdue if only_overdue else chosen
    in_clear = [] if only_overdue or kinds else list(found.in_clear)
    columns = ("kind", "owner", "name", "age", "last used", "used by", "policy", "note")
    blocks: list[Block] = [Table(columns=columns, rows=[_row(item) for item in listed], empty=_none(chosen))]
    if in_clear:
        rows = [(item.app, item.label, item.advice) for item in in_clear]
        blocks.append(Table(columns=("app", "secret in clear", "how to move it"), rows=rows, title="In clear"))
    unknown = [item for item in chosen if item.rotate_every is not None and item.overdue is None]
    warnings = [*found.problems]
    if unknown:
        several = "one secret" if len(unknown) == 1 else f"{counted(len(unknown), 'secret')}"
        warnings.append(f"The age of {several} under a policy is not known: the server does not tell it.")
    return Outcome(
        kind="secret.list",
        data={"secrets": listed, "in_clear": in_clear},
        blocks=blocks,
        summary=_counted(chosen, overdue, in_clear, only_overdue=only_overdue),
        warnings=warnings,
        names=[item.address for item in listed],
        records=[asdict(item) for item in listed],
        error=_missing(found, overdue if only_overdue else []),
    )


def _none(chosen: Sequence[ListedSecret]) -> str:
    if not chosen:
        return "No secrets."
    ruled = any(item.rotate_every is not None for item in chosen)
    return "Nothing is overdue." if ruled else "Nothing can be overdue: no policy says how old a secret may get."


def _counted(
    chosen: Sequence[ListedSecret], overdue: Sequence[ListedSecret], clear: Sequence[InClear], *, only_overdue: bool
) -> str:
    """Say how many secrets there are, whatever is listed; and that no policy says when one is overdue."""
    ruled = sum(item.rotate_every is not None for item in chosen)
    state = f"{len(overdue)} overdue" if ruled else "no policy"
    said = f"{counted(len(chosen), 'secret')}, {state}"
    return said if only_overdue else f"{said}, {len(clear)} in clear"


def with_summary(outcome: Outcome, said: str) -> Outcome:
    """Return an outcome with another last line."""
    return replace(outcome, summary=said)


def _missing(found: SecretInventory, overdue: Sequence[ListedSecret]) -> DifyopsError | None:
    if overdue:
        return AnswerIsNo(
            "One secret is overdue."
            if len(overdue) == 1
            else f"{counted(len(overdue), 'secret is', 'secrets are')} overdue."
        )
    return None if found.is_whole else PartialFailure("Not everything could be read; secrets may be missing.")


def planned(plan: PlannedRotation) -> Outcome:
    """Show what would be done."""
    settings, places = plan.settings, [shown(reference) for reference in plan.settings.deliver]
    pairs: list[tuple[str, object]] = [
        ("secret", plan.label),
        ("now", plan.old or "none yet"),
        ("steps", ", ".join(plan.steps)),
        ("hand out to", ", ".join(places) or "nobody"),
        ("health checks", ", ".join(spec.name for spec in settings.probes) or "none"),
        ("grace period", _duration(settings.grace)),
    ]
    data = {
        "kind": plan.kind,
        "subject": plan.subject,
        "label": plan.label,
        "old": plan.old,
        "steps": plan.steps,
        "deliver": places,
        "probes": [spec.name for spec in settings.probes],
        "grace": settings.grace,
    }
    return Outcome(
        kind="secret.plan",
        data=data,
        blocks=[Facts(pairs=pairs)],
        summary=f"dry run: would rotate the {plan.label}",
        warnings=plan.warnings,
        names=[plan.subject],
    )


def driven(
    results: Sequence[Driven],
    kind: str,
    warnings: Sequence[str] = (),
    *,
    failed: Mapping[str, DifyopsError] | None = None,
) -> Outcome:
    """Show where rotations were left; the exit code is that of the worst, 3 when some went well.

    ``data`` has a row for each; of a command for one rotation it is that row.
    """
    errors = [error for error in (_verdict(item, kind) for item in results) if error]
    errors += list((failed or {}).values())
    total = len(results) + len(failed or {})
    error = errors[0] if errors else None
    if errors and len(errors) < total:
        error = PartialFailure(f"{len(errors)} of {counted(total, 'rotation')} did not go well: {errors[0].message}")
    rows = [_told(item.rotation) for item in results]
    pairs = [pair for item in results for pair in _facts(item)]
    single = len(results) == 1
    return Outcome(
        kind=kind,
        data=rows if kind == "secret.resume" else rows[0],
        blocks=[Facts(pairs=pairs)] if single else [_table([item.rotation for item in results])],
        summary="; ".join(_sentence(item) for item in results) or None,
        warnings=[*warnings, *(f"{identity}: {problem.message}" for identity, problem in (failed or {}).items())],
        names=[item.rotation.id for item in results],
        records=rows,
        error=error,
    )


def status(found: Sequence[Rotation], now: datetime) -> Outcome:
    """Show rotations, how far they are at ``now`` and what comes next."""
    waiting = [item for item in found if item.state is State.PARKED]
    warnings = [f"{item.id} waits for a person: {item.trouble or 'see its history'}" for item in waiting]
    return Outcome(
        kind="secret.status",
        data=[{**_told(item), "next": _next(item, now)} for item in found],
        blocks=[_table(found, now)],
        summary=f"{sum(item.is_open for item in found)} open, {len(waiting)} parked",
        warnings=warnings,
        names=[item.id for item in found],
    )


def history(found: Sequence[Rotation], broken: Sequence[str]) -> Outcome:
    """Show all rotations, newest last."""
    return Outcome(
        kind="secret.history",
        data={"rotations": [_told(item) for item in found], "audit_whole": not broken, "audit_breaks": list(broken)},
        blocks=[_table(found)],
        summary=f"{counted(len(found), 'rotation')}; the audit trail is {'broken' if broken else 'whole'}",
        names=[item.id for item in found],
        records=[_told(item) for item in found],
        error=AnswerIsNo(broken[0]) if broken else None,
    )


def steps(
    rotation: Rotation, lines: Sequence[JournalLine], audit: Sequence[AuditEntry], broken: Sequence[str]
) -> Outcome:
    """Show every line of one rotation's journal, and of the audit trail: who changed what."""
    rows = [(_when(line.when), line.entry, line.step, line.text) for line in lines]
    changes = [
        {
            "when": _when(entry.when),
            "who": entry.actor,
            "what": entry.action,
            "outcome": entry.outcome,
            "fingerprint": entry.data.get("fingerprint"),
        }
        for entry in audit
    ]
    return Outcome(
        kind="secret.steps",
        data={"rotation": _told(rotation), "steps": lines, "audit": changes, "audit_whole": not broken},
        blocks=[
            Facts(pairs=_pairs(rotation)),
            Table(columns=("when", "line", "step", "what"), rows=rows),
            Table(columns=tuple(changes[0]) if changes else ("audit",), rows=[tuple(c.values()) for c in changes]),
        ],
        summary=f"{rotation.label}: {rotation.state}, {counted(len(lines), 'line')}",
        names=[rotation.id],
        error=AnswerIsNo(broken[0]) if broken else None,
    )


def _verdict(item: Driven, kind: str) -> DifyopsError | None:
    rotation, step = item.rotation, item.step
    is_expected = rotation.was_asked and kind != "secret.rotate"  # who rotates did not ask for it: another terminal did
    if rotation.state is State.ROLLED_BACK and not is_expected:
        why = (rotation.went_back or "").rstrip(".")
        used = "That of another rotation" if rotation.memo.get("overtaken") else "The old one"
        return AnswerIsNo(f"The {rotation.label} was not rotated: {why}. {used} is in use.")
    if rotation.state is State.PARKED:
        return Parked(
            f"The rotation of the {rotation.label} is parked: {(rotation.trouble or step.why).rstrip('.')}.",
            hint=f"difyops secret history {rotation.id}; then {_ways_on(rotation)}",
        )
    if step.action is RotationAction.HOLD:
        return Refused(
            f"The old {rotation.label} is not retired: {step.why}.",
            hint=f"difyops secret resume {rotation.id} (looks again), with --force (retires it), or secret revert.",
        )
    return None


def _ways_on(rotation: Rotation) -> str:
    """Return what a person may say to a parked rotation."""
    match rotation.parked_from:
        case State.ROLLING_BACK:
            return f"secret resume {rotation.id} (with --force it passes over places that refuse the old value)"
        case State.RETIRED:
            return f"secret resume {rotation.id}"
        case _:
            return f"secret resume or secret revert {rotation.id}"


def _sentence(item: Driven) -> str:
    rotation = item.rotation
    match rotation.state:
        case State.DONE:
            end = "deleted and refused" if rotation.kind.endswith("-key") else "retired"
            return f"rotated the {rotation.label}; the old one is {end}"
        case State.GRACE:
            until = _when(_moment(rotation.memo.get("grace_until")))
            return f"the {rotation.label} is switched; in its grace period until {until} ({rotation.id})"
        case State.RETIRED:
            return f"the old {rotation.label} is deleted, but the server may accept it for ten more minutes"
        case State.ROLLED_BACK:
            overtaken = rotation.memo.get("overtaken")
            return (
                f"the {rotation.label} of another rotation is in use"
                if overtaken
                else f"the old {rotation.label} is in use again"
            )
        case _:
            return f"the {rotation.label} is {rotation.state} ({rotation.id})"


def _told(rotation: Rotation) -> dict[str, object]:
    memo = rotation.memo
    return {
        "id": rotation.id,
        "kind": rotation.kind,
        "subject": rotation.subject,
        "label": rotation.label,
        "state": str(rotation.state),
        "started": rotation.started,
        "updated": rotation.updated,
        "grace_until": _moment(memo.get("grace_until")),
        "health": memo.get("health"),
        "health_rounds": memo.get("rounds", 0),
        "checks": memo.get("probed", []),
        "old_use": memo.get("old_use") or None,
        "trouble": rotation.trouble,
        "went_back": rotation.went_back,
        "draft_set_aside": rotation.kept_draft,
    }


def _facts(item: Driven) -> list[tuple[str, object]]:
    return _pairs(item.rotation) + ([("next", f"{item.step.action}: {item.step.why}")] if item.step.why else [])


def _set_aside(rotation: Rotation) -> str:
    aside = rotation.memo.get("left_out") or ()
    names = [spec.name for spec in rotation.settings.probes if spec.app in aside]
    return f"; not counted, for they failed before the switch: {', '.join(names)}" if names else ""


def _pairs(rotation: Rotation) -> list[tuple[str, object]]:
    memo = rotation.memo
    checks = [f"{check.get('app')} {check.get('health')}" for check in memo.get("probed") or ()]
    pairs: list[tuple[str, object]] = [
        ("rotation", rotation.id),
        ("secret", rotation.label),
        ("state", str(rotation.state)),
        ("grace until", _when(_moment(memo.get("grace_until")))),
        (
            "health checks",
            f"{counted(memo.get('rounds', 0), 'round')}; {', '.join(checks) or 'none'}{_set_aside(rotation)}",
        ),
        ("old secret", memo.get("old_use") or None),
        ("trouble", rotation.trouble),
        ("went back", rotation.went_back),
        ("draft kept in", rotation.kept_draft),
    ]
    return [(label, value) for label, value in pairs if value is not None]


def _table(found: Sequence[Rotation], now: datetime | None = None) -> Table:
    """Return one line a rotation, for 80 columns: the start of the id is enough to name one."""
    rows = [
        (
            item.id[:6],
            item.label,
            str(item.state),
            _short(item.started),
            _short(_moment(item.memo.get("grace_until"))),
            item.memo.get("health"),
            item.trouble or item.went_back or (_next(item, now) if now else None),
        )
        for item in found
    ]
    columns = ("id", "secret", "state", "started", "grace until", "health", "next, or why" if now else "why")
    return Table(columns=columns, rows=rows, empty="No rotations.")


def _next(item: Rotation, now: datetime) -> str | None:
    """Return what a run would do now, in words; ``None`` at the end."""
    step = next_step(item.state, gather(item, now))
    match step.action:
        case RotationAction.REST:
            return step.why or None
        case RotationAction.WAIT:
            return f"wait {_duration(max(1.0, round(step.wait)))}"
        case _:
            return f"{step.action}: {step.why}" if step.why else str(step.action)


def _row(item: ListedSecret) -> tuple[object, ...]:
    used_by = ", ".join(item.users[:3]) + (f" +{len(item.users) - 3}" if len(item.users) > 3 else "")
    overdue = {True: "overdue", False: "ok", None: "age unknown"}[item.overdue]
    policy = f"{_duration(item.rotate_every)}: {overdue}" if item.rotate_every else None
    age = f"{item.age / _DAY:.0f} d" if item.age is not None else None
    return (item.kind, item.owner, item.name, age, _when(item.last_used), used_by or None, policy, item.note or None)


def _duration(length: float) -> str:
    for unit, size in (("d", _DAY), ("h", 3600.0), ("m", 60.0)):
        if length >= size and length % size == 0:
            return f"{length / size:g}{unit}"
    return f"{length:g}s"


def waits_until(rotation: Rotation) -> str:
    """Return what is told where nobody sees a progress line: what is waited for, and until when."""
    until = _when(_moment(rotation.memo.get("grace_until")))
    return f"{rotation.label}: {rotation.state}, both secrets are valid until {until}" if until else ""


def _moment(stamp: object) -> datetime | None:
    from difyops.clock import from_unix

    return from_unix(float(stamp)) if isinstance(stamp, int | float) else None


def _short(moment: datetime | None) -> str | None:
    """Return a time to the minute, in UTC, with a blank at which a narrow column can break it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ") if moment else None


def _when(moment: datetime | None) -> str | None:
    return iso(moment) if moment else None

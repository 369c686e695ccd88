"""``difyops secret``: rotation of secrets. Parse, plan, show, confirm, call the room, return what it found."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.session import Session
from difyops.errors import DifyopsError, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.rotation.engine import Driven
    from difyops.rotation.hands import Workbench
    from difyops.rotation.journal import Journal
    from difyops.rotation.kinds import Wanted
    from difyops.rotation.machine import Step
    from difyops.rotation.policy import Policy
    from difyops.rotation.prepare import Asked
    from difyops.rotation.record import Planned, Rotation
    from difyops.secret_text import SecretText

log = logging.getLogger("difyops.cli")
noun = group("Rotate keys, credentials and secret variables without a failed call.")

_STDIN = "-"
Identity = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="The start of a rotation's id; the only open one.")
]


@command(noun, "list")
def list_(
    session: Session,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what is overdue; exit 5 when anything is.")] = False,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Only this kind (repeatable).")] = None,
) -> Outcome:
    """List secrets: kind, owner, age, last use, who uses them, policy; and those that stand in apps in clear."""
    from difyops.render import rotation as views
    from difyops.render.progress import progress
    from difyops.rotation.inventory import Inventory, take_inventory
    from difyops.rotation.reading import Reading

    async def work() -> Inventory:
        async with session.instance() as instance:
            with progress("reading apps", quiet=session.quiet) as moved:
                bench = _bench(session, instance)
                return await take_inventory(bench, Reading(instance, moved), _policy(session))

    return views.inventory(session.run(work()), only_overdue=overdue, kinds=tuple(kind or ()))


@command(noun, "rotate")
def rotate(
    session: Session,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="app-key, dataset-key, env, provider, tool, model.")],
    target: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TARGET]...", help="APP; nothing; APP NAME; PROVIDER; PROVIDER; PROVIDER MODEL."),
    ] = None,
    value_from: Annotated[
        str | None,
        typer.Option("--value-from", metavar="REF", help="The new value: keyring:, env:, file:, cmd: or - (stdin)."),
    ] = None,
    field: Annotated[str | None, typer.Option("--field", help="Which field of a credential.")] = None,
    credential: Annotated[
        str | None, typer.Option("--credential", metavar="NAME|ID", help="Which credential or key is replaced.")
    ] = None,
    probe: Annotated[
        list[str] | None, typer.Option("--probe", metavar="APP", help="Health check (repeatable).")
    ] = None,
    no_probe: Annotated[bool, typer.Option("--no-probe", help="Run no app as a health check.")] = False,
    deliver: Annotated[
        list[str] | None,
        typer.Option("--deliver", metavar="REF", help="Where callers read the value: keyring:, file:, cmd: (stdin)."),
    ] = None,
    grace: Annotated[
        str | None, typer.Option("--grace", metavar="TIME", help="How long both stay usable (10m by default).")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait; secret resume --due finishes it.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Retire the old secret though it seems in use.")] = False,
) -> Outcome:
    """Replace a secret: create, hand out, prove, switch, watch, retire; back by itself when health checks fail."""
    from difyops.rotation.kinds import Wanted
    from difyops.rotation.prepare import Asked

    if probe and no_probe:
        raise UsageError("--probe and --no-probe exclude each other.")
    wanted = Wanted(arguments=tuple(target or ()), field=field, credential=credential)
    asked = Asked(
        value_from=value_from,
        probes=tuple(probe or ()),
        no_probe=no_probe,
        deliver=tuple(deliver or ()),
        grace=seconds(grace) if grace else None,
        force=force,
    )
    return session.run(_rotate(session, kind, wanted, asked, detach=detach))


@command(noun, "status")
def status(
    session: Session,
    rotation: Identity = None,
    everything: Annotated[bool, typer.Option("--all", help="Those at their end too.")] = False,
) -> Outcome:
    """Show open rotations: how far they are, what comes next, what a person must look at."""
    from difyops.render import rotation as views

    journal = _journal(session)
    if rotation:
        return views.status([journal.find(rotation)])
    return views.status(journal.all() if everything else journal.open())


@command(noun, "resume")
def resume(
    session: Session,
    rotation: Identity = None,
    due: Annotated[
        bool, typer.Option("--due", help="All that is open: do what is due, do not wait (for cron).")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Retire the old secret though it seems in use.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do what is due, do not wait.")] = False,
) -> Outcome:
    """Go on with a rotation that was cut off, left in its grace period, or parked."""
    if due and rotation:
        raise UsageError("--due is for all open rotations; give an id without it.")
    return session.run(_resume(session, rotation, due=due, force=force, wait=not (due or detach)))


@command(noun, "revert")
def revert(
    session: Session,
    rotation: Identity = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait; secret resume --due finishes it.")] = False,
) -> Outcome:
    """Bring the old secret back; possible until it is retired."""
    return session.run(_revert(session, rotation, wait=not detach))


@command(noun, "history")
def history(session: Session, rotation: Identity = None) -> Outcome:
    """Show what was done: all rotations, or every step of one; and whether the audit trail is whole."""
    from difyops.render import rotation as views

    journal = _journal(session)
    broken = session.ledger.verify_chain()
    if rotation is None:
        return views.history(journal.all(limit=200), broken)
    one = journal.find(rotation)
    return views.steps(one, journal.lines(one), broken)


async def _rotate(session: Session, kind: str, wanted: Wanted, asked: Asked, *, detach: bool) -> Outcome:
    from difyops.render import rotation as views
    from difyops.render.progress import progress
    from difyops.rotation import engine
    from difyops.rotation.prepare import prepare
    from difyops.rotation.reading import Reading

    _check_value(kind, asked)
    journalled = replace(asked, value_from=None) if asked.value_from == _STDIN else asked
    async with session.instance() as instance:
        bench = _bench(session, instance)
        with progress("reading apps", quiet=session.quiet) as moved:
            planned = await prepare(bench, Reading(instance, moved), (kind, wanted), journalled, _policy(session))
        if session.dry_run:
            return views.planned(planned)
        _show(session, planned)
        session.confirm("Go ahead?", changes=f"Rotating the {planned.label}")
        rotation = await engine.begin(bench, planned, await _value(asked.value_from))
        return views.driven(
            [await _drive(session, bench, rotation, wait=not detach)], "secret.rotate", planned.warnings
        )


def _check_value(kind: str, asked: Asked) -> None:
    from difyops.rotation.kinds import kind_named

    needs_value = kind_named(kind).needs_value
    if needs_value and asked.value_from is None:
        raise UsageError(
            f"{kind} needs the new value.", hint="--value-from keyring:..., env:NAME, file:PATH, cmd:... or -"
        )
    if not needs_value and asked.value_from is not None:
        raise UsageError(f"The server makes the value of a new {kind} itself; --value-from does not fit.")


async def _value(reference: str | None) -> SecretText | None:
    from difyops import credentials
    from difyops.secret_text import SecretText

    if reference is None:
        return None
    if reference != _STDIN:
        return await credentials.resolve_async(reference)
    if sys.stdin.isatty():
        return credentials.prompt("New value")
    text = sys.stdin.read().rstrip("\r\n")
    if not text:
        raise UsageError("--value-from -: standard input is empty.")
    return SecretText(text)


async def _drive(session: Session, bench: Workbench, rotation: Rotation, *, wait: bool) -> Driven:
    from difyops.render.progress import progress
    from difyops.rotation.engine import Driver

    with progress(rotation.label, quiet=session.quiet) as shown:

        def moved(now: Rotation, step: Step) -> None:
            length = max(1, round(now.settings.grace))
            left = round(float(now.memo.get("grace_until") or 0) - bench.clock.now().timestamp())
            done = length - max(0, min(length, left)) if now.memo.get("grace_until") else 0
            shown(done, length, f"{now.state}, {step.action}")

        try:
            return await Driver(bench, wait=wait, moved=moved).drive(rotation)
        except asyncio.CancelledError:
            log.warning("Left as it is, on record; go on with: difyops secret resume %s", rotation.id)
            raise


async def _resume(session: Session, identity: str | None, *, due: bool, force: bool, wait: bool) -> Outcome:
    from difyops.render import rotation as views
    from difyops.rotation import engine
    from difyops.rotation.machine import State

    journal = _journal(session)
    waiting = journal.open() if due else [_one(journal, identity)]
    found = [item for item in waiting if not (due and item.state is State.PARKED)]
    parked = [f"{item.id} ({item.label}) is parked and waits for a person." for item in waiting if item not in found]
    if session.dry_run or not found:
        return views.status(waiting)
    results: list[Driven] = []
    failed: dict[str, DifyopsError] = {}
    async with session.instance() as instance:
        bench = _bench(session, instance)
        for item in found:
            try:
                rotation = item if due else await engine.again(bench, item, force=force)
                results.append(await _drive(session, bench, rotation, wait=wait))
            except DifyopsError as error:
                if not due:
                    raise
                failed[item.id] = error
    return views.driven(results, "secret.resume", parked, failed=failed)


async def _revert(session: Session, identity: str | None, *, wait: bool) -> Outcome:
    from difyops.render import rotation as views
    from difyops.rotation import engine

    rotation = _one(_journal(session), identity)
    if session.dry_run:
        return views.status([rotation])
    session.confirm(f"Bring the old {rotation.label} back?", changes=f"Reverting the rotation of the {rotation.label}")
    async with session.instance() as instance:
        bench = _bench(session, instance)
        rotation = await engine.turn_back(bench, rotation)
        return views.driven([await _drive(session, bench, rotation, wait=wait)], "secret.revert")


def _one(journal: Journal, identity: str | None) -> Rotation:
    if identity:
        return journal.find(identity)
    found = journal.open()
    if len(found) != 1:
        listed = ", ".join(f"{item.id} ({item.label})" for item in found)
        raise UsageError(
            f"{len(found)} rotations are open; name one." if found else "No rotation is open.", hint=listed or None
        )
    return found[0]


def _show(session: Session, planned: Planned) -> None:
    """Let the person see the plan before the question, on stderr: stdout is for the result."""
    from difyops.render import rotation as views
    from difyops.render.plain import as_plain

    if not session.quiet and not session.yes:
        warnings = "".join(f"warning: {warning}\n" for warning in planned.warnings)
        sys.stderr.write(f"{as_plain(views.planned(planned).blocks)}\n{warnings}")


def _bench(session: Session, instance: Instance) -> Workbench:
    import getpass

    from difyops.rotation.hands import Workbench

    return Workbench(
        instance=instance,
        journal=_journal(session),
        state=session.config.state,
        actor=getpass.getuser(),
        hold=_policy(session).hold,
        judge=_judge,
    )


def _journal(session: Session) -> Journal:
    from difyops.clock import SystemClock
    from difyops.rotation.journal import Journal

    return Journal(session.ledger, session.config.context(session.one_context()).name, SystemClock())


def _policy(session: Session) -> Policy:
    from difyops.rotation.policy import policy_of

    return policy_of(session.config.sections, seconds)


def _judge(schema: Any, value: Any) -> str | None:
    """Judge an answer with the validation room: the first violation in words."""
    from difyops.validation.judge import compile_schema

    found = compile_schema(schema).violations(value)
    return f"its answer does not fit the schema: {found[0][1].message}" if found else None

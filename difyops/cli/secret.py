"""``difyops secret``: rotation of secrets. Parse, plan, show, confirm, call the room, return what it found."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli import secret_leak
from difyops.cli.door import command, group, seconds
from difyops.cli.reporting import As, formats_of, reported, unknown
from difyops.cli.secret_bench import STDIN, also_from, check_value, journal_of, policy_here, value_of, workbench
from difyops.cli.secret_driving import driving, one_rotation
from difyops.cli.secret_options import (
    Also,
    ByHand,
    Credential,
    Deliver,
    Detach,
    Failures,
    Field,
    Force,
    Grace,
    Kind,
    Leaked,
    NoProbe,
    Probe,
    Target,
    ValueFrom,
)
from difyops.cli.session import Session
from difyops.errors import DifyopsError, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.rotation.kinds import WantedSecret
    from difyops.rotation.prepare import RotationRequest
    from difyops.rotation.record import PlannedRotation

log = logging.getLogger("difyops.cli")
noun = group("Rotate keys, credentials and secret variables without a failed call.")

Identity = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="The start of a rotation's id; the only open one.")
]


@command(noun, "list", fleet=True)
def list_(
    session: Session,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what is overdue; exit 5 when anything is.")] = False,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Only this kind (repeatable).")] = None,
    as_: As = None,
) -> Outcome:
    """List secrets: kind, owner, age, last use, who uses them, policy; and those that stand in apps in clear.

    Examples:
        difyops secret list
        difyops secret list --overdue --as nagios
    """
    from difyops.render import rotation as views
    from difyops.render.cases import secret_suite
    from difyops.render.progress import progress
    from difyops.rotation.inventory import SecretInventory, take_inventory
    from difyops.rotation.kinds import kind_named
    from difyops.rotation.reading import WorkspaceReading

    chosen = tuple(kind_named(name).name for name in kind or ())

    async def work() -> SecretInventory:
        async with session.instance() as instance:
            with progress("reading apps", quiet=session.quiet) as moved:
                bench = workbench(session, instance)
                return await take_inventory(bench, WorkspaceReading(instance, moved), policy_here(session))

    formats = formats_of(as_)
    try:
        found = session.run(work())
        context = session.config.context(session.one_context()).name
    except DifyopsError as error:
        return unknown(error, formats, "secret.list")
    listed = views.inventory(found, only_overdue=overdue, kinds=chosen)
    return reported(listed, secret_suite(found, context, chosen), formats, dry_run=session.dry_run)


@command(noun, "rotate")
def rotate(
    session: Session,
    kind: Kind,
    target: Target = None,
    value_from: ValueFrom = None,
    field: Field = None,
    also: Also = None,
    credential: Credential = None,
    probe: Probe = None,
    no_probe: NoProbe = False,
    deliver: Deliver = None,
    by_hand: ByHand = False,
    grace: Grace = None,
    failures: Failures = None,
    detach: Detach = False,
    force: Force = False,
    leaked: Leaked = False,
) -> Outcome:
    """Replace a secret: create, hand out, prove, switch, watch, retire; back by itself when health checks fail.

    Examples:
        difyops secret rotate app-key support-triage --deliver file:key.txt --dry-run
        difyops secret rotate env support-triage API_TOKEN --value-from file:new-token.txt --yes
    """
    from difyops.rotation.kinds import WantedSecret
    from difyops.rotation.prepare import RotationRequest

    if probe and no_probe:
        raise UsageError("--probe and --no-probe exclude each other.")
    wanted = WantedSecret(arguments=tuple(target or ()), field=field, credential=credential)
    asked = RotationRequest(
        value_from=value_from,
        also_from=also_from(also or ()),
        probes=tuple(probe or ()),
        no_probe=no_probe or (leaked and not probe),
        deliver=tuple(deliver or ()),
        grace=seconds(grace, zero=True) if grace else 0.0 if leaked else None,
        failures=failures,
        force=force or leaked,
        by_hand=by_hand,
        is_looked_at=session.dry_run or _is_asked(session),
    )
    return session.run(_rotate(session, kind, wanted, asked, detach=detach))


@command(noun, "status")
def status(
    session: Session,
    rotation: Identity = None,
    everything: Annotated[bool, typer.Option("--all", help="Those at their end too.")] = False,
) -> Outcome:
    """Show open rotations: how far they are, what comes next, what a person must look at.

    Examples:
        difyops secret status
        difyops secret status --all -o json
    """
    from difyops.render import rotation as views

    journal = journal_of(session)
    if rotation:
        return views.status([journal.find(rotation)], journal.clock.now())
    return views.status(journal.all() if everything else journal.open(), journal.clock.now())


@command(noun, "resume")
def resume(
    session: Session,
    rotation: Identity = None,
    due: Annotated[
        bool, typer.Option("--due", help="All that is open: do what is due, do not wait (for cron).")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Retire though it seems in use; on the way back, pass over who refuses.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do what is due, do not wait.")] = False,
) -> Outcome:
    """Go on with a rotation that was cut off, left in its grace period, or parked.

    Examples:
        difyops secret resume --due
        difyops secret resume --due --dry-run
    """
    if due and rotation:
        raise UsageError("--due is for all open rotations; give an id without it.")
    return session.run(_resume(session, rotation, due=due, force=force, wait=not (due or detach)))


@command(noun, "revert")
def revert(
    session: Session,
    rotation: Identity = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait; secret resume --due finishes it.")] = False,
) -> Outcome:
    """Bring the old secret back; possible until it is retired.

    Examples:
        difyops secret revert --dry-run
        difyops secret revert --yes
    """
    return session.run(_revert(session, rotation, wait=not detach))


@command(noun, "history")
def history(session: Session, rotation: Identity = None) -> Outcome:
    """Show what was done: all rotations, or every step of one; and whether the audit trail is whole.

    Examples:
        difyops secret history
        difyops secret history -o json
    """
    from difyops.render import rotation as views

    journal = journal_of(session)
    broken = session.ledger.verify_chain()
    if rotation is None:
        return views.history(journal.all(limit=200), broken)
    one = journal.find(rotation)
    return views.steps(one, journal.lines(one), journal.audit(one), broken)


async def _rotate(
    session: Session, kind: str, wanted: WantedSecret, asked: RotationRequest, *, detach: bool
) -> Outcome:
    from difyops.render import rotation as views
    from difyops.render.progress import progress
    from difyops.rotation.carrying_out import carry_out
    from difyops.rotation.prepare import prepare
    from difyops.rotation.reading import WorkspaceReading

    check_value(kind, asked)
    journalled = replace(asked, value_from=None) if asked.value_from == STDIN else asked
    async with session.instance() as instance:
        bench = workbench(session, instance)
        with progress("reading apps", quiet=session.quiet) as moved:
            planned = await prepare(
                bench, WorkspaceReading(instance, moved), (kind, wanted), journalled, policy_here(session)
            )
        if session.dry_run:
            return views.planned(planned)
        _show(session, planned)
        session.confirm("Go ahead?", changes=f"Rotating the {planned.label}")
        driven = await carry_out(bench, planned, asked, value_of, driving(session, wait=not detach))
        return views.driven([driven], "secret.rotate", planned.warnings)


def _is_asked(session: Session) -> bool:
    """Say whether a person at a terminal sees the plan and answers."""
    return not session.yes and sys.stdin.isatty() and sys.stderr.isatty()


async def _resume(session: Session, identity: str | None, *, due: bool, force: bool, wait: bool) -> Outcome:
    from difyops.render import rotation as views
    from difyops.rotation.carrying_out import due_of, resume_due, resume_one

    journal = journal_of(session)
    waiting = journal.open() if due else [one_rotation(journal, identity)]
    if session.dry_run or (due and not due_of(waiting)[0]):
        return views.status(waiting, journal.clock.now())
    async with session.instance() as instance:
        bench, drive = workbench(session, instance), driving(session, wait=wait)
        if due:
            done = await resume_due(bench, waiting, drive)
        else:
            done = await resume_one(bench, waiting[0], drive, force=force)
    return views.driven(done.results, "secret.resume", done.aside, failed=done.failed)


async def _revert(session: Session, identity: str | None, *, wait: bool) -> Outcome:
    from difyops.render import rotation as views
    from difyops.rotation.carrying_out import revert
    from difyops.rotation.engine import check_can_go_back

    journal = journal_of(session)
    rotation = one_rotation(journal, identity)
    if session.dry_run:
        check_can_go_back(rotation)
        return replace(
            views.status([rotation], journal.clock.now()), summary=f"dry run: would bring the old {rotation.label} back"
        )
    session.confirm(f"Bring the old {rotation.label} back?", changes=f"Reverting the rotation of the {rotation.label}")
    async with session.instance() as instance:
        driven = await revert(workbench(session, instance), rotation, driving(session, wait=wait))
        return views.driven([driven], "secret.revert")


def _show(session: Session, planned: PlannedRotation) -> None:
    """Let the person see the plan before the question, on stderr: stdout is for the result."""
    from difyops.render import rotation as views
    from difyops.render.plain import as_plain

    if not session.quiet and not session.yes:
        warnings = "".join(f"warning: {warning}\n" for warning in planned.warnings)
        sys.stderr.write(f"{as_plain(views.planned(planned).blocks)}\n{warnings}")


for _name, _function in (("find", secret_leak.find), ("retire", secret_leak.retire)):
    command(noun, _name)(_function)

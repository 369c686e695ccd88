"""``difyops changes``: what was changed, what was cut off, and bringing it to its end, whatever kind it is."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.counting import counted
from difyops.errors import DifyopsError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.changes.listing import ChangeRow
    from difyops.changes.recovery import Kinds, Recoverable, Recovery
    from difyops.workspace import Workspace

noun = group("What was changed, what was cut off; finish it or take it back.")

Which = Annotated[
    str | None, typer.Argument(metavar="[CHANGE|APP]", help="A change's id or its beginning, an app's id or name.")
]


def kinds(rotations: Recoverable | None = None) -> Kinds:
    """Return the recovery of every kind of change; ``rotations`` as the configuration of this run has it."""
    from difyops import switching
    from difyops.drill import recovery as drills
    from difyops.drill.model import KIND as DRILL
    from difyops.evaluation.trial.run import KIND as TRIAL
    from difyops.evaluation.trial.run import trials
    from difyops.plugins_of_dify import touched, upgrade
    from difyops.publishing import put_back
    from difyops.publishing.document_change import DocumentChanges
    from difyops.release.recovery import Releases
    from difyops.release.work import KIND as RELEASE
    from difyops.rotation.record import KIND as ROTATION
    from difyops.rotation.recovery import Rotations
    from difyops.snapshot import making, rollback

    switches = {kind: switching.Switches(switch) for kind, switch in switching.KINDS.items()}
    return {
        rollback.KIND: rollback.Rollbacks(),
        making.KIND: making.Restores(),
        DRILL: drills.Drills(),
        TRIAL: trials(),
        RELEASE: Releases(),
        "app.switch_model": DocumentChanges(),
        touched.KIND: DocumentChanges(),
        upgrade.KIND: upgrade.Upgrades(),
        put_back.KIND: put_back.PutBacks(),
        ROTATION: rotations or Rotations(),
        **switches,
    }


def recovery(session: Session, instance: Instance) -> Recovery:
    """Return the recovery of one instance's changes."""
    from difyops.changes.recovery import Recovery
    from difyops.cli.secret_bench import rotations

    return Recovery(journal=session.workspace(instance).journal, kinds=kinds(rotations(session)))


@command(noun, "list")
def list_(session: Session) -> Outcome:
    """List the changes that were cut off, and the state that each left.

    Examples:
        difyops changes list
        difyops changes list -o json
    """
    from difyops.render import changes as views

    return views.told(session.run(told(session, None)))


@command(noun, "show")
def show(session: Session, which: Which = None) -> Outcome:
    """Show one change: what it did, what it holds, what the instance is like now.

    Examples:
        difyops changes show
        difyops changes show support-triage -o json
    """
    from difyops.render import changes as views

    return views.shown(session.run(told(session, which)))


@command(noun, "finish")
def finish(session: Session, which: Which = None) -> Outcome:
    """Bring changes that were cut off to their end, with proof (default: all of them).

    Examples:
        difyops changes finish --dry-run
        difyops changes finish support-triage --yes
    """
    return _end(session, which, "finish")


@command(noun, "undo")
def undo(session: Session, which: Which = None) -> Outcome:
    """Put back what is still ours of changes that were cut off (default: all of them).

    Examples:
        difyops changes undo --dry-run
        difyops changes undo support-triage --yes
    """
    return _end(session, which, "undo")


@command(noun, "draft")
def draft(
    session: Session,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A kept draft, or the beginning of its name.")
    ] = None,
    put_back: Annotated[bool, typer.Option("--put-back", help="Write it into the app's draft again.")] = False,
) -> Outcome:
    """List the drafts that were kept because a newer one was saved meanwhile; show one, or put it back.

    Examples:
        difyops changes draft
        difyops changes draft -o json
    """
    from difyops.errors import UsageError
    from difyops.publishing.kept_drafts import kept_draft, kept_drafts
    from difyops.publishing.put_back import put_kept_back
    from difyops.render import changes as views

    state = session.config.state
    if name is None:
        if put_back:
            raise UsageError("--put-back needs the name of a kept draft.", hint="difyops changes draft")
        return views.kept(kept_drafts(state))
    chosen = kept_draft(state, name, session.access)
    if not put_back:
        return views.kept_in_full(chosen)

    async def work() -> None:
        async with session.instance() as instance:
            session.confirm("Put it back?", changes=f"Putting {chosen.name} back into the draft")
            await put_kept_back(session.workspace(instance), chosen)

    if not session.dry_run:
        session.run(work())
    return views.kept([chosen], done=not session.dry_run)


@command(noun, "log")
def log(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many lines.")] = 50,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="Only the last 2h, 7d, ...")] = None,
    app: Annotated[str | None, typer.Option("--app", metavar="ID", help="Only this subject.")] = None,
) -> Outcome:
    """Read the audit trail: who changed what, when, with which outcome.

    Examples:
        difyops changes log
        difyops changes log --since 7d -o json
    """
    from datetime import timedelta

    from difyops.cli.door import seconds
    from difyops.render import changes as views

    begin = session.ledger.clock.now() - timedelta(seconds=seconds(since)) if since else None
    context = session.one_context()
    return views.log(session.ledger.audit_trail(since=begin, subject=app, context=context, limit=limit))


async def told(session: Session, which: str | None) -> list[ChangeRow]:
    """Return the changes that ``which`` means, with the state that each left; a whole id also one that ended."""
    from difyops.changes.listing import row

    async with session.instance() as instance:
        workspace = session.workspace(instance)
        damaged, broken = await _first_journals(workspace, which, take_over=not session.dry_run)
        found = recovery(session, instance)
        ended = [record for record in workspace.journal.all(limit=10_000) if which and record.id == which]
        records = [] if which in damaged else ended or found.chosen(which)
        return [*[await row(found, instance, record) for record in records], *broken]


async def _first_journals(
    workspace: Workspace, which: str | None, *, take_over: bool
) -> tuple[Collection[str], list[ChangeRow]]:
    """Take over what older versions left cut off; return the apps whose files are damaged, and rows of them."""
    from difyops.changes.listing import ChangeRow
    from difyops.rotation.journal import RotationJournal
    from difyops.snapshot import first_journal

    _, damaged = first_journal.left_behind(workspace.state, workspace.instance.context)
    if take_over:
        await first_journal.take_over(workspace)
        RotationJournal(workspace.journal).take_over_all()
    broken = [ChangeRow.damaged(app_id, error) for app_id, error in damaged.items() if which in (None, app_id)]
    return damaged, broken


def _end(session: Session, which: str | None, way: str) -> Outcome:
    from difyops.render import changes as views

    return views.told(session.run(end(session, which, way)), title=f"{way} of cut-off changes")


async def end(session: Session, which: str | None, way: str) -> list[ChangeRow]:
    """Finish or undo the changes that ``which`` means. One that cannot be ended now does not stop the rest.

    Raises:
        SelectorError: nothing of that name was cut off. DifyopsError: the only one could not be ended.
    """
    from difyops.changes.listing import ChangeRow, row

    async with session.instance() as instance:
        workspace = session.workspace(instance)
        damaged, broken = await _first_journals(workspace, which, take_over=not session.dry_run)
        found = recovery(session, instance)
        records = [] if which in damaged else found.chosen(which, to_end=True)
        if session.dry_run:
            return [*[await row(found, instance, record) for record in records], *broken]
        if count := len(records):
            session.confirm(f"{way.capitalize()} {count}?", changes=f"To {way} {counted(count, 'change')}")
        ends: list[ChangeRow] = []
        for record in records:
            try:
                ended = await (found.finish if way == "finish" else found.undo)(instance, record)
            except DifyopsError as error:
                if count == 1 and not broken:
                    raise
                ends.append(ChangeRow.of(record, "as it was, or partly ended", error=error))
            else:
                now = workspace.journal.read(record.id, record.subject)
                ends.append(ChangeRow.of(now, ended.text, ended=ended))
        return [*ends, *broken]

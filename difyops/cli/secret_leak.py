"""``difyops secret find`` and ``secret retire``: a value that leaked is found, and ended at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.secret_bench import STDIN, journal_of, value_of, workbench
from difyops.cli.secret_driving import drive, one_rotation
from difyops.cli.session import Session
from difyops.counting import counted
from difyops.errors import UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.rotation.finding import Search


def find(
    session: Session,
    value: Annotated[
        str, typer.Argument(metavar="-|REF", help="- (stdin; asked for on a terminal), env:NAME, file:PATH, cmd:...")
    ] = STDIN,
) -> Outcome:
    """Say whose a value is: owner, kind, who uses it, where it stands in clear. Exit 5 when it is found.

    The value comes on stdin (-, asked for on a terminal) or by reference, never as an argument, and is never shown.

    Examples:
        difyops secret find file:token.txt
        difyops secret find env:LEAKED_VALUE -o json
    """
    from difyops.render import rotation_leak as views
    from difyops.render.progress import progress
    from difyops.rotation.finding import SHORTEST
    from difyops.rotation.finding import find as look
    from difyops.rotation.reading import WorkspaceReading

    if value != STDIN and value.partition(":")[0] not in ("keyring", "env", "file", "cmd"):
        raise UsageError(
            "secret find takes no value as an argument: it would stay in the shell's history.",
            hint="difyops secret find - (then paste it), or env:NAME, file:PATH, cmd:COMMAND.",
        )

    async def work() -> Search:
        async with session.instance() as instance:
            bench = workbench(session, instance)
            wanted = await value_of(bench, value, option="secret find", asked="The value (not shown)")
            if wanted is None or len(wanted.reveal()) < SHORTEST:
                raise UsageError(f"A value of fewer than {counted(SHORTEST, 'character')} would be found everywhere.")
            with progress("reading apps", quiet=session.quiet) as moved:
                return await look(instance, WorkspaceReading(instance, moved), wanted)

    return views.found(session.run(work()))


def retire(
    session: Session,
    rotation: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The start of a rotation's id; the only open one.")
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Do not wait for the end of the grace period.")] = False,
) -> Outcome:
    """End the grace period of a rotation at once: the old secret is retired now, though it seems in use.

    Examples:
        difyops secret retire --now --yes
        difyops secret retire 3f2a --now --dry-run
    """
    if not now:
        raise UsageError("secret retire ends a grace period before its time: say --now.", hint="--now")
    return session.run(_retire(session, rotation))


async def _retire(session: Session, identity: str | None) -> Outcome:
    from difyops.render import rotation as views
    from difyops.rotation import engine

    journal = journal_of(session)
    rotation = one_rotation(journal, identity)
    if not engine.can_be_retired(rotation):
        shown = views.status([rotation], journal.clock.now())
        return views.with_summary(shown, f"{rotation.label} is {rotation.state}: the old secret is retired already")
    if session.dry_run:
        shown = views.status([rotation], journal.clock.now())
        return views.with_summary(shown, f"dry run: would retire the old {rotation.label} now")
    session.confirm(f"Retire the old {rotation.label} now?", changes=f"Retiring the old {rotation.label}")
    async with session.instance() as instance:
        bench = workbench(session, instance)
        rotation = await engine.end_grace(bench, rotation)
        return views.driven([await drive(session, bench, rotation, wait=True)], "secret.retire")

"""``difyops state``: where journals, audit trail and locks are, and moving them to where machines share them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.counting import counted
from difyops.errors import UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.ledger.backing import Database

noun = group("Where journals and locks are: here, or shared by several machines.")


@command(noun, "show")
def show(session: Session) -> Outcome:
    """Show where the state is and why, how much it holds, what waits to be brought in, and who holds which lock.

    Examples:
        difyops state show
        difyops state show -o json
    """
    from difyops.render import state as views
    from difyops.state_look import look

    return views.shown(look(session.config))


@command(noun, "move")
def move(
    session: Session,
    to: Annotated[str, typer.Option("--to", metavar="PLACE", help="postgresql://USER@HOST/DATABASE, or sqlite.")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="PLACE", help="Instead of where the state is by the configuration.")
    ] = None,
    password_from: Annotated[
        str | None,
        typer.Option("--password-from", metavar="REF", help="Its password: env:, file:, keyring:, cmd:."),
    ] = None,
) -> Outcome:
    """Move the state to a PostgreSQL that several machines share, or back into the file of this machine.

    The old place counts until the new one is whole; then it refuses writers and names the new one. When it is cut off,
    run it again. Afterwards, write the new place into difyops.yaml: the command says how.

    Examples:
        difyops state move --to postgresql://difyops@db.example.com/difyops --dry-run
        difyops state move --to sqlite --yes
    """
    from difyops import state_move
    from difyops.render import state as views

    with _opened(session, to, source, password_from) as (old, new):
        planned = state_move.plan(old, new)
        if session.dry_run:
            return views.moved(planned, dry_run=True)
        session.confirm(f"Move {counted(planned.copied.events, 'event')}?", changes=f"Moving the state to {new.place}")
        return views.moved(state_move.move(old, new), dry_run=False)


@contextmanager
def _opened(
    session: Session, to: str, source: str | None, password_from: str | None
) -> Iterator[tuple[Database, Database]]:
    from difyops.shared_state import database_at, place_of
    from difyops.state_address import SQLITE, checked

    here = place_of(session.config)
    target = None if to == SQLITE else checked(to, where="--to")
    if source is not None:
        origin = None if source == SQLITE else checked(source, where="--from")
    else:  # who wrote the new place into the file already moves what is here
        origin = None if here.url == target else here.url
    if origin == target:
        raise UsageError("The state is there already.", hint="difyops state show")
    with (
        database_at(session.config, origin, password_from) as old,
        database_at(session.config, target, password_from) as new,
    ):
        yield old, new

"""``difyops snapshot show|log|leaks``: what the store holds. No call to an instance is made."""

from __future__ import annotations

from typing import Annotated

import typer

from difyops.cli.door import command
from difyops.cli.session import Session
from difyops.errors import SelectorError, UsageError
from difyops.outcome import Outcome

Revision = Annotated[str, typer.Argument(metavar="[SNAPSHOT]", help="Tag, commit, latest, latest~1.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")]


def register(noun: typer.Typer) -> None:
    """Add the commands of this file to the noun."""
    for name, function in (("show", show), ("log", log), ("leaks", leaks)):
        command(noun, name)(function)


def show(
    session: Session,
    revision: Revision = "latest",
    app: Annotated[str | None, typer.Argument(metavar="[APP]", help="One app of it: id, name or slug.")] = None,
    dsl: Annotated[bool, typer.Option("--dsl", help="Print the portable DSL of the app, secrets as marks.")] = False,
) -> Outcome:
    """Show what one snapshot holds, or what it holds of one app.

    Examples:
        difyops snapshot show
        difyops snapshot show latest~1 -o json
    """
    from difyops.cli.stores import context_of, open_store
    from difyops.errors import NothingKept
    from difyops.render import app_history as app_views
    from difyops.render import snapshot as views
    from difyops.snapshot.app_history import app_in
    from difyops.snapshot.history import show as shown

    store, context = open_store(session), context_of(session)
    if app is not None:
        found = app_in(store, context, revision, app)
        return app_views.dsl_of(found) if dsl else app_views.app_shown(found)
    if dsl:
        raise UsageError("--dsl is of one app.", hint=f"difyops snapshot show {revision} APP --dsl")
    try:
        return views.shown(shown(store, context, revision))
    except NothingKept as error:
        try:
            app_in(store, context, "latest", revision)
        except (SelectorError, NothingKept):
            raise error from None
        error.hint = f"It is an app: difyops snapshot show latest {revision}"
        raise


def log(
    session: Session,
    app: Annotated[str, typer.Argument(metavar="APP", help="App id, exact name or slug; it may be gone.")],
    limit: Limit = 50,
) -> Outcome:
    """Tell one app's history: each snapshot in which it changed, what was live then, who published it.

    Examples:
        difyops snapshot log support-triage
        difyops snapshot log support-triage --limit 5 -o json
    """
    from difyops.cli.stores import context_of, open_store
    from difyops.render import app_history as views
    from difyops.snapshot.app_history import app_log

    return views.app_log(app_log(open_store(session), context_of(session), app, limit=limit))


def leaks(session: Session) -> Outcome:
    """Find secrets that snapshots hold in clear, by commit and place; exit 5 when there are any.

    Examples:
        difyops snapshot leaks
        difyops snapshot leaks -o json
    """
    from difyops.cli.stores import context_of, open_store
    from difyops.render import app_history as views
    from difyops.render.progress import progress
    from difyops.snapshot.leaks import find_leaks

    with progress("reading contents", quiet=session.quiet) as moved:
        policy = session.access.policy
        return views.leaks(find_leaks(open_store(session), context_of(session), policy=policy, progress=moved))

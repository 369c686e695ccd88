"""``difyops doctor``: can this machine do its job against this instance? One command, not a group of them."""

from __future__ import annotations

from typing import Annotated

import typer

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.outcome import Outcome

noun = group("Can this machine do its job against this instance?")


@command(noun, "doctor")
def doctor(
    session: Session,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="NAME=VALUE", help="probe_app=APP, redis=REF: look at workers and queues."),
    ] = None,
) -> Outcome:
    """Check machine, store and instance, each of its parts; name plaintext secrets. Exit 5 on a failure."""
    from difyops.cli.runbook_run import Wanted, carry_out
    from difyops.render.doctor import examined
    from difyops.runbook.library import shipped_folder

    place = next(folder for folder in (session.config.store, *session.config.store.parents) if folder.exists())
    wanted = Wanted(
        runbook=str(shipped_folder() / "doctor.yaml"),
        undo=None,
        given=(f"store={place}", *(given or ())),
        is_forgiving=True,
    )
    return examined(carry_out(session, wanted))

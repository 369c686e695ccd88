"""``difyops doctor``: can this machine do its job against this instance? One command, not a group of them."""

from __future__ import annotations

from typing import Annotated

import typer

from difyops.cli.door import command, group
from difyops.cli.reporting import As, formats_of, reported, unknown
from difyops.cli.session import Session
from difyops.errors import DifyopsError
from difyops.outcome import Outcome

noun = group("Can this machine do its job against this instance?")


@command(noun, "doctor", fleet=True)
def doctor(
    session: Session,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="NAME=VALUE", help="probe_app=APP, redis=REF: look at workers and queues."),
    ] = None,
    as_: As = None,
) -> Outcome:
    """Check machine, store and instance, each of its parts; name plaintext secrets. Exit 5 on a failure.

    Examples:
        difyops doctor
        difyops doctor --as nagios
    """
    from difyops.cli.runbook_run import RunbookRequest, carry_out
    from difyops.render.doctor import examined
    from difyops.runbook.library import shipped_folder
    from difyops.runbook.outputs import suite_of

    formats = formats_of(as_)

    place = next(folder for folder in (session.config.store, *session.config.store.parents) if folder.exists())
    wanted = RunbookRequest(
        runbook=str(shipped_folder() / "doctor.yaml"),
        undo=None,
        given=(f"store={place}", *(given or ())),
        is_forgiving=True,
    )
    try:
        record = carry_out(session, wanted)
    except DifyopsError as error:
        return unknown(error, formats, "doctor")
    return reported(examined(record), suite_of(record), formats, dry_run=session.dry_run)

"""``difyops app paused|resume|reject``: runs that wait for a person. Parse, call, return; registered by ``app``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, seconds
from difyops.cli.session import Session
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.waiting import Reply

Selectors = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SELECTOR]...", help="Id, name, slug, glob, tag:NAME, mode:NAME, @file, all (default)."),
]
OneApp = Annotated[str, typer.Argument(metavar="APP", help="App id, exact name or slug.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="The run, as difyops app paused lists it.")]
Inputs = Annotated[
    list[str] | None, typer.Option("--input", metavar="K=V|@FILE", help="Fields of the form (repeatable).")
]
Action = Annotated[str | None, typer.Option("--action", metavar="ID", help="Which way, where there are several.")]
Node = Annotated[str | None, typer.Option("--node", metavar="ID", help="Which form, where the run waits at several.")]
Wait = Annotated[str, typer.Option("--wait", metavar="TIME", help="How long to look what becomes of the run.")]


def register(noun: typer.Typer) -> None:
    """Add the commands to the noun ``app``."""
    command(noun, "paused")(paused)
    command(noun, "resume")(resume)
    command(noun, "reject")(reject)


def paused(session: Session, selectors: Selectors = None) -> Outcome:
    """List the runs that wait for a person: at which node, since when, until when, what is asked (1.13.0 and newer).

    Examples:
        difyops app paused
        difyops app paused support-triage -o json
    """
    from difyops.clock import SystemClock
    from difyops.render import waiting as views
    from difyops.targets import select
    from difyops.waiting import Waits, waits

    now = SystemClock().now().timestamp()

    async def work() -> Waits:
        async with session.instance() as instance:
            apps = [app async for app in instance.console.apps()]
            return await waits(instance, select(apps, selectors) if selectors else apps, now=now)

    return views.waiting(session.run(work()), now)


def resume(
    session: Session, app: OneApp, run: Run, inputs: Inputs = None, action: Action = None, node: Node = None,
    wait: Wait = "30s",
) -> Outcome:  # fmt: skip
    """Answer the form of a run that waits, so that it goes on. A form can be answered once; there is no way back.

    Examples:
        difyops app resume support-triage 5a7c2f1e-0000-4000-8000-000000000000 --input note=fine --action ok
        difyops app resume support-triage 5a7c2f1e-0000-4000-8000-000000000000 --dry-run
    """
    return _answer(session, app, run, _reply(inputs, action, node, wait, rejects=False))


def reject(
    session: Session, app: OneApp, run: Run, inputs: Inputs = None, action: Action = None, node: Node = None,
    wait: Wait = "30s",
) -> Outcome:  # fmt: skip
    """Answer the form of a run that waits with its no: the action called no, reject, decline, deny or cancel.

    Examples:
        difyops app reject support-triage 5a7c2f1e-0000-4000-8000-000000000000 --input note=no
        difyops app reject support-triage 5a7c2f1e-0000-4000-8000-000000000000 --wait 2m --yes
    """
    return _answer(session, app, run, _reply(inputs, action, node, wait, rejects=True))


def _reply(inputs: list[str] | None, action: str | None, node: str | None, wait: str, *, rejects: bool) -> Reply:
    from difyops.cli.values import inputs_of
    from difyops.waiting import Reply

    given = {name: str(value) for name, value in inputs_of(inputs).items()}
    return Reply(action=action, rejects=rejects, inputs=given, node=node, wait=seconds(wait, zero=True))


def _answer(session: Session, selector: str, run: str, reply: Reply) -> Outcome:
    from difyops.clock import SystemClock
    from difyops.render import waiting as views
    from difyops.targets import pick
    from difyops.waiting import give_answer, plan_answer

    async def work() -> Outcome:
        async with session.instance() as instance:
            app = pick([item async for item in instance.console.apps()], selector)
            planned = await plan_answer(instance, app, run, reply)
            if session.dry_run:
                return views.planned(planned)
            if not session.yes:
                session.show_lines(views.lines(planned))
            session.confirm(f"Answer with {planned.action.id}?", changes=f"Answering a form of {app.name}")
            found = await give_answer(instance, planned, wait=reply.wait, clock=SystemClock())
            session.audit("app.resume", app.id, instance.name, run=run, node=planned.node.node, chose=found.action)
            return views.answered(found)

    return session.run(work())

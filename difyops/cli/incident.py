"""``difyops incident``: what changed and what fails, then back, with proof. Parse, look, ask, carry out, record."""

from __future__ import annotations

import logging
import secrets
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.session import Session
from difyops.counting import counted
from difyops.errors import DifyopsError, StalePlan, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.incident.looking import LookRequest
    from difyops.incident.model import Incident, Picture, Way
    from difyops.snapshot.plan import RollbackPlan
    from difyops.snapshot.rollback import RollbackOptions
    from difyops.snapshot.way_back import WayBack

log = logging.getLogger("difyops.cli")
_TRIES = 3
noun = group("What changed and what fails, side by side; then back, with proof.")


@command(noun, "incident")
def incident(
    session: Session,
    apps: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SELECTOR]...", help="Id, name, slug, glob, tag:NAME, @file, all (default)."),
    ] = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far back to look: 30m, 2h, 1d.")] = "2h",
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="SNAPSHOT|VERSION", help="Where to go back to; default: what went well last."),
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=0, help="Of how many apps that nobody changed the runs are read, too.")
    ] = 200,
    list_: Annotated[bool, typer.Option("--list", help="List the incidents on record.")] = False,
    show: Annotated[
        str | None, typer.Option("--show", metavar="ID|latest", help="Show one on record (-o markdown: the report).")
    ] = None,
) -> Outcome:
    """Look at what changed and what fails; on a terminal choose apps, see the plan, roll back, prove it.

    Without a terminal it prints the plan and the commands; with --yes it rolls the suspects back. Exit 5 while
    something fails, 3 when an app could not be read or did not go back.

    Examples:
        difyops incident --since 2h
        difyops incident --list
    """
    from difyops.clock import SystemClock
    from difyops.incident import record
    from difyops.incident.looking import LookRequest
    from difyops.render import incident as views

    if list_ and show:
        raise UsageError("--list and --show exclude each other.")
    if list_:
        return views.listed(record.kept(session.ledger, session.one_context()))
    if show:
        return views.shown(record.find(session.ledger, session.one_context(), show))
    until = SystemClock().now()
    wanted = LookRequest(
        selectors=tuple(apps or ()), since=until - timedelta(seconds=seconds(since)), until=until, most=most
    )
    return session.run(_work(session, wanted, to))


async def _work(session: Session, wanted: LookRequest, to: str | None) -> Outcome:
    from difyops.incident.looking import look
    from difyops.render import incident as views
    from difyops.render.progress import progress

    async with session.instance() as instance:
        with progress("looking", quiet=session.quiet):
            picture = await look(session.workspace(instance), wanted)
        ways = _chosen(session, picture, to)
        if not ways or session.dry_run:
            return await _told(session, instance, picture, _offered(picture, to))
        return views.done(await _back(session, instance, picture, ways))


async def _told(session: Session, instance: Instance, picture: Picture, offered: Sequence[Way]) -> Outcome:
    """Return what was seen, and of each suspect the plan of its rollback, or why there is none; nothing is written."""
    from difyops.render import incident as views
    from difyops.snapshot.rollback import RollbackOptions

    plans: list[RollbackPlan] = []
    told: list[Way] = []
    for way in offered:
        try:
            plans.append((await _planned(session, instance, way, RollbackOptions(), writes=False))[1])
            told.append(way)
        except DifyopsError as error:
            told.append(replace(way, text=error.message))
    return views.looked(picture, told, plans)


def _offered(picture: Picture, to: str | None) -> list[Way]:
    """Return the ways back of the suspects."""
    from difyops.incident.model import SUSPECT, Way

    suspects = [app for app in picture.of(SUSPECT) if to or app.back_to]
    return [Way(app_id=app.id, app=app.name, to=to or str(app.back_to), live=app.live) for app in suspects]


def _chosen(session: Session, picture: Picture, to: str | None) -> list[Way]:
    """Return which apps go back: chosen at the terminal, the suspects with ``--yes``, none where nobody is asked."""
    from difyops.incident.model import CHANGED, FAILING, SUSPECT, Way
    from difyops.render import incident as views

    offered = _offered(picture, to)
    if session.yes or session.dry_run or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return offered if session.yes else []
    listed = [app for verdict in (SUSPECT, FAILING, CHANGED) for app in picture.of(verdict)]
    if not listed:
        return []
    sys.stderr.write(views.as_asked(picture) + "\n")
    names = ", ".join(str(place) for place, app in enumerate(listed, 1) if app.verdict == SUSPECT)
    default = [place for place, app in enumerate(listed, 1) if app.verdict == SUSPECT]
    question = f"Which go back? (numbers, names, all, none; Enter: {names or 'none'})"
    picked = _picked(session, question, [app.name for app in listed], default)
    return [
        Way(app_id=app.id, app=app.name, to=to or app.back_to or "latest", live=app.live)
        for place, app in enumerate(listed, 1)
        if place in picked
    ]


def _picked(session: Session, question: str, names: Sequence[str], default: Sequence[int]) -> set[int]:
    """Ask until the answer is one; what was looked at for a minute is not thrown away for a slip of a finger."""
    for left in reversed(range(_TRIES)):
        try:
            return chosen_of(session.answer(question), names, default)
        except UsageError as error:
            if not left:
                raise
            session.show_lines([error.message])
    return set()


def chosen_of(typed: str, names: Sequence[str], default: Sequence[int]) -> set[int]:
    """Return the numbers that a person typed: ``1 3``, ``1,3``, ``2-4``, ``all``, ``none``, or a name that one app of
    the list has; nothing: ``default``.

    Raises:
        UsageError: that is no such number.
    """
    words = typed.replace(",", " ").split()
    if not words:
        return set(default)
    if words == ["none"]:
        return set()
    if words == ["all"]:
        words = [f"1-{len(names)}"]
    elif names.count(typed.strip()) == 1 and not _numbers(typed.strip(), len(names)):
        words = [typed.strip()]
    found: set[int] = set()
    for word in words:
        meant = _numbers(word, len(names))
        if not meant and names.count(word) == 1:
            meant = {names.index(word) + 1}
        if not meant:
            raise UsageError(f"{word!r} is none of 1 to {len(names)}; nothing was changed.")
        found |= meant
    return found


def _numbers(word: str, count: int) -> set[int]:
    """Return the numbers that ``3`` or ``2-4`` means; none where one of them is not in the list, or it is no number."""
    first, _, last = word.partition("-")
    ends = (first, last or first)
    if not all(end.isdecimal() and 1 <= int(end) <= count for end in ends):
        return set()
    lowest, highest = sorted(map(int, ends))
    return set(range(lowest, highest + 1))


async def _back(session: Session, instance: Instance, picture: Picture, ways: Sequence[Way]) -> Incident:
    """Plan each way, show it, ask, carry it out; what was done is on record whatever ends it."""
    from difyops.cli.going_back import show_plans
    from difyops.clock import SystemClock, iso
    from difyops.incident import record
    from difyops.incident.model import Incident
    from difyops.snapshot.rollback import RollbackOptions

    clock, workspace = SystemClock(), session.workspace(instance)
    planned: dict[str, tuple[WayBack, RollbackPlan, RollbackOptions]] = {}
    ends: dict[str, Way] = {}
    for way in ways:
        try:
            planned[way.app_id] = await _planned(session, instance, way, RollbackOptions())
        except DifyopsError as error:
            ends[way.app_id] = replace(way, state="failed", text=error.message)
    moving = [plan for _, plan, _ in planned.values() if not plan.nothing_to_do]
    if moving:
        show_plans(session, moving)
        session.confirm("Go ahead?", changes=f"Rolling back {len(moving)} app{'s' * (len(moving) != 1)}")
    begun = Incident(
        id=secrets.token_hex(6), began=iso(clock.now()), ended=None, actor=workspace.actor, picture=picture,
        ways=tuple(ends.get(way.app_id, way) for way in ways),
    )  # fmt: skip
    record.keep(session.ledger, begun, clock)
    try:
        for way in ways:
            if way.app_id in planned:
                ends[way.app_id] = await _carried_out(session, instance, way, planned[way.app_id])
    finally:
        ended = replace(begun, ended=iso(clock.now()), ways=tuple(ends.get(way.app_id, way) for way in ways))
        record.keep(session.ledger, ended, clock)
    return ended


async def _planned(
    session: Session, instance: Instance, way: Way, options: RollbackOptions, *, writes: bool = True
) -> tuple[WayBack, RollbackPlan, RollbackOptions]:
    from difyops.cli.going_back import plans_of
    from difyops.cli.stores import open_store
    from difyops.incident.looking import live_mark
    from difyops.snapshot.way_back import WayBackRequest, find_way_back

    asked = WayBackRequest(word=way.to, access=session.access, writes=writes and not session.dry_run)
    back = await find_way_back(instance, lambda: open_store(session), asked)
    options = replace(options, plan=replace(options.plan, seal=back.seal, access=session.access))
    app = await instance.console.app(way.app_id)
    if live_mark(app) != way.live:
        raise StalePlan(f"{app.name!r} was published or saved anew since it was looked at; it is left alone.")
    plans, failed = await plans_of(instance, back, [app], options)
    if failed:
        raise next(iter(failed.values()))
    return back, plans[0], options


async def _carried_out(
    session: Session, instance: Instance, way: Way, planned: tuple[WayBack, RollbackPlan, RollbackOptions]
) -> Way:
    from difyops.cli.going_back import roll_one

    back, plan, options = planned
    try:
        done = await roll_one(session, instance, back, plan, options)
    except DifyopsError as error:
        return replace(way, state="failed", text=error.message)
    proofs = (
        f"{sum(proof.ok for proof in done.proofs)} of {counted(len(done.proofs), 'proof')} hold" if done.proofs else ""
    )
    return replace(way, state=done.state, text="; ".join(filter(None, [proofs, done.draft or "", *done.warnings])))

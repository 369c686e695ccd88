"""``difyops release promote``: an app of one instance over the same app of another."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.release_options import (
    Again,
    AllowEffects,
    Alpha,
    Calls,
    CasesFile,
    Dearer,
    Events,
    Every,
    For,
    Inputs,
    Least,
    Margin,
    NoShadow,
    NoWaitSlot,
    Pricier,
    Slower,
    Tokens,
    Wait,
    cases_of,
    gates_of,
    shadow_of,
    watch_of,
    workspace_of,
)  # fmt: skip
from difyops.cli.session import Session
from difyops.errors import AnswerIsNo, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.release.planning import PlanRequest
    from difyops.release.promote.plan import Promotion
    from difyops.release.promote.run import Promoting
    from difyops.workspace import Workspace

noun = group("Bring apps from one instance to another, with everything that they name translated.")


@command(noun, "plan")
def plan(
    session: Session,
    apps: Annotated[
        list[str], typer.Argument(metavar="APP...", help="Apps of the source: id, name, slug, glob, tag:NAME, @file.")
    ],
    source: Annotated[str, typer.Option("--from", metavar="CONTEXT", help="Where they come from.")],
    rings: Annotated[list[str], typer.Option("--to", metavar="CONTEXT", help="Where they go; several: one by one.")],
    bindings: Annotated[
        Path | None, typer.Option("--bindings", metavar="FILE", help="What stands for what (committed).")
    ] = None,
    to: Annotated[Path, typer.Option("--plan", metavar="FILE", help="Where to write the plan.")] = Path(
        "promotion.yaml"
    ),
    pause: Annotated[str, typer.Option("--pause", metavar="TIME", help="Between two rings.")] = "0s",
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Take secrets along that the target has no value for.")
    ] = False,
    calls: Calls = 50,
    no_shadow: NoShadow = False,
    inputs: Inputs = None,
    allow_effects: AllowEffects = False,
    tokens: Tokens = 0,
    events: Events = 50,
    least: Least = 5,
    watch: For = "1h",
    every: Every = "15s",
    alpha: Alpha = 0.01,
    slower: Slower = 0.25,
    dearer: Dearer = 0.25,
    pricier: Pricier = None,
    cases: CasesFile = None,
    margin: Margin = None,
    no_wait_slot: NoWaitSlot = False,
) -> Outcome:
    """Write a plan: every binding, what cannot be resolved first (then 5), and a release for each app and target.

    Examples:
        difyops release promote plan support-triage --from staging --to prod --bindings bindings.yaml
        difyops release promote plan 'support-*' --from staging --to canary --to prod --pause 30m --dry-run
    """
    from difyops.release.planning import PlanRequest
    from difyops.release.promote.bindings import read_bindings

    if source in rings or len(set(rings)) < len(rings):
        raise UsageError("--from and --to must name different contexts, each once.")
    request = PlanRequest(
        app_id="", shadow=shadow_of(calls, no_shadow, inputs, allow_effects, tokens),
        watch=watch_of(events, least, watch, every), gates=gates_of(alpha, slower, dearer, pricier),
        cases=cases_of(cases, None, margin), wait_for_slots=not no_wait_slot,
    )  # fmt: skip
    for ring in rings:
        read_bindings(bindings, source, ring)
    rest = seconds(pause, zero=True)
    return session.run(_planned(session, tuple(apps), source, rings, bindings, request, rest, with_secrets, to))


@command(noun, "apply")
def apply(
    session: Session,
    path: Annotated[Path, typer.Argument(metavar="PLAN", help="The file that plan wrote.")],
    wait: Wait = None,
    again: Again = False,
) -> Outcome:
    """Carry a plan out, ring by ring: refused when a side moved (8), stopped by a gate that fails (5) or waits (3).

    Called again it goes on where it stands; what passed is not done again.

    Examples:
        difyops release promote apply promotion.yaml --dry-run
        difyops release promote apply promotion.yaml --yes --wait 1h
    """
    from difyops.cli.cost_holding import holding
    from difyops.release.plan import runs_of
    from difyops.release.promote.plan import read_promotion
    from difyops.render import promotion as views

    found = read_promotion(path)
    if found.problems:
        ring, app, row = found.problems[0]
        raise AnswerIsNo(f"{app} in {ring}: {row.kind} {row.name}: {row.problem}.", hint="Resolve it, and plan again.")
    if session.dry_run:
        session.run(_applied(session, found, wait, again))
        return views.planned(found, None)
    steps = [(ring.context, step.plan) for ring in found.rings for step in ring.steps if step.plan is not None]
    asked = [(context, plan.app_id) for context, plan in steps for _ in range(runs_of(plan))]
    with holding(session, asked, what="The shadows of a promotion") as used:
        done = session.run(_applied(session, found, wait, again))
        used({(row.ring, row.app_id): row.used for row in done.rows}, copies=True)
    return views.promoted(done)


async def _planned(
    session: Session, selectors: tuple[str, ...], source: str, rings: list[str], bindings: Path | None,
    request: PlanRequest, pause: float, with_secrets: bool, to: Path,
) -> Outcome:  # fmt: skip
    from difyops.clock import SystemClock
    from difyops.release.plan import write_plan
    from difyops.release.promote.bindings import read_bindings
    from difyops.release.promote.run import make_promotion
    from difyops.render import promotion as views
    from difyops.targets import select

    async with contextlib.AsyncExitStack() as stack:
        start = await stack.enter_async_context(session.instance(source))
        targets = []
        for ring in rings:
            opened = await stack.enter_async_context(session.instance(ring))
            targets.append((workspace_of(session, opened), read_bindings(bindings, source, ring)))
        chosen = select([app async for app in start.console.apps()], selectors)
        if request.cases is not None and len(chosen) > 1:
            raise UsageError(f"--cases are of one app, and {len(chosen)} are promoted.", hint="Promote it by itself.")
        found = await make_promotion(
            start, chosen, targets, request, pause=pause, with_secrets=with_secrets, clock=SystemClock()
        )
    if not session.dry_run:
        write_plan(to, found.as_data())
    return views.planned(found, None if session.dry_run else str(to))


async def _applied(session: Session, found: Promotion, wait: str | None, again: bool) -> Promoting:
    from difyops.cli.cost_asked import own_file
    from difyops.release.promote.run import Promoting, carry_out, check
    from difyops.release.run import ReleaseOptions

    if not session.dry_run:
        names = sorted({step.source_name for ring in found.rings for step in ring.steps})
        rings = " -> ".join(ring.context for ring in found.rings)
        session.show_lines([f"{found.source} -> {rings}: {', '.join(names)}"])
        session.confirm("Promote?", changes=f"Promoting {len(names)} app{'s' * (len(names) != 1)} to {rings}")

    @contextlib.asynccontextmanager
    async def opened(context: str) -> AsyncIterator[Workspace]:
        async with session.instance(context) as instance:
            ring = next(item for item in found.rings if item.context == context)
            _refuse_elsewhere(context, ring.url, instance.context.url)
            yield workspace_of(session, instance)

    async with session.instance(found.source) as source:
        _refuse_elsewhere(found.source, found.source_url, source.context.url)
        if session.dry_run:
            await check(source, opened, found)
            return Promoting(rows=())
        options = ReleaseOptions(
            again=again, wait=None if wait is None else seconds(wait, zero=True), own_prices=own_file(session)
        )
        return await carry_out(source, opened, found, options)


def _refuse_elsewhere(name: str, planned: str, now: str) -> None:
    if planned.rstrip("/") != now.rstrip("/"):
        raise UsageError(f"The plan was made when {name} was {planned}; now it is {now}.", hint="Plan again.")

"""Making a plan: what is live, what is to be, what differs, what would act outside, how it will be judged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from difyops.clock import iso
from difyops.counting import counted
from difyops.errors import Refused
from difyops.publishing.putting import Now, now_of
from difyops.release.cases import kept_before
from difyops.release.holds import refuse_held
from difyops.release.plan import DRAFT, CasesGate, Gates, ReleasePlan, Shadow, Version, WatchRules, hash_of_plain
from difyops.release.shadow import why_not
from difyops.release.sources import Plain, ReleaseTarget, changes_of, target_of
from difyops.release.watch import RunSource, timezone_of
from difyops.scratch.effects import effects_of
from difyops.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What to release: ``source`` is draft, snapshot or file, ``word`` the tag or path."""

    app_id: str
    source: str = DRAFT
    word: str = ""
    shadow: Shadow = field(default_factory=Shadow)
    watch: WatchRules = field(default_factory=WatchRules)
    gates: Gates = field(default_factory=Gates)
    cases: CasesGate | None = None
    wait_for_slots: bool = True
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRelease:
    """A plan, and what a person should know of it: ``notes``; ``blocked``: why there can be no shadow, blank if not."""

    plan: ReleasePlan
    notes: tuple[str, ...] = ()
    blocked: str = ""


async def make_plan(workspace: Workspace, request: PlanRequest) -> PlannedRelease:
    """Plan the release of one app; nothing is changed.

    Raises:
        Refused: there is nothing new, something is missing, or the content was taken back before. NotFound: no app.
    """
    now = await now_of(workspace.instance, request.app_id)
    if now.live is None:
        raise Refused(f"{now.app.name!r} was never published; there is no way back.", hint="Publish it once yourself.")
    target = await target_of(workspace, now, request.source, request.word)
    if target.problems:
        raise Refused(f"{now.app.name!r}: {target.problems[0]}.")
    if not request.again:
        refuse_held(workspace.ledger, now.app.id, now.app.name, target.version.hash)
    if request.cases is not None:
        await kept_before(workspace.instance, workspace.store, now.app, request.cases)
    found = planned(workspace, now, target, request, Plain.of(now, target.document))
    return replace(found, notes=(*found.notes, *await _traffic(workspace, now, found.plan)))


async def _traffic(workspace: Workspace, now: Now, plan: ReleasePlan) -> list[str]:
    """Say what the runs of the version that is live make of the plan: too few to judge by, what a shadow will use."""
    source = RunSource(
        instance=workspace.instance, app=now.app, timezone=await timezone_of(workspace.instance, now.app)
    )
    old = await source.old(workspace.state, now.label, workspace.clock.now(), plan.watch.back)
    judging = [event for event in old if event.counts]
    notes = []
    if len(judging) < plan.watch.events:
        notes.append(
            f"the live version has {counted(len(judging), 'run')} in {plan.watch.back / 86400:g} days; a pass takes "
            f"{plan.watch.events} (--events)"
        )
    tokens = [event.tokens for event in judging if event.tokens]
    if plan.shadow.calls and tokens:
        asked = plan.shadow.calls + (plan.cases.count if plan.cases else 0)
        about = 2 * asked * sum(tokens) // len(judging)
        notes.append(f"the shadow may use about {counted(about, 'token')} (--tokens bounds it)")
    return notes


def planned(
    workspace: Workspace, now: Now, target: ReleaseTarget, request: PlanRequest, plain: Plain
) -> PlannedRelease:
    """Return the plan that puts ``target`` over what is live.

    Raises:
        Refused: both mean the same.
    """
    live = Version(hash=hash_of_plain(plain.live), id=now.version)
    if live.hash == target.version.hash and target.version.source == DRAFT and now.draft == now.live:
        raise Refused(f"The draft of {now.app.name!r} is what is live; there is nothing to release.")
    plan = ReleasePlan(
        context=workspace.instance.name, url=workspace.instance.context.url, app_id=now.app.id, app_name=now.app.name,
        mode=now.app.mode, made_at=iso(workspace.clock.now()), live=live, target=target.version,
        shadow=request.shadow, watch=request.watch, gates=request.gates, cases=request.cases,
        changes=changes_of(plain),
        effects=tuple(effects_of(target.document)), wait_for_slots=request.wait_for_slots,
    )  # fmt: skip
    notes = []
    blocked = why_not(now, target.document, plan) if plan.shadow.calls else ""
    if blocked:
        notes.append(f"no shadow is possible: {blocked}")
    if not now.label:
        notes.append(f"a {now.app.mode} app logs no version: runs are told apart by the time of publishing")
    if plan.cases and 2 * 0.5**plan.cases.count > plan.gates.alpha:
        notes.append(
            f"{counted(plan.cases.count, 'case is', 'cases are')} too few to tell chance: "
            "each one that is lost fails the release"
        )
    if not plan.changes:
        notes.append("nothing differs but secrets or layout")
    return PlannedRelease(plan=plan, notes=tuple(notes), blocked=blocked)

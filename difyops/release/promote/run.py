"""A promotion carried out: ring by ring, the apps of one side by side; what does not pass stops what comes after."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.clock import Clock, iso
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure, StalePlan
from difyops.fanout import Done, Failed, FanoutOptions, SkippedItem, fan_out
from difyops.publishing.putting import Now, now_of
from difyops.release.planning import PlanRequest
from difyops.release.promote.bindings import Bindings
from difyops.release.promote.parts import Parts, parts_of
from difyops.release.promote.plan import Promotion, Ring, RingStep
from difyops.release.promote.prepare import Sides, prepare, read_source
from difyops.release.run import Released, ReleaseOptions, open_release, refuse_moved, told
from difyops.release.run import apply as release
from difyops.release.sources import ReleaseTarget
from difyops.release.work import KIND
from difyops.workspace import Workspace

_AT_ONCE = 4
Open = Callable[[str], AbstractAsyncContextManager[Workspace]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """What became of one app in one ring. ``state``: that of its release, or error, unchanged, not begun.

    ``app_id``: of the target; ``used``: tokens that its shadow and its cases used.
    """

    ring: str
    app: str
    state: str
    verdict: str
    text: str
    release: str | None = None
    app_id: str = ""
    used: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoting:
    """How a promotion ended. ``stopped``: the ring that stopped it, blank when all went through."""

    rows: tuple[Promoted, ...]
    stopped: str = ""
    failed: DifyopsError | None = field(default=None, repr=False)

    @property
    def error(self) -> DifyopsError | None:
        """Return 5 for a gate that failed, 3 for what is not decided, else what went wrong."""
        bad = [row for row in self.rows if row.verdict == "fail"]
        if bad:
            return AnswerIsNo(f"{bad[0].app} in {bad[0].ring}: {bad[0].state}: {bad[0].text}")
        if self.failed is not None:
            return self.failed
        waiting = [row for row in self.rows if row.verdict != "pass"]
        if waiting:
            said = f"{waiting[0].app} in {waiting[0].ring}: {waiting[0].state}: {waiting[0].text}"
            return PartialFailure(said, hint="difyops release promote apply PLAN --wait 1h goes on.")
        return None


async def make_promotion(
    source: Instance, apps: Sequence[App], targets: Sequence[tuple[Workspace, Bindings]], request: PlanRequest,
    *, pause: float, with_secrets: bool, clock: Clock,
) -> Promotion:  # fmt: skip
    """Plan a promotion; nothing is changed.

    Raises:
        DifyopsError: an instance cannot be read.
    """
    has, rings = await parts_of(source), []
    for workspace, bindings in targets:
        sides = Sides(
            source=source, target=workspace, has=has, there=await parts_of(workspace.instance), bindings=bindings,
            request=request, with_secrets=with_secrets,
        )  # fmt: skip
        found: dict[str, RingStep] = {}
        async for step in _each(sides, apps):
            found[step.source_id] = step
        steps = tuple(sorted(found.values(), key=lambda step: (not step.problems, step.source_name)))
        url = workspace.instance.context.url
        rings.append(Ring(context=workspace.instance.name, url=url, bindings=bindings, steps=steps))
    return Promotion(
        source=source.name, source_url=source.context.url, made_at=iso(clock.now()), rings=tuple(rings), pause=pause,
        with_secrets=with_secrets,
    )  # fmt: skip


async def _each(sides: Sides, apps: Sequence[App]) -> AsyncIterator[RingStep]:
    async def one(app: App) -> RingStep:
        return (await prepare(sides, app))[0]

    async for result in fan_out(apps, one, FanoutOptions(limit=_AT_ONCE)):
        match result:
            case Done(value=step):
                yield step
            case Failed(error=error):
                raise error


async def carry_out(source: Instance, opened: Open, promotion: Promotion, options: ReleaseOptions) -> Promoting:
    """Promote ring by ring; what passed before is not done again.

    Raises:
        StalePlan: a side moved since the plan was made; nothing of that ring was begun.
    """
    rows: list[Promoted] = []
    has = await parts_of(source)
    for number, ring in enumerate(promotion.rings):
        async with opened(ring.context) as workspace:
            if number and promotion.pause:
                await workspace.clock.sleep(promotion.pause)
            done, failed = await _ring(source, has, workspace, ring, promotion, options)
        rows += done
        if failed is not None or any(row.verdict != "pass" for row in done):
            later = promotion.rings[number + 1 :]
            rows += [_not_begun(step, after.context, ring.context) for after in later for step in after.steps]
            return Promoting(rows=tuple(rows), stopped=ring.context, failed=failed)
    return Promoting(rows=tuple(rows))


def _same(step: RingStep, ring: str) -> Promoted:
    return Promoted(ring=ring, app=step.source_name, state="unchanged", verdict="pass", text="it is there already")


async def check(source: Instance, opened: Open, promotion: Promotion) -> None:
    """Refuse a promotion of which a side moved; nothing is changed.

    Raises:
        StalePlan: one did.
    """
    for ring in promotion.rings:
        async with opened(ring.context) as workspace:
            for step in ring.steps:
                if not step.is_same and _passed(workspace, step) is None:
                    await _check(source, workspace, step)


def _not_begun(step: RingStep, ring: str, stopped: str) -> Promoted:
    text = f"{stopped} did not pass"
    return Promoted(ring=ring, app=step.source_name, state="not begun", verdict="inconclusive", text=text)


async def _ring(
    source: Instance, has: Parts, workspace: Workspace, ring: Ring, promotion: Promotion, options: ReleaseOptions
) -> tuple[list[Promoted], DifyopsError | None]:
    passed = {step.source_id: found for step in ring.steps if (found := _passed(workspace, step)) is not None}
    steps = [step for step in ring.steps if step.source_id not in passed and not step.is_same]
    for step in steps:
        await _check(source, workspace, step)
    sides = Sides(
        source=source, target=workspace, has=has, there=await parts_of(workspace.instance), bindings=ring.bindings,
        request=PlanRequest(app_id=""), with_secrets=promotion.with_secrets,
    )  # fmt: skip

    async def one(step: RingStep) -> Released:
        assert step.plan is not None  # noqa: S101 - a plan with problems is refused before
        return await release(workspace, step.plan, replace(options, target=_reader(sides, step)))

    rows = [_row(ring.context, step.source_name, passed[step.source_id])
            for step in ring.steps if step.source_id in passed]  # fmt: skip
    rows += [_same(step, ring.context) for step in ring.steps if step.is_same]
    failed: DifyopsError | None = None
    async for result in fan_out(steps, one, FanoutOptions(limit=_AT_ONCE, adaptive=False)):
        match result:
            case Done(item=step, value=value):
                rows.append(_row(ring.context, step.source_name, value))
            case Failed(item=step, error=error):
                failed = failed or error
                rows.append(Promoted(
                    ring=ring.context, app=step.source_name, state="error", verdict="inconclusive", text=error.message,
                ))  # fmt: skip
            case SkippedItem():
                continue
    return sorted(rows, key=lambda row: row.app), failed


async def _check(source: Instance, workspace: Workspace, step: RingStep) -> None:
    """Refuse a step of which a side moved, before anything of its ring is begun."""
    plan = step.plan
    if plan is None:
        raise StalePlan(f"{step.source_name!r}: {step.problems[0].problem}.", hint="Resolve it, and plan again.")
    await _refuse_moved_source(source, step)
    if open_release(workspace, plan) is None:
        refuse_moved(plan, await now_of(workspace.instance, plan.app_id))


async def _refuse_moved_source(source: Instance, step: RingStep) -> None:
    read = await read_source(source, await source.console.app(step.source_id))
    if read.hash != step.hash:
        raise StalePlan(f"{step.source_name!r} was changed in {source.name} since the plan was made.")


def _reader(sides: Sides, step: RingStep) -> Callable[[Now], Awaitable[ReleaseTarget]]:
    async def read(now: Now) -> ReleaseTarget:
        found, target = await prepare(sides, await sides.source.console.app(step.source_id))
        if found.hash != step.hash:
            raise StalePlan(f"{step.source_name!r} was changed in {sides.source.name} since the plan was made.")
        if target is None:
            raise StalePlan(f"{step.source_name!r}: {found.problems[0].kind} {found.problems[0].name}: "
                            f"{found.problems[0].problem}.")  # fmt: skip
        return target

    return read


def _passed(workspace: Workspace, step: RingStep) -> Released | None:
    """Return the release of this very step that passed before, ``None`` where there is none."""
    if step.plan is None:
        return None
    for record in workspace.journal.all(limit=100_000):
        if record.kind == KIND and record.facts.get("digest") == step.plan.digest and not record.is_open:
            found = told(workspace, record)
            return found if found.verdict == "pass" else None
    return None


def _row(ring: str, app: str, found: Released) -> Promoted:
    return Promoted(
        ring=ring, app=app, state=found.state, verdict=found.verdict, text=found.text, release=found.id,
        app_id=found.app_id, used=found.used,
    )  # fmt: skip

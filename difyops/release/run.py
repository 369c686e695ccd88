"""One release from its plan to its verdict: shadow, publish, watch; back when two looks in a row fail.

Everything looks first and acts then: a first run, one that was killed anywhere and one that is taken up again go the
same way. While it is watched the change stays open, so no other change of the app is begun beside it; its lock is held
for each look only, so that ``release abort`` finds its turn.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from difyops.api.server_time import server_time
from difyops.changes import Change, cut_off
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.changes.journal import ChangeRecord
from difyops.errors import (
    AnswerIsNo,
    DifyopsError,
    PartialFailure,
    RateLimited,
    Refused,
    ServerFault,
    StalePlan,
    Unreachable,
)
from difyops.publishing.putting import Now, Putting, now_of
from difyops.release.cases import LIVE, cases_of, kept_before
from difyops.release.cases import as_kept as as_kept_cases
from difyops.release.holds import refuse_held
from difyops.release.plan import ReleasePlan, hash_of
from difyops.release.pricing import by_answer, prices_for
from difyops.release.sources import ReleaseTarget, target_of
from difyops.release.watch import RunSource, as_kept, timezone_of
from difyops.release.work import BASELINE, CASES, KIND, ReleaseVerdict, Work
from difyops.workspace import Workspace

JsonObject = dict[str, Any]
ReadTarget = Callable[[Now], Awaitable[ReleaseTarget]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOptions:
    """``again``: also what was taken back before. ``wait``: seconds to watch from now on; ``None``: as planned.

    ``target`` reads the new version where it comes from elsewhere (another instance). ``own_prices``: the file of the
    user's own prices.
    """

    again: bool = False
    wait: float | None = None
    target: ReadTarget | None = None
    own_prices: Path | None = None
    checkpoint: Checkpoint = no_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """How a release stands. ``verdict``: pass, fail, inconclusive. ``state``: passed, rolled back, held (live, and not
    decided), not published, overtaken. ``looks``: what was seen, one row a look; ``cases``: the same of the cases.
    ``missed``: scheduled runs that did not come when it was published (among the warnings, too).
    """

    id: str
    context: str
    app_id: str
    app_name: str
    verdict: str
    state: str
    text: str
    live_before: str | None = None
    live_after: str | None = None
    shadow: JsonObject | None = None
    looks: tuple[JsonObject, ...] = ()
    cases: tuple[JsonObject, ...] = ()
    draft: str | None = None
    warnings: tuple[str, ...] = field(default=())
    missed: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def used(self) -> int:
        """Return the tokens of the runs that it asked for itself: copies, cases, judges."""
        live = sum(int(row["used"]) for row in self.cases if row["where"] == LIVE)
        return int((self.shadow or {}).get("used") or 0) + live

    @property
    def error(self) -> DifyopsError | None:
        """Return the "no" (5) of a failed gate, 8 where somebody else published.

        3 where nothing could be decided, or where a scheduled run did not come.
        """
        said = f"{self.app_name}: {self.state}: {self.text}"
        match self.verdict, self.state:
            case _, "overtaken":
                return Refused(
                    said, hint=f"difyops snapshot diff, or: difyops release status {shlex.quote(self.app_name)}"
                )
            case "fail", _:
                return AnswerIsNo(said)
            case "inconclusive", "aborted":
                return PartialFailure(said)
            case "inconclusive", "held":
                hint = "difyops release apply PLAN --wait 1h goes on; release abort goes back; changes finish keeps it."
                return PartialFailure(said, hint=hint)
            case "inconclusive", _:
                return PartialFailure(
                    said, hint=f"difyops release plan {shlex.quote(self.app_name)} --no-shadow, or --inputs FILE"
                )
        return PartialFailure(f"{said}; but {self.missed[0]}") if self.missed else None


async def apply(workspace: Workspace, plan: ReleasePlan, options: ReleaseOptions) -> Released:
    """Carry a plan out, or take up its release where it stands.

    Raises:
        Refused: another change of the app is open, or this content was taken back before. StalePlan: live or the new
        version moved since the plan was made. DifyopsError: a call failed; the message says what is live.
    """
    clock, journal, subject = workspace.clock, workspace.journal, f"app/{plan.app_id}"
    began = clock.monotonic()
    with journal.lock(subject, holding=f"a release of {plan.app_name!r}"):
        record = open_release(workspace, plan)
        if record is None:
            change = await _begun(workspace, plan, options)
        else:
            change = Change(journal, record, options.checkpoint)
        work = Work(workspace.instance, change)
        verdict = await _advanced(work)
    waits = plan.watch.seconds if options.wait is None else options.wait
    while verdict is None:
        if work.cannot_tell:
            verdict = work.held()
            break
        since = float(work.change.memo("since") or 0.0) if options.wait is None else None
        left = waits - (clock.monotonic() - began) if since is None else await _left(work, since, waits)
        if left <= 0:
            verdict = work.held()
            break
        await clock.sleep(min(plan.watch.every, left))
        with journal.lock(subject, holding=f"a look at the release of {plan.app_name!r}"):
            now = journal.read(work.change.id, subject)
            if not now.is_open:
                return told(workspace, now, seconds=clock.monotonic() - began)
            work = Work(workspace.instance, Change(journal, now, options.checkpoint))
            try:
                verdict = await _advanced(work)
            except (Unreachable, ServerFault, RateLimited) as error:  # what is watched goes on without us
                work.change.say(f"The log could not be read now ({error.message}); the watch goes on.")
    return told(workspace, work.change.record, verdict, seconds=clock.monotonic() - began)


def open_release(workspace: Workspace, plan: ReleasePlan) -> ChangeRecord | None:
    """Return the release of this very plan that is under way, ``None`` where there is none."""
    for record in workspace.journal.open(everywhere=True):
        if record.kind == KIND and record.facts.get("digest") == plan.digest:
            return record
    return None


async def _begun(workspace: Workspace, plan: ReleasePlan, options: ReleaseOptions) -> Change:
    instance, journal, subject = workspace.instance, workspace.journal, f"app/{plan.app_id}"
    now, target = await ready(workspace, plan, options)
    source = RunSource(
        instance=instance, app=now.app, timezone=await timezone_of(workspace.instance, now.app),
        price=by_answer(now.live or {}, prices_for(plan, options.own_prices)),
    )  # fmt: skip
    old = await source.old(workspace.state, now.label, workspace.clock.now(), plan.watch.back)
    before = await kept_before(instance, workspace.store, now.app, plan.cases) if plan.cases else None
    change = Change.begin(
        journal, KIND, subject=subject, label=plan.app_name, url=instance.context.url,
        facts={
            **facts_of(plan), "timezone": source.timezone,
            "own_prices": str(options.own_prices) if options.own_prices else None,
        },
        checkpoint=options.checkpoint,
    )  # fmt: skip
    await Putting(instance, change).begin(now, target.document)
    change.keep(BASELINE, {"events": as_kept(old)})
    if before is not None:
        change.keep(CASES, as_kept_cases(before))
    change.checkpoint("journal written")
    return change


async def ready(workspace: Workspace, plan: ReleasePlan, options: ReleaseOptions) -> tuple[Now, ReleaseTarget]:
    """Return what is live and what is to be, where nothing stands against beginning the release; nothing is changed.

    Raises:
        Refused: another change of the app is open, this content was taken back before, or something is missing.
        StalePlan: live or the new version moved since the plan was made.
    """
    instance = workspace.instance
    workspace.journal.refuse_open(f"app/{plan.app_id}")
    if not options.again:
        refuse_held(workspace.ledger, plan.app_id, plan.app_name, plan.target.hash)
    now = await now_of(instance, plan.app_id)
    refuse_moved(plan, now)
    if options.target is not None:
        target = await options.target(now)
    else:
        target = await target_of(workspace, now, plan.target.source, plan.target.word)
    if target.version.hash != plan.target.hash:
        raise StalePlan(f"The new version of {plan.app_name!r} ({plan.target.source}) moved since the plan was made.")
    if target.problems:
        raise Refused(f"{plan.app_name!r}: {target.problems[0]}.")
    cases_of(plan)
    return now, target


def refuse_moved(plan: ReleasePlan, now: Now) -> None:
    """Refuse a plan whose live side is another one now.

    Raises:
        StalePlan: it is.
    """
    if now.version != plan.live.id or hash_of(now.live or {}) != plan.live.hash:
        raise StalePlan(
            f"{plan.app_name!r} was changed since the plan was made; nothing was changed by it.",
            hint=f"difyops release plan {plan.app_id}",
        )


def facts_of(plan: ReleasePlan) -> JsonObject:
    """Return what the journal says of a release: the plan, and what publishing needs."""
    return {
        "app_id": plan.app_id, "app_name": plan.app_name, "mode": plan.mode,
        "publish_name": "release", "publish_text": f"release of {plan.target.source} {plan.target.word}".strip(),
        "wait_for_slots": plan.wait_for_slots, "digest": plan.digest, "plan": plan.as_data(),
    }  # fmt: skip


async def _left(work: Work, since: float, seconds: float) -> float:
    return since + seconds - (await server_time(work.instance, work.change.journal.clock)).now


async def _advanced(work: Work) -> ReleaseVerdict | None:
    """Go as far as it goes now; an end is written down. What failed before anything was live is taken back."""
    try:
        verdict = await work.advance()
    except DifyopsError as error:
        if work.change.memo("since") is not None:
            raise  # it is live and watched: the next look goes on
        raise await _undone(work, error) from error
    if verdict is not None:
        work.change.close(verdict.state, verdict=verdict.word)
    return verdict


async def _undone(work: Work, error: DifyopsError) -> DifyopsError:
    """Take back after a failure before the watch, and return the error to raise: it says what is live."""
    hint = f"difyops changes finish {work.change.id} goes on; difyops changes undo {work.change.id} goes back."
    if gone := cut_off(error, "The release", hint):
        return gone
    if isinstance(error, Unreachable):
        said = f"{error.message} Whether the server acted is unknown."
        return DifyopsError(said, hint=hint, retryable=True)
    try:
        ended = await work.back()
    except DifyopsError as second:
        return DifyopsError(f"{error.message} It could not be taken back now ({second.message}).", hint=hint)
    work.change.close(ended.state, error=error.code)
    said = f"{error.message} {ended.text[:1].upper()}{ended.text[1:]}."
    return (StalePlan if isinstance(error, Refused) else DifyopsError)(said, hint=error.hint)


def told(
    workspace: Workspace, record: ChangeRecord, verdict: ReleaseVerdict | None = None, *, seconds: float = 0.0
) -> Released:
    """Return a release as it stands, from its journal."""
    memo = record.memo
    known = verdict or ReleaseVerdict(**(memo.get("verdict") or dataclasses.asdict(_by_state(record))))
    aside = [f"{item['title']} is kept as {item['place']}" for item in memo.get("set_aside") or ()]
    return Released(
        id=record.id, context=record.context, app_id=str(record.facts["app_id"]),
        app_name=str(record.facts["app_name"]), verdict=known.word, state=known.state, text=known.text,
        live_before=memo.get("live_before"), live_after=memo.get("new_version"), shadow=memo.get("shadow"),
        looks=tuple(memo.get("looks") or ()), cases=cases_told(memo), draft=memo.get("draft"),
        warnings=(*aside, *(memo.get("missed") or ()), *(memo.get("left") or ())),
        missed=tuple(memo.get("missed") or ()), seconds=round(seconds, 3),
    )  # fmt: skip


def cases_told(memo: Mapping[str, Any]) -> tuple[JsonObject, ...]:
    """Return every look at the cases: that of the shadow first."""
    shadowed = (memo.get("shadow") or {}).get("cases")
    return (*([shadowed] if shadowed else ()), *(memo.get("cases") or ()))


def _by_state(record: ChangeRecord) -> ReleaseVerdict:
    """Return the verdict of a release that something else ended: ``changes finish`` or ``undo``, an abort."""
    words = {"undone": ("inconclusive", "aborted"), "finished": ("pass", "kept"), "gone": ("inconclusive", "gone")}
    word, state = words.get(record.state, ("inconclusive", record.state))
    return ReleaseVerdict(word=word, state=state, text=f"it was ended meanwhile ({record.state})")

"""Rolling one app back: the exact version, the secrets that are alive, proof by reading back, undo when it fails.

Data flow: plan (again, under the lock; refused when stale) -> journal on disk -> target into the draft -> optional test
run -> publish -> draft put back -> proof -> journal removed. Chat modes write their model config instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from difyops import atomic_file
from difyops.api.instance import Instance
from difyops.clock import Clock, SystemClock, iso
from difyops.dsl.secrets import Spot, redact
from difyops.errors import Conflict, DifyopsError, NotFound, Refused, StalePlan, Unreachable
from difyops.secret_text import SecretText
from difyops.snapshot.carry import Filled, Secrets
from difyops.snapshot.effects import (
    Hands,
    View,
    config_is_ours,
    former_live,
    identity_of,
    is_published,
    look,
    parked_filled,
    publish_target,
    put_draft_back,
    restore_triggers,
    target_filled,
    write_former_config,
    write_identity,
    write_target_config,
    write_target_draft,
)
from difyops.snapshot.history import Kept
from difyops.snapshot.journal import UNDOING, Entry, Journal, packed
from difyops.snapshot.owners import owned
from difyops.snapshot.plan import Plan, PlanOptions, Situation, make_plan
from difyops.snapshot.proof import Proof, prove
from difyops.snapshot.smoke import Smoke, run_smoke
from difyops.snapshot.steps import Checkpoint, no_checkpoint

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOptions:
    """How to roll back. ``expected_plan``: refuse any other plan; ``allow_missing``: go on despite problems.

    ``name`` and ``comment`` mark the published version.
    """

    plan: PlanOptions = field(default_factory=PlanOptions)
    expected_plan: str | None = None
    allow_missing: bool = False
    smoke: Smoke | None = None
    name: str = ""
    comment: str = ""
    checkpoint: Checkpoint = no_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """The end of a rollback. ``state``: rolled back, nothing to do, undone. ``proofs`` were read back."""

    plan: Plan
    state: str
    live_after: str | None = None
    proofs: tuple[Proof, ...] = ()
    smoke: str | None = None
    seconds: float = 0.0


async def roll_back(
    instance: Instance, journal: Journal, kept: Kept, word: str, options: RollbackOptions, *, clock: Clock | None = None
) -> RolledBack:
    """Roll one app back to what ``kept`` holds.

    Raises:
        Refused: an earlier rollback was cut off, the mode differs, something is missing. StalePlan: the app moved since
        the plan. DifyopsError: a call failed, or the proof did; the message says what state the app is in.
    """
    clock = clock or SystemClock()
    started = clock.monotonic()
    with atomic_file.lock(journal.lock_path, holding=f"a rollback of {kept.record.name!r}"):
        _refuse_open(journal)
        plan, situation = await make_plan(instance, kept, word, options.plan)
        if options.expected_plan and plan.id != options.expected_plan:
            raise StalePlan(f"{plan.app_name!r} moved since the plan was made (plan {options.expected_plan}).")
        if plan.problems and not options.allow_missing:
            raise Refused(f"{plan.app_name!r}: {plan.problems[0]}.", hint="--allow-missing goes on all the same.")
        if plan.nothing_to_do and not (options.plan.with_name and identity_of(situation.app) != _identity(kept)):
            return RolledBack(plan=plan, state="nothing to do", live_after=plan.live_before)
        entry = journal.write(_entry(plan, situation, kept, options, iso(clock.now())))
        options.checkpoint("journal written")
        hands = Hands(instance, journal, entry, options.checkpoint, options.plan.given)
        try:
            proofs, smoke = await go_forward(hands, situation.filled, options.smoke)
        except DifyopsError as error:
            raise await _undone(hands, error) from error
        after = await look(hands)
        journal.close()
    return RolledBack(
        plan=plan,
        state="rolled back",
        live_after=after.live.id if after.live else None,
        proofs=tuple(proofs),
        smoke=smoke,
        seconds=round(clock.monotonic() - started, 3),
    )


async def go_forward(
    hands: Hands, prepared: Filled | None = None, smoke: Smoke | None = None
) -> tuple[list[Proof], str | None]:
    """Bring the rollback to its end from wherever it is.

    Raises:
        StalePlan, Refused: somebody else changed the app. DifyopsError: a call, the test run or the proof failed.
    """
    answer = None
    expected: Secrets | None = None
    if hands.entry.mode in ("workflow", "advanced-chat"):
        view = await look(hands)
        published = is_published(view, hands.entry)
        filled = prepared or await target_filled(hands, view)
        expected = _values(hands, filled)
        if not published:
            _refuse_untested(hands.entry, smoke)
            await write_target_draft(hands, view, filled)
            if smoke is not None:
                answer = await run_smoke(hands.instance, hands.entry.app_id, smoke)
            await publish_target(hands)
        await restore_triggers(hands)
        await put_draft_back(hands)
    else:
        expected = await write_target_config(hands)
    await write_identity(hands, hands.entry.identity)
    hands.checkpoint("before proof")
    proofs = await prove(hands, expected)
    failed = [proof for proof in proofs if not proof.ok]
    if failed:
        raise ProofFailed(f"The proof failed: {failed[0].what}: {failed[0].found}.")
    return proofs, answer


async def go_back(hands: Hands) -> list[str]:
    """Put the former state back from wherever the rollback is; returns what was done, for people.

    Raises:
        DifyopsError: a call failed; the journal stays, and this can be done again.
    """
    entry = hands.entry
    await write_identity(hands, entry.former_identity)
    if entry.mode not in ("workflow", "advanced-chat"):
        if not config_is_ours(await look(hands), entry):
            return ["another model config was written meanwhile; it is left alone"]
        await write_former_config(hands)
        return ["the former model config is live"]
    done, ours = await _live_put_back(hands)
    view = await look(hands)
    replaceable = view.draft_is(entry.target_document) or (ours and view.draft_is(view.live_document))
    if entry.parked is not None and replaceable:
        filled = await parked_filled(hands, view)
        hands.checkpoint("before draft back")
        await hands.instance.console.sync_draft(entry.app_id, filled.document, expected_hash=_hash(view.draft))
        hands.checkpoint("after draft back")
        done.append("the unpublished draft is back")
    elif _draft_was_live(entry, view) and view.draft_is(entry.target_document):
        _, former = await former_live(hands)
        hands.checkpoint("before draft back")
        await hands.instance.console.sync_draft(entry.app_id, former.document, expected_hash=_hash(view.draft))
        hands.checkpoint("after draft back")
        done.append("the draft is what is live")
    await restore_triggers(hands)
    return done


async def _live_put_back(hands: Hands) -> tuple[list[str], bool]:
    """Make the former version live again if the target is; says what was done and whether live is by our hand."""
    entry = hands.entry
    view = await look(hands)
    if view.live is None or view.live.id == entry.live_before:
        return ["the former version is still live"], False
    if view.live_is(entry.target_document):
        hands.phase(UNDOING)
        await _publish_former(hands)
        return ["the former version is live again"], True
    if entry.phase == UNDOING and view.live_is((await former_live(hands))[0]):
        return ["the former version is live again"], True
    return ["another version was published meanwhile; it is left alone"], False


def _draft_was_live(entry: Entry, view: View) -> bool:
    return entry.parked is None and view.live is not None and view.live.id == entry.live_before


class ProofFailed(DifyopsError):
    """What was read back is not what it must be."""

    code = "proof_failed"


async def _publish_former(hands: Hands) -> None:
    document, former = await former_live(hands)
    view = await look(hands)
    hands.checkpoint("before former draft")
    await hands.instance.console.sync_draft(hands.entry.app_id, former.document, expected_hash=_hash(view.draft))
    hands.checkpoint("after former draft")
    await hands.instance.console.publish(hands.entry.app_id, name="rollback undone", comment="difyops: undo")
    hands.checkpoint("after former publish")
    after = await look(hands)
    if not after.live_is(document):
        raise ProofFailed(f"The former version of {hands.entry.app_name!r} could not be put back whole.")


async def _undone(hands: Hands, error: DifyopsError) -> DifyopsError:
    """Undo after a failure and return the error to raise: it says which state the app is in."""
    name = hands.entry.app_name
    if isinstance(error, Unreachable):
        return DifyopsError(
            f"The rollback of {name!r} was cut off: {error.message} Whether the server acted is unknown.",
            hint=f"difyops snapshot doctor {hands.entry.app_id} tells the state and offers --finish or --undo.",
            retryable=True,
        )
    if isinstance(error, NotFound) and await _is_gone(hands):
        hands.journal.close()
        return NotFound(f"{name!r} was deleted meanwhile: {error.message}", status=404)
    try:
        done = await go_back(hands)
    except DifyopsError as second:
        return DifyopsError(
            f"The rollback of {name!r} failed ({error.message}) and could not be undone now ({second.message}).",
            hint="difyops snapshot doctor tells the state and offers --finish or --undo.",
        )
    hands.journal.close()
    message = f"{error.message} The rollback of {name!r} was undone: {'; '.join(done)}."
    if isinstance(error, (StalePlan, Conflict, Refused)):
        return StalePlan(message, hint=error.hint, details={"undone": done})
    return DifyopsError(message, hint=error.hint)


async def _is_gone(hands: Hands) -> bool:
    """Say whether the app itself was deleted; something of it that is not found is another matter."""
    try:
        await hands.instance.console.app(hands.entry.app_id)
    except NotFound:
        return True
    except DifyopsError:
        return False
    return False


def _refuse_untested(entry: Entry, smoke: Smoke | None) -> None:
    if entry.smoke and smoke is None:
        raise Refused(
            f"The rollback of {entry.app_name!r} had to pass a test run before it goes live, and did not get there.",
            hint=f"difyops snapshot doctor {entry.app_id} --undo, then roll back again with --smoke.",
        )


def _refuse_open(journal: Journal) -> None:
    entry = journal.read() or journal.elsewhere()
    if entry is not None:
        raise Refused(
            f"A rollback of {entry.app_name!r} begun at {entry.started_at} was cut off ({entry.phase}).",
            hint=f"difyops snapshot doctor {entry.app_id} -c {entry.context} --finish, or --undo",
        )


def _entry(plan: Plan, situation: Situation, kept: Kept, options: RollbackOptions, now: str) -> Entry:
    app = situation.app
    parked = situation.draft_document if situation.unpublished else None
    entry = Entry(
        context=plan.context,
        app_id=app.id,
        app_name=app.name,
        mode=app.mode,
        started_at=now,
        target=plan.target,
        target_version=kept.record.live_version,
        target_document=redact(situation.filled.document).document if situation.filled.missing else situation.target,
        live_before=plan.live_before,
        enable_api=app.enable_api,
        enable_site=app.enable_site,
        triggers={item.node_id: item.status for item in situation.triggers},
        parked=parked,
        parked_secrets=packed(situation.own_secrets) if parked is not None else {},
        identity=_identity(kept) if options.plan.with_name else None,
        former_identity=identity_of(app) if options.plan.with_name else None,
        with_old_secrets=options.plan.with_old_secrets,
        given=tuple(options.plan.given),
        smoke=options.smoke is not None,
        allow_missing=options.allow_missing,
        publish_name=options.name or f"rollback {plan.target}",
        publish_comment=options.comment or f"difyops: back to {plan.target} ({plan.target_commit[:10]})",
    )
    if app.has_workflow:
        return entry
    return replace(entry, former=situation.live_document, former_secrets=packed(situation.live_secrets))


def _identity(kept: Kept) -> JsonObject:
    return {"name": kept.record.name, "description": kept.record.description, **kept.record.icon}


def _values(hands: Hands, filled: Filled) -> Secrets:
    """Return the secrets that a filled document carries, without those whose given value is not known here."""
    unknown = {Spot.parse(key) for key in hands.entry.given if key not in hands.given}
    values: Mapping[Spot, SecretText] = redact(filled.document).secrets
    known = {spot: value for spot, value in values.items() if spot in filled.sources and spot not in unknown}
    return owned(filled.document, known)


def _hash(draft: Any) -> str | None:
    return draft.hash if draft is not None else None

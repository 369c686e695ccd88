"""Rolling one app back: the exact version, the secrets that are alive, proof by reading back, undo when it fails.

Data flow: plan (again, under the lock; refused when stale) -> change begun in the journal -> ``publishing`` puts the
target live and the draft back -> name -> proof -> change closed. After a kill ``Rollbacks`` finishes or undoes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from difyops.api.instance import Instance
from difyops.asking import Smoke
from difyops.changes import Change, Ended
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.errors import DifyopsError, PartialFailure, Refused, StalePlan
from difyops.publishing import Overtaken
from difyops.snapshot.app_texts import clear_text
from difyops.snapshot.first_journal import take_over
from difyops.snapshot.history import Kept
from difyops.snapshot.keeping import keep_config
from difyops.snapshot.plan import RollbackPlan, make_plan
from difyops.snapshot.proof import Proof
from difyops.snapshot.rollback_work import IDENTITIES, RollbackWork, identity_of, sentence
from difyops.snapshot.situation import PlanOptions, Situation
from difyops.snapshot.unsealing import opened_texts
from difyops.workspace import Workspace

JsonObject = dict[str, Any]
KIND = "snapshot.rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOptions:
    """How to roll back. ``expected_plan``: refuse any other plan; ``allow_missing``: go on despite problems.

    ``name`` (20 characters) and ``comment`` (72) mark the published version. ``wait_for_slots``: wait while a schedule
    is due.
    """

    plan: PlanOptions = field(default_factory=PlanOptions)
    expected_plan: str | None = None
    allow_missing: bool = False
    smoke: Smoke | None = None
    name: str = ""
    comment: str = ""
    wait_for_slots: bool = True
    checkpoint: Checkpoint = no_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """The end of a rollback. ``state``: rolled back, nothing to do. ``proofs`` were read back.

    ``draft`` says where the unpublished draft is, ``warnings`` what a person should know of what others did meanwhile,
    ``kept_as`` the snapshot that holds a config which stood in none.
    """

    plan: RollbackPlan
    state: str
    change: str | None = None
    live_after: str | None = None
    proofs: tuple[Proof, ...] = ()
    smoke: str | None = None
    draft: str | None = None
    warnings: tuple[str, ...] = ()
    kept_as: str | None = None
    missed: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def error(self) -> DifyopsError | None:
        """Return an error when a scheduled run was skipped."""
        return PartialFailure(f"{self.plan.app_name!r} was rolled back, but {self.missed[0]}.") if self.missed else None


async def roll_back(workspace: Workspace, kept: Kept, word: str, options: RollbackOptions) -> RolledBack:
    """Roll one app back to what ``kept`` holds.

    Raises:
        Refused: an earlier change of the app was cut off, the mode differs, something is missing. StalePlan: the app
        moved since the plan, or somebody published meanwhile. DifyopsError: a call failed, or the proof did; the
        message says what state the app is in.
    """
    journal, started = workspace.journal, workspace.clock.monotonic()
    subject = f"app/{kept.record.id}"
    await take_over(workspace)
    with journal.lock(subject, holding=f"a change of {kept.record.name!r}"):
        journal.refuse_open(subject)
        plan, situation = await make_plan(workspace.instance, kept, word, options.plan)
        _check_plan(plan, word, options)
        if plan.nothing_to_do and not (
            options.plan.with_name and identity_of(situation.app) != _identity(kept, situation, options)
        ):
            return RolledBack(plan=plan, state="nothing to do", live_after=plan.live_before)
        has_versions = situation.app.has_workflow or situation.app.is_agent
        kept_as = None if has_versions else await keep_config(workspace, situation.app)
        work = _begin(workspace, plan, situation, kept, options)
        try:
            proofs = await work.forward()
        except DifyopsError as error:
            raise await work.undone(error) from error
        missed = await work.missed_slots()
        live_after = await work.live_version()
        work.change.close("done", to=plan.target_commit, before=plan.live_before, after=live_after)
    return RolledBack(
        plan=plan,
        state="rolled back",
        change=work.change.id,
        live_after=live_after,
        proofs=tuple(proofs),
        smoke=work.answer,
        draft=work.draft_told,
        warnings=tuple(work.warnings()),
        kept_as=kept_as,
        missed=tuple(missed),
        seconds=round(workspace.clock.monotonic() - started, 3),
    )


def _check_plan(plan: RollbackPlan, word: str, options: RollbackOptions) -> None:
    """Refuse another plan than the one that was shown, and one with problems that nobody allowed.

    Raises:
        StalePlan: the app moved since the plan. Refused: something is missing.
    """
    if options.expected_plan and plan.id != options.expected_plan:
        raise StalePlan(
            f"{plan.app_name!r} moved since the plan was made (plan {options.expected_plan}).",
            hint=f"difyops snapshot rollback {plan.app_id} --to {word} --dry-run",
        )
    if plan.problems and not options.allow_missing:
        raise Refused(f"{plan.app_name!r}: {plan.problems[0]}.", hint="--allow-missing goes on all the same.")


def _begin(
    workspace: Workspace, plan: RollbackPlan, situation: Situation, kept: Kept, options: RollbackOptions
) -> RollbackWork:
    """Write down what is to be done and all that finishing or undoing will need."""
    change = Change.begin(
        workspace.journal,
        KIND,
        subject=f"app/{kept.record.id}",
        label=plan.app_name,
        url=workspace.instance.context.url,
        facts=_facts(plan, situation, kept, options),
        checkpoint=options.checkpoint,
    )
    work = RollbackWork(workspace.instance, change)
    if options.plan.with_name:
        wanted, former = _identity(kept, situation, options), identity_of(situation.app)
        change.keep(IDENTITIES, {"identity": wanted, "former_identity": former})
    work.begin(situation, options.smoke)
    change.checkpoint("journal written")
    return work


class Rollbacks:
    """The recovery of rollbacks that were cut off."""

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return one sentence on the state that the app is in now."""
        return await RollbackWork(instance, change).tell()

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Bring a rollback to its end, with proof; where somebody published meanwhile, say so and leave that alone.

        Raises:
            DifyopsError: a call or the proof failed.
        """
        work = RollbackWork(instance, change)
        try:
            proofs = await work.forward()
        except Overtaken as error:
            taken = await work.back()
            return Ended(state="overtaken", text=f"{error.message} {sentence(taken)}")
        except (StalePlan, Refused) as error:
            taken = await work.back()
            return Ended(state="undone", text=f"{error.message} {sentence(taken)}")
        told = f"; {work.draft_told}" if work.draft_told else ""
        return Ended(
            state="finished",
            text=f"live is the target{told}",
            warnings=tuple(work.warnings()),
            missed=tuple(await work.missed_slots()),
            data={"proofs": [*proofs]},
        )

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Put back what is still ours.

        Raises:
            DifyopsError: a call failed.
        """
        taken = await RollbackWork(instance, change).back()
        return Ended(state="overtaken" if taken.left_alone else "undone", text="; ".join(taken.said))


def _facts(plan: RollbackPlan, situation: Situation, kept: Kept, options: RollbackOptions) -> JsonObject:
    app = situation.app
    return {
        "app_id": app.id,
        "app_name": app.name,
        "mode": app.mode,
        "target": plan.target,
        "target_commit": plan.target_commit,
        "enable_api": app.enable_api,
        "enable_site": app.enable_site,
        "triggers": {item.node_id: item.status for item in situation.triggers},
        "new_name": kept.record.name if options.plan.with_name else None,
        "publish_name": options.name or f"rollback {plan.target}",
        "publish_text": _text(plan, options),
        "wait_for_slots": options.wait_for_slots,
    }


def _text(plan: RollbackPlan, options: RollbackOptions) -> str:
    """Return the words behind the change id; ``server_versions.went_back`` knows a rollback by how they begin."""
    return f"back: {options.comment}" if options.comment else f"back to {plan.target} ({plan.target_commit[:10]})"


def _identity(kept: Kept, situation: Situation, options: RollbackOptions) -> JsonObject:
    seal = options.plan.seal
    texts = opened_texts(kept, seal, options.plan.access)
    description = clear_text(kept.record.description, situation.app.description, texts, seal)
    return {"name": kept.record.name, "description": description, **kept.record.icon}

"""Rolling one app back: the exact version, the secrets that are alive, proof by reading back, undo when it fails.

Data flow: plan (again, under the lock; refused when stale) -> change begun in the journal -> ``publishing`` puts the
target live and the draft back -> name -> proof -> change closed. After a kill ``Rollbacks`` finishes or undoes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api.agents import Agents
from difyops.api.instance import Instance
from difyops.api.model import AGENT_MODE, AgentVersion, App
from difyops.asking import Smoke, smoke_run
from difyops.changes import Change, Ended, cut_off
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.errors import DifyopsError, NotFound, PartialFailure, Refused, StalePlan, Unreachable
from difyops.publishing import Content, Overtaken, Publication, PublishSettings
from difyops.publishing.agent import AgentPublication
from difyops.publishing.config import ConfigPublication
from difyops.publishing.publication import PARKED, TARGET, TakenBack
from difyops.snapshot.agent_apps import agent_now
from difyops.snapshot.app_texts import clear_text
from difyops.snapshot.first_journal import take_over
from difyops.snapshot.history import Kept
from difyops.snapshot.keeping import keep_config
from difyops.snapshot.plan import PlanOptions, RollbackPlan, Situation, make_plan
from difyops.snapshot.proof import Proof, prove
from difyops.snapshot.reading import shown_fields
from difyops.snapshot.unsealing import opened_texts
from difyops.workspace import Workspace

JsonObject = dict[str, Any]
KIND = "snapshot.rollback"
IDENTITIES = "identities"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOptions:
    """How to roll back. ``expected_plan``: refuse any other plan; ``allow_missing``: go on despite problems.

    ``name`` and ``comment`` mark the published version. ``wait_for_slots``: wait while a schedule is due.
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


class ProofFailed(DifyopsError):
    """What was read back is not what it must be."""

    code = "proof_failed"


async def roll_back(workspace: Workspace, kept: Kept, word: str, options: RollbackOptions) -> RolledBack:
    """Roll one app back to what ``kept`` holds.

    Raises:
        Refused: an earlier change of the app was cut off, the mode differs, something is missing. StalePlan: the app
        moved since the plan, or somebody published meanwhile. DifyopsError: a call failed, or the proof did; the
        message says what state the app is in.
    """
    instance, journal, clock = workspace.instance, workspace.journal, workspace.clock
    started = clock.monotonic()
    subject = f"app/{kept.record.id}"
    await take_over(workspace)
    with journal.lock(subject, holding=f"a change of {kept.record.name!r}"):
        journal.refuse_open(subject)
        plan, situation = await make_plan(instance, kept, word, options.plan)
        if options.expected_plan and plan.id != options.expected_plan:
            raise StalePlan(
                f"{plan.app_name!r} moved since the plan was made (plan {options.expected_plan}).",
                hint=f"difyops snapshot rollback {plan.app_id} --to {word} --dry-run",
            )
        if plan.problems and not options.allow_missing:
            raise Refused(f"{plan.app_name!r}: {plan.problems[0]}.", hint="--allow-missing goes on all the same.")
        if plan.nothing_to_do and not (
            options.plan.with_name and identity_of(situation.app) != _identity(kept, situation, options)
        ):
            return RolledBack(plan=plan, state="nothing to do", live_after=plan.live_before)
        kept_as = (
            None
            if situation.app.has_workflow or situation.app.is_agent
            else await keep_config(workspace, situation.app)
        )
        change = Change.begin(
            journal,
            KIND,
            subject=subject,
            label=plan.app_name,
            url=instance.context.url,
            facts=_facts(plan, situation, kept, options),
            checkpoint=options.checkpoint,
        )
        work = _Work(instance, change)
        if options.plan.with_name:
            wanted, former = _identity(kept, situation, options), identity_of(situation.app)
            change.keep(IDENTITIES, {"identity": wanted, "former_identity": former})
        work.begin(situation, options.smoke)
        change.checkpoint("journal written")
        try:
            proofs = await work.forward()
        except DifyopsError as error:
            raise await work.undone(error) from error
        missed = await work.missed_slots()
        live_after = await work.live_version()
        change.close("done", to=plan.target_commit, before=plan.live_before, after=live_after)
    return RolledBack(
        plan=plan,
        state="rolled back",
        change=change.id,
        live_after=live_after,
        proofs=tuple(proofs),
        smoke=work.answer,
        draft=work.draft_told,
        warnings=tuple(work.warnings()),
        kept_as=kept_as,
        missed=tuple(missed),
        seconds=round(clock.monotonic() - started, 3),
    )


def identity_of(app: App) -> JsonObject:
    """Return what people see of an app: name, description, icon."""
    shown = {key: app.raw.get(key) for key in shown_fields(app)}
    return {"name": app.name, "description": app.description, **shown}


class Rollbacks:
    """The recovery of rollbacks that were cut off."""

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return one sentence on the state that the app is in now."""
        return await _Work(instance, change).tell()

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Bring a rollback to its end, with proof; where somebody published meanwhile, say so and leave that alone.

        Raises:
            DifyopsError: a call or the proof failed.
        """
        work = _Work(instance, change)
        try:
            proofs = await work.forward()
        except Overtaken as error:
            taken = await work.back()
            return Ended(state="overtaken", text=f"{error.message} {_sentence(taken)}")
        except (StalePlan, Refused) as error:
            taken = await work.back()
            return Ended(state="undone", text=f"{error.message} {_sentence(taken)}")
        told = f"; {work.draft_told}" if work.draft_told else ""
        return Ended(
            state="finished",
            text=f"live is the target{told}",
            warnings=(*work.warnings(), *await work.missed_slots()),
            data={"proofs": [*proofs]},
        )

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Put back what is still ours.

        Raises:
            DifyopsError: a call failed.
        """
        taken = await _Work(instance, change).back()
        return Ended(state="overtaken" if taken.left_alone else "undone", text="; ".join(taken.said))


@dataclass(slots=True)
class _Work:
    """One rollback under way, the first time or after a kill: facts in the journal, documents in its private files."""

    instance: Instance
    change: Change
    answer: str | None = None
    draft_told: str | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.change.record.facts

    @property
    def is_workflow(self) -> bool:
        return self.facts["mode"] in ("workflow", "advanced-chat")

    @property
    def is_agent(self) -> bool:
        return bool(self.facts["mode"] == AGENT_MODE)

    @property
    def publication(self) -> Publication:
        facts = self.facts
        return Publication(
            instance=self.instance,
            app_id=facts["app_id"],
            app_name=facts["app_name"],
            keeper=self.change,
            settings=PublishSettings(
                name=facts["publish_name"],
                text=facts["publish_comment"],
                wait_for_slots=facts["wait_for_slots"],
            ),
            clock=self.change.journal.clock,
        )

    @property
    def agent(self) -> AgentPublication:
        facts = self.facts
        return AgentPublication(
            instance=self.instance,
            app_id=facts["app_id"],
            app_name=facts["app_name"],
            keeper=self.change,
            text=facts["publish_comment"],
            clock=self.change.journal.clock,
        )

    @property
    def config(self) -> ConfigPublication:
        facts = self.facts
        return ConfigPublication(
            instance=self.instance, app_id=facts["app_id"], app_name=facts["app_name"], keeper=self.change
        )

    def begin(self, situation: Situation, smoke: Smoke | None) -> None:
        """Write down all that finishing or undoing will need: nothing is asked of a person again."""
        if smoke is not None:
            self.change.keep("smoke", {"inputs": dict(smoke.inputs), "query": smoke.query, "expect": smoke.expect})
        if isinstance(situation.live, AgentVersion):
            soul = situation.filled.document["agent_soul"]
            self.agent.begin(target=soul, live=situation.live, draft=situation.agent_draft or {})
        elif situation.app.has_workflow:
            self.publication.begin(
                target=Content(document=situation.filled.document),
                live=situation.live_content,
                version=situation.live,
                draft=situation.draft_content,
            )
        else:
            self.config.begin(target=situation.filled.document["model_config"], live=situation.live_config)

    async def forward(self) -> list[Proof]:
        """Bring the rollback to its end from wherever it is.

        Raises:
            Overtaken: somebody else published. DifyopsError: a call, the test run or the proof failed.
        """
        if self.is_workflow:
            publication = self.publication
            had_draft = self.change.kept(PARKED) is not None
            await publication.put_live(self._tested if self.change.kept("smoke") else None)
            await publication.restore_triggers()
            had_draft = had_draft or self.change.kept(PARKED) is not None
            await publication.put_draft_back()
            self.draft_told = publication.draft_told() if had_draft else None
        elif self.is_agent:
            had_draft = self.change.kept(PARKED) is not None
            await self.agent.put_live()
            had_draft = had_draft or self.change.kept(PARKED) is not None
            await self.agent.put_draft_back()
            self.draft_told = self.agent.draft_told() if had_draft else None
        else:
            await self.config.put_live()
        await self._write_identity(self._identity("identity"))
        self.change.checkpoint("before proof")
        proofs = await prove(self.instance, self.change, self._target())
        failed = [proof for proof in proofs if not proof.ok]
        if failed and not await self._was_overtaken():
            raise ProofFailed(f"The proof failed: {failed[0].what}: {failed[0].found}.")
        if failed:
            raise Overtaken(
                f"{self.facts['app_name']!r} was changed by somebody else after the target went live; "
                "that is left alone."
            )
        return proofs

    async def back(self) -> TakenBack:
        """Put the former state back, as far as it is still ours.

        Raises:
            DifyopsError: a call failed; the journal stays, and this can be done again.
        """
        await self._write_identity(self._identity("former_identity"), only_over=self._identity("identity"))
        if self.is_agent:
            return await self.agent.take_back()
        return await (self.publication.take_back() if self.is_workflow else self.config.take_back())

    async def live_version(self) -> str | None:
        """Return the id of the version that is live now."""
        app = await self.instance.console.app(self.facts["app_id"])
        return (await Agents(self.instance.console).state(app)).active if self.is_agent else app.live_version

    async def missed_slots(self) -> list[str]:
        """Return the scheduled runs that the publication skipped."""
        return await self.publication.slots.missed() if self.is_workflow else []

    def warnings(self) -> list[str]:
        """Return what others did meanwhile, in sentences."""
        found = [
            f"{item['title']} is kept as {item['place']} (difyops changes draft {item['name']})"
            for item in self.change.memo("set_aside") or []
        ]
        for item in self.change.memo("slipped") or []:
            until = item.get("live_until") or "now"
            found.append(f"a save slipped in and was live as {item['version']} from {item['live_from']} to {until}")
        return found

    async def undone(self, error: DifyopsError) -> DifyopsError:
        """Undo after a failure and return the error to raise: it says which state the app is in."""
        name, identity = self.facts["app_name"], self.change.id
        hint = f"difyops changes show {identity} tells the state; difyops changes finish {identity} (or undo) ends it."
        if gone := cut_off(error, f"The rollback of {name!r}", hint):
            return gone
        if isinstance(error, Unreachable):
            return DifyopsError(
                f"The rollback of {name!r} was cut off: {error.message} Whether the server acted is unknown.",
                hint=hint,
                retryable=True,
            )
        if isinstance(error, NotFound) and await self._is_gone():
            self.change.close("gone", error=error.code)
            return NotFound(f"{name!r} was deleted meanwhile: {error.message}", status=404)
        try:
            taken = await self.back()
        except DifyopsError as second:
            return DifyopsError(
                f"The rollback of {name!r} failed ({error.message}) and could not be undone now ({second.message}).",
                hint=hint,
            )
        self.change.close("overtaken" if taken.left_alone else "undone", error=error.code)
        message = f"{error.message} The rollback of {name!r} was undone: {'; '.join(taken.said)}."
        if taken.left_alone:
            message = f"{error.message} {_sentence(taken)}"
        for warning in self.warnings():
            message += f" {warning[0].upper()}{warning[1:]}."
        if isinstance(error, (StalePlan, Refused)) or taken.left_alone:
            return StalePlan(message, hint=error.hint, details={"undone": list(taken.said)})
        return DifyopsError(message, hint=error.hint)

    async def tell(self) -> str:
        if self.is_agent:
            return "the target is live" if await self.agent.is_target_live() else "another version is live"
        if not self.is_workflow:
            taken = "live is the target; only the proof is missing"
            return taken if await self.config.is_target_live() else "the former model config, or another one, is live"
        publication = self.publication
        seen = await publication.look()
        live = "the target is live" if await publication.is_target_live() else "another version is live"
        if seen.live is not None and seen.live.id == self.change.memo("live_before"):
            live = "the former version is still live"
        parked = self.change.kept(PARKED)
        if parked is None:
            return live
        is_back = seen.draft is not None and seen.draft.is_same(Content.read(parked))
        return f"{live}; the unpublished draft is {'in place' if is_back else 'held in the journal'}"

    def _target(self) -> JsonObject:
        held = self.change.kept(TARGET) or {}
        return dict(held["document"]) if self.is_workflow or self.is_agent else {"model_config": held}

    async def _tested(self) -> None:
        held = self.change.kept("smoke") or {}
        smoke = Smoke(inputs=held["inputs"], query=held["query"], expect=held["expect"])
        app = await self.instance.console.app(self.facts["app_id"])
        self.answer = await smoke_run(self.instance, app, smoke)

    async def _was_overtaken(self) -> bool:
        if self.is_agent:
            return not await self.agent.is_live_ours()
        if not self.is_workflow:
            return not await self.config.is_target_live()
        seen = await self.publication.look()
        return seen.live is not None and not self.publication.is_ours(seen.live)

    def _identity(self, which: str) -> JsonObject | None:
        """Return name, description and icon as they are to be, or were: a description may hold a secret."""
        held = self.change.kept(IDENTITIES)
        found: JsonObject | None = (held if held is not None else self.facts).get(which)
        return found

    async def _write_identity(self, identity: JsonObject | None, *, only_over: JsonObject | None = None) -> None:
        """Set name, description and icon; everything else that the call would set stays as it is now."""
        if identity is None:
            return
        console, app_id = self.instance.console, self.facts["app_id"]
        app = await console.app(app_id)
        if self.is_agent:
            app = (await agent_now(self.instance, app)).app
        now = identity_of(app)
        if now == identity or (only_over is not None and now != only_over):
            return
        body = {**identity, "max_active_requests": app.raw.get("max_active_requests")}
        if self.is_agent:
            await self.change.effect("write name", lambda: Agents(console).update(app, body))
        else:
            await self.change.effect("write name", lambda: console.update_app(app_id, body))

    async def _is_gone(self) -> bool:
        """Say whether the app itself was deleted; something of it that is not found is another matter."""
        try:
            await self.instance.console.app(self.facts["app_id"])
        except NotFound:
            return True
        except DifyopsError:
            return False
        return False


def _sentence(taken: TakenBack) -> str:
    text = "; ".join(taken.said)
    return f"{text[:1].upper()}{text[1:]}."


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
        "publish_comment": options.comment or f"back to {plan.target} ({plan.target_commit[:10]})",
        "wait_for_slots": options.wait_for_slots,
    }


def _identity(kept: Kept, situation: Situation, options: RollbackOptions) -> JsonObject:
    seal = options.plan.seal
    texts = opened_texts(kept, seal, options.plan.access)
    description = clear_text(kept.record.description, situation.app.description, texts, seal)
    return {"name": kept.record.name, "description": description, **kept.record.icon}

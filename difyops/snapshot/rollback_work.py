"""One rollback under way, the first time or after a kill: forward to its proof, back to what was live, and told.

Facts are in the journal of the change, documents in its private files; ``publishing`` puts them live.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from difyops.api.agents import Agents
from difyops.api.instance import Instance
from difyops.api.model import AgentVersion, App
from difyops.asking import Smoke, smoke_run
from difyops.changes import Change, cut_off
from difyops.errors import DifyopsError, NotFound, Refused, StalePlan, Unreachable
from difyops.publishing import Content, Overtaken, Publication
from difyops.publishing.agent import AgentPublication
from difyops.publishing.config import ConfigPublication
from difyops.publishing.held import PARKED, TARGET
from difyops.publishing.publication import (
    TakenBack,
)
from difyops.publishing.putting import Putting
from difyops.snapshot.agent_apps import agent_now
from difyops.snapshot.proof import Proof, prove
from difyops.snapshot.reading import shown_fields
from difyops.snapshot.situation import Situation

JsonObject = dict[str, Any]
IDENTITIES = "identities"


class ProofFailed(DifyopsError):
    """What was read back is not what it must be."""

    code = "proof_failed"


@dataclass(slots=True)
class RollbackWork:
    """One rollback under way, the first time or after a kill: facts in the journal, documents in its private files."""

    instance: Instance
    change: Change
    answer: str | None = None
    draft_told: str | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return the facts of the change."""
        return self.change.record.facts

    @property
    def is_workflow(self) -> bool:
        """Say whether it is a workflow or chatflow."""
        return self.putting.is_workflow

    @property
    def is_agent(self) -> bool:
        """Say whether it is an agent app."""
        return self.putting.is_agent

    @property
    def putting(self) -> Putting:
        """Return how the app's document goes live and comes back."""
        return Putting(self.instance, self.change)

    @property
    def publication(self) -> Publication:
        """Return the publication of a workflow or chatflow."""
        return self.putting.publication

    @property
    def agent(self) -> AgentPublication:
        """Return the publication of an agent app."""
        return self.putting.agent

    @property
    def config(self) -> ConfigPublication:
        """Return the publication of a chat, agent-chat or completion app."""
        return self.putting.config

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
        await self._put_live()
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

    async def _put_live(self) -> None:
        """Put the target live and the draft back, and remember where the draft is."""
        if not (self.is_workflow or self.is_agent):
            await self.config.put_live()
            return
        made = self.publication if self.is_workflow else self.agent
        had_draft = self.change.kept(PARKED) is not None
        if isinstance(made, Publication):
            await made.put_live(self._tested if self.change.kept("smoke") else None)
            await made.restore_triggers()
        else:
            await made.put_live()
        had_draft = had_draft or self.change.kept(PARKED) is not None
        await made.put_draft_back()
        self.draft_told = made.draft_told() if had_draft else None

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
            message = f"{error.message} {sentence(taken)}"
        for warning in self.warnings():
            message += f" {warning[0].upper()}{warning[1:]}."
        if isinstance(error, (StalePlan, Refused)) or taken.left_alone:
            return StalePlan(message, hint=error.hint, details={"undone": list(taken.said)})
        return DifyopsError(message, hint=error.hint)

    async def tell(self) -> str:
        """Return one sentence on what is live, and where the unpublished draft is."""
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


def sentence(taken: TakenBack) -> str:
    """Return what was taken back, as one sentence."""
    text = "; ".join(taken.said)
    return f"{text[:1].upper()}{text[1:]}."


def identity_of(app: App) -> JsonObject:
    """Return what people see of an app: name, description, icon."""
    shown = {key: app.raw.get(key) for key in shown_fields(app)}
    return {"name": app.name, "description": app.description, **shown}

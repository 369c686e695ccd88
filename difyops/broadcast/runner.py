"""One target from key to answer: key, form, inputs, files, run, safe retries, an optional twin.

What is repeated: a run that the server did not begin (a limit said no, the connection was never made). Other failures
are repeated only for targets marked repeatable. Retries after an outage are paid from a bucket that earns a tenth per
target, so that an outage costs at most 1.1 calls per target; a server that answers "later" is alive and has its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api.input_form import InputField
from difyops.api.model import App
from difyops.api.run_faults import PROVIDER_DOWN, PROVIDER_RATE, RATE_LIMIT, RunFailed, was_not_sent
from difyops.api.service import Answer, Question, Service
from difyops.api.transport import RetryBudget, Transport
from difyops.broadcast.answer import ANSWERED, AgentAnswer, who
from difyops.broadcast.calls import Call, Calls, first_good
from difyops.broadcast.inputs import Mapped, mapped
from difyops.broadcast.plan import Attachment, Target
from difyops.clock import Clock
from difyops.errors import DifyopsError, ServerFault, TimedOut, Unreachable
from difyops.fanout import FanoutLimits
from difyops.secret_text import SecretText

_HEDGED_SHARE = 20  # one twin per so many targets, and one at least
_BACKOFF, _BACKOFF_CAP, _RETRY_AFTER_CAP = 0.5, 20.0, 60.0


Desk = tuple[Service, tuple[InputField, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How one instance is reached: a transport for runs, and the way to an app's key."""

    transport: Transport
    key_of: Callable[[App], Awaitable[SecretText]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a target is run: who asks, seconds of silence, tries, seconds until a twin starts."""

    user: str
    silence: float = 30.0
    tries: int = 3
    hedge_after: float | None = None


@dataclass(slots=True)
class Live:
    """A target that is being asked: what is known of it while it has no answer."""

    target: Target
    attempts: int = 0
    hedged: bool = False
    unused: tuple[str, ...] = ()
    call: Call | None = None

    @property
    def text(self) -> str:
        """Return what came so far."""
        return "".join(self.call.parts) if self.call else ""


@dataclass(slots=True)
class Runner:
    """Asks targets, one by one; the engine runs many of them side by side."""

    reaches: Mapping[str, Reach]
    question: str
    attachments: tuple[Attachment, ...]
    options: RunOptions
    limits: FanoutLimits
    clock: Clock
    on_delta: Callable[[Target, str], None]
    calls: Calls
    twins_left: int = 0
    lives: dict[str, Live] = field(default_factory=dict)
    outage: RetryBudget = field(default_factory=lambda: RetryBudget(tokens=0.0))
    later: RetryBudget = field(default_factory=lambda: RetryBudget(tokens=20.0, most=50.0))
    desks: dict[tuple[str, str], asyncio.Future[Desk]] = field(default_factory=dict)

    def allow_twins(self, targets: int) -> None:
        """Set how many twins this broadcast may start: five per cent of the targets, at least one."""
        self.twins_left = max(1, targets // _HEDGED_SHARE) if self.options.hedge_after is not None else 0

    async def ask(self, target: Target) -> AgentAnswer:
        """Ask one target and return its answer.

        Raises:
            CredentialError: no key. RunFailed: bad input (before the call), or the run failed. DifyopsError: the rest.
        """
        live = self.lives[target.id] = Live(target=target)
        service, form = await self._desk(target)
        question_text = self.question if target.question is None else target.question
        fit = mapped(target, form, question_text, self.attachments)
        live.unused = fit.unused
        question = await self._question(service, fit)
        answer = await self._tried(live, service, question)
        return _answered(live, answer)

    async def close(self) -> None:
        """Wait until every run that was given up was stopped on its server, or its seconds are over."""
        await self.calls.all_gone()

    async def _desk(self, target: Target) -> Desk:
        """Return service and form of the target's app; looked up once, however often the app is asked."""
        key = (target.context, target.app.id)
        if key in self.desks:
            return await asyncio.shield(self.desks[key])
        desk: asyncio.Future[Desk] = asyncio.get_running_loop().create_future()
        self.desks[key] = desk
        try:
            desk.set_result(await self._look_up(target))
        except DifyopsError as error:
            desk.set_exception(error)
        finally:
            if not desk.done():  # given up in between: whoever waits for it must not take that for his own end
                desk.set_exception(TimedOut("The look-up of the app was given up."))
            desk.exception()  # seen, when nobody else waits
        return desk.result()

    async def _look_up(self, target: Target) -> Desk:
        reach = self.reaches[target.context]
        key = await reach.key_of(target.app)
        service = Service(reach.transport, key, target.app.mode, self.clock, name=target.app.name)
        return service, await service.form()

    async def _question(self, service: Service, fit: Mapped) -> Question:
        inputs, files = dict(fit.inputs), []
        for place, attachment in fit.placed:
            sent = await self._sent(service, attachment)
            if place is None:
                files.append(sent)
            elif place.kind == "file-list":
                inputs[place.name] = [*inputs.get(place.name, []), sent]
            else:
                inputs[place.name] = sent
        return Question(inputs=inputs, query=fit.query, user=self.options.user, files=tuple(files))

    async def _sent(self, service: Service, attachment: Attachment) -> dict[str, Any]:
        if attachment.url is not None:
            return {"type": attachment.kind, "transfer_method": "remote_url", "url": attachment.url}
        found = await service.upload(attachment.name, attachment.content, attachment.media_type, self.options.user)
        return {"type": attachment.kind, "transfer_method": "local_file", "upload_file_id": found}

    async def _tried(self, live: Live, service: Service, question: Question) -> Answer:
        self.outage.earn()
        self.later.earn()
        while True:
            live.attempts += 1
            try:
                return await self._run(live, service, question)
            except DifyopsError as error:
                if isinstance(error, RunFailed) and error.kind in (RATE_LIMIT, PROVIDER_RATE):
                    self.limits.group(live.target.context).shrink()
                if live.attempts >= self.options.tries or not self._may_repeat(error, live.target):
                    raise
                await self.clock.sleep(_pause(error, live.attempts))

    async def _run(self, live: Live, service: Service, question: Question) -> Answer:
        calls = [self._begun(live, service, question)]
        live.call = calls[0]
        try:
            after = self.options.hedge_after
            if after is not None and live.target.repeatable:
                await asyncio.wait({calls[0].task}, timeout=after)
                if not calls[0].task.done() and self._take_twin(live.target.context):
                    live.hedged = True
                    calls.append(self._begun(live, service, question, is_twin=True))
                    return (await first_good(calls)).task.result()
            return await asyncio.shield(calls[0].task)
        finally:
            for call in calls:
                self.calls.let_go(call)

    def _begun(self, live: Live, service: Service, question: Question, *, is_twin: bool = False) -> Call:
        call = Call(service=service, user=self.options.user, group=live.target.context, is_twin=is_twin)
        shown = _unheard if is_twin else lambda delta: self.on_delta(live.target, delta)
        call.begin(question, self.options.silence, shown)
        return call

    def _take_twin(self, group: str) -> bool:
        if self.twins_left < 1 or not self.limits.has_room(group):
            return False
        self.twins_left -= 1
        self.limits.take(group)
        return True

    def _may_repeat(self, error: DifyopsError, target: Target) -> bool:
        if isinstance(error, RunFailed) and not error.was_begun:
            return self.later.spend()
        if was_not_sent(error) or (target.repeatable and _may_pass(error)):
            return self.outage.spend()
        return False


def _unheard(_: str) -> None:
    """Take a twin's delta: only the first call is shown as it grows, so that no text appears twice."""


def _may_pass(error: DifyopsError) -> bool:
    if isinstance(error, RunFailed):
        return error.kind in (PROVIDER_RATE, PROVIDER_DOWN)
    return error.retryable and isinstance(error, (ServerFault, Unreachable))


def _pause(error: DifyopsError, attempt: int) -> float:
    wanted = error.retry_after if isinstance(error, RunFailed) else None
    if wanted is not None:
        return min(wanted, _RETRY_AFTER_CAP) + random.uniform(0, 0.2)
    return random.uniform(0, min(_BACKOFF_CAP, _BACKOFF * 2**attempt))


def _answered(live: Live, answer: Answer) -> AgentAnswer:
    return AgentAnswer(
        **who(live.target),
        status=ANSWERED,
        text=answer.text,
        outputs=answer.outputs,
        tokens=answer.tokens,
        price=answer.price,
        currency=answer.currency,
        first_token=answer.first_token,
        seconds=answer.seconds,
        conversation_id=answer.conversation_id,
        message_id=answer.message_id,
        run_id=answer.run_id,
        learned=answer.learned,
        attempts=live.attempts,
        hedged=live.hedged,
        unused_inputs=live.unused,
    )

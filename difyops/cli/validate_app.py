"""Asking an app until its answer stands: the part of ``validate``'s door that waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from difyops.api.input_form import InputField, check_inputs
from difyops.api.instance import Instance
from difyops.api.run_transport import run_transport
from difyops.api.service import Question, Service, app_key
from difyops.broadcast.inputs import mapped
from difyops.broadcast.plan import Target
from difyops.cli.session import Session
from difyops.cli.values import as_given
from difyops.errors import UsageError
from difyops.targets import pick
from difyops.validation.reask import (
    Ask,
    FallbackAsk,
    FallbackValue,
    ReaskOptions,
    ReaskRequest,
    check_fallback,
    enforce_with,
)
from difyops.validation.sources import text_of_outputs

if TYPE_CHECKING:
    from difyops.validation import EnforceOptions, Schema

_USER = "difyops-validate"
_WITHOUT_QUERY = ("workflow", "completion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Whom to ask what. ``query`` is the question; without one, the input ``question_as`` (or the only one) is it."""

    app: str
    query: str
    inputs: dict[str, Any]
    question_as: str | None = None
    field: str | None = None
    fallback_app: str | None = None

    def with_question(self) -> Asking:
        """Return the same with the question taken out of the inputs, so that it can be asked again with more."""
        name = self.question_as or (next(iter(self.inputs)) if len(self.inputs) == 1 else None)
        if self.query or name is None or not isinstance(self.inputs.get(name), str):
            return self
        inputs = {key: value for key, value in self.inputs.items() if key != name}
        return replace(self, query=str(self.inputs[name]), inputs=inputs, question_as=name)


@dataclass(frozen=True, slots=True)
class AppReply:
    """What one call gave."""

    text: str
    tokens: int | None


async def carry_out(
    session: Session, asking: Asking, schema: Schema, *, options: EnforceOptions, reask: ReaskOptions
) -> ReaskRequest:
    """Ask, ask again, fall back. A fallback value is checked before anything is called.

    Raises:
        UsageError: the fallback value does not satisfy the schema. DifyopsError: the app cannot be asked.
    """
    if isinstance(reask.fallback, FallbackValue):
        check_fallback(reask.fallback, schema)
    asking = asking.with_question()
    async with AsyncExitStack() as stack:
        instance = await stack.enter_async_context(session.instance())
        ask = await stack.enter_async_context(_asker(instance, asking))
        if asking.fallback_app:
            other = await stack.enter_async_context(_asker(instance, replace(asking, app=asking.fallback_app)))
            reask = replace(reask, fallback=FallbackAsk(ask=other))
        return await enforce_with(ask, asking.query, schema, options=options, reask=reask)


def _question(target: Target, form: tuple[InputField, ...], message: str) -> Question:
    """Fit the message and the inputs into the app's form.

    Raises:
        RunFailed: they do not fit.
    """
    if message:
        fit = mapped(target, form, message)
        return Question(inputs=fit.inputs, query=fit.query, user=_USER)
    check_inputs(form, target.inputs)
    return Question(inputs=target.inputs, user=_USER)


@asynccontextmanager
async def _asker(instance: Instance, asking: Asking) -> AsyncIterator[Ask]:
    """Give the function that asks one app one thing; every call is one run, never repeated blindly."""
    app = pick([item async for item in instance.console.apps()], asking.app)
    if not asking.query and app.mode not in _WITHOUT_QUERY:
        raise UsageError(f"There is nothing to ask {app.name}.", hint="Add --query TEXT.")
    key = await app_key(instance.console, app.id)
    transport = run_transport(instance.context, limit=2)
    try:
        service = Service(transport, key, app.mode, name=app.name)
        form = await service.form()
        target = Target(id=app.id, context=instance.name, app=app, inputs=asking.inputs, question_as=asking.question_as)

        async def ask(message: str) -> AppReply:
            with as_given(app.name):
                question = _question(target, form, message)
            answer = await service.run(question)
            text = text_of_outputs(dict(answer.outputs), asking.field) if answer.outputs else answer.text
            return AppReply(text or "", answer.tokens)

        yield ask
    finally:
        await transport.close()

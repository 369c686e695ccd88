"""Run an app once and judge its answer: the one way of health checks, smoke runs, drills and runbooks.

``ask_app`` asks what is published, through the app's own API; ``ask_draft`` asks the draft, through the console.
``complaint`` says what is wrong with an answer. One that is empty is always wrong: with a cut edge a run "succeeds"
and gives blank outputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from difyops.api.input_form import completed
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_answer import Answer, Gathered
from difyops.api.run_faults import RunFailed
from difyops.api.service import Question, Service, app_key, check_inputs
from difyops.api.sse import SILENCE
from difyops.clock import Clock, SystemClock
from difyops.errors import DifyopsError
from difyops.secret_text import SecretText
from difyops.setting_values import Name

Judge = Callable[[Any, Answer], str | None]
"""``judge(schema, answer)`` returns what the schema does not allow, in words, or ``None``."""

_BLANK: tuple[object, ...] = (None, "", [], {})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAnswer:
    """What an answer must be: texts that it holds, texts that it does ``never``, a JSON schema, most seconds."""

    texts: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    schema: Any = None
    max_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke:
    """Inputs of a test run, the question for the chat modes, and text that the answer must hold."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    query: Annotated[Name, "the question for the chat modes"] = "ping"
    expect: Annotated[str | None, "what the answer holds"] = None


class SmokeFailed(DifyopsError):
    """The app did not pass its test run."""

    code = "smoke_failed"


async def ask_app(
    instance: Instance,
    app: App,
    question: Question,
    *,
    key: SecretText | None = None,
    silence: float = SILENCE,
    clock: Clock | None = None,
) -> Answer:
    """Run what is published, once, with ``key`` or one of the app's own, and return the answer.

    Required inputs that were not given are filled with their default, the first choice, the query, or 1; files are not
    made up. ``silence`` is seconds without a line.

    Raises:
        CredentialError: the app has no key. RunFailed, TimedOut, Forbidden, NotAuthenticated: see ``Service.run``.
    """
    service = await _service(instance, app, key, clock)
    return _put_out(app, await service.run(await _fitting(service, question), silence=silence))


async def ask_draft(instance: Instance, app: App, question: Question, *, clock: Clock | None = None) -> Answer:
    """Run the draft, once, with the inputs as they are, and return the answer.

    Raises:
        RunFailed: the app or its provider said no, or the run ended without a result.
    """
    clock = clock or SystemClock()
    started, gathered = clock.monotonic(), Gathered(mode=app.mode)
    async with instance.console.draft_run(app, question.inputs, question.query) as running:
        async for event in running:
            gathered.take(event, clock.monotonic() - started, None, None)
            if gathered.ended or gathered.paused:
                break
    return _put_out(app, gathered.answer(clock.monotonic() - started))


async def inputs_for_draft(instance: Instance, app: App, question: Question, *, clock: Clock | None = None) -> Question:
    """Return ``question`` with what the form of the published app requires filled in.

    Raises:
        CredentialError: the app has no key. RunFailed: it is not published, or the inputs do not fit.
    """
    return await _fitting(await _service(instance, app, None, clock), question)


async def smoke_run(
    instance: Instance, app: App, smoke: Smoke, *, key: SecretText | None = None, user: str = "difyops"
) -> str:
    """Run the draft, or the published app where there is no draft, and return its answer as text.

    Raises:
        SmokeFailed: it failed, gave nothing, or not what is expected.
    """
    question = Question(inputs=smoke.inputs, query=smoke.query, user=user)
    try:
        if app.has_workflow:
            answer = await ask_draft(instance, app, question)
        else:
            answer = await ask_app(instance, app, question, key=key)
    except RunFailed as error:
        raise SmokeFailed(f"The test run failed: {error.message}") from error
    if answer.status != "succeeded":
        raise SmokeFailed(f"The test run ended as {answer.status}.")
    wrong = complaint(answer, ExpectedAnswer(texts=(smoke.expect,) if smoke.expect is not None else ()))
    if wrong:
        raise SmokeFailed(f"The test run: {wrong}.")
    return shown(answer)


def complaint(answer: Answer, expected: ExpectedAnswer, judge: Judge | None = None) -> str | None:
    """Return what is wrong with an answer, as the end of a sentence, or ``None``. A schema needs a ``judge``."""
    if all(value in _BLANK for value in answer.outputs.values()) if answer.outputs else not answer.text.strip():
        return "it succeeded with an empty answer (a cut edge, or blank outputs)"
    searched = "\n".join((shown(answer), *(f"{name}: {value}" for name, value in answer.outputs.items())))
    for text in expected.texts:
        if text not in searched:
            return f"its answer does not hold {text!r}"
    for text in expected.never:
        if text in searched:
            return f"its answer holds {text!r}, which it must not"
    if expected.max_seconds is not None and answer.seconds > expected.max_seconds:
        return f"it took {answer.seconds:.2f} s, more than {expected.max_seconds:g} s"
    if expected.schema is not None:
        return (judge or no_judge)(expected.schema, answer)
    return None


def shown(answer: Answer) -> str:
    """Return the text of an answer; outputs without any as JSON."""
    return answer.text if answer.text.strip() or not answer.outputs else json.dumps(dict(answer.outputs))


def no_judge(schema: Any, answer: Answer) -> str | None:
    """Say that schemas cannot be judged here."""
    return "no judge for schemas was handed in"


def _put_out(app: App, answer: Answer) -> Answer:
    """Return the answer without what a workflow streamed on its way and did not put out."""
    return replace(answer, text="") if app.mode == "workflow" and not answer.outputs else answer


async def _service(instance: Instance, app: App, key: SecretText | None, clock: Clock | None) -> Service:
    token = key or await app_key(instance.console, app.id)
    return Service(instance.service_transport, token, app.mode, clock or SystemClock(), name=app.name)


async def _fitting(service: Service, question: Question) -> Question:
    """Return the question with its inputs completed.

    Raises:
        RunFailed: they do not fit. A stream with such inputs stays silent for minutes on older servers.
    """
    form = await service.form()
    inputs = completed(form, question.inputs, question.query)
    check_inputs(form, inputs)
    return replace(question, inputs=inputs)

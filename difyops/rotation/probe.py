"""Health checks: a real run of an app with smoke inputs, judged. A check that cannot run is inconclusive, not healthy.

Sick is what a wrong secret looks like: the provider refuses its key, has no credential, the app fails, the answer is
not as expected. Inconclusive is what says nothing about the secret: the server or the provider is away or busy, the app
has no key, is not published, or its inputs cannot be made up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from difyops.api import run_faults
from difyops.api.faults import clean
from difyops.api.service import Answer, InputField, Question, Service, app_key, check_inputs, text_of
from difyops.api.sse import ServerEvent
from difyops.errors import DifyopsError, NotAuthenticated
from difyops.rotation.job import RotationJob
from difyops.rotation.machine import Health
from difyops.rotation.record import ProbeSpec
from difyops.secret_text import SecretText

LONGEST = 120.0
_SICK = frozenset({run_faults.PROVIDER_AUTH, run_faults.PROVIDER_MISSING, run_faults.QUOTA, run_faults.APP_FAULT})
_BY_KIND: dict[str, Any] = {"number": 1, "checkbox": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """One health check's verdict: which app, healthy, sick or inconclusive, why, and how long it took (seconds)."""

    app: str
    health: Health
    why: str = ""
    seconds: float = 0.0


def counted(job: RotationJob) -> list[ProbeSpec]:
    """Return the health checks of a rotation without those that failed before anything was changed."""
    aside = job.memo("set_aside") or ()
    return [spec for spec in job.rotation.settings.probes if spec.app not in aside]


def together(results: Sequence[Probed]) -> Health:
    """Return the verdict of a round: sick if any is, inconclusive if any is, healthy if all are."""
    found = {result.health for result in results}
    for health in (Health.SICK, Health.INCONCLUSIVE, Health.HEALTHY):
        if health in found:
            return health
    return Health.NONE


async def probe(job: RotationJob, spec: ProbeSpec, key: SecretText | None) -> Probed:
    """Run one check."""
    started = job.bench.clock.monotonic()
    try:
        async with asyncio.timeout(LONGEST):
            answer = await _run(job, spec, key)
    except TimeoutError:
        return Probed(app=spec.name, health=Health.INCONCLUSIVE, why=f"no answer within {LONGEST:.0f} s")
    except DifyopsError as error:
        return Probed(app=spec.name, health=_health_of(error, key), why=error.message)
    seconds = job.bench.clock.monotonic() - started
    why = _complaint(job, spec, answer)
    return Probed(app=spec.name, health=Health.SICK if why else Health.HEALTHY, why=why or "", seconds=seconds)


async def _run(job: RotationJob, spec: ProbeSpec, key: SecretText | None) -> Answer:
    instance = job.instance
    app = await instance.console.app(spec.app)
    token = key or await app_key(instance.console, spec.app)
    service = Service(instance.service_transport, token, app.mode, job.bench.clock)
    inputs = await _inputs(service, spec)
    return await service.run(Question(inputs=inputs, query=spec.query, user="difyops-probe"))


async def _inputs(service: Service, spec: ProbeSpec) -> dict[str, Any]:
    form = await service.form()
    inputs = {**made_up(form), **spec.inputs}
    check_inputs(form, inputs)
    return inputs


def made_up(form: Sequence[InputField]) -> dict[str, Any]:
    """Return inputs for the required fields of a form: defaults, first options, short text. Files cannot be made up."""
    found: dict[str, Any] = {}
    for item in form:
        if item.default not in (None, "") or not item.required or item.kind.startswith("file"):
            continue
        text = "ping"[: item.max_length or 4]
        found[item.name] = item.options[0] if item.options else _BY_KIND.get(item.kind, text)
    return found


def _health_of(error: DifyopsError, key: SecretText | None) -> Health:
    if isinstance(error, run_faults.RunFailed):
        return Health.SICK if error.kind in _SICK else Health.INCONCLUSIVE
    if isinstance(error, NotAuthenticated) and key is not None:
        return Health.SICK
    return Health.INCONCLUSIVE


def _complaint(job: RotationJob, spec: ProbeSpec, answer: Answer) -> str | None:
    if not answer.text and not answer.outputs:
        return "it succeeded with an empty answer"
    if spec.contains is not None and spec.contains not in answer.text:
        return "its answer lacks the expected text"
    if spec.max_seconds is not None and answer.seconds > spec.max_seconds:
        return f"it took {answer.seconds:.1f} s, more than {spec.max_seconds:g} s"
    if spec.schema is not None:
        return job.bench.judge(spec.schema, answer.outputs or _parsed(answer.text))
    return None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


async def probe_draft(job: RotationJob, spec: ProbeSpec) -> Probed:
    """Run the draft of a workflow app with smoke inputs; it succeeds with an answer, or it is sick."""
    instance = job.instance
    app = await instance.console.app(spec.app)
    try:
        async with asyncio.timeout(LONGEST):
            key = await app_key(instance.console, spec.app)
            inputs = await _inputs(Service(instance.service_transport, key, app.mode, job.bench.clock), spec)
            async with instance.console.draft_run(app, inputs, spec.query) as running:
                text, final = await _last_of(running)
    except (DifyopsError, TimeoutError) as error:
        return Probed(app=spec.name, health=Health.INCONCLUSIVE, why=str(error) or "no answer in time")
    if final is None:
        return Probed(app=spec.name, health=Health.INCONCLUSIVE, why="the run ended without a result")
    if final.name == "error" or final.data.get("status") not in ("succeeded", "partial-succeeded"):
        why = str(final.data.get("error") or final.body.get("message") or "it failed")
        return Probed(app=spec.name, health=_health_of(run_faults.run_failure("", why), None), why=clean(why))
    outputs = final.data.get("outputs") or {}
    answer = Answer(text=text or text_of(outputs), outputs=outputs if app.mode == "workflow" else {})
    why = _complaint(job, replace(spec, max_seconds=None), answer) or ""
    return Probed(app=spec.name, health=Health.SICK if why else Health.HEALTHY, why=why)


async def _last_of(running: AsyncIterator[ServerEvent]) -> tuple[str, ServerEvent | None]:
    text = ""
    async for event in running:
        text += str(event.body.get("answer") or "") if event.name == "message" else ""
        if event.name in ("workflow_finished", "error"):
            return text, event
    return text, None

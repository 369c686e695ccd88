"""Health checks: a real run of an app with smoke inputs, judged. A check that cannot run is inconclusive, not healthy.

Sick is what a wrong secret looks like: the provider refuses its key, has no credential, the app fails, the answer is
not as expected. Inconclusive is what says nothing about the secret: the server or the provider is away or busy, the app
has no key, is not published, or its inputs cannot be made up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from difyops.api import run_faults
from difyops.api.service import Answer, Question
from difyops.asking import ExpectedAnswer, ask_app, ask_draft, complaint, inputs_for_draft
from difyops.errors import DifyopsError, NotAuthenticated
from difyops.rotation.job import RotationJob
from difyops.rotation.machine import Health
from difyops.rotation.record import ProbeSpec
from difyops.secret_text import SecretText

LONGEST = 120.0
_SICK = frozenset({run_faults.PROVIDER_AUTH, run_faults.PROVIDER_MISSING, run_faults.QUOTA, run_faults.APP_FAULT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """One health check's verdict: which app, healthy, sick or inconclusive, why, and how long it took (seconds)."""

    app: str
    health: Health
    why: str = ""
    seconds: float = 0.0


def counted(job: RotationJob) -> list[ProbeSpec]:
    """Return the health checks of a rotation without those that failed before anything was changed."""
    aside = job.memo("left_out") or ()
    return [spec for spec in job.rotation.settings.probes if spec.app not in aside]


def together(results: Sequence[Probed]) -> Health:
    """Return the verdict of a round: sick if any is, inconclusive if any is, healthy if all are."""
    found = {result.health for result in results}
    for health in (Health.SICK, Health.INCONCLUSIVE, Health.HEALTHY):
        if health in found:
            return health
    return Health.NONE


async def probe(job: RotationJob, spec: ProbeSpec, key: SecretText | None) -> Probed:
    """Ask one app as its callers do (``/v1``), with ``key`` or any key of the app; ``seconds`` is the time it took.

    Nothing is raised: what says nothing about the secret (a rate limit, a provider that is down, no answer within
    ``LONGEST`` seconds) is inconclusive; a failed run, a wrong answer or a key that is refused is sick.
    """
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
    app = await job.instance.console.app(spec.app)
    return await ask_app(job.instance, app, _question(spec), key=key, clock=job.bench.clock)


def _question(spec: ProbeSpec) -> Question:
    return Question(inputs=spec.inputs, query=spec.query, user="difyops-probe")


def _health_of(error: DifyopsError, key: SecretText | None) -> Health:
    if isinstance(error, run_faults.RunFailed):
        return Health.SICK if error.kind in _SICK else Health.INCONCLUSIVE
    if isinstance(error, NotAuthenticated) and key is not None:
        return Health.SICK
    return Health.INCONCLUSIVE


def _complaint(job: RotationJob, spec: ProbeSpec, answer: Answer) -> str | None:
    texts = () if spec.contains is None else (spec.contains,)
    expected = ExpectedAnswer(texts=texts, schema=spec.schema, max_seconds=spec.max_seconds)
    return complaint(answer, expected, job.bench.judge)


async def probe_draft(job: RotationJob, spec: ProbeSpec) -> Probed:
    """Run the draft of a workflow or chatflow with smoke inputs (``/console/api/apps/<id>/workflows/draft/run``).

    It is a real run: what it does outside is done. Judged as ``probe`` judges, but for the time that it takes.

    Raises:
        NotFound: the app was deleted.
    """
    instance, clock = job.instance, job.bench.clock
    app = await instance.console.app(spec.app)
    try:
        async with asyncio.timeout(LONGEST):
            question = await inputs_for_draft(instance, app, _question(spec), clock=clock)
            answer = await ask_draft(instance, app, question, clock=clock)
    except TimeoutError:
        return Probed(app=spec.name, health=Health.INCONCLUSIVE, why="no answer in time")
    except DifyopsError as error:
        return Probed(app=spec.name, health=_health_of(error, None), why=error.message)
    why = _complaint(job, replace(spec, max_seconds=None), answer) or ""
    return Probed(app=spec.name, health=Health.SICK if why else Health.HEALTHY, why=why)

"""Carrying out one check: its time-out, its retries, and the rule by which several measurements make one result."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from difyops.clock import Clock
from difyops.errors import DifyopsError
from difyops.runbook.model import Step, VerdictRule
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Warn, as_warning, shortened
from difyops.secret_text import scrub

log = logging.getLogger("difyops.runbook")

Measure = Callable[[], Awaitable[Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    """The result of a step and how many measurements it took."""

    result: Result
    tries: int


async def measured(step: Step, measure: Measure, clock: Clock) -> AttemptOutcome:
    """Measure as often as the step's rule wants and return one result."""
    seen: list[Result] = []
    tries = 0
    while not _is_decided(step.rule, seen):
        if seen:
            await clock.sleep(step.every)
        result, took = await _with_retries(step, measure, clock)
        tries += took
        seen.append(result)
    result = shortened(_joined(step.rule, seen))
    if step.next and not isinstance(result, Pass):
        result = replace(result, hint=step.next)
    return AttemptOutcome(result=as_warning(result) if step.severity == "warn" else result, tries=tries)


async def _with_retries(step: Step, measure: Measure, clock: Clock) -> tuple[Result, int]:
    for attempt in range(1, step.retries + 2):
        result = await once(measure, step.timeout)
        if not isinstance(result, Inconclusive) or attempt > step.retries:
            return result, attempt
        await clock.sleep(step.every)
    raise AssertionError("unreachable: the last attempt returns")


async def once(measure: Measure, limit: float) -> Result:
    """Measure once; whatever goes wrong with the measuring is inconclusive."""
    try:
        async with asyncio.timeout(limit):
            return await measure()
    except TimeoutError:
        return Inconclusive(text=f"no result within {limit:g} s", hint="Raise the step's timeout, or look by hand.")
    except DifyopsError as error:
        return Inconclusive(text=error.message, hint=error.hint)
    except Exception as bug:  # one broken check must not take the others of a 2 AM run with it
        log.debug("a check is broken", exc_info=True)
        return Inconclusive(text=f"the check itself is broken: {scrub(f'{type(bug).__name__}: {bug}')[:300]}")


def _is_decided(rule: VerdictRule, seen: list[Result]) -> bool:
    if not seen:
        return False
    bad = sum(isinstance(result, Fail) for result in seen)
    left = rule.of - len(seen)
    if rule.in_a_row and len(seen) > bad:
        return True
    return left <= 0 or bad >= rule.bad or bad + left < rule.bad


def _joined(rule: VerdictRule, seen: list[Result]) -> Result:
    """Return the failure when the rule says it counts; else what was not measured, or what was seen last that was well.

    Too few failures to count are a warning; where what was not measured could have made them enough, nobody knows.
    """
    bad = [result for result in seen if isinstance(result, Fail)]
    if len(bad) >= rule.bad:
        return replace(bad[-1], text=f"{bad[-1].text} ({len(bad)} of {len(seen)})") if rule.of > 1 else bad[-1]
    others = [result for result in seen if not isinstance(result, Fail)]
    result = next((item for item in reversed(others) if isinstance(item, Inconclusive)), others[-1])
    if not bad or not _is_known(rule, seen):
        return result
    return as_warning(
        Fail(text=f"failed {len(bad)} of {len(seen)} times, the rule is {rule.text}", values=bad[-1].values)
    )


def _is_known(rule: VerdictRule, seen: list[Result]) -> bool:
    """Say whether too few failed, whatever became of the measurements that came to nothing."""
    well = sum(not isinstance(result, Fail | Inconclusive) for result in seen)
    return well > rule.of - rule.bad


def held_back(result: Result, wanted: int, before: list[str]) -> Result:
    """Return a failure as a warning until ``wanted`` runs in a row saw it; ``before`` is newest first.

    A run before counts when the step failed in it, or was held back as a warning.
    """
    if not isinstance(result, Fail) or wanted <= 1:
        return result
    row = 1
    for word in before:
        if word not in ("fail", "warn"):
            break
        row += 1
    if row >= wanted:
        return result
    return Warn(
        text=f"{result.text} (run {row} of {wanted} until it counts)",
        values=result.values,
        excerpt=result.excerpt,
        hint=result.hint,
    )

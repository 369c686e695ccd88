"""Carrying out one action: plan, agree, write down, do, read back. What is done is never repeated by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from difyops.errors import DifyopsError, NeedsConfirmation, TimedOut, Unreachable
from difyops.runbook.model import Step
from difyops.runbook.outputs import harmless
from difyops.runbook.result import Acted, Fail, Inconclusive, Pass, Planned, Result, Skipped, Undo
from difyops.secret_text import scrub

log = logging.getLogger("difyops.runbook")

Ask = Callable[[str, str], None]
_LETTING_GO = 2.0  # seconds that a question has to leave the screen


def _unanswered(asking: asyncio.Future[None]) -> None:
    """Take what became of a question that was withdrawn; nobody else looks."""
    if not asking.cancelled():
        asking.exception()


def _nothing_open() -> None:
    """Withdraw no question: whoever is asked answers at once."""


@dataclass(slots=True, kw_only=True)
class Consent:
    """Who agreed to what. ``agree(question, changes)`` asks once for an action (a yes beforehand counts);
    ``approve(question, changes)`` asks a person at a terminal. Both raise ``NeedsConfirmation``. Asked one by one, in
    a thread; ``withdraw`` ends the question that is open, when the run ends before it is answered.
    """

    act: bool = False
    dry_run: bool = False
    approved: frozenset[str] = frozenset()
    agree: Ask
    approve: Ask
    withdraw: Callable[[], None] = _nothing_open
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_asking(self) -> bool:
        """Say whether a question is open."""
        return self._turn.locked()

    async def to_action(self, step: Step, planned: Planned) -> None:
        """Ask whether an action may be carried out.

        Raises:
            NeedsConfirmation: nobody can be asked, or somebody said no.
        """
        if planned.approval:
            if {step.id, "all"} & self.approved:
                return
            await self._asked(self.approve, f"{planned.text} Approve?", f"The approval {step.id!r}")
        elif planned.asks:
            undo = f" To undo: {planned.undo.text}." if planned.undo else " There is no undo."
            await self._asked(
                self.agree, f"{planned.text}.{undo} Go ahead?", f"The action {step.id!r} ({step.tool.name})"
            )

    async def _asked(self, ask: Ask, question: str, changes: str) -> None:
        async with self._turn:
            # What is planned names things of the server: its text must not steer the terminal it is shown on.
            asking = asyncio.ensure_future(asyncio.to_thread(ask, harmless(question), changes))
            try:
                await asyncio.shield(asking)
            except asyncio.CancelledError:
                self.withdraw()
                asking.add_done_callback(_unanswered)
                await asyncio.wait({asking}, timeout=_LETTING_GO)
                raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """How an action went; ``done`` says that it was carried out to its end."""

    result: Result
    done: bool = False
    undo: Undo | None = None


async def carried_out(
    step: Step, plan: Callable[[], object], consent: Consent, begin: Callable[[Planned], None]
) -> Deed:
    """Carry one action out, or say why not. ``begin`` writes it down just before it is done."""
    if not consent.act:
        return Deed(result=Skipped(text="actions run only with --act"))
    planned = await _planned(step, plan)
    if isinstance(planned, Result):
        return Deed(result=planned)
    if consent.dry_run:
        return Deed(result=Skipped(text=f"dry run: {planned.text}"), undo=planned.undo)
    if planned.apply is None:
        return Deed(result=Pass(text=planned.text))
    try:
        await consent.to_action(step, planned)
    except NeedsConfirmation as error:
        hint = f"--approve {step.id}" if planned.approval else error.hint  # a yes does not answer an approval
        return Deed(result=Skipped(text=f"not done: {planned.text}", hint=hint, refused=True))
    begin(planned)
    return await _applied(step, planned)


async def _planned(step: Step, plan: Callable[[], object]) -> Planned | Result:
    try:
        async with asyncio.timeout(step.timeout):
            return await plan()  # type: ignore[misc, no-any-return]
    except TimeoutError:
        return Inconclusive(text=f"could not be planned within {step.timeout:g} s; nothing was changed")
    except DifyopsError as error:
        return Fail(text=f"{error.message} Nothing was changed.", hint=error.hint)
    except Exception as bug:  # one broken action must not take the rest of a 2 AM run with it
        log.debug("an action is broken", exc_info=True)
        return Fail(text=f"the action itself is broken, nothing was changed: {scrub(repr(bug))[:300]}")


async def _applied(step: Step, planned: Planned) -> Deed:
    assert planned.apply is not None  # noqa: S101 - checked by the caller
    undo = planned.undo
    offer = f"To undo: {undo.text}" if undo else None
    try:
        async with asyncio.timeout(step.timeout):
            acted: Acted = await planned.apply()
    except TimeoutError:
        if not planned.changes:
            text = f"{planned.text}: cut off after {step.timeout:g} s, nothing was changed"
            return Deed(result=Inconclusive(text=text))
        text = f"{planned.text}: not ended within {step.timeout:g} s; whether it was done is unknown"
        return Deed(result=Fail(text=text, hint=offer), undo=undo)
    except (TimedOut, Unreachable) as error:
        text = f"{planned.text}: {error.message} Whether it was done is unknown."
        return Deed(result=Fail(text=text, hint=offer or error.hint), undo=undo)
    except DifyopsError as error:
        return Deed(result=Fail(text=f"{planned.text}: {error.message}", hint=error.hint or offer), undo=undo)
    except Exception as bug:  # as above; here something may have been done, so the undo is offered
        log.debug("an action is broken", exc_info=True)
        text = f"{planned.text}: broke off ({scrub(repr(bug))[:200]}); whether it was done is unknown"
        return Deed(result=Fail(text=text, hint=offer), undo=undo)
    return Deed(result=Pass(text=acted.text, values=acted.values), done=True, undo=acted.undo or undo)

"""Running a runbook from the command line: inputs read, resources prepared, consent asked at the terminal."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from difyops.cli.session import Session
from difyops.cli.stores import open_store
from difyops.clock import SystemClock
from difyops.config import Context
from difyops.errors import ConfigError, Interrupted, NotFound, Refused, StoreError, UsageError
from difyops.render.progress import progress
from difyops.runbook.acting import Consent
from difyops.runbook.engine import RunbookOptions
from difyops.runbook.engine import run as go
from difyops.runbook.history import run as past
from difyops.runbook.history import runs
from difyops.runbook.library import choose
from difyops.runbook.model import Runbook
from difyops.runbook.parameters import from_text
from difyops.runbook.record import INTERRUPTED, RunRecord, StepRecord
from difyops.runbook.resources import Resources
from difyops.runbook.undoing import undoing
from difyops.setting_problems import BadSetting

_GRACE = 5.0  # seconds that a run whose deadline passed has to write down its end
_A_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookRequest:
    """What was asked for: a runbook by name, or the undo of a run; inputs as ``NAME=VALUE``, steps approved before.

    ``is_forgiving``: a context or ledger that cannot be had ends nothing; the runbook's own checks say so.
    """

    runbook: str | None
    undo: str | None
    given: tuple[str, ...] = ()
    approve: tuple[str, ...] = ()
    act: bool = False
    is_forgiving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """A runbook that was read, with its inputs; ``trusted`` says that it may name programs."""

    runbook: Runbook
    inputs: Mapping[str, Any]
    trusted: bool
    is_forgiving: bool = False


def carry_out(session: Session, wanted: RunbookRequest) -> RunRecord:
    """Find the runbook, or make the one that undoes a run, run it, and return its record; an interrupted one, too.

    Raises:
        NotFound: no such runbook, or run. RunbookError: it has problems. UsageError: an input or a step is not right.
        Refused: the run did nothing that can be undone, or elsewhere. Interrupted: before it began.
    """
    chosen = _chosen(session, wanted)
    consent = _consent(session, wanted)
    deadline, session.deadline = session.deadline, None
    if deadline is not None:
        session.deadline = deadline + _GRACE
    began = datetime.now(UTC)
    try:
        return session.run(_ran(session, chosen, consent, deadline))
    except Interrupted:
        record = None if session.dry_run else _cut_off(session, chosen.runbook.name, began)
        if record is None:
            raise
        return record  # what was done, and how to take it back, is what an interrupted person must see


def _chosen(session: Session, wanted: RunbookRequest) -> _Chosen:
    if wanted.undo is not None:
        if session.dry_run and not session.has_ledger:
            raise NotFound(f"There is no run {wanted.undo!r}; no runbook was run here yet.", status=404)
        runbook, trusted = _taken_back(session, wanted.undo), True
    else:
        found = choose(session.config, str(wanted.runbook), ask=session.ask, remembers=not session.dry_run)
        runbook, trusted = found.runbook, found.may_act
    unknown = sorted(set(wanted.approve) - {"all", *(step.id for step in runbook.steps)})
    if unknown:
        raise UsageError(f"--approve {unknown[0]!r}: {runbook.name} has no such step.")
    inputs = _inputs(runbook, wanted.given)
    return _Chosen(runbook=runbook, inputs=inputs, trusted=trusted, is_forgiving=wanted.is_forgiving)


def _taken_back(session: Session, wanted: str) -> Runbook:
    """Return the runbook that undoes a run, where that ran.

    Raises:
        Refused: it ran in another context; names like openai or wf-echo mean something there, too.
    """
    record = past(session.ledger, session.config.state, wanted)
    here = _context(session)
    if record.context != (here.name if here else "-"):
        said = f"Run {record.id} changed {record.context}, and this is {here.name if here else 'no context'}."
        raise Refused(said, hint=f"difyops runbook run --undo {record.id} -c {record.context}")
    return undoing(record)


def _inputs(runbook: Runbook, given: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in given:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair!r} has no value.", hint="Example: --set app=support-bot")
        kind = runbook.inputs[name].kind if name in runbook.inputs else "text"
        try:
            found[name] = from_text(kind, text)
        except BadSetting as error:
            raise UsageError(f"--set {name}: {error}.") from error
    return found


def _cut_off(session: Session, runbook: str, began: datetime) -> RunRecord | None:
    """Return the record of the run that was interrupted; ``None`` when it had not begun."""
    found = runs(session.ledger, session.config.state, since=began - _A_SECOND, runbook=runbook, limit=5)
    return next((item for item in found if item.state == INTERRUPTED), None)


async def _ran(session: Session, chosen: _Chosen, consent: Consent, deadline: float | None) -> RunRecord:
    runbook = chosen.runbook
    async with contextlib.AsyncExitStack() as stack:
        resources = _resources(session, stack, chosen)
        moved = stack.enter_context(progress(runbook.name, quiet=session.quiet))
        done: list[str] = []

        def watch(step: StepRecord) -> None:
            done.append(step.id)
            if consent.is_asking:  # the question stays on the screen
                return
            moved(len(done), len(runbook.steps), f"{step.title}: {step.result}")

        return await go(
            runbook, resources, consent, RunbookOptions(inputs=chosen.inputs, deadline=deadline, watch=watch)
        )


def _resources(session: Session, stack: contextlib.AsyncExitStack, chosen: _Chosen) -> Resources:
    from difyops.ledger import this_user

    forgiven = (ConfigError, StoreError) if chosen.is_forgiving else ()
    context, ledger, trouble = None, None, None
    try:
        context = _context(session)
    except forgiven as error:
        trouble = error
    # A dry run reads what earlier runs left, and makes no ledger where there is none.
    if not session.dry_run or session.has_ledger:
        with contextlib.suppress(*forgiven):
            ledger = session.ledger

    async def opened() -> Any:
        return await stack.enter_async_context(session.instance())

    return Resources(
        config=session.config,
        context=context,
        trouble=trouble,
        open_instance=opened,
        open_store=lambda: open_store(session),
        make_store=lambda: open_store(session, create=True),
        ledger=ledger,
        clock=ledger.clock if ledger else SystemClock(),
        actor=this_user(),
        dry_run=session.dry_run,
        trusts_commands=chosen.trusted,
    )


def _context(session: Session) -> Context | None:
    """Return the context; a runbook that looks at none (disk, tcp, http) runs without one, too."""
    try:
        return session.config.context(session.one_context())
    except ConfigError:
        if session.contexts or session.config.contexts:
            raise
        return None


def _consent(session: Session, wanted: RunbookRequest) -> Consent:
    withdrawn = threading.Event()

    def agree(question: str, changes: str) -> None:
        session.confirm(question, changes=changes, withdrawn=withdrawn.is_set)

    def approved(question: str, changes: str) -> None:
        replace(session, yes=False).confirm(question, changes=changes, withdrawn=withdrawn.is_set)

    return Consent(
        act=wanted.act or wanted.undo is not None or session.dry_run,
        dry_run=session.dry_run,
        approved=frozenset(wanted.approve),
        agree=agree,
        approve=approved,
        withdraw=withdrawn.set,
    )

"""Making cases of what happened: runs of the history or of the log, failures first of all, and saved broadcasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.broadcast import saving
from difyops.counting import counted
from difyops.errors import DifyopsError, PartialFailure, Refused, UsageError
from difyops.evaluation.cases import Case, Expectation
from difyops.evaluation.past import PastQuestion, WantedRuns, from_history, from_log
from difyops.history.store import History

EXACT, NONE = "exact", "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A run that became no case, and why."""

    id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCases:
    """The cases that were made. ``source``: history, log, or a broadcast's file."""

    app: str
    source: str
    cases: tuple[Case, ...]
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = field(default=(), repr=False)

    @property
    def error(self) -> DifyopsError | None:
        """Return 8 where everything was refused, 3 where a part was left out."""
        if not self.left_out:
            return None
        first = self.left_out[0]
        every = len(self.cases) + len(self.left_out)
        said = f"{len(self.left_out)} of {counted(every, 'run')} became no case: {first.id}: {first.why}."
        return PartialFailure(said) if self.cases else Refused(said)


async def record(
    instance: Instance, history: History, app: App, wanted: WantedRuns, *, content: bool, expect: str = NONE
) -> RecordedCases:  # fmt: skip
    """Make cases of runs: what the history keeps with consent, else, with ``content``, what the server's log says.

    Raises:
        Refused: nothing is kept of them, and ``content`` was not said. UsageError: there is no such run.
    """
    found, without = from_history(history, instance.name, app, wanted)
    source, complete = "history", bool(found) and not without
    if not complete and content:
        found = [asked async for asked in from_log(instance, app, wanted)]
        source, without = "log", 0
    if not found and without:
        raise Refused(
            f"Of {counted(without, 'run')} of {app.name} no content is kept, only hashes.",
            hint="Add --content to read what was asked and answered from the server's log this once.",
        )
    if not found:
        none = "There is no such run of" if wanted.runs else "There are no runs in that time of"
        hint = "--since looks further back." if content else "Add --content to read them from the server's log."
        raise UsageError(f"{none} {app.name}{'' if content else ' in the history'}.", hint=hint)
    made = _made(app, found, source, expect)
    if without:
        note = f"Of {counted(without, 'more run')} no content is kept; --content reads them from the server's log."
        made = replace(made, warnings=(*made.warnings, note))
    return made


def from_broadcast(path: Path, app: App | None, *, expect: str = NONE) -> RecordedCases:
    """Make cases of a saved broadcast: its question, once for each app that was asked (or only ``app``).

    Raises:
        UsageError: the file is none, or nobody in it was that app.
    """
    saved = saving.read(path)
    answers = [item for item in saved.answers if app is None or item.app_id == app.id]
    if not answers:
        raise UsageError(f"{path} has no answer of {app.name if app else 'anybody'}.")
    asked = [
        PastQuestion(id=item.run_id or item.message_id or item.target, query=saved.question, answer=item.text,
              error=item.message or "" if not item.ok else "", status=item.status)
        for item in answers
    ]  # fmt: skip
    made = _made(app, asked, "broadcast", expect)
    if app is not None and app.mode == "workflow":
        note = "A saved broadcast keeps no inputs: the question goes into the one text input that takes it."
        made = replace(made, warnings=(*made.warnings, note))
    return made


def _made(app: App | None, found: Sequence[PastQuestion], source: str, expect: str) -> RecordedCases:
    cases: dict[str, Case] = {}
    left_out: list[LeftOut] = []
    for asked in found:
        case = _case(asked, source, expect)
        why = _unfit(case)
        if why:
            left_out.append(LeftOut(id=asked.id, why=why))
        else:
            cases[case.id] = case
    turns = [asked.conversation for asked in found if asked.conversation]
    warnings = []
    if len(turns) > len(set(turns)):
        warnings.append("Each case is asked in a conversation of its own: later turns miss what was said before.")
    return RecordedCases(
        app=app.name if app else "", source=source, cases=tuple(cases.values()), left_out=tuple(left_out),
        warnings=tuple(warnings),
    )  # fmt: skip


def _case(asked: PastQuestion, source: str, expect: str) -> Case:
    """Return the case of a run. One that failed expects an answer; one that was well may expect its answer again."""
    is_well = bool(asked.answer.strip()) and not asked.is_failed
    wanted = (Expectation(check="exact", parameters={"value": asked.answer}),) if expect == EXACT and is_well else ()
    what = "failed run" if asked.is_failed else "run"
    return Case(
        id=asked.id[:200], inputs=asked.inputs, query=asked.query, expect=wanted, cluster=asked.conversation,
        source=f"{what} {asked.id} ({source})", reference=asked.answer if is_well else "",
    )  # fmt: skip


def _unfit(case: Case) -> str | None:
    if not case.inputs and not case.query:
        return "nothing of what was asked is kept"
    if kind := case.secret():
        return f"it holds a secret ({kind})"
    if _has_file(list(case.inputs.values())):
        return "it was asked with a file, which no log keeps"
    return None


def _has_file(value: object) -> bool:
    if isinstance(value, dict):
        return "transfer_method" in value or "dify_model_identity" in value or any(map(_has_file, value.values()))
    return isinstance(value, list) and any(map(_has_file, value))

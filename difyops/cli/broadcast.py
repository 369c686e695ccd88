"""``difyops broadcast``: one question, many agents. Parse, carry out (``asking``), return. One command, not a group."""

from __future__ import annotations

import mimetypes
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.session import Session
from difyops.cli.values import inputs_of
from difyops.errors import UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.broadcast.panel import Panel
    from difyops.broadcast.plan import Attachment, Wishes
    from difyops.broadcast.saving import Saved
    from difyops.cli.asking import BroadcastRequest

noun = group("One question, many agents, in the time of the slowest.")
_TIMEOUT, _IN_FLIGHT, _START = "5m", 1000, 80
_LARGEST_FILE = 100 * 1024 * 1024


Question = Annotated[
    str | None, typer.Argument(metavar="[QUESTION]", help="The question; - reads stdin, @FILE a file.")
]
To = Annotated[
    list[str] | None,
    typer.Option("--to", metavar="SELECTOR", help="Whom to ask: id, name, glob, tag:NAME, @file (repeatable)."),
]
PanelName = Annotated[str | None, typer.Option("--panel", help="A named group of targets in difyops.yaml.")]
Inputs = Annotated[
    list[str] | None, typer.Option("--input", metavar="K=V|@FILE", help="More inputs, for the apps that have them.")
]
QuestionAs = Annotated[
    str | None, typer.Option("--question-as", metavar="NAME", help="The input that takes the question.")
]
Files = Annotated[list[str] | None, typer.Option("--file", metavar="[NAME=]PATH|URL", help="A file for the question.")]
Aggregate = Annotated[
    str | None, typer.Option("--aggregate", metavar="HOW", help="list, first, concat, vote, merge, judge:APP.")
]
Wait = Annotated[str | None, typer.Option("--wait", metavar="all|any|N", help="So many answers are enough.")]
Timeout = Annotated[str | None, typer.Option("--timeout", metavar="TIME", help="For each target (5m).")]
MaxInFlight = Annotated[
    int | None,
    typer.Option("--max-in-flight", min=1, max=10_000, help="Runs at once in all, from the start on."),
]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", min=1, help="Stop when they are spent.")]
Repeatable = Annotated[
    bool, typer.Option("--repeatable", help="The runs change nothing: a failed one may be tried again.")
]
Hedge = Annotated[
    str | None, typer.Option("--hedge", metavar="TIME", help="With --repeatable: a second run for slow ones.")
]
Save = Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Keep every answer as it comes.")]
Resume = Annotated[
    Path | None, typer.Option("--resume", metavar="FILE", help="Ask only those that have not answered yet.")
]
User = Annotated[str | None, typer.Option("--user", help="Who asks (default: one name per broadcast).")]


@command(noun, "broadcast")
def broadcast(
    session: Session,
    question: Question = None,
    to: To = None,
    panel: PanelName = None,
    inputs: Inputs = None,
    question_as: QuestionAs = None,
    files: Files = None,
    aggregate: Aggregate = None,
    wait: Wait = None,
    timeout: Timeout = None,
    max_in_flight: MaxInFlight = None,
    max_tokens: MaxTokens = None,
    repeatable: Repeatable = False,
    hedge: Hedge = None,
    save: Save = None,
    resume: Resume = None,
    user: User = None,
) -> Outcome:
    """Ask many agents one question, side by side; every answer as it comes, one table at the end.

    Examples:
        difyops broadcast "Is the refund policy clear?" --to 'support-*'
        difyops broadcast "Yes or no?" --to support-triage --to support-chat --aggregate vote -o json
    """
    from difyops.broadcast import saving
    from difyops.broadcast.aggregate import parse
    from difyops.broadcast.engine import EngineOptions
    from difyops.broadcast.runner import RunOptions
    from difyops.cli.asking import BroadcastRequest, new_user

    if save and resume:
        raise UsageError("--save begins a file, --resume goes on with one; give one of them.")
    chosen = _asked(session, panel, to or ())
    may_repeat = repeatable or chosen.repeatable
    saved = saving.read(resume) if resume else None
    wanted = BroadcastRequest(
        question=_question(question, saved, resume),
        members=chosen.members,
        contexts=session.contexts or chosen.contexts or (None,),
        wishes=_wishes(chosen, inputs or (), question_as, files or (), may_repeat=may_repeat),
        options=EngineOptions(
            run=RunOptions(
                user=user or (saved.user if saved else "") or new_user(), hedge_after=_hedge(hedge, may_repeat)
            ),
            max_in_flight=max_in_flight or _IN_FLIGHT,
            start=max_in_flight or _START,
            timeout=seconds(timeout or chosen.timeout or _TIMEOUT),
            wait=_wait(wait or chosen.wait),
            max_tokens=max_tokens or chosen.max_tokens,
            deadline=session.deadline,
        ),
        chosen=parse(aggregate or chosen.aggregate or "list"),
        save=save or resume,
        resumed=saved,
    )
    return _end(session, wanted)


def _asked(session: Session, panel: str | None, to: Sequence[str]) -> Panel:
    """Return the panel of that name, or none, with those whom the command line adds."""
    from difyops.broadcast.panel import Panel, panel_named
    from difyops.broadcast.plan import Member

    chosen = panel_named(session.config.sections, panel) if panel else Panel(name="", members=())
    members = (*chosen.members, *(Member(selector=item) for item in to))
    if not members:
        raise UsageError("Nobody is asked: no target was given.", hint="Add --to SELECTOR or --panel NAME.")
    return replace(chosen, members=members)


def _wishes(
    chosen: Panel, inputs: Sequence[str], question_as: str | None, files: Sequence[str], *, may_repeat: bool
) -> Wishes:
    from difyops.broadcast.plan import Wishes

    return Wishes(
        inputs={**chosen.inputs, **inputs_of(inputs)},
        question_as=question_as or chosen.question_as,
        repeatable=may_repeat,
        attachments=tuple(_attachment(item) for item in files),
    )


def _end(session: Session, wanted: BroadcastRequest) -> Outcome:
    from difyops.cli.asking import carry_out, plan_only
    from difyops.render import broadcast as views
    from difyops.render.live import was_shown

    if session.dry_run:
        return views.planned(session.run(plan_only(session, wanted)), aggregate=wanted.chosen.name)
    session.deadline = None  # the engine has it: at its end, what came is kept
    streams = session.output == "ndjson"
    if streams:
        wanted = replace(wanted, on_answer=views.AnswerLines().add)
    result = session.run(carry_out(session, wanted))
    return views.broadcast(result, streamed=streams, answers_shown=was_shown(len(result.answers), session.quiet))


def _question(given: str | None, saved: Saved | None, path: Path | None) -> str:
    from difyops.broadcast.saving import same_question

    if given is None:
        if saved is None:
            raise UsageError("There is no question.", hint='Example: difyops broadcast "Are you well?" --to all')
        return saved.question
    text = _read(given)
    if saved is not None and path is not None:
        same_question(saved, text, path)
    return text


def _read(given: str) -> str:
    try:
        if given == "-":
            text = sys.stdin.read()
        elif given.startswith("@"):
            text = Path(given[1:]).read_text(encoding="utf-8")
        else:
            return given
    except OSError as error:
        raise UsageError(f"The question {given} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The question {given} is not UTF-8 text.") from error
    return text.strip("\n")


def _attachment(given: str) -> Attachment:
    from difyops.broadcast.plan import Attachment

    name, sign, rest = given.partition("=")
    into, place = (name, rest) if sign and name.isidentifier() else (None, given)
    kind = mimetypes.guess_type(place)[0] or "application/octet-stream"
    if place.startswith(("http://", "https://")):
        return Attachment(name=place, into=into, media_type=kind, url=place)
    path = Path(place)
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise UsageError(f"--file {place} is larger than {_LARGEST_FILE // 1024 // 1024} MB.")
        return Attachment(name=path.name, into=into, media_type=kind, content=path.read_bytes())
    except OSError as error:
        raise UsageError(f"--file {place} cannot be read: {error.strerror}.") from error


def _hedge(text: str | None, may_repeat: bool) -> float | None:
    if text is None:
        return None
    if not may_repeat:
        raise UsageError("--hedge runs an app twice.", hint="Add --repeatable when its runs change nothing.")
    return seconds(text)


def _wait(text: str | None) -> int | None:
    if text in (None, "all"):
        return None
    if text == "any":
        return 1
    if not str(text).isdigit() or int(str(text)) < 1:
        raise UsageError(f"--wait {text!r} is neither all, any nor a number above zero.")
    return int(str(text))

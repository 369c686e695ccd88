"""``difyops eval``: cases, answers, baselines, comparisons. Parse, call the room, return."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.reporting import As, formats_of, reported, unknown
from difyops.cli.session import Session
from difyops.cli.values import margin_of, share
from difyops.counting import counted
from difyops.errors import DifyopsError, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.broadcast.answer import AgentAnswer
    from difyops.evaluation.asking import AskOptions
    from difyops.evaluation.cases import Case
    from difyops.evaluation.past import WantedRuns
    from difyops.evaluation.record import RecordedCases
    from difyops.evaluation.result import Bound, Evaluation

noun = group("Is it still as good as it was? Cases from real runs, asked again and compared.")
App = Annotated[str, typer.Argument(metavar="APP", help="Id, exact name or slug of one app.")]


@command(noun, "record")
def record(
    session: Session,
    app: App,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The file of cases, one JSON object a line.")],
    runs: Annotated[
        list[str] | None, typer.Option("--run", metavar="RUN", help="A run, or a message of a chat app (repeatable).")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that failed.")] = False,
    conversation: Annotated[str, typer.Option("--conversation", metavar="ID", help="Only of one conversation.")] = "",
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far back.")] = "7d",
    most: Annotated[int, typer.Option("--most", min=1, max=10_000, help="So many of the newest.")] = 100,
    broadcast: Annotated[
        Path | None, typer.Option("--broadcast", metavar="FILE", help="From a saved broadcast instead.")
    ] = None,
    expect: Annotated[
        str, typer.Option("--expect", metavar="none|exact", help="exact: the answer that was given, to the letter.")
    ] = "none",
    content: Annotated[
        bool, typer.Option("--content", help="Read what was asked from the server's log where it is not kept here.")
    ] = False,
    append: Annotated[
        bool, typer.Option("--append", help="Add to the file; a case of the same run is replaced.")
    ] = False,
) -> Outcome:
    """Make cases of runs; what holds a secret is refused. 0 all, 3 some left out, 8 all refused.

    Examples:
        difyops eval record support --run 5a7c… --content --append --to cases.jsonl
        difyops eval record support-triage --to cases.jsonl
    """
    from difyops.evaluation.cases import write_cases
    from difyops.evaluation.record import EXACT, NONE
    from difyops.render import evaluation as views

    if expect not in (NONE, EXACT):
        raise UsageError(f"--expect {expect!r} is neither none nor exact.")
    if broadcast is not None and (runs or failed or conversation):
        raise UsageError("--broadcast takes the place of --run, --failed and --conversation.")
    if to.exists() and not append:
        write_cases(to, ())  # says that it exists before anything is read
    wanted = _wanted(runs, conversation, since, most, failed=failed)
    made = session.run(_record(session, app, wanted, broadcast, content=content, expect=expect))
    if made.cases and not session.dry_run:
        write_cases(to, made.cases, more=append)
    return views.recorded(made, to, dry_run=session.dry_run)


@command(noun, "run")
def run(
    session: Session,
    app: App,
    cases: Annotated[Path, typer.Argument(metavar="CASES", help="A file of cases.")],
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Keep the result in a file.")] = None,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=64, help="Runs side by side.")] = 4,
    timeout: Annotated[str, typer.Option("--timeout", metavar="TIME", help="For each case.")] = "5m",
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Stop when they are spent.")] = None,
    repeatable: Annotated[
        bool, typer.Option("--repeatable", help="The runs change nothing: a failed one may be tried again.")
    ] = False,
    formats: As = None,
) -> Outcome:
    """Ask every case and check the answers. 0 all pass, 5 one failed, 3 one could not be judged.

    Examples:
        difyops eval run support cases.jsonl --to result.json --as junit=eval.xml
        difyops eval run support-triage cases.jsonl
    """
    from difyops.evaluation.asking import AskOptions
    from difyops.evaluation.cases import read_cases
    from difyops.evaluation.result import write_result
    from difyops.render import evaluation as views

    wanted = formats_of(formats)
    read = read_cases(cases)
    options = AskOptions(
        at_once=at_once, timeout=seconds(timeout), max_tokens=max_tokens, repeatable=repeatable,
        deadline=session.deadline,
    )  # fmt: skip
    session.deadline = None  # the engine has it: what came by then is kept
    try:
        done = session.run(_run(session, app, read, options))
    except DifyopsError as error:
        return unknown(error, wanted, "eval.run")
    if isinstance(done, Outcome):
        return done
    if to is not None:
        write_result(to, done)
    shown = views.evaluated(done, to)
    return reported(shown, views.suite_of_run(done), wanted) if wanted else shown


@command(noun, "baseline")
def baseline(
    session: Session,
    app: App,
    result: Annotated[
        Path | None, typer.Argument(metavar="[RESULT]", help="A result to keep; without one, those kept are listed.")
    ] = None,
) -> Outcome:
    """Keep a result in the snapshot store, bound to the app's content, its models and the cases.

    8: what is live is no longer what was evaluated.

    Examples:
        difyops eval baseline support result.json
        difyops eval baseline support-triage
    """
    from difyops.cli.stores import open_store
    from difyops.clock import SystemClock
    from difyops.evaluation.baseline import baselines, keep
    from difyops.evaluation.result import read_result
    from difyops.render import evaluation as views

    store = open_store(session)
    if result is None:
        return views.baselines(baselines(store, session.config.context(session.one_context()).name, app))
    read = read_result(result)
    live = session.run(_live(session, app, read.bound.cases))
    if session.dry_run:
        return views.would_keep(read)
    return views.kept(keep(store, read, live, when=SystemClock().now()))


@command(noun, "compare")
def compare(
    session: Session,
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A result's file, baseline:APP, or baseline:TAG.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="A result's file.")],
    alpha: Annotated[
        float, typer.Option("--alpha", min=0.0001, max=0.5, help="How often a regression may be told that is none.")
    ] = 0.05,
    slower: Annotated[
        str | None, typer.Option("--slower", metavar="SHARE", help="Longer answers count too: 20% longer than before.")
    ] = None,
    margin: Annotated[
        str | None, typer.Option("--margin", metavar="SHARE", help="Prove that no more is lost: 2% of the cases.")
    ] = None,
    formats: As = None,
) -> Outcome:
    """Pair two results case by case. 5 a regression is proven, 0 none is, 3 too little to say.

    Examples:
        difyops eval compare baseline:support result.json --as markdown
        difyops eval compare before.json after.json
    """
    from difyops.evaluation.compare import CompareLimits
    from difyops.evaluation.compare import compare as put_side_by_side
    from difyops.evaluation.result import read_result
    from difyops.render import evaluation as views

    wanted = formats_of(formats)
    limits = CompareLimits(
        alpha=alpha, slower=None if slower is None else share("--slower", slower), margin=_margin(margin)
    )
    found = put_side_by_side(_before(session, before), read_result(after), limits)
    shown = views.compared(found)
    return reported(shown, views.comparison_suite(found), wanted) if wanted else shown


async def _record(
    session: Session, selector: str, wanted: WantedRuns, broadcast: Path | None, *, content: bool, expect: str
) -> RecordedCases:  # fmt: skip
    from difyops.cli.history import open_history
    from difyops.evaluation.record import from_broadcast
    from difyops.evaluation.record import record as make
    from difyops.targets import pick

    async with session.instance() as instance:
        app = pick([item async for item in instance.console.apps()], selector)
        if broadcast is not None:
            return from_broadcast(broadcast, app, expect=expect)
        with open_history(session) as history:
            return await make(instance, history, app, wanted, content=content, expect=expect)


async def _run(session: Session, selector: str, cases: tuple[Case, ...], options: AskOptions) -> Evaluation | Outcome:
    from difyops.cli.cost_holding import holding
    from difyops.evaluation.run import EvalRequest, judge_calls
    from difyops.evaluation.run import run as evaluate
    from difyops.render import evaluation as views
    from difyops.render.progress import progress
    from difyops.targets import pick

    async with session.instance() as instance:
        apps = [item async for item in instance.console.apps()]
        app = pick(apps, selector)
        judges = judge_calls(apps, cases)
        if session.dry_run:
            return views.planned(app.name, cases, options)
        asked = [(instance.name, app.id)] * len(cases) + [(instance.name, judge) for judge in judges]
        with holding(session, asked, what="the evaluation") as settle:
            with progress(f"asking {counted(len(cases), 'case')}", quiet=session.quiet) as moved:
                count = 0

                def answered(answer: AgentAnswer) -> None:
                    nonlocal count
                    count += 1
                    moved(count, len(cases), answer.status)

                request = EvalRequest(app=app.id, cases=cases, options=options, on_answer=answered)
                done = await evaluate(instance, request)
            used = Counter(done.judges)
            used[app.id] += sum(row.tokens or 0 for row in done.rows)
            settle({(instance.name, one): count for one, count in used.items()})
        return done


async def _live(session: Session, selector: str, cases: str) -> Bound:
    from difyops.evaluation.binding import bind
    from difyops.targets import pick

    async with session.instance() as instance:
        return await bind(instance, pick([item async for item in instance.console.apps()], selector), cases)


def _before(session: Session, text: str) -> Evaluation:
    from difyops.cli.stores import open_store
    from difyops.evaluation.baseline import PREFIX, baselines, tagged
    from difyops.evaluation.result import read_result

    kind, _, name = text.partition(":")
    if kind != "baseline" or not name:
        return read_result(Path(text))
    context = session.config.context(session.one_context()).name
    store = open_store(session)
    return (tagged(store, context, name) if name.startswith(PREFIX) else baselines(store, context, name)[0]).result


def _wanted(runs: list[str] | None, conversation: str, since: str, most: int, *, failed: bool) -> WantedRuns:
    from difyops.clock import SystemClock
    from difyops.evaluation.past import WantedRuns

    now = SystemClock().now().timestamp()
    return WantedRuns(
        runs=tuple(runs or ()), conversation=conversation, failed=failed, since=now - seconds(since), until=now,
        most=len(runs) if runs else most,
    )  # fmt: skip


def _margin(text: str | None) -> float | None:
    return None if text is None else margin_of(text)

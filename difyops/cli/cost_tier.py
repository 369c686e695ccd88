"""``difyops cost advise --tier``: plan the test of a smaller model, tell its price, ask, carry it out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.session import Session
from difyops.counting import counted
from difyops.errors import UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from difyops.api.instance import Instance
    from difyops.api.model import App
    from difyops.evaluation.cases import Case, Expectation
    from difyops.evaluation.trial.run import Trial, TrialRequest
    from difyops.evaluation.trial.tier import TierTest
    from difyops.history.apps import KeptApp
    from difyops.history.store import History

_PANEL = "With --tier"
_EXACT = "exact"
_DAY = 86400
Tier = Annotated[
    str | None, typer.Option("--tier", metavar="MODEL", help="Would this smaller model do? name, or provider/name.")
]
TierNode = Annotated[list[str] | None, typer.Option("--node", help="--tier: only these nodes.")]
Margin = Annotated[
    str | None, typer.Option("--margin", metavar="SHARE", help="--tier: the share of cases that may be lost (2%).")
]
CasesFile = Annotated[
    Path | None, typer.Option("--cases", metavar="FILE", help="--tier: ask these cases; default: recorded runs.")
]
SchemaFile = Annotated[
    Path | None, typer.Option("--schema", metavar="FILE", help="--tier: a good answer fits this JSON Schema.")
]
Expect = Annotated[
    str | None,
    typer.Option("--expect", metavar="CHECK", help='--tier: a good answer, as {"contains": "x"}, or exact.'),
]
By = Annotated[
    str | None, typer.Option("--by", metavar="CLASSES", help="--tier: judge by size (default), input:NAME, or none.")
]
Most = Annotated[int | None, typer.Option("--most", min=1, help="--tier: at most so many cases.")]
Content = Annotated[
    bool, typer.Option("--content", help="--tier: read what was asked from the server's log, where it is not kept.")
]
Tokens = Annotated[int | None, typer.Option("--tokens", min=1, help="--tier: most tokens of both sides together.")]
AtOnce = Annotated[int | None, typer.Option("--at-once", min=1, max=16, help="--tier: cases side by side (2).")]
AllowEffects = Annotated[
    bool, typer.Option("--allow-effects", help="--tier: let the copies run nodes that write somewhere.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TierOptions:
    """What the options say."""

    model: str
    nodes: tuple[str, ...]
    margin: float
    cases: Path | None
    schema: Path | None
    expect: str | None
    by: str
    most: int | None
    content: bool
    tokens: int | None
    at_once: int
    allow_effects: bool
    since: float
    until: float

    @property
    def says_what_is_good(self) -> bool:
        """Say whether answers can be judged."""
        return bool(self.cases or self.schema or self.expect)


def try_tier(session: Session, history: History, app: KeptApp, options: TierOptions) -> Outcome:
    """Plan the test; carry it out where it is said what a good answer is.

    Raises:
        UsageError: it is to be carried out, and that was not said. Refused: the app cannot be tried in copies.
    """
    from difyops.render import cost_tier as views

    if session.yes and not options.says_what_is_good:
        raise UsageError(
            "What a good answer is was not said, so no answer could be judged.",
            hint="--schema FILE, --expect CHECK, or --cases FILE whose cases say it.",
        )
    deadline, session.deadline = session.deadline, None  # the replay has it: what was asked by then is judged
    return views.tier(session.run(_tested(session, history, app, options, deadline)))


async def _tested(
    session: Session, history: History, kept: KeptApp, options: TierOptions, deadline: float | None
) -> TierTest:  # fmt: skip
    from difyops.cli.cost_asked import open_prices
    from difyops.cost.recorded import recorded
    from difyops.cost.tier import plan_tier, with_model
    from difyops.evaluation.binding import live_document
    from difyops.evaluation.trial.classes import classes_of
    from difyops.evaluation.trial.run import TrialRequest, ready
    from difyops.evaluation.trial.tier import planned, tested, too_few

    async with session.instance() as instance:
        app = await instance.console.app(kept.id)
        _, live = await live_document(instance, app)
        calls = recorded(history, instance.name, app.id, app.mode, since=options.since, until=options.until)
        plan = plan_tier(
            app.name, live, options.model, calls, open_prices(session), day=int(options.until // _DAY),
            nodes=options.nodes, margin=options.margin,
        )  # fmt: skip
        if not options.says_what_is_good:
            return planned(plan)
        cases, notes = await _cases(instance, history, app, options, plan.needed)
        classes_of(cases, options.by)
        tokens = history.one(
            "SELECT avg(tokens) FROM run WHERE context = ? AND app = ? AND started >= ? AND tokens > 0",
            [instance.name, app.id, options.since],
        )
        test = planned(plan, cases, tokens=tokens, notes=notes)
        if why := too_few(test):
            return replace(test, not_tried=why)
        request = TrialRequest(
            app_id=app.id, what=options.model, cases=cases, margin=options.margin, by=options.by, tokens=options.tokens,
            change=lambda document: with_model(document, options.model, options.nodes)[0], at_once=options.at_once,
            allow_effects=options.allow_effects, deadline=deadline,
        )  # fmt: skip
        await ready(instance, request)
        if session.dry_run:
            return test
        return tested(test, await _tried(session, instance, request, test), sampled=options.cases is None)


async def _tried(session: Session, instance: Instance, request: TrialRequest, test: TierTest) -> Trial:
    from difyops.cli.cost_holding import holding
    from difyops.cost.holding import Cheaper
    from difyops.evaluation.run import judge_calls
    from difyops.evaluation.trial.run import run_trial
    from difyops.render import cost_tier as views

    session.show_lines(views.beforehand(test))
    session.confirm("Ask them?", changes=f"Asking {counted(2 * test.cases, 'run')} of copies of {test.app}")
    judges = judge_calls([item async for item in instance.console.apps()], request.cases)
    asked = [(instance.name, request.app_id)] * (2 * test.cases)
    asked += [(instance.name, judge) for judge in judges] * 2
    with holding(session, asked, what=f"The trial of {request.what}") as settle:
        trial = await run_trial(session.workspace(instance), request)
        settle({(instance.name, app): count for app, count in trial.judges.items()})
        settle({(instance.name, request.app_id): trial.used}, copies=True)
        saved = {item.currency: -item.difference / 1000 for item in test.saves}
        settle.cheaper[instance.name, request.app_id] = Cheaper(tokens=trial.used_new, saved=saved)
    return trial


async def _cases(
    instance: Instance, history: History, app: App, options: TierOptions, needed: int
) -> tuple[tuple[Case, ...], list[str]]:  # fmt: skip
    """Return all cases of a file, or as many recorded runs as needed, each once, each saying what a good answer is; and
    what is to be known of them.
    """
    from difyops.evaluation.cases import read_cases
    from difyops.evaluation.past import WantedRuns
    from difyops.evaluation.record import EXACT, NONE, record

    notes: list[str] = []
    if options.cases is not None:
        found = read_cases(options.cases)
    else:
        wanted = WantedRuns(since=options.since, until=options.until, most=options.most or needed)
        expect = EXACT if options.expect == _EXACT else NONE
        made = await record(instance, history, app, wanted, content=options.content, expect=expect)
        found, notes = made.cases, list(made.warnings)
        reasons = Counter(item.why for item in made.left_out)
        notes += [f"{count} recorded runs are no cases: {why}." for why, count in reasons.most_common()]
    more = _expectations(options)
    seen: dict[str, Case] = {}
    for case in found:
        asked = replace(case, expect=(*case.expect, *more))
        seen.setdefault(replace(asked, reference="").hash, asked)
    chosen = tuple(seen.values())[: options.most]
    blank = next((case.id for case in chosen if not case.expect), None)
    if blank is not None and not more and options.expect != _EXACT:
        raise UsageError(
            f"The case {blank!r} does not say what a good answer is.", hint="--schema FILE or --expect CHECK says it."
        )
    if len(seen) < len(found):
        notes.append(f"{len(found) - len(seen)} of {len(found)} asked the same as another one, and count once.")
    return chosen, notes


def _expectations(options: TierOptions) -> Sequence[Expectation]:
    from difyops.cli.validate import schema_of
    from difyops.cli.values import json_object
    from difyops.evaluation.cases import Expectation, read_expectation
    from difyops.setting_problems import told

    found = []
    if options.schema is not None:
        found.append(Expectation(check="schema", parameters={"schema": schema_of(options.schema).document}))
    if options.expect is not None and options.expect != _EXACT:
        found.append(told("--expect", read_expectation, json_object(options.expect, "--expect")))
    if options.expect == _EXACT and options.cases is not None:
        raise UsageError("--expect exact is the answer that a recorded run gave; the cases of a file say their own.")
    return found

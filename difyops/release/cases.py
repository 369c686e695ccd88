"""Evaluation cases as a gate of a release: in the shadow asked of both copies, once live asked of the new version.

The old version's verdicts are those of a kept baseline, of its copy, or (without a shadow) of the live app right before
publishing. A loss that is proven fails (McNemar's exact test with conversations as the unit, at the release's alpha);
so does every case that is lost where all of them together could prove nothing. With a margin, "no more is lost than
that" must be proven, else the gate stays open.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.errors import StalePlan, UsageError
from difyops.evaluation.asking import AskOptions, asker
from difyops.evaluation.baseline import baselines, tagged, without_texts
from difyops.evaluation.binding import bind
from difyops.evaluation.cases import Case, hash_of, read_cases
from difyops.evaluation.compare import REGRESSION, CompareLimits, compare
from difyops.evaluation.judging import judge_told
from difyops.evaluation.result import Bound, CaseRow, Evaluation, decode, encoded
from difyops.evaluation.run import EvalRequest, run
from difyops.git_store import GitStore
from difyops.release.gates import FAIL, OPEN, PASS
from difyops.release.plan import CasesGate, ReleasePlan
from difyops.replay import RecordedInput, ReplayPair, ReplayTold

PREFIX = "case/"
SHADOW, LIVE = "shadow", "live"
USER = "difyops-release"
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CasesLook:
    """One look at the cases. ``where``: shadow or live; ``used``: tokens, judges included; ``broken``: cases that the
    old version passes and the new one does not.
    """

    where: str
    word: str
    text: str
    pairs: int = 0
    passed: int = 0
    passed_before: int = 0
    broken: tuple[str, ...] = ()
    used: int = 0

    def as_row(self) -> dict[str, Any]:
        """Return the look as the journal keeps it."""
        return asdict(self) | {"broken": list(self.broken)}


def gate_of(file: Path, *, baseline: str = "", margin: float = 0.0) -> CasesGate:
    """Return the gate of a file of cases.

    Raises:
        UsageError: it is no file of cases. Refused: a case holds a secret.
    """
    cases = read_cases(file)
    return CasesGate(file=str(file.resolve()), hash=hash_of(cases), count=len(cases), baseline=baseline, margin=margin)


def cases_of(plan: ReleasePlan) -> tuple[Case, ...]:
    """Return the cases of a plan, none where it has none.

    Raises:
        UsageError: the file cannot be read. StalePlan: it was changed since the plan was made.
    """
    if plan.cases is None:
        return ()
    cases = read_cases(Path(plan.cases.file))
    if hash_of(cases) != plan.cases.hash:
        raise StalePlan(
            f"{plan.cases.file}: the cases were changed since the plan was made.",
            hint=f"difyops release plan {plan.app_id}",
        )
    return cases


def newest_baseline(store: GitStore | None, context: str, app: App) -> str:
    """Return the tag of the newest baseline of an app.

    Raises:
        UsageError: there is no store. NothingKept: there is no baseline.
    """
    if store is None:
        raise UsageError("A baseline lies in the snapshot store, and there is none.", hint="difyops snapshot create")
    return baselines(store, context, app.id)[0].tag


async def kept_before(instance: Instance, store: GitStore | None, app: App, gate: CasesGate) -> Evaluation | None:
    """Return the baseline that stands for the old version, ``None`` where none was named.

    Raises:
        UsageError: there is no store. NothingKept: no such baseline. StalePlan: it is of another content.
    """
    if not gate.baseline:
        return None
    if store is None:
        raise UsageError("A baseline lies in the snapshot store, and there is none.", hint="difyops snapshot create")
    found = tagged(store, instance.name, gate.baseline).result
    live = await bind(instance, app, gate.hash)
    if (found.bound.app_id, found.bound.content) != (live.app_id, live.content):
        raise StalePlan(
            f"The baseline {gate.baseline} is not of what is live of {app.name!r}.",
            hint=f"difyops eval run {app.name!r} CASES --to FILE; difyops eval baseline {app.name!r} FILE",
        )
    return found


def inputs_of_cases(cases: Sequence[Case]) -> list[RecordedInput]:
    """Return the cases as inputs of a replay."""
    return [RecordedInput(id=f"{PREFIX}{case.id}", inputs=case.inputs, query=case.query) for case in cases]


async def in_shadow(
    instance: Instance, plan: ReleasePlan, cases: Sequence[Case], pairs: Sequence[ReplayPair], before: Evaluation | None
) -> tuple[Evaluation, CasesLook]:  # fmt: skip
    """Judge what both copies answered to the cases; return the old side, to be held against what goes live, and the
    look. ``before`` stands for the old side where it is given.
    """
    told = {pair.recorded.id.removeprefix(PREFIX): pair for pair in pairs if pair.recorded.id.startswith(PREFIX)}
    asked = [case for case in cases if case.id in told]
    apps = [app async for app in instance.console.apps()]
    async with asker(instance, apps, AskOptions(at_once=plan.shadow.at_once, user=USER)) as asking:

        async def row(case: Case, side: Callable[[ReplayPair], ReplayTold]) -> CaseRow:
            one = side(told[case.id])
            judged = await judge_told(case, one, asking.judge)
            return CaseRow(
                id=case.id, hash=case.hash, word=judged.word, why=judged.why, score=judged.score,
                cluster=case.cluster, checks=judged.checks, seconds=one.seconds, tokens=one.tokens,
            )  # fmt: skip

        old = before or _evaluation(
            plan, plan.live.hash, await asyncio.gather(*(row(case, lambda pair: pair.old) for case in asked))
        )
        new = _evaluation(
            plan, plan.target.hash, await asyncio.gather(*(row(case, lambda pair: pair.new) for case in asked))
        )
        judges = sum(asking.judges.values())
    return old, replace(judged_look(plan, SHADOW, old, new), used=judges)


async def asked_live(instance: Instance, plan: ReleasePlan, cases: Sequence[Case]) -> Evaluation:
    """Ask the live app every case, and judge the answers."""
    options = AskOptions(at_once=plan.shadow.at_once, user=USER)
    return await run(instance, EvalRequest(app=plan.app_id, cases=tuple(cases), options=options))


def judged_look(plan: ReleasePlan, where: str, before: Evaluation, after: Evaluation) -> CasesLook:
    """Hold the new version's verdicts against the old one's. Pure."""
    margin = plan.cases.margin if plan.cases else 0.0
    try:
        found = compare(before, after, CompareLimits(alpha=plan.gates.alpha, margin=margin or None))
    except UsageError as error:
        why = f" ({error.hint})" if error.hint else ""
        return CasesLook(where=where, word=OPEN, text=f"cases: {error.message.rstrip('.')}{why}", used=after.tokens)
    broken = tuple(item.id for item in found.broken)
    told = f"cases: {found.passed_after} of {found.pairs} pass, {found.passed_before} before"
    if broken:
        more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        told += f"; lost: {', '.join(broken[:_NAMED])}{more}"
    proves_nothing = 2 * 0.5**found.pairs > plan.gates.alpha
    if found.verdict == REGRESSION:
        word, told = FAIL, f"{told} ({found.regressions[0]})"
    elif proves_nothing and broken:
        word, told = FAIL, f"{told} (too few cases to tell chance: each counts)"
    elif found.error is not None:
        word, told = OPEN, f"{told}; {found.error.message.rstrip('.')}"
    else:
        word = PASS
    return CasesLook(
        where=where, word=word, text=told, pairs=found.pairs, passed=found.passed_after,
        passed_before=found.passed_before, broken=broken, used=after.tokens,
    )  # fmt: skip


def as_kept(result: Evaluation) -> dict[str, Any]:
    """Return a result without its texts, as a private file holds it."""
    plain = replace(result, rows=tuple(without_texts(row) for row in result.rows), warnings=())
    found: dict[str, Any] = json.loads(encoded(plain))
    return found


def from_kept(body: Mapping[str, Any]) -> Evaluation:
    """Return the result that ``as_kept`` wrote."""
    return decode(json.dumps(body).encode(), "the kept cases")


def _evaluation(plan: ReleasePlan, content: str, rows: Sequence[CaseRow]) -> Evaluation:
    bound = Bound(
        context=plan.context, app_id=plan.app_id, app=plan.app_name, mode=plan.mode, version="", content=content,
        models=(), cases=plan.cases.hash if plan.cases else "",
    )  # fmt: skip
    return Evaluation(began=plan.made_at, seconds=0.0, bound=bound, rows=tuple(rows))

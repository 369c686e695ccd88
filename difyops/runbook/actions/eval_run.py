"""``eval.run``: ask an app the cases of a file and check its answers."""

from __future__ import annotations

from pathlib import Path

from difyops.counting import counted
from difyops.evaluation.asking import AskOptions
from difyops.evaluation.cases import read_cases
from difyops.evaluation.run import EvalRequest, run
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned, Value
from difyops.runbook.threads import apart


async def plan(
    resources: Resources, *, app: str, cases: str, at_once: int = 2, max_tokens: int | None = None
) -> Planned:
    """Ask an app every case of a file (JSON lines, as ``eval record`` writes them) and check the answers; a case that
    fails, or cannot be judged, fails the step. It costs what the runs cost: ``max_tokens`` ends it when they are spent.
    """
    found = await resources.app(app)
    read = await apart(lambda: read_cases(Path(cases)))
    options = AskOptions(at_once=at_once, max_tokens=max_tokens)

    async def apply() -> Acted:
        done = await run(await resources.instance(), EvalRequest(app=found.id, cases=read, options=options))
        if done.error is not None:
            raise done.error
        values = tuple(Value(name=word, value=count, unit="cases") for word, count in done.counts.items())
        return Acted(text=f"{found.name}: {counted(len(done.rows), 'case passes', 'cases pass')}", values=values)

    return Planned(text=f"ask {found.name} {counted(len(read), 'case')} of {cases}", apply=apply)

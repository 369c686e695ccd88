"""``command``: a program on this machine says whether something is well."""

from __future__ import annotations

from difyops.runbook.parameters import Duration
from difyops.runbook.programs import Ran, run_program
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Skipped, Value, Warn


async def check(
    resources: Resources,
    *,
    argv: list[str],
    good: list[str] | None = None,
    warning: list[str] | None = None,
    expect: str | None = None,
    env: list[str] | None = None,
    patience: Duration = 30.0,
) -> Result:
    """Run a program (no shell) and judge it by its exit code and, if given, a text that its output must hold.

    ``good`` and ``warning`` are exit codes (0, and none); every other one is a failure. Of the environment it gets
    PATH, HOME, LANG and the names in ``env``, so that credentials do not reach it by accident. A program that is not
    there, or does not end in time, is inconclusive. A runbook that others can write may not run programs.
    """
    if resources.dry_run:
        return Skipped(text=f"dry run: {argv[0] if argv else 'no program'} is not run")
    ran = await run_program(resources, argv, env or [], patience)
    if not isinstance(ran, Ran):
        return Inconclusive(text=ran)
    values = (Value(name="exit", value=ran.code), Value(name="seconds", value=ran.seconds, unit="s"))
    text = f"{argv[0]} ended with {ran.code}"
    if str(ran.code) in (warning or []):
        return Warn(text=text, values=values, excerpt=ran.output)
    if str(ran.code) not in (good or ["0"]):
        return Fail(text=text, values=values, excerpt=ran.output)
    if expect is not None and expect not in ran.said:
        return Fail(text=f"{text}, and its output does not hold {expect!r}", values=values, excerpt=ran.output)
    return Pass(text=text, values=values, excerpt=ran.output[:200])

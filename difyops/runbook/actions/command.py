"""``command``: a program on this machine that changes something."""

from __future__ import annotations

from difyops.errors import DifyopsError, Refused
from difyops.runbook.parameters import Duration
from difyops.runbook.programs import Ran, run_program
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned, Undo, Value


async def plan(
    resources: Resources,
    *,
    argv: list[str],
    good: list[str] | None = None,
    env: list[str] | None = None,
    undo: str | None = None,
    patience: Duration = 30.0,
) -> Planned:
    """Run a program (no shell); exit codes other than ``good`` (0) fail the step. ``undo`` says how to take it back.

    Of the environment it gets PATH, HOME, LANG and the names in ``env``. A runbook that others can write may not.
    """
    if not argv:
        raise Refused("No program is named.")
    if not resources.trusts_commands:
        raise Refused("The runbook can be written by other users of this machine, so it may not run programs.")

    async def apply() -> Acted:
        ran = await run_program(resources, argv, env or [], patience)
        if not isinstance(ran, Ran):
            raise DifyopsError(ran + ".")
        if str(ran.code) not in (good or ["0"]):
            raise DifyopsError(f"ended with {ran.code}: {ran.output[-300:] or 'no output'}")
        text = f"{argv[0]} ended with {ran.code} after {ran.seconds:g} s"
        return Acted(text=text, values=(Value(name="exit", value=ran.code),))

    way_back = Undo(command=undo) if undo else None
    return Planned(text=f"run {' '.join(argv)}", apply=apply, undo=way_back)

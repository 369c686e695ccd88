"""``difyops explain``: what an exit code or an error code means, and what to do about it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Annotated

import typer

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.errors import DifyopsError, UsageError
from difyops.outcome import Facts, Outcome, Table

noun = group("Explain an exit code, or the code of an error.")

EXIT_CODES: dict[int, tuple[str, str]] = {
    0: ("ok", "It is done, or the answer is yes."),
    1: (
        "failed",
        "The tool could not do it: no connection, a server fault, a damaged store. Nothing was judged.",
    ),
    2: ("usage", "The command line, a configuration file or a selector is wrong. Nothing was tried."),
    3: ("partial", "Some targets failed or could not be judged; the rest is done. The output names them."),
    4: ("auth", "The instance does not let us in, or forbids this to our role."),
    5: ("no", "The tool worked, and the answer is no: drift, a violation, a failed check, a budget that is overspent."),
    6: ("not_supported", "This server version has no call that could do it. docs/versions.md lists what each can."),
    7: ("rate_limited", "The instance asks for fewer calls, or a budget (calls, tokens, retries) is spent."),
    8: ("refused", "A guard said no before anything was changed: it needs --yes, a plan is stale, a lock is held."),
    130: ("interrupted", "Ctrl-C or SIGTERM. What was done before is named and on record."),
}
_ELSEWHERE = (
    "difyops.api.run_faults", "difyops.dsl.model", "difyops.git_store.records", "difyops.publishing.publication",
    "difyops.rotation.job", "difyops.rotation.steps", "difyops.runbook.load", "difyops.sealing.age",
    "difyops.snapshot.rollback", "difyops.asking", "difyops.validation.faults",
)  # fmt: skip


@command(noun, "explain")
def explain(
    session: Session,
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="An exit code (5), or an error's code (stale_plan).")
    ] = None,
) -> Outcome:
    """Explain an exit code, or the code of an error; without one, list them all.

    Examples:
        difyops explain 5
        difyops explain stale_plan
    """
    if code is None:
        return _all()
    if code.isdecimal():
        return _exit_code(int(code))
    known = {found.code: found for found in errors()}
    if code not in known:
        raise UsageError(f"There is no error code {code!r}.", hint=f"One of: {', '.join(sorted(known))}.")
    found = known[code]
    said = " ".join((found.__doc__ or "").split())
    word, meaning = EXIT_CODES[found.exit_code]
    data = {"code": code, "means": said, "exit_code": found.exit_code, "exit_means": meaning}
    pairs: list[tuple[str, object]] = [
        ("code", code), ("means", said), ("exit code", f"{found.exit_code} ({word})"), ("that is", meaning),
    ]  # fmt: skip
    return Outcome(kind="explain", data=data, blocks=[Facts(pairs=pairs)], names=[code])


def errors() -> Iterator[type[DifyopsError]]:
    """Yield every class of our errors, the base first; what rooms add is imported."""
    for name in _ELSEWHERE:
        importlib.import_module(name)
    seen, waiting = set(), [DifyopsError]
    while waiting:
        found = waiting.pop(0)
        if found.code not in seen:
            seen.add(found.code)
            yield found
        waiting += found.__subclasses__()


def _exit_code(number: int) -> Outcome:
    if number not in EXIT_CODES:
        known = ", ".join(map(str, EXIT_CODES))
        raise UsageError(f"difyops never ends with {number}.", hint=f"One of: {known}.")
    word, meaning = EXIT_CODES[number]
    codes = [found.code for found in errors() if found.exit_code == number]
    pairs: list[tuple[str, object]] = [
        ("exit code", f"{number} ({word})"), ("means", meaning), ("error codes", ", ".join(codes)),
    ]  # fmt: skip
    data = {"exit_code": number, "word": word, "means": meaning, "codes": codes}
    return Outcome(kind="explain", data=data, blocks=[Facts(pairs=pairs)], names=[str(number)])


def _all() -> Outcome:
    rows = [{"exit_code": number, "word": word, "means": meaning} for number, (word, meaning) in EXIT_CODES.items()]
    table = Table(columns=("exit", "word", "means"), rows=[tuple(row.values()) for row in rows])
    return Outcome(kind="explain.all", data=rows, blocks=[table], names=[str(row["exit_code"]) for row in rows])

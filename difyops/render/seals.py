"""How the seal of a store looks: who can open, what is sealed, what is lost."""

from __future__ import annotations

from difyops.counting import counted
from difyops.outcome import Facts, Lines, Outcome
from difyops.snapshot.seals import SealChanged, SealStatus

_NEVER_SHOWN = "In no snapshot, for the server shows them to nobody"


def status(result: SealStatus) -> Outcome:
    """Show who can open the sealed values."""
    opens = {True: "yes, tried now", False: "no", None: "nothing to open"}[result.opens]
    pairs: list[tuple[str, object]] = [
        ("context", result.context),
        ("snapshot", result.commit[:10]),
        ("sealed", f"{counted(result.values, 'value')} in {counted(result.apps, 'app')}"),
        ("opened here", opens if result.opens or not result.opened_at else f"{opens} (last {result.opened_at})"),
        ("store key", "here" if result.key_here else "not on this machine"),
    ]
    lines = [("", text) for text in result.recipients]
    unseen = [("", text) for text in result.never_shown]
    warnings = []
    if not result.recipients:
        warnings.append(
            f"nobody can open: {counted(result.lost, 'value has', 'values have')} fingerprints only and are"
            " lost with the instance"
            " (difyops snapshot seal init)"
        )
    elif result.lost:
        warnings.append(
            f"{counted(result.lost, 'value is', 'values are')} not sealed for the recipients yet (difyops"
            " snapshot create)"
        )
    if not result.is_agreed:
        warnings.append("the recipients are not those that this machine agreed to (--agree)")
    return Outcome(
        kind="snapshot.seal.status",
        data=result,
        blocks=[
            Facts(pairs=pairs),
            Lines(title="Recipients", lines=lines or [("", "none")]),
            *([Lines(title=_NEVER_SHOWN, lines=unseen)] if unseen else []),
        ],
        warnings=warnings,
        summary=f"{result.values} sealed values, {counted(len(result.recipients), 'recipient')}, {result.lost} lost",
        names=list(result.recipients),
    )


def changed(result: SealChanged, verb: str) -> Outcome:
    """Show the recipients after a change."""
    count = len(result.recipients)
    warnings = []
    if result.waiting:
        warnings.append(
            f"{counted(result.waiting, 'value waits', 'values wait')} for the next snapshot, which seals them"
            " (difyops snapshot create)"
        )
    if count == 1:
        warnings.append("only one can open: when that identity is lost, so are the values")
    return Outcome(
        kind=f"snapshot.seal.{verb}",
        data=result,
        blocks=[
            Lines(title="Recipients", lines=[("", text) for text in result.recipients]),
            *([Lines(lines=[("", note) for note in result.notes])] if result.notes else []),
        ],
        warnings=warnings,
        summary=f"{count} recipient{'s' * (count != 1)}, {counted(result.values, 'value')} encrypted anew",
        names=list(result.recipients),
    )

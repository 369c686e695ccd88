"""How the place of the state looks, and what a move came to."""

from __future__ import annotations

from dataclasses import asdict

from difyops.counting import counted
from difyops.outcome import Facts, Outcome, Table
from difyops.state_address import SQLITE, is_address
from difyops.state_look import Looked
from difyops.state_move import Moved


def shown(found: Looked) -> Outcome:
    """Show where the state is, and who holds which lock."""
    kind = "shared, in PostgreSQL" if found.is_shared else "of this machine, in a file"
    facts: list[tuple[str, object]] = [
        ("state", found.place),
        ("kind", kind),
        ("said by", found.source),
        ("events", found.events),
        ("audit lines", found.audit),
        ("waiting to be brought in", found.waiting),
        ("folder of this machine", found.folder),
        ("this machine", found.host),
    ]
    if found.closed:
        facts.append(("closed", found.closed))
    locks = [
        (
            lock.name,
            _who(lock.actor, lock.host, lock.pid),
            lock.command,
            lock.since,
            "cut off" if lock.cut_off else "held",
        )
        for lock in found.locks
    ]
    data = {name: value for name, value in asdict(found).items() if name != "error"}
    warnings = []
    if found.own:
        warnings.append(
            f"The file of this machine holds {counted(found.own, 'line')} that are not in the shared state."
        )
    return Outcome(
        kind="state.show",
        data=data,
        blocks=[
            Facts(pairs=facts),
            *([Table(columns=("lock", "holder", "command", "since", "state"), rows=locks)] if locks else []),
        ],
        names=[found.place],
        warnings=warnings,
        error=found.error,
    )


def moved(found: Moved, *, dry_run: bool) -> Outcome:
    """Show what a move wrote, or would write, and what is left to do."""
    value = found.target if is_address(found.target) else SQLITE
    facts = [
        ("from", found.source),
        ("to", found.target),
        ("events", found.events),
        ("audit lines", found.audit),
        (
            "to be copied" if dry_run else "copied now",
            f"{counted(found.copied.events, 'event')}, {found.copied.audit} audit lines",
        ),
        ("difyops.yaml", f"state: {value}"),
    ]
    where = "On this machine alone" if value == SQLITE else "On each machine"
    summary = "Nothing was moved (dry run)." if dry_run else f"Moved. {where}, difyops.yaml: state: {value}"
    return Outcome(
        kind="state.move",
        data={
            "from": found.source,
            "to": found.target,
            "events": found.events,
            "audit": found.audit,
            "copied_events": found.copied.events,
            "copied_audit": found.copied.audit,
            "setting": f"state: {value}",
            "dry_run": dry_run,
        },
        blocks=[Facts(pairs=facts)],
        summary=summary,
        names=[found.target],
    )


def _who(actor: str, host: str, pid: int) -> str:
    return f"{actor} on {host} ({pid})"

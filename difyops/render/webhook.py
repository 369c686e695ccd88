"""How events, calls back and the rules of the webhook server look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from difyops.counting import counted
from difyops.errors import AnswerIsNo
from difyops.outcome import Facts, Lines, Outcome, Table
from difyops.webhook.reading import EventRow, MessageRow, ShownEvent
from difyops.webhook.rules import WebhookRules
from difyops.webhook.serve import Running

_EVENT = ("id", "received", "event", "to", "state", "said")
_MESSAGE = ("id", "run", "made", "type", "to", "state", "said")


def events(rows: Sequence[EventRow]) -> Outcome:
    """Show events and where they went."""
    return Outcome(
        kind="webhook.list", data=rows, blocks=[_events(rows)], names=[row.id for row in rows],
        summary=f"{counted(len(rows), 'delivery', 'deliveries')}",
    )  # fmt: skip


def messages(rows: Sequence[MessageRow]) -> Outcome:
    """Show calls back."""
    return Outcome(
        kind="webhook.messages", data=rows, blocks=[_messages(rows)], names=[row.id for row in rows],
        summary=f"{counted(len(rows), 'call')} back",
    )  # fmt: skip


def dead(of_events: Sequence[EventRow], of_messages: Sequence[MessageRow]) -> Outcome:
    """Show what was given up."""
    count = len(of_events) + len(of_messages)
    tables = [table for table, rows in ((_events(of_events), of_events), (_messages(of_messages), of_messages)) if rows]
    hint = "difyops webhook replay ID (or: replay dead)"
    return Outcome(
        kind="webhook.dead", data={"events": of_events, "messages": of_messages},
        blocks=tables or [Table(columns=_EVENT, rows=(), empty="Nothing was given up.")],
        names=[*(row.id for row in of_events), *(row.id for row in of_messages)],
        error=AnswerIsNo(f"{count} were given up.", hint=hint) if count else None,
        summary=None if count else "nothing was given up",
    )  # fmt: skip


def shown(found: ShownEvent) -> Outcome:
    """Show one event, run or message."""
    blocks: list[Facts | Table | Lines] = [Facts(pairs=[("id", found.id), *found.facts.items()])]
    if found.deliveries:
        blocks.append(_events(found.deliveries))
    if found.messages:
        blocks.append(_messages(found.messages))
    if found.body:
        blocks.append(Lines(lines=[("", line) for line in found.body.splitlines()], title="body"))
    return Outcome(kind=f"webhook.{found.what}", data=found, blocks=blocks, names=[found.id])


def status(running: Running | None, counts: Mapping[str, Mapping[str, int]]) -> Outcome:
    """Show whether the server runs, and what it has to do."""
    pairs: list[tuple[str, object]] = [
        ("server", running.listen if running else "does not run"),
        ("admin", running.admin if running else None),
        ("pid", running.pid if running else None),
        *((f"{name}", ", ".join(f"{n} {state}" for state, n in sorted(item.items()))) for name, item in counts.items()),
    ]
    problem = running.problem if running else None
    error = None if running else AnswerIsNo("No webhook server runs.", hint="difyops webhook serve --detach")
    return Outcome(
        kind="webhook.status", data={"running": running, **counts}, blocks=[Facts(pairs=pairs)], error=error,
        warnings=(f"the last reload was refused: {problem}",) if problem else (),
    )  # fmt: skip


def rules(found: WebhookRules, words: str, public_keys: Sequence[str] = ()) -> Outcome:
    """Show what the rules come to, and the keys that receivers verify with."""
    rows: list[tuple[object, ...]] = [
        (f"/in/{item.name}", item.scheme, ", ".join(item.to) + (" (ordered)" if item.ordered else ""))
        for item in found.sources.values()
    ]
    rows += [(f"/run/{item.name}", "app", item.app) for item in found.apps.values()]
    rows += [
        (f"-> {item.name}", item.kind, " ".join(item.command) or item.target.partition("?")[0])
        for item in found.destinations.values()
    ]
    rows += [
        (f"call back {item.scheme}://{item.host}:{item.port}{item.path}", "allowed", None)
        for item in found.callbacks.allow
    ]
    rows += [("calls back are verified with", "v1a", key) for key in public_keys]
    data = {
        "listen": ":".join(map(str, found.listen)), "sources": list(found.sources), "apps": list(found.apps),
        "destinations": list(found.destinations), "public_keys": list(public_keys), "rules": found.digest,
    }  # fmt: skip
    return Outcome(
        kind="webhook.rules", data=data, blocks=[Table(columns=("what", "how", "where"), rows=rows)],
        summary=f"{words}: {len(found.sources)} in, {len(found.apps)} to run, {len(found.destinations)} to go to",
    )  # fmt: skip


def _state(state: str, attempts: int) -> str:
    return state if attempts < 2 else f"{state} ({counted(attempts, 'try', 'tries')})"


def _events(rows: Sequence[EventRow]) -> Table:
    cells = [
        (
            row.id,
            row.received,
            f"{row.source} {row.kind}".strip(),
            row.destination,
            _state(row.state, row.attempts),
            row.said or row.run,
        )
        for row in rows
    ]
    return Table(columns=_EVENT, rows=cells, empty="No events.")


def _messages(rows: Sequence[MessageRow]) -> Table:
    cells = [(row.id, row.run, row.made, row.type, row.url, _state(row.state, row.attempts), row.said) for row in rows]
    return Table(columns=_MESSAGE, rows=cells, empty="No calls back.")

"""``difyops cache``: what repeats, and what answering it from a cache would save. Parse, call the room, return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.cost_asked import Apps, Since, open_prices, question_of
from difyops.cli.door import command, group, seconds
from difyops.cli.history import open_history
from difyops.cli.session import Session
from difyops.errors import UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.cost.repeats import CacheReport

noun = group(
    "What repeats exactly, and what a cache would save: counted where every run was read, never from a sample."
)

Lifetime = Annotated[
    list[str] | None,
    typer.Option(
        "--lifetime", metavar="TYPE=TIME", help="How long an answer is good: llm=24h, code=7d, ... (repeatable)."
    ),
]


@command(noun, "stats", formats=("csv",))
def stats(session: Session, apps: Apps = None, since: Since = "7d", lifetime: Lifetime = None) -> Outcome:
    """By node type and app: calls, exact repeats within the lifetime of the type, what they cost in time and money.

    Lifetimes: LLM 24 h, code 7 d, HTTP 1 h, retrieval 12 h. Example: difyops cache stats --lifetime llm=1h

    Examples:
        difyops cache stats
        difyops cache stats support-triage --since 30d
    """
    from difyops.render import cache as views

    return views.stats(_report(session, apps, since, lifetime, by="type"))


@command(noun, "top", formats=("csv",))
def top(
    session: Session,
    apps: Apps = None,
    since: Since = "7d",
    lifetime: Lifetime = None,
    most: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many nodes.")] = 10,
) -> Outcome:
    """The nodes that repeat most.

    Examples:
        difyops cache top
        difyops cache top --limit 5 -o json
    """
    from difyops.render import cache as views

    return views.top(_report(session, apps, since, lifetime, by="node"), most=most)


def _report(
    session: Session, apps: list[str] | None, since: str, lifetime: list[str] | None, *, by: str
) -> CacheReport:
    from difyops.cost.repeats import look

    with open_history(session) as history:
        question = question_of(session, history, apps, since)
        return look(history, question, open_prices(session), by=by, lifetimes=_lifetimes(lifetime))


def _lifetimes(given: list[str] | None) -> dict[str, float]:
    from difyops.cost.repeats import LIFETIMES

    found = dict(LIFETIMES)
    for item in given or ():
        name, sign, text = item.partition("=")
        if not sign or name not in found:
            raise UsageError(f"--lifetime {item!r} is not TYPE=TIME.", hint=f"TYPE is one of {', '.join(found)}.")
        found[name] = seconds(text)
    return found

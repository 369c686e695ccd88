"""Where a leaked value is, laid out; the value itself is nowhere in it."""

from __future__ import annotations

from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure
from difyops.outcome import Outcome, Table
from difyops.rotation.finding import Match, Search

_BY_HAND = "Take it out of the texts, publish, and revoke it where it comes from."


def found(search: Search) -> Outcome:
    """Show the places; exit 5 when there is one, 3 when none was found and not everything could be read."""
    rows = [
        (item.where, item.kind, item.owner, item.name, ", ".join(item.users), _certainty(item), item.owner_id)
        for item in search.matches
    ]
    columns = ("where", "kind", "owner", "name", "used by", "sure", "id")
    return Outcome(
        kind="secret.find",
        data=search.matches,
        blocks=[Table(columns=columns, rows=rows, empty="It is nowhere that this role may read.")],
        summary=f"found in {counted(len(rows), 'place')}" if rows else "not found",
        warnings=search.problems,
        names=[item.ref or item.owner for item in search.matches],
        error=_error(search),
    )


def _certainty(item: Match) -> str:
    return "yes" if item.is_certain else "maybe: its ends agree"


def _error(search: Search) -> DifyopsError | None:
    if search.matches:
        first = next((item for item in search.matches if item.ref), None)
        hint = f"difyops secret rotate {first.ref} --leaked" if first else _BY_HAND
        return AnswerIsNo("The value is in use here.", hint=hint)
    return None if search.is_whole else PartialFailure("It was not found, but not everything could be read.")

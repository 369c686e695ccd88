"""What a question about money is about: apps and a time; which runs ended in it, and what of it was never read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from difyops.clock import from_unix
from difyops.cost.leaf_making import DAY
from difyops.cost.money import currency_of
from difyops.history import archive
from difyops.history.apps import PRODUCTION, KeptApp
from difyops.history.feeds import LOGS, MESSAGES, RUNS
from difyops.history.gaps import gaps
from difyops.history.store import OPEN, History

_CHAT = "chat"
_TOO_SHORT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedQuestion:
    """Some apps of a context between two moments (unix seconds)."""

    context: str
    apps: tuple[KeptApp, ...]
    since: float
    until: float

    def place(self, app: KeptApp) -> archive.ArchivePlace:
        """Return where packed rows of an app may lie."""
        return archive.ArchivePlace(context=self.context, app=app.id, since=self.since, until=self.until)


@dataclass(frozen=True, slots=True)
class PricedEnd:
    """Runs that ended, of one version and source, by one user (blank unless asked for), begun on one day."""

    version: str
    source: str
    day: int
    user: str
    count: int
    tokens: int


@dataclass(frozen=True, slots=True)
class PricedAnswer:
    """Messages of an app without a workflow: the runs of such an app. ``price`` is the server's own text."""

    day: int
    user: str
    tokens: int
    price: str
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A stretch of time of one app of which the history does not hold the runs."""

    app: str
    name: str
    since: datetime
    until: datetime


def ended(history: History, question: PricedQuestion, app: KeptApp, *, by_user: bool = False) -> list[PricedEnd]:
    """Count the runs of an app that ended, and their tokens; messages of chat apps are counted by ``answered``."""
    day = f"(CAST(started AS BIGINT) - CAST(started AS BIGINT) % {DAY}) / {DAY}"
    user = "user" if by_user else "''"
    listed = ", ".join(f"'{name}'" for name in PRODUCTION if name != _CHAT)
    rows = archive.both(
        history, "run", f"version, source, {day} AS d, {_quoted(user)} AS u, count(*), coalesce(sum(tokens), 0)",
        f"context = ? AND app = ? AND started >= ? AND started < ? AND source IN ({listed})"
        f" AND status NOT IN {OPEN!r} GROUP BY version, source, d, u",
        [question.context, app.id, question.since, question.until], question.place(app),
    )  # fmt: skip
    return [PricedEnd(row[0] or "", row[1], int(row[2]), row[3] or "", int(row[4]), int(row[5])) for row in rows]


def _quoted(column: str) -> str:
    return f'"{column}"' if column == "user" else column


def answered(history: History, question: PricedQuestion, app: KeptApp) -> Iterator[PricedAnswer]:
    """Yield the messages that are the runs of an app: of those without a workflow, and of old chatflows."""
    has_any = history.one(
        "SELECT 1 FROM run WHERE context = ? AND app = ? AND source = 'chat' LIMIT 1", [question.context, app.id]
    ) or history.one("SELECT 1 FROM pack WHERE context = ? AND app = ? LIMIT 1", [question.context, app.id])
    if not has_any:
        return
    test = "context = ? AND app = ? AND started >= ? AND started < ?"
    given = [question.context, app.id, question.since, question.until]
    chats = {
        row[0] for row in archive.both(history, "run", "id", f"{test} AND source = 'chat'", given, question.place(app))
    }
    columns = 'id, started, "user", prompt_tokens, answer_tokens, price, currency'
    for key, started, user, asked, told, price, currency in archive.both(
        history, "message", columns, test, given, question.place(app)
    ):
        if key in chats:
            yield PricedAnswer(
                int(started // DAY), user or "", (asked or 0) + (told or 0), price or "", currency_of(currency or "")
            )


def unread(history: History, question: PricedQuestion) -> tuple[list[Unread], datetime | None]:
    """Return what of the time was never read, app by app, and up to when everything was.

    The stretch from the newest sync to now is no gap: it is told as the moment up to which the answer holds. An app
    of which the history was imported covers nothing by itself; nothing is said of it.
    """
    found: list[Unread] = []
    upto: list[float] = []
    for app in question.apps:
        feeds = {"workflow": (LOGS,), "advanced-chat": (RUNS, MESSAGES)}.get(app.mode, (MESSAGES,))
        covered = next((it for feed in feeds if (it := history.stretches(question.context, app.id, feed))), None)
        if covered is None:
            continue
        end = min(question.until, app.gone or question.until)
        newest = min(covered[-1].t1, end)
        upto.append(question.until if app.gone else newest)
        found += [
            Unread(app=app.id, name=app.name, since=_moment(gap.t0), until=_moment(gap.t1))
            for gap in gaps(covered, question.since, max(newest, question.since))
            if gap.t1 - gap.t0 > _TOO_SHORT
        ]
    return found, from_unix(min(upto)) if upto else None


def _moment(seconds: float) -> datetime:
    found = from_unix(seconds)
    assert found is not None  # noqa: S101  (only None gives None)
    return found

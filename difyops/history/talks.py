"""Messages of the chat modes: conversations by their last change, then the messages of each that changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_feed import completion, conversations_page, messages_page
from difyops.api.run_records import MessageRecord, moment
from difyops.errors import UnreadableAnswer
from difyops.history.pace import Pace

_MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A conversation and when it last changed."""

    id: str
    changed: float


async def changed_since(instance: Instance, app: App, pace: Pace, since: float) -> list[Talk]:
    """Return the conversations that changed at or after ``since``, each once.

    Raises:
        UnreadableAnswer: the list does not end.
    """
    found: dict[str, Talk] = {}
    for page_number in range(1, _MOST_PAGES):
        page = await pace.call(partial(conversations_page, instance, app, page=page_number))
        before = len(found)
        oldest = since
        for row in page.rows:
            oldest = max(moment(row.get("updated_at")) or 0.0, moment(row.get("created_at")) or 0.0)
            if oldest >= since:
                found[str(row.get("id"))] = Talk(id=str(row.get("id")), changed=oldest)
        if not page.more or oldest < since:
            break
        if len(found) == before:  # what was not read must not count as covered
            raise UnreadableAnswer("list conversations: it says that there is more, and sends the same again.")
    return sorted(found.values(), key=lambda talk: talk.changed)


async def messages(instance: Instance, app: App, pace: Pace, talk: str, since: float) -> AsyncIterator[MessageRecord]:
    """Yield the messages of one conversation back to ``since``, newest page first.

    Raises:
        UnreadableAnswer: the list does not end.
    """
    if app.mode == "completion":
        row = await pace.call(lambda: completion(instance, app.id, talk))
        if row is not None:
            yield MessageRecord.of({**row, "conversation_id": talk})
        return
    first: str | None = None
    for _ in range(_MOST_PAGES):
        page = await pace.call(partial(messages_page, instance, app, talk, first_id=first))
        records = sorted((MessageRecord.of(row) for row in page.rows), key=lambda record: record.started)
        for record in records:
            yield record
        if not page.more or records[0].started < since:
            return
        if records[0].id == first:
            raise UnreadableAnswer("list messages: it says that there is more, and sends the same again.")
        first = records[0].id

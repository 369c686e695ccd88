"""Publishing exactly what is live with one environment variable changed, while somebody's draft stays theirs.

A variable lives in a version, and only a draft can be published: ``publishing`` does that, and this file says which
document, what the comment tells other machines, and what becomes of the variable in drafts that others hold.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.api.model import Workflow
from difyops.clock import iso
from difyops.errors import Conflict, NotFound
from difyops.publishing import Content, Overtaken, Publication, PublishSettings
from difyops.publishing.content import draft_content, version_content
from difyops.publishing.held import PARKED, WANTED
from difyops.publishing.publication import (
    BeforePublish,
)
from difyops.publishing.writing import write_draft
from difyops.rotation.job import RotationJob
from difyops.rotation.machine import State
from difyops.sealing.access import access_of
from difyops.sealing.age import CannotOpen
from difyops.sealing.kept import keep_body, opened_body
from difyops.secret_text import SecretText

FORWARD, BACK = "forward", "back"
JsonObject = dict[str, Any]
_PUBLISHED = re.compile(r"difyops (?P<rotation>[0-9a-f]{12}) until (?P<until>\S+): (?P<name>\S+)")
_TRIES = 3


def publication(job: RotationJob) -> Publication:
    """Return the publication of a rotation of a variable."""
    clock, name = job.bench.clock, job.target("name")
    is_back = job.rotation.state is State.ROLLING_BACK
    until = clock.now() if is_back else clock.now() + timedelta(seconds=job.rotation.settings.grace)
    return Publication(
        instance=job.instance,
        app_id=job.target("app_id"),
        app_name=job.target("app"),
        keeper=job,
        settings=PublishSettings(
            name="secret rotation",
            text=f"until {iso(until)}: {name} changed, nothing else",
            told={"fingerprint": job.memo("old_fingerprint" if is_back else "new_fingerprint")},
        ),
        clock=clock,
    )


async def read_live(job: RotationJob) -> tuple[Workflow, Content]:
    """Return what is live.

    Raises:
        NotFound: nothing is published (any more).
    """
    console, app_id = job.instance.console, job.target("app_id")
    live = await console.published(app_id)
    if live is None:
        raise NotFound(f"{job.target('app')!r} has no published version.", status=404)
    return live, await version_content(console, app_id, live)


async def read_version(job: RotationJob, version_id: str) -> Content:
    """Return a published version that is not live any more.

    Raises:
        NotFound: the server does not have it any more.
    """
    console, app_id = job.instance.console, job.target("app_id")
    async for version in console.versions(app_id):
        if version.id == version_id:
            return await version_content(console, app_id, version)
    raise NotFound("The former live version is not on the server any more.", status=404)


async def publish_with(
    job: RotationJob, way: str, value: SecretText, other: SecretText | None, test: BeforePublish | None = None
) -> None:
    """Make what is live now, with ``value`` in the rotation's variable, the live version; give the draft back.

    ``way`` is ``FORWARD`` or ``BACK``: each is begun once, and goes on where it was cut off. A draft that holds the
    ``other`` value in the variable gets ``value`` there: it would bring the other one back at the next publication.

    On the way ``BACK`` a version that somebody published meanwhile gets ``value`` like the one before it: the value
    that is taken back must not stay live in it.

    Raises:
        Overtaken: somebody published meanwhile. StalePlan: somebody saved the draft again and again.
    """
    made = publication(job)
    for left in reversed(range(_TRIES)):
        if job.memo("publication") != way:
            await _begin(job, made, value)
            job.note(publication=way)
        try:
            await made.put_live(test)
        except Overtaken:
            if way != BACK or not left:
                raise
            await give_draft_back(job, made, value, other)
            job.note(publication=None)
        else:
            break
    await give_draft_back(job, made, value, other)
    for text in await made.slots.missed():
        job.say(f"Published, but {text}.")


async def give_draft_back(job: RotationJob, made: Publication, value: SecretText, other: SecretText | None) -> None:
    """Put the parked draft back, with ``value`` where it held the ``other`` one."""
    exchange_held(job, value, other)
    await made.put_draft_back()


async def leave_nowhere(job: RotationJob, value: SecretText, rejected: SecretText) -> None:
    """Put ``value`` live where the rejected one is, and into the draft; again where somebody published that meanwhile.

    Raises:
        Overtaken: somebody published again and again. Conflict: somebody saved the draft each time just before us.
    """
    name = job.target("name")
    for _ in range(_TRIES):
        if (await read_live(job))[1].holds(name, rejected):
            await publish_with(job, BACK, value, rejected)
        await put_draft_right(job, value, rejected)
        if not (await read_live(job))[1].holds(name, rejected):
            return
    raise Overtaken(f"Somebody publishes the value of {name} that is taken back, again and again.")


async def put_draft_right(job: RotationJob, value: SecretText, rejected: SecretText) -> None:
    """Give a draft that holds the rejected value in the variable ``value`` there; all the rest of it stays.

    Raises:
        Conflict: somebody saved the draft each time just before us.
    """
    console, app_id, name = job.instance.console, job.target("app_id"), job.target("name")
    for left in reversed(range(_TRIES)):
        draft = await draft_content(console, app_id)
        if draft is None or not draft.holds(name, rejected):
            return
        right = draft.with_value(name, value)
        try:
            await write_draft(job, console, app_id, right.document, over=draft.hash, effect="put variable right")
        except Conflict:
            if not left:
                raise


def put_kept_right(job: RotationJob, value: SecretText, rejected: SecretText) -> None:
    """Give the documents that were set aside ``value`` where they hold the rejected one."""
    state = job.bench.state
    for item in job.memo("set_aside") or []:
        place = Path(item["place"])
        if not place.exists():
            continue
        try:
            body = opened_body(json.loads(atomic_file.read_private(place)), access_of({}, state))
        except CannotOpen as error:
            job.say(f"{place} may hold the value that was taken back, and is left as it is: {error.message}")
            continue
        content = Content.read(body)
        if content.holds(job.target("name"), rejected):
            keep_body(state, place, {**body, **content.with_value(job.target("name"), value).as_kept()})


async def is_rotated_by_another(job: RotationJob, began_live: str) -> bool:
    """Say whether a rotation of the variable on another machine published since the version ``began_live``."""
    console, app_id = job.instance.console, job.target("app_id")
    async for version in console.versions(app_id):
        if version.id == began_live:
            break
        found = _PUBLISHED.match(version.marked_comment)
        if found is not None and found["name"] == job.target("name") and found["rotation"] != job.id:
            return True
    return False


def rotating_until(live: Workflow, name: str, known: frozenset[str]) -> datetime | None:
    """Return until when a rotation of ``name`` that another machine published may go back; ``None``: there is none."""
    found = _PUBLISHED.match(live.marked_comment)
    if found is None or found["name"] != name or found["rotation"][:6] in known:
        return None
    try:
        until = datetime.fromisoformat(found["until"])
    except ValueError:
        return None
    return until if until.tzinfo else None  # without a zone a person wrote it


async def _begin(job: RotationJob, made: Publication, value: SecretText) -> None:
    live, content = await read_live(job)
    draft = await draft_content(job.instance.console, made.app_id)
    parked = job.kept(PARKED)
    is_written = draft is not None and draft.hash is not None and draft.hash == job.memo("written")
    if parked is not None and is_written and draft is not None:  # 0.1.0 wrote this draft and holds somebody's
        written, draft = draft, Content.read(parked)
        made.begin(target=content.with_value(job.target("name"), value), live=content, version=live, draft=draft)
        job.keep(WANTED, written.as_kept())
        return
    made.begin(target=content.with_value(job.target("name"), value), live=content, version=live, draft=draft)


def exchange_held(job: RotationJob, value: SecretText, other: SecretText | None) -> None:
    """Give the parked draft ``value`` where it holds the ``other`` one."""
    parked = job.kept(PARKED)
    if parked is None or other is None:
        return
    content = Content.read(parked)
    if content.holds(job.target("name"), other):
        job.keep(PARKED, content.with_value(job.target("name"), value).as_kept())

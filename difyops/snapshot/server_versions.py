"""The server's own versions of an app: the way back when nobody took a snapshot.

Workflows and agents have them; the chat modes and completion have none: what is saved there is live, and gone.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from difyops.api.agents import Agents
from difyops.api.instance import Instance
from difyops.api.model import AgentVersion, App, Workflow
from difyops.clock import from_unix, iso
from difyops.dsl.canonical import same_meaning
from difyops.dsl.diff import diff
from difyops.dsl.secrets import redact
from difyops.errors import NotFound, NotSupported, Refused
from difyops.sealing.store import Seal
from difyops.snapshot.history import Kept
from difyops.snapshot.in_clear import read_clear
from difyops.snapshot.reading import record_now

PREVIOUS = "previous"
_OURS = re.compile(r"difyops ([0-9a-f]{12}) ?(.*)", re.S)  # the id of the change, and its own words
_ROLLBACK = ("back to ", "back: ")  # a rollback's own words, or those before the words that a person gave it
_ROLLBACK_NAME = "rollback "
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerVersion:
    """One published version. ``changes``: in how many places it differs in meaning from the version before it;
    ``None`` where that is not known.
    """

    app_id: str
    app: str
    id: str
    number: str
    live: bool
    name: str
    comment: str
    by: str | None
    at: str | None
    changes: int | None = None


def means_version(word: str) -> bool:
    """Say whether ``--to`` names a version of the server: ``previous``, or a version's whole id."""
    return word == PREVIOUS or _ID.fullmatch(word) is not None


def went_back(version: Workflow | AgentVersion, older: Sequence[Workflow | AgentVersion] = ()) -> bool:
    """Say whether a change of ours went back with this version: the one before it is what it went back from.

    That is a rollback, or a change that published before (``older``, newest first, as many as are known) and has taken
    that back: a release that was given up, say. A rollback is known by its name, too, where its comment is another's.
    """
    ours = _OURS.match(version.marked_comment)
    if ours is None:
        return False
    if ours[2].startswith(_ROLLBACK) or version.marked_name.startswith(_ROLLBACK_NAME):
        return True
    first = next((place for place, item in enumerate(older) if _change(item) != ours[1]), len(older))
    return first > 0 and (first == len(older) or same_meaning(version.document, older[first].document))


def _change(version: Workflow | AgentVersion) -> str:
    """Return the id of the change that published a version, blank where it was not difyops."""
    ours = _OURS.match(version.marked_comment)
    return ours[1] if ours else ""


async def versions(instance: Instance, app: App, *, limit: int) -> list[ServerVersion]:
    """Return the newest published versions of an app, newest first. ``app`` is its detail.

    Raises:
        NotSupported: the server keeps no versions of this mode.
    """
    _check_mode(app)
    if app.is_agent:
        agents = Agents(instance.console)
        active = (await agents.state(app)).active
        return [_row(app, item, active) for item in (await agents.versions(app))[:limit]]
    found: list[Workflow] = []
    async for version in instance.console.versions(app.id):
        found.append(version)
        if len(found) > limit:  # one more: the last row is compared with it
            break
    older = [*found[1:], None]
    return [_row(app, item, app.live_version, before) for item, before in zip(found, older, strict=True)][:limit]


async def kept_version(instance: Instance, app: App, word: str, seal: Seal) -> Kept:
    """Return a version of the server in the form of an app of a snapshot, with marks in place of its secrets.

    ``previous``: the newest published before the live one that differs from it in meaning. ``app`` is its detail.

    Raises:
        NotSupported: the server keeps no versions of this mode. NotFound: it has no such version.
    """
    _check_mode(app)
    version, live = await (_agent_version if app.is_agent else _workflow_version)(instance, app, word)
    warned = word == PREVIOUS and live is not None and went_back(live, [version])
    if isinstance(version, Workflow):
        document = (await read_clear(instance.console, app.id, version, exports=False)).document
    else:
        document = version.document
    return Kept(
        commit=version.id,
        record=record_now(app, version),
        live=seal.redact(document).document,
        draft=None,
        dsl=None,
        told=f"the server's version {_told(version)}" + ("; careful, the last rollback replaced it" if warned else ""),
    )


async def _workflow_version(instance: Instance, app: App, word: str) -> tuple[Workflow, Workflow | None]:
    """Return a version, and the live one where it was met on the way."""
    if app.live_version is None:
        raise Refused(f"{app.name!r} has no live version; there is nothing to go back from.")
    live: Workflow | None = None
    async for version in instance.console.versions(app.id):
        if word != PREVIOUS and version.id == word.lower():
            return version, live
        if version.id == app.live_version:
            live = version
        elif word == PREVIOUS and live is not None and not same_meaning(version.document, live.document):
            return version, live
    raise _no_such(app, word)


async def _agent_version(instance: Instance, app: App, word: str) -> tuple[AgentVersion, AgentVersion | None]:
    agents = Agents(instance.console)
    if word != PREVIOUS:
        return await agents.version(app, word), None
    live: AgentVersion | None = None
    async for version in _agent_versions(agents, app):
        if live is None:
            live = version
        elif not same_meaning(version.document, live.document):
            return version, live
    raise _no_such(app, word)


async def _agent_versions(agents: Agents, app: App) -> AsyncIterator[AgentVersion]:
    """Yield the live version and those published before it, newest first, each with its soul."""
    active, is_past = (await agents.state(app)).active, False
    for row in await agents.versions(app):
        is_past = is_past or row.id == active
        if is_past:
            yield await agents.version(app, row.id)


def _no_such(app: App, word: str) -> NotFound:
    hint = f"difyops app versions {app.id}"
    if word == PREVIOUS:
        return NotFound(f"The server has no version of {app.name!r} before the live one that differs.", hint=hint)
    return NotFound(f"The server has no version {word} of {app.name!r}.", hint=hint)


def _check_mode(app: App) -> None:
    if not app.has_workflow and not app.is_agent:
        raise NotSupported(
            f"{app.name!r} is a {app.mode} app: the server keeps no versions of this mode.",
            hint="Go back to a snapshot: difyops snapshot list",
        )


def _row(app: App, version: Workflow | AgentVersion, live: str | None, before: Workflow | None = None) -> ServerVersion:
    changes = None
    if isinstance(version, Workflow) and before is not None:
        changes = len(diff(_masked(before.document), _masked(version.document)))
    return ServerVersion(
        app_id=app.id,
        app=app.name,
        id=version.id,
        number=version.version,
        live=version.id == live,
        name=version.marked_name,
        comment=version.marked_comment,
        by=version.created_by,
        at=_when(version.created_at),
        changes=changes,
    )


def _masked(document: dict[str, Any]) -> dict[str, Any]:
    masked: dict[str, Any] = redact(document).document
    return masked


def _told(version: Workflow | AgentVersion) -> str:
    words = [version.id[:8], f"of {_when(version.created_at)}" if version.created_at else ""]
    words += [f"by {version.created_by}" if version.created_by else "", version.marked_name, version.marked_comment]
    return ", ".join(word for word in (" ".join(filter(None, words[:3])), *words[3:]) if word)


def _when(seconds: float | None) -> str | None:
    moment = from_unix(seconds) if seconds is not None else None
    return iso(moment) if moment else None

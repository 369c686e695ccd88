"""Publishing exactly what is live with one environment variable changed, while somebody's draft stays theirs.

A variable lives in a version, and only a draft can be published: so the draft is parked (a private file), the live
version with the new value is written into it under its hash lock, published, proved by reading back, and the parked
draft is put back. Each step looks first what is there, so it serves a first run and one that was cut off alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from difyops.api.model import Workflow
from difyops.clock import iso
from difyops.dsl.load import load_dsl
from difyops.dsl.model import as_dict, env_variables
from difyops.errors import Conflict, DifyopsError, NotFound, StalePlan
from difyops.rotation.hands import Hands
from difyops.rotation.machine import State
from difyops.secret_text import SecretText

PARKED = "parked"
_PUBLISHED = re.compile(r"difyops (?P<rotation>[0-9a-f]{12}) until (?P<until>\S+): (?P<name>\S+)")
JsonObject = dict[str, Any]
BeforePublish = Callable[[], Awaitable[None]]


class WrongVersionLive(DifyopsError):
    """Something else than the live version with one value changed went live; it is taken back."""

    code = "wrong_version_live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version or a draft with its environment in clear. ``variables`` are as the server lists them."""

    workflow: Workflow
    values: dict[str, Any] = field(repr=False)

    def value(self, name: str) -> SecretText | None:
        """Return one variable's value, ``None`` when there is no such variable."""
        return SecretText(str(self.values[name])) if name in self.values else None

    def means(self, other: Version) -> bool:
        """Say whether two versions run the same: graph and features (their hash), and all variables."""
        mine, its = self.workflow, other.workflow
        same = mine.hash == its.hash and self.values == other.values
        return same and _plain(mine.conversation_variables) == _plain(its.conversation_variables)

    def document(self) -> JsonObject:
        """Return what has to be sent to have this as the draft: every value in clear."""
        known = [item for item in self.workflow.environment_variables if item.get("name") in self.values]
        variables = [{**item, "value": self.values[str(item["name"])]} for item in known]
        return {**self.workflow.document, "environment_variables": variables}

    def with_value(self, name: str, value: SecretText) -> Version:
        """Return the same with one variable changed."""
        return Version(workflow=self.workflow, values={**self.values, name: value.reveal()})


async def read_live(hands: Hands) -> Version:
    """Return what is live.

    Raises:
        NotFound: nothing is published (any more).
    """
    app_id = hands.target("app_id")
    live = await hands.instance.console.published(app_id)
    if live is None:
        raise NotFound(f"{hands.target('app')!r} has no published version.", status=404)
    return Version(workflow=live, values=await _values(hands, live))


async def read_version(hands: Hands, version_id: str) -> Version:
    """Return a published version that is not live any more.

    Raises:
        NotFound: the server does not have it any more.
    """
    async for version in hands.instance.console.versions(hands.target("app_id")):
        if version.id == version_id:
            return Version(workflow=version, values=await _values(hands, version))
    raise NotFound("The former live version is not on the server any more.", status=404)


async def read_draft(hands: Hands) -> Version | None:
    """Return the draft, ``None`` when there is none."""
    console, app_id = hands.instance.console, hands.target("app_id")
    draft = await console.draft(app_id)
    return Version(workflow=draft, values=await console.clear_environment(app_id)) if draft else None


async def publish_with(hands: Hands, base: Version, value: SecretText, before_publish: BeforePublish) -> None:
    """Make ``base`` with ``value`` in the rotation's variable live; the draft is parked until ``put_draft_back``.

    Raises:
        StalePlan: somebody edited the draft on top of what was written; nothing went live. Conflict: somebody saved the
        draft a moment ago; try again. WrongVersionLive: an edit slipped in and went live.
    """
    wanted = base.with_value(hands.target("name"), value)
    draft = await read_draft(hands)
    if draft is None or not draft.means(wanted):
        _park(hands, draft)
        draft = await _write_draft(hands, draft, wanted)
    await before_publish()
    console, app_id = hands.instance.console, hands.target("app_id")
    hands.note(triggers={trigger.node_id: trigger.status for trigger in await console.triggers(app_id)})
    now = await read_draft(hands)
    if now is None or not now.means(wanted):
        raise StalePlan("The draft was edited meanwhile; nothing went live.")
    comment, seal = _comment(hands), hands.seal(value)
    await hands.effect(
        "publish", lambda: console.publish(app_id, name="secret rotation", comment=comment), fingerprint=seal
    )
    live = await read_live(hands)
    await put_triggers_back(hands, live)
    if not live.means(wanted):
        raise WrongVersionLive("What went live is not the former version with one value changed.")


async def put_triggers_back(hands: Hands, live: Version) -> None:
    """Give the triggers the statuses they had before our last publication, where that is ``live`` and cut off there."""
    statuses = hands.memo("triggers")
    if statuses is None:
        return
    console, app_id = hands.instance.console, hands.target("app_id")
    for trigger in await console.triggers(app_id) if is_ours(hands, live) else ():
        before = statuses.get(trigger.node_id)
        if before in ("enabled", "disabled") and trigger.status != before:
            await console.set_trigger(app_id, trigger.id, enabled=before == "enabled")
    hands.note(triggers=None)


def is_ours(hands: Hands, version: Version) -> bool:
    """Say whether this rotation published a version."""
    found = _PUBLISHED.match(version.workflow.marked_comment)
    return found is not None and found["rotation"] == hands.rotation.id


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


def _comment(hands: Hands) -> str:
    """Return what a version says of itself: which rotation made it, and until when that may be undone."""
    now, name = hands.bench.clock.now(), hands.target("name")
    # on the way back the moment has come: nothing is left to undo
    is_back = hands.rotation.state is State.ROLLING_BACK
    until = now if is_back else now + timedelta(seconds=hands.rotation.settings.grace)
    return f"difyops {hands.rotation.id} until {iso(until)}: {name} changed, nothing else"


async def put_draft_back(hands: Hands, old: SecretText | None, value: SecretText) -> None:
    """Give the draft back what it held, with ``value`` where it held the ``old`` one; a draft edited since is left."""
    parked = hands.vault.document(PARKED)
    if parked is None:
        return
    draft = await read_draft(hands)
    if draft is None or _is_ours(hands, draft):
        document = _filled(parked["document"], _exchanged(parked["values"], hands.target("name"), old, value))
        if (
            draft is None
            or draft.workflow.hash != parked["hash"]
            or _variables(draft.document()) != _variables(document)
        ):
            await _restore(hands, document, draft)
    elif draft.workflow.hash != parked["hash"]:
        _set_aside(hands)
    hands.vault.drop(PARKED)


async def _restore(hands: Hands, document: JsonObject, draft: Version | None) -> None:
    expected = draft.workflow.hash if draft else None
    console, app_id = hands.instance.console, hands.target("app_id")
    try:
        await hands.effect("put draft back", lambda: console.sync_draft(app_id, document, expected_hash=expected))
    except Conflict:  # somebody saved a moment ago, on top of what was written here: theirs stands
        _set_aside(hands)


def give_way(hands: Hands) -> None:
    """Accept what is in the draft now as somebody's; what was parked before is set aside in a file."""
    if hands.memo("written") is not None:
        _set_aside(hands)
        hands.note(written=None)


def _park(hands: Hands, draft: Version | None) -> None:
    """Keep the draft, unless it is what was written here before.

    Raises:
        StalePlan: it is somebody's edit on top of what was written here before.
    """
    parked = hands.vault.document(PARKED)
    if draft is None or (parked is not None and _is_ours(hands, draft)):
        return
    if parked is not None and hands.memo("written") and draft.workflow.hash != parked["hash"]:
        raise StalePlan("The draft was edited meanwhile; nothing went live.")
    body = {"hash": draft.workflow.hash, "document": draft.workflow.document, "values": draft.values}
    hands.vault.keep_document(PARKED, body)


async def _write_draft(hands: Hands, draft: Version | None, wanted: Version) -> Version:
    expected = draft.workflow.hash if draft else None
    hands.note(written=wanted.workflow.hash, written_values=_seal(hands, wanted))
    try:
        await hands.effect(
            "write draft",
            lambda: hands.instance.console.sync_draft(
                hands.target("app_id"), wanted.document(), expected_hash=expected
            ),
        )
    except Conflict:
        hands.note(written=None)
        raise
    return wanted


async def _values(hands: Hands, version: Workflow) -> dict[str, Any]:
    text = await hands.instance.console.export(hands.target("app_id"), version_id=version.id, clear_secrets=True)
    clear = {
        str(item.get("name")): item.get("value") for item in env_variables(as_dict(load_dsl(text).get("workflow")))
    }
    return {
        str(item.get("name")): clear.get(str(item.get("name")), item.get("value"))
        for item in version.environment_variables
    }


def _filled(document: JsonObject, values: JsonObject) -> JsonObject:
    items = document.get("environment_variables") or ()
    variables = [{**item, "value": values.get(item.get("name"), item.get("value"))} for item in items]
    return {**document, "environment_variables": variables}


def _exchanged(values: JsonObject, name: str, old: SecretText | None, new: SecretText) -> JsonObject:
    """Return the values with ``new`` for ``old``: a draft that kept the old value would bring it back one day."""
    is_old = old is not None and values.get(name) == old.reveal()
    return {**values, name: new.reveal()} if is_old else dict(values)


def _is_ours(hands: Hands, draft: Version) -> bool:
    """Say whether the draft is what was written here last, all variables included (the hash does not cover them)."""
    return [draft.workflow.hash, _seal(hands, draft)] == [hands.memo("written"), hands.memo("written_values")]


def _seal(hands: Hands, version: Version) -> str:
    """Return a fingerprint of all variables, of the environment and of conversations."""
    return hands.seal(SecretText(json.dumps(_variables(version.document()), sort_keys=True, default=str)))


def _set_aside(hands: Hands) -> None:
    place = hands.vault.set_aside(PARKED)
    if place is not None:
        hands.note(draft_set_aside=str(place))


def _variables(document: JsonObject) -> list[list[Any]]:
    return [_plain(document.get(part) or ()) for part in ("environment_variables", "conversation_variables")]


def _plain(variables: Any) -> list[Any]:
    return [{key: item.get(key) for key in ("name", "value_type", "value", "description")} for item in variables]

"""Proof of a rollback by reading back: live means the target, secrets are the ones that were sent, switches stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.changes import Change
from difyops.dsl.diff import describe, diff
from difyops.dsl.secrets import Location, redact
from difyops.publishing.content import version_content
from difyops.secret_text import SecretText
from difyops.snapshot.agent_apps import agent_now
from difyops.snapshot.carry import Secrets
from difyops.snapshot.owners import owned
from difyops.snapshot.reading import config_of

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One thing that was read back: what, whether it is as it must be, and what was found."""

    what: str
    ok: bool
    found: str = ""


async def prove(instance: Instance, change: Change, target: JsonObject) -> list[Proof]:
    """Read the app back and judge it against ``target``, the document that was sent, secrets included.

    A proof that does not hold is in the result (``ok``), not raised. Triggers are held against what they were just
    before the last publication of this change.

    Raises:
        NotFound: the app was deleted. DifyopsError: it could not be read back, so nothing is proved.
    """
    app = await instance.console.app(str(change.record.facts["app_id"]))
    now = await _now(instance, app)
    found_now, wanted = redact(now), redact(target)
    left = diff(found_now.document, wanted.document)
    found = describe(left[0]) if left else "no difference"
    proofs = [Proof(what="live means the target", ok=not left, found=found), _flags(app, change.record.facts)]
    if app.is_agent:
        return [*proofs, _secrets(owned(now, found_now.secrets), owned(target, wanted.secrets))]
    if app.has_workflow:
        proofs.append(_secrets(owned(now, found_now.secrets), owned(target, wanted.secrets)))
        return proofs + await _triggers(instance, change, app)
    return [*proofs, _config_secrets(found_now.secrets, wanted.secrets)] if wanted.secrets else proofs


async def _now(instance: Instance, app: App) -> JsonObject:
    if app.is_agent:
        found = (await agent_now(instance, app)).live
        return found.document if found else {}
    if not app.has_workflow:
        return config_of(app)
    live = await instance.console.published(app.id)
    return (await version_content(instance.console, app.id, live)).document if live else {}


def _flags(app: App, facts: Mapping[str, Any]) -> Proof:
    former = facts.get("identity") or {}  # as 0.1.0 wrote it
    name = facts.get("new_name") or former.get("name") or facts["app_name"]
    same = (app.enable_api, app.enable_site, app.name) == (facts["enable_api"], facts["enable_site"], name)
    word = {True: "on", False: "off", None: "unknown"}
    found = f"{app.name}: API {word[app.enable_api]}, site {word[app.enable_site]}"
    return Proof(what="name and switches as they must be", ok=same, found=found)


def _secrets(now: Secrets, expected: Secrets) -> Proof:
    wanted = {location: value for location, value in expected.items() if not location.is_generated}
    lost = [location.label for location, value in wanted.items() if now.get(location, SecretText("")) != value]
    found = f"{len(wanted) - len(lost)} of {len(wanted)} alive" + (f", lost: {', '.join(lost)}" if lost else "")
    return Proof(what="secrets as they were sent", ok=not lost, found=found)


def _config_secrets(now: Mapping[Location, SecretText], expected: Mapping[Location, SecretText]) -> Proof:
    """Compare what the server shows of a model config's secrets; some it masks, and those nobody can compare."""
    lost = [location.label for location, value in expected.items() if location in now and now[location] != value]
    alive = sum(location in now for location in expected) - len(lost)
    masked = len(expected) - alive - len(lost)
    found = f"{alive} of {len(expected)} alive" + (f", {masked} masked by the server" if masked else "")
    return Proof(what="secrets as they were sent", ok=not lost, found=found + "".join(f", lost: {x}" for x in lost))


async def _triggers(instance: Instance, change: Change, app: App) -> list[Proof]:
    before = change.memo("triggers_before") or change.record.facts.get("triggers")
    if not before:
        return []
    now = {item.node_id: item.status for item in await instance.console.triggers(app.id)}
    moved = [node for node, status in before.items() if node in now and now[node] != status]
    return [Proof(what="triggers on or off as before", ok=not moved, found=", ".join(moved) or "unchanged")]

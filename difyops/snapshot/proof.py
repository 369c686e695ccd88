"""Proof of a rollback by reading back: live means the target, secrets are the ones that were alive, flags stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from difyops.api.model import App
from difyops.dsl.diff import describe, diff
from difyops.dsl.secrets import Spot, redact
from difyops.secret_text import SecretText
from difyops.snapshot.carry import Secrets, secrets_of
from difyops.snapshot.effects import Hands, View, look
from difyops.snapshot.reading import config_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One thing that was read back: what, whether it is as it must be, and what was found."""

    what: str
    ok: bool
    found: str = ""


async def prove(hands: Hands, expected: Secrets | None) -> list[Proof]:
    """Read the app back and judge it. ``expected``: the secrets that were sent, ``None`` when they are not known."""
    entry = hands.entry
    view = await look(hands)
    app = await hands.instance.console.app(entry.app_id)
    left = diff(view.live_document, entry.target_document)
    found = describe(left[0]) if left else "no difference"
    proofs = [Proof(what="live means the target", ok=not left, found=found), _flags(app, hands)]
    if view.live is not None:
        proofs += await _secrets(hands, view, expected)
        proofs += await _triggers(hands)
        proofs += _draft(hands, view)
    elif expected:
        proofs.append(_config_secrets(app, expected))
    return proofs


def _flags(app: App, hands: Hands) -> Proof:
    entry = hands.entry
    name = entry.identity["name"] if entry.identity else entry.app_name
    same = (app.enable_api, app.enable_site, app.name) == (entry.enable_api, entry.enable_site, name)
    word = {True: "on", False: "off", None: "unknown"}
    found = f"{app.name}: API {word[app.enable_api]}, site {word[app.enable_site]}"
    return Proof(what="name and switches as they must be", ok=same, found=found)


async def _secrets(hands: Hands, view: View, expected: Secrets | None) -> list[Proof]:
    if expected is None or view.live is None:
        return []
    version = view.live.id if hands.instance.capabilities.can("export_version") else None
    now = await secrets_of(hands.instance.console, hands.entry.app_id, version)
    wanted = {spot: value for spot, value in expected.items() if not spot.is_generated}
    lost = [spot.label for spot, value in wanted.items() if not _same(now, spot, value)]
    found = f"{len(wanted) - len(lost)} of {len(wanted)} alive" + (f", lost: {', '.join(lost)}" if lost else "")
    return [Proof(what="secrets as they were sent", ok=not lost, found=found)]


def _config_secrets(app: App, expected: Secrets) -> Proof:
    """Compare what the server shows of a model config's secrets; some it masks, and those nobody can compare."""
    now = redact(config_of(app)).secrets
    lost = [spot.label for spot, value in expected.items() if spot in now and now[spot] != value]
    alive = sum(spot in now for spot in expected) - len(lost)
    masked = len(expected) - alive - len(lost)
    found = f"{alive} of {len(expected)} alive" + (f", {masked} masked by the server" if masked else "")
    return Proof(what="secrets as they were sent", ok=not lost, found=found + "".join(f", lost: {x}" for x in lost))


def _same(now: Mapping[Spot, SecretText], spot: Spot, value: SecretText) -> bool:
    return now.get(spot, SecretText("")) == value


async def _triggers(hands: Hands) -> list[Proof]:
    before = hands.entry.triggers
    if not before:
        return []
    now = {item.node_id: item.status for item in await hands.instance.console.triggers(hands.entry.app_id)}
    moved = [node for node, status in before.items() if node in now and now[node] != status]
    return [Proof(what="triggers on or off as before", ok=not moved, found=", ".join(moved) or "unchanged")]


def _draft(hands: Hands, view: View) -> list[Proof]:
    parked = hands.entry.parked
    if parked is None:
        return []
    back = view.draft_is(parked)
    return [Proof(what="the unpublished draft is back", ok=back, found="yes" if back else "edited or not put back")]

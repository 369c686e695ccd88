"""The few calls by which a rollback changes an instance, each idempotent: look, decide, act, write the journal.

``Hands`` carries the journal and a ``checkpoint`` that is called before and after each effect; tests kill there.
Forward (``go_forward``) and backward (``go_back``) both start by looking at the instance, so they serve a first run, a
run that was killed anywhere, and one that failed, all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App, Workflow
from difyops.dsl.diff import diff
from difyops.dsl.secrets import Spot, redact
from difyops.errors import Conflict, NotFound, Refused, StalePlan
from difyops.secret_text import SecretText
from difyops.snapshot.carry import Filled, Pool, Secrets, aligned, fill, fill_config, old_secrets_of, secrets_of
from difyops.snapshot.journal import (
    BEGUN,
    CONFIG_WRITTEN,
    DRAFT_BACK,
    DRAFT_WRITTEN,
    PUBLISHED,
    Entry,
    Journal,
    unpacked,
)
from difyops.snapshot.owners import owned
from difyops.snapshot.reading import config_of
from difyops.snapshot.steps import Checkpoint, no_checkpoint

JsonObject = dict[str, Any]


@dataclass(slots=True)
class Hands:
    """What an effect needs: the instance, the journal with its entry, the checkpoint, values given by the operator."""

    instance: Instance
    journal: Journal
    entry: Entry
    checkpoint: Checkpoint = no_checkpoint
    given: Mapping[str, SecretText] = field(default_factory=dict, repr=False)

    def phase(self, name: str) -> None:
        """Write the next phase into the journal."""
        self.entry = self.journal.advance(self.entry, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is there now. ``published_by_us``: live is not the former version and means the target."""

    live: Workflow | None
    draft: Workflow | None
    live_document: JsonObject
    draft_document: JsonObject | None

    def live_is(self, document: JsonObject) -> bool:
        """Say whether what is live means ``document``."""
        return not diff(self.live_document, document)

    def draft_is(self, document: JsonObject | None) -> bool:
        """Say whether the draft means ``document``."""
        return document is not None and self.draft_document is not None and not diff(self.draft_document, document)


async def look(hands: Hands) -> View:
    """Read the app as it is now.

    Raises:
        NotFound: it was deleted.
    """
    console, entry = hands.instance.console, hands.entry
    app = await console.app(entry.app_id)
    if not app.has_workflow:
        return View(live=None, draft=None, live_document=redact(config_of(app)).document, draft_document=None)
    live, draft = await console.live_and_draft(app.id, app.live_version)
    return View(
        live=live,
        draft=draft,
        live_document=redact(live.document).document if live else {},
        draft_document=redact(draft.document).document if draft else None,
    )


def is_published(view: View, entry: Entry) -> bool:
    """Say whether the target went live by our hand.

    Raises:
        Refused: somebody published something else meanwhile.
    """
    if view.live is None or view.live.id == entry.live_before:
        return False
    if view.live_is(entry.target_document):
        return True
    by = f" by {view.live.created_by}" if view.live.created_by else ""
    raise Refused(
        f"Another version of {entry.app_name!r} was published{by} meanwhile; it is left alone.",
        hint=f"difyops snapshot doctor --undo {entry.app_id} puts only the draft back.",
    )


async def write_target_draft(hands: Hands, view: View, filled: Filled) -> None:
    """Put the target into the draft, under the hash lock.

    Raises:
        Refused: secrets are missing. StalePlan: the draft is neither what the plan saw nor the target, or a Conflict.
    """
    entry = hands.entry
    if view.draft_is(entry.target_document) and entry.phase != BEGUN:
        return
    before = entry.parked if entry.parked is not None else view.live_document
    known = view.draft is None or view.draft_is(before) or view.draft_is(entry.target_document)
    if not known:
        raise StalePlan(f"The draft of {entry.app_name!r} was edited meanwhile; nothing went live.")
    refuse_missing(hands, filled)
    hands.checkpoint("before draft")
    try:
        await hands.instance.console.sync_draft(
            entry.app_id, filled.document, expected_hash=view.draft.hash if view.draft else None
        )
    except Conflict as error:
        raise StalePlan(f"The draft of {entry.app_name!r} was edited a moment ago; nothing was changed.") from error
    hands.checkpoint("after draft")
    hands.phase(DRAFT_WRITTEN)


def refuse_missing(hands: Hands, filled: Filled) -> None:
    """Never write a blank where a secret belongs: a later run does not have what the operator gave to the first.

    Raises:
        Refused: a value is missing that nobody agreed to miss.
    """
    entry = hands.entry
    lost = [key for key in entry.given if key not in hands.given]
    lost += [] if entry.allow_missing else [spot.key for spot in filled.missing]
    if lost:
        raise Refused(
            f"The rollback of {entry.app_name!r} cannot go on: the value of {lost[0]} is not known any more.",
            hint=f"difyops snapshot doctor {entry.app_id} --undo, then roll back again with --secret.",
        )


async def publish_target(hands: Hands) -> None:
    """Publish the draft."""
    entry = hands.entry
    hands.checkpoint("before publish")
    await hands.instance.console.publish(entry.app_id, name=entry.publish_name, comment=entry.publish_comment)
    hands.checkpoint("after publish")
    hands.phase(PUBLISHED)


async def restore_triggers(hands: Hands) -> None:
    """Switch triggers back to what they were, where publishing changed them."""
    console, entry = hands.instance.console, hands.entry
    if not entry.triggers:
        return
    for trigger in await console.triggers(entry.app_id):
        before = entry.triggers.get(trigger.node_id)
        if before in ("enabled", "disabled") and trigger.status != before:
            await console.set_trigger(entry.app_id, trigger.id, enabled=before == "enabled")


async def put_draft_back(hands: Hands) -> None:
    """Give the draft back what it held before: a colleague's edits. A draft edited since is left alone."""
    entry = hands.entry
    if entry.parked is None:
        return
    view = await look(hands)
    if entry.phase == DRAFT_BACK or not view.draft_is(entry.target_document):
        hands.phase(DRAFT_BACK)
        return
    filled = await parked_filled(hands, view)
    hands.checkpoint("before draft back")
    await hands.instance.console.sync_draft(
        entry.app_id, filled.document, expected_hash=view.draft.hash if view.draft else None
    )
    hands.checkpoint("after draft back")
    hands.phase(DRAFT_BACK)


async def write_identity(hands: Hands, identity: JsonObject | None) -> None:
    """Set name, description and icon; everything else that the call would set stays as it is now."""
    if identity is None:
        return
    console, app_id = hands.instance.console, hands.entry.app_id
    app = await console.app(app_id)
    if identity_of(app) == identity:
        return
    hands.checkpoint("before identity")
    await console.update_app(app_id, {**identity, "max_active_requests": app.raw.get("max_active_requests")})
    hands.checkpoint("after identity")


def identity_of(app: App) -> JsonObject:
    """Return what people see of an app: name, description, icon."""
    shown = {key: app.raw.get(key) for key in ("icon", "icon_type", "icon_background", "use_icon_as_answer_icon")}
    return {"name": app.name, "description": app.description, **shown}


async def write_target_config(hands: Hands) -> Secrets | None:
    """Write the target's model config; live at once. Not done twice: the second time knows no given secrets.

    Returns the clear secrets that were sent, ``None`` when it was there already.

    Raises:
        Refused: secrets are missing, or somebody else wrote another config meanwhile.
    """
    view = await look(hands)
    if not config_is_ours(view, hands.entry):
        raise Refused(
            f"Another model config of {hands.entry.app_name!r} was written meanwhile; it is left alone.",
            hint=f"difyops snapshot doctor --undo {hands.entry.app_id} removes this record.",
        )
    if hands.entry.phase != CONFIG_WRITTEN or not view.live_is(hands.entry.target_document):
        return await _write_config(hands, hands.entry.target_document, given_pool(hands), is_target=True)
    return None


async def write_former_config(hands: Hands) -> None:
    """Write the model config that was live before, with the secrets it had."""
    if hands.entry.former is not None:
        kept = Pool(name="kept", secrets=unpacked(hands.entry.former_secrets))
        await _write_config(hands, hands.entry.former, kept, is_target=False)


def config_is_ours(view: View, entry: Entry) -> bool:
    """Say whether the model config is the one from before or one that this rollback wrote."""
    if entry.phase == CONFIG_WRITTEN and entry.written is None:
        return True
    return any(view.live_is(known) for known in (entry.target_document, entry.former, entry.written) if known)


async def _write_config(hands: Hands, document: JsonObject, first: Pool, *, is_target: bool) -> Secrets:
    app = await hands.instance.console.app(hands.entry.app_id)
    current = config_of(app)
    filled = fill_config(
        document, current, first, Pool(name="live now", secrets=owned(current, redact(current).secrets))
    )
    if is_target:
        refuse_missing(hands, filled)
    hands.checkpoint("before config")
    await hands.instance.console.set_model_config(app.id, filled.document["model_config"])
    hands.checkpoint("after config")
    hands.phase(CONFIG_WRITTEN)
    hands.entry = hands.journal.write(replace(hands.entry, written=(await look(hands)).live_document))
    return redact(filled.document).secrets


async def target_filled(hands: Hands, view: View) -> Filled:
    """Fill the target with values again, after a kill: from the former live version, the saved draft, the old one."""
    console, entry = hands.instance.console, hands.entry
    now = Pool(name="live now", secrets=await secrets_of(console, entry.app_id, entry.live_before))
    parked = Pool(name="the draft", secrets=unpacked(entry.parked_secrets))
    old = Pool(name="the old version", secrets=await old_secrets_of(console, entry.app_id, entry.target_version))
    pools = [old, now, parked] if entry.with_old_secrets else [now, parked, old]
    return fill(aligned(entry.target_document, view.draft), [given_pool(hands), *pools])


async def parked_filled(hands: Hands, view: View) -> Filled:
    """Fill the saved draft: its own secrets where they were saved, else those of the former live version.

    Raises:
        DifyopsError: those are needed and cannot be read; a draft is not put back with blanks.
    """
    entry = hands.entry
    document = aligned(entry.parked or {}, view.draft)
    saved = Pool(name="saved", secrets=unpacked(entry.parked_secrets))
    filled = fill(document, [saved])
    if not filled.missing:
        return filled
    former = await secrets_of(hands.instance.console, entry.app_id, entry.live_before)
    return fill(document, [saved, Pool(name="former", secrets=former)])


async def former_live(hands: Hands) -> tuple[JsonObject, Filled]:
    """Return the former live version from the server: its document with markers, and filled with its own secrets.

    Raises:
        NotFound: the server does not have it any more.
    """
    console, entry = hands.instance.console, hands.entry
    async for version in console.versions(entry.app_id):
        if version.id == entry.live_before:
            redacted = redact(version.document)
            own = Pool(name="former", secrets=owned(version.document, redacted.secrets))
            exported = Pool(name="former", secrets=await secrets_of(console, entry.app_id, version.id))
            return redacted.document, fill(redacted.document, [exported, own])
    raise NotFound(f"The former live version of {entry.app_name!r} is not on the server any more.", status=404)


def given_pool(hands: Hands) -> Pool:
    """Return the values that the operator gave."""
    return Pool(name="given", secrets={Spot.parse(key): value for key, value in hands.given.items()})

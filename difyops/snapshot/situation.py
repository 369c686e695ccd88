"""What is there, read for a rollback: the app, what is live and in its draft, and the target with the secrets of today.

Nothing is written here. What would change by it, and what is missing, is the plan's business (``plan``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import AgentVersion, App, Trigger, Workflow
from difyops.dsl.model import trigger_nodes
from difyops.dsl.secrets import Location, locations
from difyops.errors import NotSupported, Refused
from difyops.publishing.content import Content, aligned, draft_values, version_content
from difyops.sealing.access import Access
from difyops.sealing.store import Seal
from difyops.secret_text import SecretText
from difyops.snapshot.agent_apps import agent_now
from difyops.snapshot.carry import (
    GIVEN,
    Filled,
    Filling,
    Pool,
    Secrets,
    fill,
    fill_config,
    old_secrets_of,
    old_soul_secrets,
)
from difyops.snapshot.history import Kept
from difyops.snapshot.owners import owned, owner
from difyops.snapshot.reading import config_of
from difyops.snapshot.unsealing import opened_values

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """``with_old_secrets``, ``with_name``: bring these back too; ``given``: values for places nobody else has.

    ``otherwise``: a sealed value that nobody has any more stays as it is live. ``seal`` and ``access``: the store's
    key, and what this machine has to open sealed values.
    """

    with_old_secrets: bool = False
    with_name: bool = False
    given: Mapping[str, SecretText] = field(default_factory=dict, repr=False)
    otherwise: bool = False
    seal: Seal = field(default_factory=lambda: Seal(store_id=""))
    access: Access = field(default_factory=Access)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that was read for one rollback. The contents hold clear secrets; the chat modes have none.

    ``live_config`` is the model config of the chat modes as the server shows it.
    """

    app: App
    target: JsonObject
    live: Workflow | AgentVersion | None
    live_document: JsonObject
    live_content: Content | None = field(default=None, repr=False)
    draft_content: Content | None = field(default=None, repr=False)
    draft_by: str | None = None
    agent_draft: JsonObject | None = field(default=None, repr=False)
    live_config: JsonObject = field(default_factory=dict, repr=False)
    triggers: tuple[Trigger, ...] = ()
    live_secrets: Secrets = field(repr=False)
    filled: Filled = field(repr=False)
    seal: Seal = field(default_factory=lambda: Seal(store_id=""))

    @property
    def sent(self) -> JsonObject:
        """Return what would be sent, with marks; the target itself while values of it are missing."""
        if self.filled.missing:
            return self.target
        return self.seal.redact(self.filled.document).document

    @property
    def unpublished(self) -> bool:
        """Say whether the draft holds anything that is not live: an edit, a secret, a sticky note, the layout."""
        if isinstance(self.live, AgentVersion):
            return self.agent_draft != self.live.soul
        if self.draft_content is None or self.live_content is None:
            return self.draft_content is not None
        return not self.draft_content.is_same(self.live_content)

    @property
    def changed_secrets(self) -> tuple[str, ...]:
        """Return the labels of places that live has too and whose secret would be another one than now."""
        now = {owner(self.live_document, location) for location in locations(self.live_document)}
        sent = self.seal.redact(self.filled.document).secrets
        changed = []
        for location in self.filled.sources:
            place = owner(self.target, location)
            if place in now and not location.is_generated and sent.get(location) != self.live_secrets.get(place):
                changed.append(location.label)
        return tuple(changed)


async def read_both_sides(instance: Instance, kept: Kept, word: str, options: PlanOptions) -> Situation:
    """Read what is there, and fill what was kept with the secrets that are alive.

    Raises:
        NotFound: the app is gone (use restore). Refused: the mode differs, or the snapshot has no live version of it.
        NotSupported: this server cannot hand over the secrets that are alive.
    """
    app = await instance.console.app(kept.record.id)
    if app.mode != kept.record.mode:
        raise Refused(
            f"{app.name!r} is a {app.mode} app now and was {kept.record.mode} in {word}; modes cannot be mixed."
        )
    if kept.live is None:
        raise Refused(f"{app.name!r} was never published in {word}; there is no live version to go back to.")
    read = _read_workflow if app.has_workflow else _read_agent if app.is_agent else _read_config
    return await read(instance, app, kept, options)


async def _read_workflow(instance: Instance, app: App, kept: Kept, options: PlanOptions) -> Situation:
    console = instance.console
    live, draft = await console.live_and_draft(app.id, app.live_version)
    if live is None:
        raise Refused(f"{app.name!r} has no live version; publish once, or use: difyops snapshot restore")
    live_content = await version_content(console, app.id, live)
    values = await draft_values(console, app.id, draft) if draft else {}
    draft_content = Content.of(draft, values) if draft else None
    live_document, live_secrets = _split(live_content, options)
    _, draft_secrets = _split(draft_content, options) if draft_content else ({}, {})
    old = Pool(
        name="the old version",
        secrets=await old_secrets_of(console, app.id, kept.record.live_version, options.seal.policy),
    )
    now = [Pool(name="live now", secrets=live_secrets), Pool(name="the draft", secrets=draft_secrets)]
    if options.with_old_secrets and not old.secrets and live_secrets:
        raise NotSupported("The server does not have the old version's secrets any more.")
    pools = [_given(options), *([old, *now] if options.with_old_secrets else [*now, old])]
    target = kept.live or {}
    return Situation(
        app=app,
        target=target,
        live=live,
        live_document=live_document,
        live_content=live_content,
        draft_content=draft_content,
        draft_by=(draft.updated_by or draft.created_by) if draft else None,
        triggers=tuple(await console.triggers(app.id)) if trigger_nodes(live.document) else (),
        live_secrets=live_secrets,
        seal=options.seal,
        filled=_filled(kept, options, lambda how: fill(aligned(target, draft), pools, how)),
    )


def _filled(kept: Kept, options: PlanOptions, work: Callable[[Filling], Filled]) -> Filled:
    """Fill the marks of a kept app; only where values are missing the sealed ones are opened, if that is possible."""
    seal = options.seal
    how = Filling(key_id=seal.key.id if seal.key else None, mark=seal.mark)
    filled = work(how)
    if not filled.missing:
        return filled
    sealed = opened_values(kept, seal, options.access)
    return work(replace(how, sealed=sealed, otherwise=options.otherwise))


def _split(content: Content, options: PlanOptions) -> tuple[JsonObject, Secrets]:
    """Return a document with marks, and its secrets by owner."""
    redacted = options.seal.redact(content.document)
    return redacted.document, owned(content.document, redacted.secrets)


async def _read_config(instance: Instance, app: App, kept: Kept, options: PlanOptions) -> Situation:
    """Chat modes: no draft, no versions. What the server masks in its answer it keeps when it is sent back."""
    if options.with_old_secrets:
        raise NotSupported(f"Old secrets of a {app.mode} app cannot be had: the server keeps no versions of this mode.")
    current = config_of(app)
    redacted = options.seal.redact(current)
    now = Pool(name="live now", secrets=owned(current, redacted.secrets))
    target = kept.live or {}
    return Situation(
        app=app,
        target=target,
        live=None,
        live_document=redacted.document,
        live_config=dict(app.model_config or {}),
        live_secrets=now.secrets,
        seal=options.seal,
        filled=_filled(kept, options, lambda how: fill_config(target, current, _given(options), now, how=how)),
    )


async def _read_agent(instance: Instance, app: App, kept: Kept, options: PlanOptions) -> Situation:
    now = await agent_now(instance, app)
    live, draft = now.live, now.state.draft
    if live is None:
        raise Refused(f"{app.name!r} has no live version; publish once, or use: difyops snapshot restore")
    redacted, drafted = options.seal.redact(live.document), options.seal.redact(draft.document)
    secrets = owned(live.document, redacted.secrets)
    old = Pool(
        name="the old version",
        secrets=await old_soul_secrets(instance, app, kept.record.live_version, options.seal.policy),
    )
    if options.with_old_secrets and not old.secrets and secrets:
        raise NotSupported("The server does not have the old version's secrets any more.")
    current = [
        Pool(name="live now", secrets=secrets),
        Pool(name="the draft", secrets=owned(draft.document, drafted.secrets)),
    ]
    pools = [_given(options), *([old, *current] if options.with_old_secrets else [*current, old])]
    target = kept.live or {}
    return Situation(
        app=now.app,
        target=target,
        live=live,
        live_document=redacted.document,
        agent_draft=draft.soul,
        live_secrets=secrets,
        seal=options.seal,
        filled=_filled(kept, options, lambda how: fill(target, pools, how)),
    )


def _given(options: PlanOptions) -> Pool:
    return Pool(name=GIVEN, secrets={Location.parse(key): value for key, value in options.given.items()})

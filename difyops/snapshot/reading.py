"""Reading one app from an instance into the files of a snapshot: at most four calls new, two or three unchanged.

New: detail, versions (draft and live in one), export of the live version, triggers where the graph has any. Unchanged
(same live version id): detail for the flags, draft, triggers where it has any; nothing at all with ``live_only``.
Costs on a real server: detail 7 ms, versions 60, export 62.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.api.console import Console
from difyops.api.instance import Instance
from difyops.api.model import AgentVersion, App, Trigger, Workflow
from difyops.dsl.canonical import canonical
from difyops.dsl.exports import ExportRead, Twin
from difyops.dsl.load import dump_yaml
from difyops.dsl.model import as_dict, trigger_nodes
from difyops.dsl.portable import portable_dsl
from difyops.dsl.scan import ScanFinding, scan
from difyops.dsl.secrets import Redacted
from difyops.requirements import check_triggers
from difyops.sealing.store import Seal
from difyops.sealing.values import SealedFound, found_in
from difyops.snapshot.agent_apps import agent_now
from difyops.snapshot.agreement import (
    check_config_export,
    check_id,
    check_mode,
    check_never_published,
    check_workflow_export,
    merged,
)
from difyops.snapshot.app_texts import PART, sealed_texts
from difyops.snapshot.in_clear import draft_print, read_clear, sealed_draft, sealed_export
from difyops.snapshot.layout import RecordedApp, digest

_SITE_KEPT = (
    "title", "description", "default_language", "chat_color_theme", "chat_color_theme_inverted", "copyright",
    "privacy_policy", "custom_disclaimer", "show_workflow_steps", "use_icon_as_answer_icon", "prompt_public",
    "customize_token_strategy", "icon", "icon_type", "icon_background",
)  # fmt: skip
_ICON = ("icon", "icon_type", "icon_background", "use_icon_as_answer_icon")
_CONFIG_DROPPED = frozenset({"created_by", "created_at", "updated_by", "updated_at", "id", "app_id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What the last snapshot holds of an app: its record, the SHA-256 of its files by short name, its sealed places.

    ``seal`` is the state of the store's seal that it was written with.
    """

    record: RecordedApp
    files: Mapping[str, str]
    sealed: SealedFound = field(default_factory=SealedFound)
    seal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """Who edited a draft last, and when: seconds since 1970."""

    by: str | None
    at: float | None

    @classmethod
    def of(cls, draft: Workflow | AgentVersion | None) -> Edited | None:
        """Return it of a draft, ``None`` where there is none."""
        return cls(by=draft.updated_by or draft.created_by, at=draft.updated_at) if draft is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppReading:
    """An app as read now: files to write by short name, names of files to keep as they are, what the scan found.

    ``edited``: who edited the draft that was looked at. The draft itself is let go: those of a fleet fill the memory.
    """

    record: RecordedApp
    files: Mapping[str, bytes] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    findings: tuple[ScanFinding, ...] = ()
    sealed: SealedFound = field(default_factory=SealedFound)
    edited: Edited | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """``live_only``: look at nothing but the live version. ``full``: believe nothing of the last snapshot."""

    live_only: bool = False
    full: bool = False
    seal: Seal = field(default_factory=lambda: Seal(store_id=""))


async def read_app(instance: Instance, row: App, before: Before | None, options: ReadOptions) -> AppReading:
    """Read one app. ``row`` is its row of the app list.

    Raises:
        NotFound: it was deleted since it was listed. UnreadableAnswer: what was answered contradicts itself or the
        list. NotSupported: its mode is not known. DifyopsError: any call failed.
    """
    check_id(row.id)
    check_mode(row)
    known = None if options.full or before is None or before.seal != options.seal.state else before
    if known and options.live_only and _same_live(row, known):
        return AppReading(
            record=_renamed(known.record, row, options.seal), kept=tuple(_names(known)), sealed=known.sealed
        )
    reading = await _read(instance, row, before, known, options)
    record, texts = sealed_texts(reading.record, options.seal)
    if known and options.seal.recipients and texts.places != known.sealed.only(PART).places:
        return await read_app(instance, row, before, replace(options, full=True))  # all values, to encrypt them anew
    own = replace(reading.sealed.without(PART), draft=reading.sealed.draft)
    return replace(reading, record=record, sealed=own.joined(texts))


async def _read(
    instance: Instance, row: App, before: Before | None, known: Before | None, options: ReadOptions
) -> AppReading:
    app = merged(row, await instance.console.app(row.id))
    if app.has_workflow:
        if app.live_version is None:
            await check_never_published(instance.console, row, before.record.live_version if before else None)
        return await _read_workflow(instance, app, known, options)
    if app.is_agent:
        return await _read_agent(instance, app, known, options)
    return await _read_config(instance, app, known, options)


def config_of(app: App) -> dict[str, Any]:
    """Return the model config of a chat, agent or completion app as a document, without who and when."""
    return {"model_config": {key: item for key, item in (app.model_config or {}).items() if key not in _CONFIG_DROPPED}}


async def _read_workflow(instance: Instance, app: App, known: Before | None, options: ReadOptions) -> AppReading:
    console = instance.console
    if known and app.live_version == known.record.live_version and app.live_version is not None:
        draft = None if options.live_only else await console.draft(app.id)
        switched = await _triggers_of_unchanged(console, app, known)
        reading = None if switched is None else await _with_draft_of_unchanged(console, app, known, draft, options)
        if reading is not None and switched is not None:
            return replace(reading, record=replace(reading.record, triggers=switched), edited=Edited.of(draft))
    live, draft = await console.live_and_draft(app.id, app.live_version)
    files: dict[str, bytes] = {}
    found, seen = SealedFound(), list[ScanFinding]()
    if live is not None:
        clear = await read_clear(console, app.id, live)
        redacted = options.seal.redact(clear.document)
        files["live.json"] = canonical(redacted.document)
        seen = left_in_clear(redacted, options.seal)
        found = found_in("live", redacted)
        if clear.export is not None:
            check_workflow_export(clear.export, live.document)
            files["live.dsl.yml"], more = sealed_export(
                clear.export, Twin(document=clear.document, redacted=redacted), options.seal
            )
            found = found.joined(more)
    shown = draft_print(draft, options.seal) if draft is not None else ""
    if live is None and known and shown and known.sealed.draft == shown:
        return AppReading(
            record=_record(app, None, draft, []), kept=("draft.json",), sealed=known.sealed, edited=Edited.of(draft)
        )
    if draft is not None and (live is None or draft.document != live.document):
        content, more = await sealed_draft(console, app.id, draft, options.seal)
        if content != files.get("live.json"):
            files["draft.json"], found = content, found.joined(more)
    found = replace(found, draft=shown)
    has_triggers = live is not None and bool(trigger_nodes(live.document))
    triggers = await console.triggers(app.id) if has_triggers else []
    if live is not None and app.mode == "workflow" and console.capabilities.can("triggers"):
        check_triggers(live.document, triggers)
    record = _record(app, live, draft, triggers)
    return AppReading(record=record, files=files, findings=tuple(seen), sealed=found, edited=Edited.of(draft))


async def _triggers_of_unchanged(console: Console, app: App, known: Before) -> tuple[Mapping[str, str], ...] | None:
    """Return the triggers of an app whose live version we have: they are switched without a new version.

    ``None``: the list has others than that version had; then everything is read anew and one is held against the other.
    """
    if not known.record.triggers:
        return ()
    now = _trigger_records(await console.triggers(app.id))
    same = [item["node_id"] for item in now] == [item["node_id"] for item in known.record.triggers]
    return now if same else None


async def _with_draft_of_unchanged(
    console: Console, app: App, known: Before, draft: Workflow | AgentVersion | None, options: ReadOptions
) -> AppReading | None:
    """Return what is new of an app whose live version is the one we have: flags and draft.

    ``None``: its sealed values have to be encrypted anew, and those of the live version are not at hand.
    """
    kept = [name for name in ("live.json", "live.dsl.yml") if name in known.files]
    record = replace(_record(app, None, draft, ()), live=known.record.live, triggers=known.record.triggers)
    if options.live_only:
        kept += [name for name in ("draft.json",) if name in known.files]
        return AppReading(record=replace(record, draft=known.record.draft), kept=tuple(kept), sealed=known.sealed)
    if draft is None:
        return AppReading(record=record, kept=tuple(kept), sealed=known.sealed.only("live", "export"))
    if known.sealed.draft and known.sealed.draft == draft_print(draft, options.seal):
        kept += [name for name in ("draft.json",) if name in known.files]
        return AppReading(record=record, kept=tuple(kept), sealed=known.sealed)
    content, found = await sealed_draft(console, app.id, draft, options.seal)
    sealed = known.sealed.only("live", "export").joined(SealedFound(draft=draft_print(draft, options.seal)))
    if digest(content) == known.files.get("live.json"):
        return AppReading(record=record, kept=tuple(kept), sealed=sealed)
    sealed = sealed.joined(found)
    if options.seal.recipients and set(found.places.values()) and sealed.places != known.sealed.places:
        return None
    return AppReading(record=record, kept=tuple(kept), files={"draft.json": content}, sealed=sealed)


async def _read_agent(instance: Instance, app: App, known: Before | None, options: ReadOptions) -> AppReading:
    """Read an agent app. Its draft comes with the id of what is live; the portable DSL is made here of what is live,
    for the platform exports drafts only.
    """
    now = await agent_now(instance, app, known.record.live_version if known else None)
    if known and now.is_known:
        draft = None if options.live_only else now.state.draft
        reading = await _with_draft_of_unchanged(instance.console, now.app, known, draft, options)
        if reading is not None:
            return replace(reading, edited=Edited.of(draft))
        now = await agent_now(instance, app)
    app, live, draft = now.app, now.live, None if options.live_only else now.state.draft
    files: dict[str, bytes] = {}
    found, seen = SealedFound(), list[ScanFinding]()
    if live is not None:
        redacted = options.seal.redact(live.document)
        files["live.json"], found = canonical(redacted.document), found_in("live", redacted)
        seen = left_in_clear(redacted, options.seal)
        version = instance.capabilities.dsl_version
        dsl = portable_dsl(app.raw, redacted.document, dsl_version=version, dependencies=())
        files["live.dsl.yml"] = dump_yaml(dsl).encode()
    if draft is not None:
        content, more = await sealed_draft(instance.console, app.id, draft, options.seal)
        if content != files.get("live.json"):
            files["draft.json"], found = content, found.joined(more)
    record = _record(app, live, draft, ())
    return AppReading(record=record, files=files, findings=tuple(seen), sealed=found, edited=Edited.of(draft))


async def _read_config(instance: Instance, app: App, known: Before | None, options: ReadOptions) -> AppReading:
    config = config_of(app)
    redacted = options.seal.redact(config)
    content = canonical(redacted.document)
    record = _record(app, None, None, ())
    if known and digest(content) == known.files.get("live.json") and "live.dsl.yml" in known.files:
        return AppReading(record=record, kept=("live.json", "live.dsl.yml"), sealed=known.sealed)
    export = ExportRead.of(await instance.console.export(app.id))
    check_config_export(export, app.model_config or {})
    dsl, more = sealed_export(export, Twin(document=config, redacted=redacted), options.seal)
    return AppReading(
        record=record,
        files={"live.json": content, "live.dsl.yml": dsl},
        findings=tuple(left_in_clear(redacted, options.seal)),
        sealed=found_in("live", redacted).joined(more),
    )


def left_in_clear(redacted: Redacted, seal: Seal) -> list[ScanFinding]:
    """Return what looks like a secret and stays in clear, because the policy excepts it."""
    return [] if seal.policy.is_empty else scan(redacted.document)


def record_now(app: App, live: Workflow | AgentVersion) -> RecordedApp:
    """Return the record of an app as if ``live`` were its live version."""
    return _record(app, live, None, ())


def _record(
    app: App,
    live: Workflow | AgentVersion | None,
    draft: Workflow | AgentVersion | None,
    triggers: list[Trigger] | tuple[()],
) -> RecordedApp:
    raw = app.raw
    site = as_dict(raw.get("site"))
    return RecordedApp(
        id=app.id,
        name=app.name,
        mode=app.mode,
        description=app.description,
        icon={key: raw.get(key) for key in shown_fields(app)},
        tags=app.tags,
        enable_api=app.enable_api,
        enable_site=app.enable_site,
        max_active_requests=raw.get("max_active_requests"),
        site={key: site[key] for key in _SITE_KEPT if key in site},
        live=None if live is None else _version(live),
        draft=None if draft is None else {"hash": draft.hash, "by": draft.updated_by or draft.created_by},
        triggers=_trigger_records(triggers),
        updated_at=app.updated_at,
    )


def _trigger_records(triggers: Sequence[Trigger]) -> tuple[Mapping[str, str], ...]:
    return tuple(
        {"node_id": item.node_id, "kind": item.kind, "title": item.title, "status": item.status}
        for item in sorted(triggers, key=lambda item: item.node_id)
    )


def _version(workflow: Workflow | AgentVersion) -> dict[str, Any]:
    return {
        "id": workflow.id,
        "version": workflow.version,
        "name": workflow.marked_name,
        "comment": workflow.marked_comment,
        "by": workflow.created_by,
        "at": workflow.created_at,
    }


def shown_fields(app: App) -> tuple[str, ...]:
    """Return what people see of an app beside name and description: its icon, and the role of an agent."""
    return (*_ICON, "role") if app.is_agent else _ICON


def _same_live(row: App, known: Before) -> bool:
    if row.is_agent:
        return False  # its row does not say what is live
    if row.has_workflow:
        return row.live_version == known.record.live_version
    return row.updated_at == known.record.updated_at


def _renamed(record: RecordedApp, row: App, seal: Seal) -> RecordedApp:
    """Take over what the list says of an app that is not looked at; what the list leaves out stays as it was.

    So does a description that holds a secret: its value is kept by the next look at the app.
    """
    listed, found = sealed_texts(replace(record, description=row.description, site={}), seal)
    return replace(
        record,
        name=row.name or record.name,
        description=listed.description if listed.description and not found.places else record.description,
        tags=row.tags or record.tags,
        updated_at=row.updated_at,
    )


def _names(known: Before) -> list[str]:
    return [name for name in known.files if name in ("live.json", "live.dsl.yml", "draft.json")]

"""Restoring an app that is gone, or into another instance: a new id, mapped references, nothing switched on unasked.

Data flow: kept app + mapping -> what cannot be resolved, listed first -> DSL import as a new app -> API and site off ->
the exact document into the draft -> publish -> tags -> proof by reading back. A failed import may leave an empty app
behind on older servers: it is looked for and named, never deleted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App, Import
from difyops.dsl.diff import describe, diff
from difyops.dsl.load import dump_yaml, load_dsl
from difyops.dsl.model import datasets, models, node_types, tools
from difyops.dsl.portable import map_credentials, map_datasets, portable_dsl
from difyops.dsl.secrets import Spot, redact
from difyops.errors import DifyopsError, Refused, RequestRejected, ServerFault
from difyops.secret_text import SecretText
from difyops.snapshot.carry import Filled, Pool, aligned, fill
from difyops.snapshot.history import Kept
from difyops.snapshot.missing import lost_credentials
from difyops.snapshot.proof import Proof
from difyops.snapshot.reading import config_of
from difyops.snapshot.steps import Checkpoint, no_checkpoint

JsonObject = dict[str, Any]
log = logging.getLogger("difyops.snapshot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What stands for what on the other side: dataset ids, credential ids, values for secrets by spot key."""

    datasets: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretText] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """How to restore. ``api`` and ``site``: switch on; ``confirm_newer``: import a DSL newer than the server."""

    name: str | None = None
    mapping: Translation = field(default_factory=Translation)
    api: bool = False
    site: bool = False
    allow_missing: bool = False
    confirm_newer: bool = False
    checkpoint: Checkpoint = no_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan:
    """What a restore would do. ``unresolved`` blocks it."""

    context: str
    app_name: str
    mode: str
    former_id: str
    target: str
    unresolved: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The new app and what was read back of it."""

    plan: RestorePlan
    app_id: str
    live_version: str | None
    warnings: tuple[str, ...]
    proofs: tuple[Proof, ...]

    @property
    def error(self) -> DifyopsError | None:
        """Return an error when the proof failed; the app is there and switched off."""
        failed = [proof for proof in self.proofs if not proof.ok]
        if not failed:
            return None
        return DifyopsError(f"{self.plan.app_name!r} was restored, but {failed[0].what} failed: {failed[0].found}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    plan: RestorePlan
    filled: Filled = field(repr=False)


async def plan_restore(instance: Instance, kept: Kept, word: str, options: RestoreOptions) -> RestorePlan:
    """Say what a restore would do and what it cannot resolve.

    Raises:
        Refused: the app still exists here (use rollback), its name is taken, or the snapshot has nothing live of it.
    """
    return (await _prepare(instance, kept, word, options)).plan


async def restore(instance: Instance, kept: Kept, word: str, options: RestoreOptions) -> Restored:
    """Restore an app as a new one.

    Raises:
        Refused: see ``plan_restore``, or something is unresolved. DifyopsError: the import failed; the message names an
        app that was left behind.
    """
    prepared = await _prepare(instance, kept, word, options)
    plan, console = prepared.plan, instance.console
    if plan.unresolved and not options.allow_missing:
        more = f" (and {len(plan.unresolved) - 1} more)" if len(plan.unresolved) > 1 else ""
        raise Refused(f"{plan.unresolved[0]}{more}.", hint="Give a --map FILE, or --allow-missing.")
    document = prepared.filled.document
    before = {app.id async for app in console.apps(name=plan.app_name)}
    imported = await _import(instance, kept, document, plan, options, before)
    try:
        return await _completed(instance, kept, prepared, imported, options)
    except asyncio.CancelledError:
        log.error("%s was created as app %s, but its restore was cut off", plan.app_name, imported.app_id)
        raise
    except DifyopsError as error:
        raise DifyopsError(
            f"{plan.app_name!r} was created as app {imported.app_id}, but its restore did not end: {error.message}",
            hint="Look at it and delete it in the web page before trying again.",
        ) from error


async def _completed(
    instance: Instance, kept: Kept, prepared: _Prepared, imported: Import, options: RestoreOptions
) -> Restored:
    """Bring a new app to what it is to be: switches, exact document, tags, proof."""
    plan, console, document = prepared.plan, instance.console, prepared.filled.document
    app_id = imported.app_id or ""
    options.checkpoint("imported")
    await console.set_api(app_id, enabled=options.api)
    await console.set_site(app_id, enabled=options.site)
    options.checkpoint("switched")
    warnings = [f"plugin {item} is not installed" for item in await console.missing_dependencies(app_id)]
    if imported.status == "completed-with-warnings":
        warnings.append(f"the server imported DSL {imported.imported_dsl_version} as an older one")
    app = await console.app(app_id)
    if app.has_workflow:
        await _publish(instance, app, document, plan)
    options.checkpoint("published")
    await _tag(instance, app_id, kept.record.tags)
    proofs, live = await _prove(instance, app_id, prepared, options)
    return Restored(plan=plan, app_id=app_id, live_version=live, warnings=tuple(warnings), proofs=tuple(proofs))


async def _prepare(instance: Instance, kept: Kept, word: str, options: RestoreOptions) -> _Prepared:
    name = options.name or kept.record.name
    if kept.live is None:
        raise Refused(f"{kept.record.name!r} was never published in {word}; there is nothing live to restore.")
    apps = [app async for app in instance.console.apps()]
    if options.name is None and any(app.id == kept.record.id for app in apps):
        raise Refused(f"{name!r} still exists here.", hint=f"difyops snapshot rollback {kept.record.id} --to {word}")
    if any(app.name == name for app in apps):
        raise Refused(
            f"There is an app named {name!r} here already.", hint="--name gives the restored one another name."
        )
    document, lost_sets = map_datasets(kept.live, dict(options.mapping.datasets))
    document, unmapped = map_credentials(document, dict(options.mapping.credentials))
    given = {Spot.parse(key): value for key, value in options.mapping.secrets.items()}
    filled = fill(document, [Pool(name="given", secrets=given)])
    unresolved = [f"secret {spot.label} has no value ({spot.key})" for spot in filled.missing]
    unresolved += await _unresolved(instance, document, lost_sets, unmapped)
    plan = RestorePlan(
        context=instance.name,
        app_name=name,
        mode=kept.record.mode,
        former_id=kept.record.id,
        target=word,
        unresolved=tuple(unresolved),
        notes=_notes(kept, options),
    )
    return _Prepared(plan=plan, filled=filled)


async def _unresolved(instance: Instance, document: JsonObject, lost_sets: set[str], unmapped: set[str]) -> list[str]:
    found = []
    wanted_sets = datasets(document)
    if wanted_sets or lost_sets:
        known = {str(row.get("id")) async for row in instance.workspace.datasets()}
        found += [f"dataset {item} does not exist here" for item in sorted((wanted_sets | lost_sets) - known)]
    wanted_tools = tools(document)
    if wanted_tools:
        rows = await instance.workspace.tool_providers()
        names = {str(row.get(key)) for row in rows for key in ("id", "name")}
        missing = {provider for provider, *_ in wanted_tools} - names
        found += [f"tool provider {item} is not installed here" for item in sorted(missing)]
        for _, item in await lost_credentials(instance, [use for use in wanted_tools if use[3] in unmapped]):
            found.append(f"tool credential {item} does not exist here")
    wanted_models = {provider for provider, _ in models(document)}
    if wanted_models:
        providers = {str(row.get("provider")) for row in await instance.workspace.model_providers()}
        short = {name.rsplit("/", 1)[-1] for name in providers}
        found += [f"model provider {item} is not installed here" for item in sorted(wanted_models - providers - short)]
    unknown = instance.capabilities.unknown_node_types(node_types(document))
    return found + [f"this server does not know node type {kind!r}" for kind in sorted(unknown)]


def _notes(kept: Kept, options: RestoreOptions) -> tuple[str, ...]:
    notes = [f"API {'on' if options.api else 'off'}, site {'on' if options.site else 'off'}", "new app id and URLs"]
    if kept.record.triggers:
        notes.append(f"{len(kept.record.triggers)} triggers get new addresses and start as the server sets them")
    if kept.draft is not None:
        notes.append("the unpublished draft in the snapshot is not restored; it stays in the store")
    return tuple(notes)


async def _import(
    instance: Instance,
    kept: Kept,
    document: JsonObject,
    plan: RestorePlan,
    options: RestoreOptions,
    before: set[str],
) -> Import:
    former = load_dsl(kept.dsl) if kept.dsl else {}
    dsl = portable_dsl(
        {"name": plan.app_name, "mode": plan.mode, "description": kept.record.description, **kept.record.icon},
        document,
        dsl_version=str(former.get("version") or instance.capabilities.dsl_version),
        dependencies=former.get("dependencies") or [],
    )
    options.checkpoint("before import")
    try:
        imported = await instance.console.import_dsl(dump_yaml(dsl), name=plan.app_name)
    except (RequestRejected, ServerFault) as error:
        raise await _with_orphan(instance, plan, before, error.message) from error
    if imported.status == "pending":
        if not options.confirm_newer:
            raise Refused(
                f"The DSL ({imported.imported_dsl_version}) is newer than the server ({imported.current_dsl_version}); "
                "nothing was created.",
                hint="--confirm-newer imports it all the same.",
            )
        imported = await instance.console.confirm_import(imported.id)
    if imported.status not in ("completed", "completed-with-warnings") or not imported.app_id:
        raise await _with_orphan(instance, plan, before, imported.error)
    return imported


async def _with_orphan(instance: Instance, plan: RestorePlan, before: set[str], reason: str) -> DifyopsError:
    """Return the failure, naming an app that the failed import left behind."""
    left = [app.id async for app in instance.console.apps(name=plan.app_name) if app.id not in before]
    message = f"The import of {plan.app_name!r} failed: {reason or 'no reason given'}."
    if left:
        message += f" The server left an app behind: {', '.join(left)}."
        return DifyopsError(message, hint="Look at it and delete it in the web page before trying again.")
    return DifyopsError(message)


async def _publish(instance: Instance, app: App, document: JsonObject, plan: RestorePlan) -> None:
    draft = await instance.console.draft(app.id)
    await instance.console.sync_draft(app.id, aligned(document, draft), expected_hash=draft.hash if draft else None)
    await instance.console.publish(app.id, name=f"restore {plan.target}", comment=f"difyops: from {plan.target}")


async def _tag(instance: Instance, app_id: str, names: tuple[str, ...]) -> None:
    if not names:
        return
    known = {str(row.get("name")): str(row.get("id")) for row in await instance.workspace.tags()}
    for name in names:
        await instance.console.bind_tag(app_id, known.get(name) or await instance.workspace.create_tag(name))


async def _prove(
    instance: Instance, app_id: str, prepared: _Prepared, options: RestoreOptions
) -> tuple[list[Proof], str | None]:
    app = await instance.console.app(app_id)
    live = await instance.console.published(app_id) if app.has_workflow else None
    now = redact(live.document if live else config_of(app)).document
    left = diff(now, redact(prepared.filled.document).document)
    switches = (app.enable_api, app.enable_site) == (options.api, options.site)
    proofs = [
        Proof(what="live means the snapshot", ok=not left, found=describe(left[0]) if left else "no difference"),
        Proof(what="API and site as asked", ok=switches, found=f"API {app.enable_api}, site {app.enable_site}"),
    ]
    return proofs, live.id if live else None

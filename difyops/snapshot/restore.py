"""Restoring an app that is gone, or into another instance: a new id, mapped references, nothing switched on unasked.

Data flow: kept app + mapping -> what cannot be resolved, listed first -> change begun in the journal -> ``making``
makes the app, switched off, and proves it. ``difyops changes`` names a restore that was cut off with its app.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api.instance import Instance
from difyops.changes import Change
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.counting import counted
from difyops.dsl.load import load_dsl
from difyops.dsl.model import agent_assets, datasets, models, node_types, tools
from difyops.dsl.portable import map_credentials, map_datasets
from difyops.dsl.secrets import Location
from difyops.errors import DifyopsError, Refused
from difyops.sealing.access import Access
from difyops.sealing.store import Seal
from difyops.secret_text import SecretText
from difyops.setting_values import Reference
from difyops.snapshot.app_texts import clear_text
from difyops.snapshot.belonging import StorePlace, place_of
from difyops.snapshot.carry import GIVEN, Filled, Filling, Pool, fill
from difyops.snapshot.history import Kept
from difyops.snapshot.making import KIND, WORK, Making
from difyops.snapshot.missing import lost_credentials
from difyops.snapshot.proof import Proof
from difyops.snapshot.unsealing import opened_texts, opened_values
from difyops.workspace import Workspace

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What stands for what on the other side: dataset ids, credential ids, values for secrets by location key."""

    datasets: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretText] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationFile:
    """The same as a file says it, with references to secrets."""

    datasets: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Reference] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """How to restore. ``api`` and ``site``: switch on; ``triggers``: switch those on that the snapshot holds as on;
    ``confirm_newer``: import a DSL newer than the server. ``seal`` and ``access``: the store's key, and what this
    machine has to open sealed values; they go to another instance only ``with_secrets``. ``beside``: ids of apps here
    that the snapshot holds, too, under whatever name: one of the same name was there beside this one.
    """

    name: str | None = None
    mapping: Translation = field(default_factory=Translation)
    api: bool = False
    site: bool = False
    triggers: bool = False
    allow_missing: bool = False
    confirm_newer: bool = False
    with_secrets: bool = False
    seal: Seal = field(default_factory=lambda: Seal(store_id=""))
    access: Access = field(default_factory=Access)
    beside: frozenset[str] = frozenset()
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
    description: str = field(repr=False)


async def plan_restore(instance: Instance, kept: Kept, word: str, options: RestoreOptions) -> RestorePlan:
    """Say what a restore would do and what it cannot resolve.

    Raises:
        Refused: the app still exists here (use rollback), its name is taken, or the snapshot has nothing live of it.
    """
    return (await _prepare(instance, kept, word, options)).plan


def refusal(plan: RestorePlan, options: RestoreOptions) -> Refused | None:
    """Return why a restore by this plan is refused; ``None`` where nothing blocks it."""
    if not plan.unresolved or options.allow_missing:
        return None
    more = f" (and {len(plan.unresolved) - 1} more)" if len(plan.unresolved) > 1 else ""
    return Refused(f"{plan.unresolved[0]}{more}.", hint="Give a --map FILE, or --allow-missing.")


async def restore(workspace: Workspace, kept: Kept, word: str, options: RestoreOptions) -> Restored:
    """Restore an app as a new one. Until it is whole its name carries the id of this change.

    Raises:
        Refused: see ``plan_restore``, or something is unresolved. DifyopsError: a call failed; the change stays open
        and names the half-made app, which can be finished or removed.
    """
    instance, journal = workspace.instance, workspace.journal
    prepared = await _prepare(instance, kept, word, options)
    plan = prepared.plan
    refused = refusal(plan, options)
    if refused is not None:
        raise refused
    subject = f"restore/{plan.app_name}"
    with journal.lock(subject, holding=f"a restore of {plan.app_name!r}"):
        change = Change.begin(
            journal,
            KIND,
            subject=subject,
            label=plan.app_name,
            url=instance.context.url,
            facts=_facts(plan, kept, options),
            checkpoint=options.checkpoint,
        )
        change.keep(WORK, _work(instance, kept, prepared))
        change.checkpoint("journal written")
        work = Making(instance, change)
        try:
            made = await work.forward()
        except DifyopsError as error:
            raise await work.failed(error) from error
        change.close("done", app=made.app_id)
    return Restored(plan=plan, **made.as_fields())


async def _prepare(instance: Instance, kept: Kept, word: str, options: RestoreOptions) -> _Prepared:
    name = options.name or kept.record.name
    if kept.live is None:
        raise Refused(f"{kept.record.name!r} was never published in {word}; there is nothing live to restore.")
    apps = [app async for app in instance.console.apps()]
    if options.name is None and any(app.id == kept.record.id for app in apps):
        raise Refused(f"{name!r} still exists here.", hint=f"difyops snapshot rollback {kept.record.id} --to {word}")
    if any(app.name == name and app.id not in options.beside for app in apps):
        raise Refused(
            f"There is an app named {name!r} here already.", hint="--name gives the restored one another name."
        )
    document, lost_sets = map_datasets(kept.live, dict(options.mapping.datasets))
    document, unmapped = map_credentials(document, dict(options.mapping.credentials))
    given = {Location.parse(key): value for key, value in options.mapping.secrets.items()}
    is_same = StorePlace.of(kept.instance, kept.workspace_id).is_same(await place_of(instance))
    seal = options.seal
    how = Filling(
        key_id=seal.key.id if seal.key else None,
        mark=seal.mark,
        sealed=opened_values(kept, seal, options.access) if is_same or options.with_secrets else {},
    )
    filled = fill(document, [Pool(name=GIVEN, secrets=given)], how)
    withheld = "; --with-secrets takes it along" if kept.age is not None and not is_same else ""
    unresolved = [f"secret {location.label} has no value ({location.key}{withheld})" for location in filled.missing]
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
    texts = opened_texts(kept, seal, options.access) if is_same or options.with_secrets else {}
    return _Prepared(plan=plan, filled=filled, description=clear_text(kept.record.description, "", texts, seal))


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
    found += [f"{kind} {name!r} of the agent is not in the snapshot" for kind, name in agent_assets(document)]
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
        told = counted(len(kept.record.triggers), "trigger gets a new address", "triggers get new addresses")
        notes.append(f"{told}; {_triggers_told(options)}")
    if kept.draft is not None:
        notes.append("the unpublished draft in the snapshot is not restored; it stays in the store")
    return tuple(notes)


def _triggers_told(options: RestoreOptions) -> str:
    if not options.triggers:
        return "all are switched off (--triggers switches on what the snapshot holds as on)"
    return "those that the snapshot holds as on are switched on; a schedule may run a missed slot at once"


def _facts(plan: RestorePlan, kept: Kept, options: RestoreOptions) -> JsonObject:
    return {
        "app_name": plan.app_name,
        "former_id": plan.former_id,
        "mode": plan.mode,
        "target": plan.target,
        "tags": list(kept.record.tags),
        "api": options.api,
        "site": options.site,
        "triggers": [dict(item) for item in kept.record.triggers] if options.triggers else [],
        "confirm_newer": options.confirm_newer,
    }


def _work(instance: Instance, kept: Kept, prepared: _Prepared) -> JsonObject:
    """Return what making the app needs, secrets included: nothing is asked of a person again."""
    former = load_dsl(kept.dsl) if kept.dsl else {}
    identity = {"mode": prepared.plan.mode, "description": prepared.description, **kept.record.icon}
    return {
        "document": prepared.filled.document,
        "identity": identity,
        "dsl_version": str(former.get("version") or instance.capabilities.dsl_version),
        "dependencies": former.get("dependencies") or [],
    }

"""The plan of a rollback: what would change, what stays, what cannot be brought back. Nothing is written here.

Data flow: store + instance -> ``Situation`` (all that was read) -> ``RollbackPlan`` (what a person sees and a program
checks). The plan's id covers the live version and the target: a plan made before somebody published is refused later.
A draft that somebody saves meanwhile does not change the plan: it is kept and put back in any case.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from difyops.api.instance import Instance
from difyops.dsl.canonical import canonical
from difyops.dsl.diff import Difference, diff
from difyops.dsl.model import datasets, iter_nodes, models, node_types, tools, trigger_nodes
from difyops.snapshot.history import Kept
from difyops.snapshot.missing import lost_credentials
from difyops.snapshot.situation import PlanOptions, Situation, read_both_sides

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """What a rollback of one app would do. ``problems`` block it, ``notes`` do not."""

    id: str
    context: str
    app_id: str
    app_name: str
    mode: str
    target: str
    target_commit: str
    live_before: str | None
    changes: tuple[Difference, ...]
    keeps: tuple[str, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    changed_secrets: tuple[str, ...] = ()

    @property
    def nothing_to_do(self) -> bool:
        """Say whether live is the target already, secrets included."""
        return not self.changes and not self.changed_secrets


async def make_plan(instance: Instance, kept: Kept, word: str, options: PlanOptions) -> tuple[RollbackPlan, Situation]:
    """Plan the rollback of one app to what a snapshot holds. ``word`` is what the operator called the snapshot.

    Raises:
        NotFound, Refused, NotSupported: as ``read_situation``.
    """
    situation, problems = await read_situation(instance, kept, word, options)
    app = situation.app
    plan = RollbackPlan(
        id=_plan_id(kept, situation),
        context=instance.name,
        app_id=app.id,
        app_name=app.name,
        mode=app.mode,
        target=word,
        target_commit=kept.commit,
        live_before=situation.live.id if situation.live else None,
        changes=diff(situation.live_document, situation.sent),
        keeps=_keeps(situation, options),
        notes=(*((f"to {kept.told}",) if kept.told else ()), *_notes(situation, options)),
        problems=problems,
        changed_secrets=situation.changed_secrets,
    )
    return plan, situation


async def read_situation(
    instance: Instance, kept: Kept, word: str, options: PlanOptions
) -> tuple[Situation, tuple[str, ...]]:
    """Read what a plan is made of, and what stands in its way. Raises as ``read_both_sides`` does."""
    situation = await read_both_sides(instance, kept, word, options)
    return situation, tuple(await _problems(instance, situation))


async def _problems(instance: Instance, situation: Situation) -> list[str]:
    target = situation.target
    found = [
        f"the value of {location.label} is known nowhere any more ({location.key})"
        for location in situation.filled.missing
    ]
    unknown = instance.capabilities.unknown_node_types(node_types(target))
    found += [f"this server does not know node type {kind!r}" for kind in sorted(unknown)]
    found += await _missing_tools(instance, situation)
    found += await _missing_datasets(instance, situation)
    found += await _missing_models(instance, situation)
    return found


async def _missing_tools(instance: Instance, situation: Situation) -> list[str]:
    wanted = tools(situation.target) - tools(situation.live_document)
    if not wanted:
        return []
    rows = await instance.workspace.tool_providers()
    known = {str(row.get(key)) for row in rows for key in ("id", "name") if row.get(key)}
    found = [
        f"tool {tool or provider} of provider {provider} is not installed"
        for provider, _, tool, _ in sorted(wanted, key=str)
        if provider not in known
    ]
    lost = await lost_credentials(instance, [use for use in wanted if use[0] in known])
    return found + [f"the credential {item} of tool provider {provider} was deleted" for provider, item in lost]


async def _missing_datasets(instance: Instance, situation: Situation) -> list[str]:
    wanted = datasets(situation.target) - datasets(situation.live_document)
    if not wanted:
        return []
    known = {str(row.get("id")) async for row in instance.workspace.datasets()}
    return [f"dataset {item} does not exist any more" for item in sorted(wanted - known)]


async def _missing_models(instance: Instance, situation: Situation) -> list[str]:
    wanted = {provider for provider, _ in models(situation.target) - models(situation.live_document)}
    if not wanted:
        return []
    known = {str(row.get("provider")) for row in await instance.workspace.model_providers()}
    short = {name.rsplit("/", 1)[-1] for name in known}
    return [f"model provider {item} is not installed" for item in sorted(wanted - known - short)]


def _keeps(situation: Situation, options: PlanOptions) -> tuple[str, ...]:
    app = situation.app
    kept = ["app id, URLs and API keys", *([] if options.with_name else ["name, description and icon"])]
    alive = sum(source != "the old version" for source in situation.filled.sources.values())
    if alive:
        kept.append("1 secret as it is now" if alive == 1 else f"{alive} secrets as they are now")
    if situation.triggers:
        kept.append(f"{len(situation.triggers)} trigger{'s' * (len(situation.triggers) != 1)} and whether they are on")
    kept.append(f"API {_on(app.enable_api)}, site {_on(app.enable_site)}")
    if situation.unpublished:
        by = situation.draft_by
        kept.append(f"the unpublished draft{f' of {by}' if by else ''} (saved first, put back afterwards)")
    return tuple(kept)


def _notes(situation: Situation, options: PlanOptions) -> tuple[str, ...]:
    notes = [
        f"{location.label} comes from the old version"
        for location, source in situation.filled.sources.items()
        if source == "the old version"
    ]
    if not options.with_old_secrets and notes:
        notes.append("those places do not exist in what is live now, or are empty there")
    notes += [f"{label} gets another value than it has now" for label in situation.changed_secrets]
    had = {node.id for node in trigger_nodes(situation.live_document)}
    has = {node.id for node in trigger_nodes(situation.target)}
    titles = {
        node.id: node.name for document in (situation.target, situation.live_document) for node in iter_nodes(document)
    }
    notes += [f"trigger {titles[item]!r} goes away with this version" for item in sorted(had - has)]
    notes += [f"trigger {titles[item]!r} comes back, with a new address" for item in sorted(has - had)]
    if not situation.app.has_workflow and not situation.app.is_agent:
        notes.append("live at once: this mode has no draft")
    return tuple(notes)


def _plan_id(kept: Kept, situation: Situation) -> str:
    state = {
        "target": kept.commit,
        "app": situation.app.id,
        "live": situation.live.id if situation.live else None,
        "live_document": situation.live_document if situation.live is None else None,
        "secrets": sorted(situation.changed_secrets),
    }
    return hashlib.sha256(canonical(state)).hexdigest()[:16]


def _on(flag: bool | None) -> str:
    return "unknown" if flag is None else "on" if flag else "off"

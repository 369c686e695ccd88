"""A built-in tool provider's credential: added, made the default; the old one deleted when no node names it.

A tool of a workflow, of an agent node or of an agent app follows the default, or names one credential by its id
(``credential_id``, 1.7). Who names one does not follow a switch, and fails for good once it is deleted ("provider has
been deleted", 1.13.0). Such nodes are listed in the plan, hold the end of the grace period, and no ``--force`` deletes
what they name. Models have no such field: a model node always takes what its provider or model has current.

Looked at is what is live. An older version that another app runs as a workflow tool is not seen, nor are drafts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from difyops.api.credential_sets import CredentialSet, ToolCredentials
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.dsl.model import iter_nodes, tools
from difyops.errors import DifyopsError, Refused, SelectorError
from difyops.rotation.credential_rotator import REVOKE, CredentialRotator, chosen
from difyops.rotation.job import RotationJob
from difyops.rotation.kinds import OldUse, WantedSecret
from difyops.rotation.reading import Document, HeldSecret, WorkspaceReading, names, ref
from difyops.rotation.record import PlannedRotation

_MOST_NAMED = 5


class Rotator(CredentialRotator):
    """``secret rotate tool PROVIDER --value-from REF``; ``--credential NAME`` for another than the default one."""

    name = "tool"
    arguments = ("PROVIDER",)

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._seen = _Seen()

    def credentials(self, job: RotationJob) -> CredentialSet:
        """Return the tool provider's credentials."""
        return ToolCredentials(job.instance.console, job.target("provider"))

    async def plan(self, instance: Instance, reading: WorkspaceReading, wanted: WantedSecret) -> PlannedRotation:
        """Find the credential to replace.

        Raises:
            NotSupported: the server keeps one credential per tool (before 1.7): replacing it has no way back.
            SelectorError: the provider has none, or none of that name. Refused: it is an OAuth authorization.
        """
        instance.capabilities.require("tool_credentials", "Rotating a tool's credential")
        provider = wanted.arguments[0]
        surface = ToolCredentials(instance.console, provider)
        rows = await surface.rows()
        if not rows:
            known = [
                name for name in await _providers(instance) if await ToolCredentials(instance.console, name).list()
            ]
            listed = ", ".join(known) or "none"
            raise SelectorError(f"{provider} has no credentials.", hint=f"Tool providers that have: {listed}.")
        _check_is_key(rows, wanted)
        target = await chosen(surface, wanted, provider)
        pins = [pin for document in await reading.documents() for pin in _pins(document, target["old_id"])]
        warnings = [f"{REVOKE}."]
        if pins:
            warnings.append(
                "Nodes name the old credential itself and will not follow the switch: "
                f"{_listed(pins)}. Choose the new one there and publish; the old one is not deleted before."
            )
        return PlannedRotation(
            kind=self.name,
            subject=f"{self.name}/{provider}",
            label=f"{target['field']} of {provider}",
            target={"provider": provider, **target},
            lock=f"{self.name}/{provider}",
            old=target["old_name"],
            steps=("add a credential", "make it the default", "look who names the old one", "delete the old"),
            warnings=tuple(warnings),
        )

    async def users(self, instance: Instance, reading: WorkspaceReading, planned: PlannedRotation) -> list[App]:
        """Return the apps that use the credential: by following the default, or by naming it."""
        target = planned.target
        return [
            document.app
            for document in await reading.documents()
            if _uses(document, target["provider"], target["old_id"], is_default=target["was_current"] == "yes")
        ]

    async def old_use(self, job: RotationJob) -> OldUse:
        """Look for nodes that name the old credential; what changed since the last look is read, and nothing else."""
        pins, problems = await self._seen.pins(WorkspaceReading(job.instance), job.target("old_id"))
        if pins:
            return OldUse(in_use=True, words=f"named by {_listed(pins)}: choose {job.memo('new_name')!r} there")
        if problems:
            return OldUse(in_use=True, words=f"not known whether nodes name it: {problems[0]}")
        return OldUse(words=REVOKE)

    async def _delete(self, job: RotationJob, name: str, credential_id: str) -> None:
        """Delete a credential, the old one at the end or the new one on the way back, when nothing names it.

        Raises:
            Refused: live nodes name it; they would fail for good. DifyopsError: an app could not be looked into.
        """
        reading = WorkspaceReading(job.instance)
        pins = [pin for document in await reading.documents() for pin in _pins(document, credential_id)]
        if pins:
            old, new = job.target("old_name"), str(job.memo("new_name"))
            doomed, stays = (old, new) if credential_id == job.target("old_id") else (new, old)
            raise Refused(
                f"Live nodes name the credential {doomed!r} and would fail for good without it: {_listed(pins)}.",
                hint=f"Choose {stays!r} there and publish, then: difyops secret resume {job.rotation.id}",
            )
        if reading.problems:
            raise DifyopsError(f"Not known whether nodes name the credential: {reading.problems[0]}", retryable=True)
        await super()._delete(job, name, credential_id)

    async def inventory(self, instance: Instance, reading: WorkspaceReading) -> list[HeldSecret]:
        """Return every credential of every built-in tool provider that needs one."""
        if not instance.capabilities.can("tool_credentials"):
            return []
        found = []
        for provider in await reading.quietly(_providers(instance), [], "tool providers"):
            surface = ToolCredentials(instance.console, provider)
            for item in await reading.quietly(surface.list(), (), provider):
                users = [
                    document.app
                    for document in await reading.documents()
                    if _uses(document, provider, item.id, is_default=item.is_current)
                ]
                found.append(
                    HeldSecret(
                        kind=self.name,
                        address=f"{self.name}/{provider}",
                        subject=f"{self.name}/{provider}",
                        name=item.name,
                        owner=provider,
                        ref=ref(self.name, provider, credential=None if item.is_current else item.name),
                        users=names(users),
                        note="" if item.is_current else "not the default",
                    )
                )
        return found


async def _providers(instance: Instance) -> list[str]:
    """Return the built-in tool providers that need credentials."""
    rows = await instance.workspace.tool_providers()
    wanting = [row for row in rows if row.get("type") == "builtin" and row.get("allow_delete")]
    return [str(row.get("id") or row.get("name")) for row in wanting]


def _check_is_key(rows: list[dict[str, Any]], wanted: WantedSecret) -> None:
    meant = (
        [row for row in rows if wanted.credential in (row.get("id"), row.get("name"))] if wanted.credential else rows
    )
    if meant and meant[0].get("credential_type", "api-key") != "api-key":
        raise Refused(
            f"{meant[0].get('name')!r} is no key but an authorization ({meant[0].get('credential_type')}).",
            hint="Authorize again in the web page, and make that the default.",
        )


@dataclass(slots=True)
class _Seen:
    """Which credentials the live content of each app names, kept by version: a health round asks again and again."""

    named: dict[tuple[str, str, str], dict[str, list[str]]] = field(default_factory=dict)

    async def pins(self, reading: WorkspaceReading, credential_id: str) -> tuple[list[str], list[str]]:
        """Return the places that name the credential, and sentences about apps that could not be read."""
        found: list[str] = []
        before = len(reading.problems)
        for app in await reading.apps():
            version = _version(app)
            if version is None:
                continue
            key = (reading.instance.context.url, app.id, version)  # a copy of an instance has the same ids
            if key not in self.named:
                document = await reading.quietly(reading.document(app), None, app.name)
                if document is None:
                    continue
                self.named[key] = _by_credential(document)
            found += self.named[key].get(credential_id, [])
        return found, reading.problems[before:]


def _version(app: App) -> str | None:
    """Return what changes whenever the live content does; ``None`` when nothing is live."""
    if app.has_workflow:
        return app.live_version
    config = app.raw.get("model_config")
    changed = config.get("updated_at") if isinstance(config, dict) else None
    return str(changed or app.updated_at)


def _uses(document: Document, provider: str, credential_id: str, *, is_default: bool) -> bool:
    uses = [named for used, _, _, named in tools(document.body) if used == provider]
    return credential_id in uses or (is_default and any(not named for named in uses))


def _pins(document: Document, credential_id: str) -> list[str]:
    return _by_credential(document).get(credential_id, [])


def _by_credential(document: Document) -> dict[str, list[str]]:
    """Return by credential id the places that name it, as ``app (node)``."""
    parts = [(node.name, node.data) for node in iter_nodes(document.body)]
    parts.append(("agent", document.body.get("model_config") or {}))
    found: dict[str, list[str]] = {}
    for where, part in parts:
        for credential_id in set(_ids(part)):
            found.setdefault(credential_id, []).append(f"{document.app.name} ({where})")
    return found


def _ids(value: Any) -> Iterator[str]:
    """Yield every ``credential_id`` at any depth: strategies of agent nodes name their parameters as they like."""
    match value:
        case dict():
            if isinstance(value.get("credential_id"), str) and value["credential_id"]:
                yield value["credential_id"]
            for item in value.values():
                yield from _ids(item)
        case list():
            for item in value:
                yield from _ids(item)


def _listed(places: list[str]) -> str:
    more = len(places) - _MOST_NAMED
    return ", ".join(sorted(places)[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")

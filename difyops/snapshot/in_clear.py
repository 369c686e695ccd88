"""Versions and drafts with their secret variables in clear, and how they are sealed for the store."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from difyops.api.console import Console
from difyops.api.model import AgentVersion, Workflow
from difyops.dsl.canonical import canonical
from difyops.dsl.exports import ExportRead, Twin, redact_export
from difyops.dsl.model import DslError, JsonObject
from difyops.dsl.secret_places import is_secret_variable
from difyops.errors import Forbidden, NotSupported
from difyops.publishing.content import Content, draft_values, environment_of
from difyops.sealing.store import Seal
from difyops.sealing.values import SealedFound, found_in

log = logging.getLogger("difyops.snapshot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clear:
    """A live version with the values of its secret variables, where role and server hand them over, and its export."""

    document: JsonObject = field(repr=False)
    export: ExportRead | None = field(default=None, repr=False)


async def read_clear(console: Console, app_id: str, live: Workflow, *, exports: bool = True) -> Clear:
    """Return a published version in clear; where that is not allowed its secret variables stay masked.

    ``exports``: the export is wanted, too; else it is asked for only where it has to tell the secrets.

    Raises:
        DifyopsError: the version cannot be exported at all.
    """
    can_export = console.capabilities.can("export_version")
    has_secrets = has_secret_variables(live)
    if not has_secrets and not (can_export and exports):
        return Clear(document=live.document)
    of = live.id if can_export else None
    if has_secrets:
        try:
            export = ExportRead.of(await console.export(app_id, version_id=of, clear_secrets=True))
            if export.problem is not None:
                raise export.problem
            document = Content.of(live, environment_of(export.dsl)).document
            return Clear(document=document, export=export if can_export else None)
        except (Forbidden, NotSupported, DslError):
            if not can_export or not exports:
                return Clear(document=live.document)
    return Clear(document=live.document, export=ExportRead.of(await console.export(app_id, version_id=of)))


async def sealed_draft(
    console: Console, app_id: str, draft: Workflow | AgentVersion, seal: Seal
) -> tuple[bytes, SealedFound]:
    """Return a draft as the store keeps it (canonical JSON), and its sealed values.

    Secret variables are read in clear where the role may, else they are the server's stars.

    Raises:
        DifyopsError: the server could not be asked.
    """
    document = draft.document
    if isinstance(draft, Workflow) and has_secret_variables(draft):
        try:
            document = Content.of(draft, await draft_values(console, app_id, draft)).document
        except (Forbidden, NotSupported, DslError):
            log.debug("%s: this role may not read the secret variables of the draft", app_id)
    redacted = seal.redact(document)
    return canonical(redacted.document), found_in("draft", redacted)


def draft_print(draft: Workflow | AgentVersion, seal: Seal) -> str:
    """Return the fingerprint of a draft as the server shows it; nothing where it has no secret variables."""
    if seal.key is None or not isinstance(draft, Workflow) or not has_secret_variables(draft):
        return ""
    return seal.key.print(canonical(draft.document))


def has_secret_variables(workflow: Workflow) -> bool:
    """Say whether the server masks any variable of a workflow."""
    return any(is_secret_variable(item) for item in workflow.environment_variables)


def sealed_export(read: ExportRead, twin: Twin, seal: Seal) -> tuple[bytes, SealedFound]:
    """Return an export as the store keeps it, and its sealed values; ``twin`` is the document of the same app."""
    known = tuple(dict.fromkeys(twin.redacted.secrets.values()))
    export = redact_export(read, known=known, mark=seal.mark, policy=seal.policy, twin=twin)
    values = {seal.mark(secret.reveal()): secret for secret in export.secrets}
    if seal.key is None:
        return export.text.encode(), SealedFound()
    name = "export" if export.is_whole else "export:{}"
    places = {name.format(number): mark for number, mark in enumerate(sorted(values))}
    return export.text.encode(), SealedFound(places=places, values=values)

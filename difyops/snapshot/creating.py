"""Creating the app that a restore makes: by an import, or for an agent app empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from difyops.api.agents import Agents
from difyops.api.instance import Instance
from difyops.api.model import AGENT_MODE, App, Import
from difyops.changes import Change
from difyops.dsl.load import dump_yaml
from difyops.dsl.portable import portable_dsl
from difyops.errors import DifyopsError, Refused

_AGENT_FIELDS = ("description", "role", "icon_type", "icon", "icon_background")


async def created(instance: Instance, change: Change, name: str, held: Mapping[str, Any]) -> App:
    """Create an app called ``name``; ``held`` is its identity, document, DSL version and dependencies.

    Raises:
        Refused: the DSL is newer than the server. DifyopsError: a call failed, or the server did not import it.
    """
    is_agent = held["identity"]["mode"] == AGENT_MODE
    return await (_agent(instance, change, name, held) if is_agent else _imported(instance, change, name, held))


async def _agent(instance: Instance, change: Change, name: str, held: Mapping[str, Any]) -> App:
    """Create an agent app. An imported one would stop answering whenever somebody edits its draft (1.16.1)."""
    identity = held["identity"]
    body = {key: identity.get(key) for key in _AGENT_FIELDS if identity.get(key) is not None}
    app = await change.effect("create agent", lambda: Agents(instance.console).create({"name": name, **body}))
    change.note(app_id=app.id)
    return app


async def _imported(instance: Instance, change: Change, name: str, held: Mapping[str, Any]) -> App:
    console = instance.console
    dsl = portable_dsl(
        {"name": name, **held["identity"]},
        held["document"],
        dsl_version=held["dsl_version"],
        dependencies=held["dependencies"],
    )
    imported = await change.effect("import", lambda: console.import_dsl(dump_yaml(dsl), name=name))
    if imported.status == "pending":
        imported = await _confirmed(instance, change, imported)
    if imported.status not in ("completed", "completed-with-warnings") or not imported.app_id:
        reason = imported.error or "no reason given"
        raise DifyopsError(f"The import of {change.record.label!r} failed: {reason}.")
    if imported.status == "completed-with-warnings" and imported.imported_dsl_version != imported.current_dsl_version:
        change.note(import_warnings=[f"the server imported DSL {imported.imported_dsl_version} as an older one"])
    change.note(app_id=imported.app_id)
    return await console.app(imported.app_id)


async def _confirmed(instance: Instance, change: Change, imported: Import) -> Import:
    if not change.record.facts["confirm_newer"]:
        raise Refused(
            f"The DSL ({imported.imported_dsl_version}) is newer than the server ({imported.current_dsl_version}).",
            hint="--confirm-newer imports it all the same.",
        )
    return await change.effect("confirm import", lambda: instance.console.confirm_import(imported.id))

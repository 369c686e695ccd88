"""Export and import of DSLs through the console."""

from __future__ import annotations

import uuid

from starlette.responses import Response

from difyops.emulator import dsl_text, imports, shapes
from difyops.emulator.routing import Call, Route

API = "/console/api/apps"
_DAEMON = "Failed to request plugin daemon, url: plugin/{tenant}/management/installation/fetch/batch"


def export(call: Call) -> Response:
    """Export the draft, or the version named by ``workflow_id``; secrets blank unless ``include_secret``."""
    instance, app = call.instance, call.app
    wanted = "" if instance.release.exports_drafts_only else call.query("workflow_id")
    workflow = app.draft
    if wanted:
        try:
            uuid.UUID(wanted)
        except ValueError:
            raise shapes.internal_error() from None
        workflow = app.version_by_id(wanted)
        if workflow is None and app.agent is None and instance.release.unknown_version_export_is_500:
            raise shapes.internal_error()
    if workflow is None and app.is_flow and instance.release.nothing_to_export_is_500:
        raise shapes.internal_error()
    body = dsl_text.export(instance, app, workflow, secrets=call.flag("include_secret"))
    if instance.control.has("daemon_down") and instance.release.redis_wait and b"langgenius/" in body:
        raise shapes.invalid_param(instance.tenant_text(_DAEMON))
    return shapes.raw(body)


async def start(call: Call) -> Response:
    """Import a DSL: 200 done, 202 to be confirmed, 400 failed (perhaps leaving something behind)."""
    payload = call.json()
    call.require(payload, "mode", "AppImportPayload")
    await call.instance.search_redis(0.3)
    outcome = imports.start(call.instance, call.actor, payload)
    return shapes.answer(outcome.body, outcome.http_status)


def confirm(call: Call) -> Response:
    """Carry out a pending import."""
    outcome = imports.confirm(call.instance, call.actor, call.params["import_id"])
    return shapes.answer(outcome.body, outcome.http_status)


def check_dependencies(call: Call) -> Response:
    """List plugins the last import of this app wants and the instance lacks; an empty list may mean "unknown"."""
    return shapes.answer({"leaked_dependencies": imports.leaked(call.instance, call.app.id)})


ROUTES = (
    Route("GET", f"{API}/{{app_id:uuid}}/export", export, role="editor"),
    Route("POST", f"{API}/imports", start, role="editor"),
    Route("POST", f"{API}/imports/{{import_id}}/confirm", confirm, role="editor"),
    Route("GET", f"{API}/imports/{{app_id:uuid}}/check-dependencies", check_dependencies, role="editor"),
)

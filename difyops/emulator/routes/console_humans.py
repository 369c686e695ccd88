"""What paused runs wait for, and their forms."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.responses import Response

from difyops.emulator import humans, shapes
from difyops.emulator.routing import Call, Route
from difyops.emulator.versions import Release

API = "/console/api"


def pause_details(call: Call) -> Response:
    """Say what a run waits for; a run that waits for nobody has no nodes."""
    run_id = call.params["run_id"]
    if not any(app.run_named(run_id) for app in call.instance.apps.values()):
        raise shapes.not_found("Workflow run not found.")
    found = humans.paused_at(call.instance, run_id)
    since = datetime.fromtimestamp(found[0].since, UTC).isoformat().replace("+00:00", "Z") if found else None
    nodes = [
        {
            "node_id": form.node["id"],
            "node_title": form.row.title,
            "pause_type": {
                "type": "human_input",
                "form_id": form.id,
                "backstage_input_url": f"{call.instance.base_url}/form/{form.token}",
            },
        }
        for form in found
    ]
    return shapes.answer({"paused_at": since, "paused_nodes": nodes})


def show_form(call: Call) -> Response:
    """Show a form."""
    return shapes.answer(humans.form_with(call.instance, call.params["token"]).shown())


async def submit_form(call: Call) -> Response:
    """Answer a form."""
    body = call.json()
    given = body.get("inputs")
    inputs = given if isinstance(given, dict) else {}
    await humans.submit(call.instance, call.params["token"], inputs, str(body.get("action") or ""))
    return shapes.answer({})


def _has_humans(release: Release) -> bool:
    return release.human_input


ROUTES = (
    Route("GET", f"{API}/workflow/{{run_id:uuid}}/pause-details", pause_details, when=_has_humans),
    Route("GET", f"{API}/form/human_input/{{token}}", show_form, when=_has_humans),
    Route("POST", f"{API}/form/human_input/{{token}}", submit_form, when=_has_humans),
)

"""Tags and what they are bound to, in both generations of the binding calls."""

from __future__ import annotations

from starlette.responses import Response

from difyops.emulator import shapes
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import Tag

API = "/console/api"


def list_tags(call: Call) -> Response:
    """List the tags of a type; ``binding_count`` is a string here on every release."""
    wanted = call.query("type", "app")
    keyword = call.query("keyword").lower()
    rows = [
        {**_row(tag), "binding_count": str(len(tag.targets))}
        for tag in call.instance.tags
        if tag.type == wanted and keyword in tag.name.lower()
    ]
    return shapes.answer(rows)


def create(call: Call) -> Response:
    """Create a tag; names are unique per type."""
    payload = call.json()
    name = str(call.require(payload, "name", "TagBasePayload"))
    kind = str(call.require(payload, "type", "TagBasePayload"))
    if any(tag.name == name and tag.type == kind for tag in call.instance.tags):
        raise shapes.invalid_param("Tag name already exists")
    tag = Tag(id=call.instance.new_id(), name=name, type=kind)
    call.instance.tags.append(tag)
    return shapes.answer(_counted(call, tag))


def rename(call: Call) -> Response:
    """Rename a tag; older releases want the type too."""
    payload, tag = call.json(), _tag(call, call.params["tag_id"])
    if not call.instance.release.tag_bindings_moved:
        call.require(payload, "type", "TagBasePayload")
    tag.name = str(call.require(payload, "name", "TagBasePayload"))
    _forget(call, tag)
    return shapes.answer(_counted(call, tag))


def delete(call: Call) -> Response:
    """Delete a tag and its bindings."""
    tag = _tag(call, call.params["tag_id"])
    _forget(call, tag)
    for app in call.instance.apps.values():
        app.tags = [item for item in app.tags if item is not tag]
    call.instance.tags.remove(tag)
    return shapes.empty()


def bind(call: Call) -> Response:
    """Bind tags to an app or a dataset."""
    payload = call.json()
    target = str(call.require(payload, "target_id", "TagBindingPayload"))
    for tag_id in call.require(payload, "tag_ids", "TagBindingPayload"):
        tag = _tag(call, str(tag_id))
        tag.targets.add(target)
        app = call.instance.apps.get(target)
        if app is not None and tag not in app.tags:
            app.tags.append(tag)
        _forget(call, tag)
    return shapes.success()


def unbind(call: Call) -> Response:
    """Take a tag off: ``tag_id`` on older releases, ``tag_ids`` on the newest."""
    payload, model = call.json(), "TagBindingRemovePayload"
    if call.instance.release.tag_bindings_moved:
        wanted = list(call.require(payload, "tag_ids", model))
    else:
        wanted = [call.require(payload, "tag_id", model)]
    target = str(call.require(payload, "target_id", model))
    for tag_id in wanted:
        tag = _tag(call, str(tag_id))
        _forget(call, tag)
        tag.targets.discard(target)
        app = call.instance.apps.get(target)
        if app is not None:
            app.tags = [item for item in app.tags if item is not tag]
    return shapes.success()


def _tag(call: Call, tag_id: str) -> Tag:
    for tag in call.instance.tags:
        if tag.id == tag_id:
            return tag
    raise shapes.not_found_with_help(call.path, "Tag not found")


def _forget(call: Call, tag: Tag) -> None:
    for target in tag.targets:
        app = call.instance.apps.get(target)
        if app is not None:
            app.changed()


def _row(tag: Tag) -> JsonDict:
    return {"id": tag.id, "name": tag.name, "type": tag.type}


def _counted(call: Call, tag: Tag) -> JsonDict:
    count = len(tag.targets)
    return {**_row(tag), "binding_count": str(count) if call.instance.release.string_binding_counts else count}


ROUTES = (
    Route("GET", f"{API}/tags", list_tags),
    Route("POST", f"{API}/tags", create, role="editor"),
    Route("PATCH", f"{API}/tags/{{tag_id:uuid}}", rename, role="editor"),
    Route("DELETE", f"{API}/tags/{{tag_id:uuid}}", delete, role="editor"),
    Route(
        "POST", f"{API}/tag-bindings/create", bind, "console", "editor", lambda release: not release.tag_bindings_moved
    ),
    Route("POST", f"{API}/tag-bindings", bind, "console", "editor", lambda release: release.tag_bindings_moved),
    Route("POST", f"{API}/tag-bindings/remove", unbind, role="editor"),
)

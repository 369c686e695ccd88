"""Keeping a model config that stands in no snapshot, before it is replaced: the server has no versions of it."""

from __future__ import annotations

import secrets

from difyops.api.model import App
from difyops.dsl.canonical import canonical
from difyops.errors import StoreError
from difyops.sealing.store import seal_to_compare
from difyops.snapshot.history import load_app
from difyops.snapshot.layout import read_manifest
from difyops.snapshot.reading import config_of
from difyops.snapshot.take import TakeOptions, take
from difyops.workspace import Workspace

_LOOK_BACK = 50  # snapshots


async def keep_config(workspace: Workspace, app: App) -> str | None:
    """Keep a live config that stands in none of the last 50 snapshots under a tag of its own; return the tag.

    Raises:
        StoreError: there is no store, or it cannot be written. PartialFailure: the app cannot be read.
    """
    store = workspace.store
    if store is None:
        raise StoreError(f"There is no store to keep the live config of {app.name!r} in; nothing was changed.")
    seal = seal_to_compare(store, workspace.instance.name, workspace.access)
    now = canonical(seal.redact(config_of(app)).document)
    for info in store.log(workspace.instance.name, limit=_LOOK_BACK):
        manifest = read_manifest(store, info.id)
        if app.id in manifest.apps and canonical(load_app(store, info.id, manifest, app.id).live) == now:
            return None
    tag = f"before-rollback-{workspace.clock.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    message = f"kept before a rollback of {app.name}"
    options = TakeOptions(selectors=(app.id,), tag=tag, aside=True, message=message, access=workspace.access)
    taken = await take(workspace.instance, store, options, clock=workspace.clock)
    if taken.error is not None:
        raise taken.error
    return tag

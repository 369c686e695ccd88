"""What a result is bound to: the content of the app's live version, its models with the versions of their plugins."""

from __future__ import annotations

import hashlib
from typing import Any

from difyops.api.agents import Agents
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.dsl.canonical import canonical, normalized
from difyops.dsl.model import models
from difyops.errors import DifyopsError, Refused
from difyops.evaluation.result import Bound


async def bind(instance: Instance, app: App, cases: str) -> Bound:
    """Read what is live now.

    Raises:
        Refused: nothing of the app is published.
    """
    version, document = await live_document(instance, app)
    content = hashlib.sha256(canonical(normalized(document))).hexdigest()[:32]
    return Bound(
        context=instance.name, app_id=app.id, app=app.name, mode=app.mode, version=version, content=content,
        models=await _models(instance, document), cases=cases,
    )  # fmt: skip


async def live_document(instance: Instance, app: App) -> tuple[str, dict[str, Any]]:
    """Return the id of the live version and its content, secrets masked.

    Raises:
        Refused: nothing is published.
    """
    if app.has_workflow:
        live = await instance.console.published(app.id)
        if live is None:
            raise Refused(f"{app.name} was never published; only what is live is evaluated.")
        return live.id, live.document
    if app.is_agent:
        agents = Agents(instance.console)
        soul = await agents.live(app, (await agents.state(app)).active)
        if soul is None:
            raise Refused(f"{app.name} was never published; only what is live is evaluated.")
        return soul.id, soul.document
    detail = await instance.console.app(app.id)
    return "", {"model_config": detail.model_config or {}}


async def _models(instance: Instance, document: dict[str, Any]) -> tuple[str, ...]:
    """Return ``provider/model (plugin version)``; the version is blank where the server does not tell it."""
    found = sorted(models(document))
    if not found:
        return ()
    try:
        rows = await instance.workspace.plugins()
    except DifyopsError:  # a role that may not list plugins can still evaluate
        rows = []
    plugins = {str(row.get("plugin_id")): str(row.get("version") or "") for row in rows}
    told = []
    for provider, name in found:
        names = (provider.rpartition("/")[0], provider, f"langgenius/{provider}")
        version = next((plugins[item] for item in names if item in plugins), "")
        told.append(f"{provider}/{name}" + (f" ({version})" if version else ""))
    return tuple(told)

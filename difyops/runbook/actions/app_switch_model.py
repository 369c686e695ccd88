"""``app.switch_model``: let an app answer with a fallback model, as a published version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from difyops.api.console import HIDDEN, Console
from difyops.api.instance import Instance
from difyops.api.model import App, Workflow
from difyops.dsl.canonical import same_meaning
from difyops.errors import DifyopsError, NotFound, Refused, ServerFault, StalePlan, UnpublishedEdits
from difyops.runbook.keeping import keep, tag_before, way_back
from difyops.runbook.models import switched, used
from difyops.runbook.providers import same_provider
from difyops.runbook.result import Acted, Planned, Undo, Value
from difyops.runbook.scene import Scene


async def plan(
    scene: Scene,
    *,
    app: str,
    model: str,
    to_model: str,
    provider: str | None = None,
    to_provider: str | None = None,
) -> Planned:
    """Put ``to_model`` wherever one app names ``model`` (of ``provider``, where several have it), and publish that.

    The new model must be usable on the instance. Refused when the draft holds edits that nobody published: publishing
    would make them live. Secrets stay as they are. Read back afterwards; in the chat modes the config is live at once.
    When publishing fails, the draft is put back; one that a kill left behind is no obstacle to the undo.
    Undo: the same with the models exchanged. Where that would change more back than was changed (the app uses
    ``to_model`` elsewhere, or ``model`` of several providers), what is live is kept first, in a snapshot, and the undo
    is a rollback to it.
    """
    instance = await scene.instance()
    chosen = await instance.console.app((await scene.app(app)).id)
    usable = await instance.workspace.models("llm")
    fitting = [pair for pair in usable if pair[1] == to_model]
    target = next((pair for pair in fitting if to_provider is None or same_provider(pair[0], to_provider)), None)
    if target is None:
        raise NotFound(f"The model {to_model!r} cannot be used on {instance.name}.", status=404)
    make = _of_workflow if chosen.has_workflow else _of_config
    count, apply, pairs = await make(scene, instance, chosen, (provider, model), target)
    if not count:
        return Planned(text=f"{chosen.name} does not use {model!r}")
    text = f"let {chosen.name} use {to_model} instead of {model} in {count} places, and publish that"
    formers = [pair for pair in pairs if pair[1] == model and (provider is None or same_provider(pair[0], provider))]
    if len(formers) == 1 and target not in pairs:
        parameters = {"app": chosen.id, "model": to_model, "to_model": model, "provider": target[0]}
        undo = Undo(action="app.switch_model", parameters={**parameters, "to_provider": formers[0][0] or None})
        return Planned(text=text, apply=apply, undo=undo)
    tag = tag_before(scene, "model")

    async def kept_first() -> Acted:
        await keep(scene, chosen.id, tag)
        return await apply()

    return Planned(text=f"keep what is live as {tag}, then {text}", apply=kept_first, undo=way_back(chosen.id, tag))


_Made = tuple[int, Callable[[], Awaitable[Acted]], frozenset[tuple[str, str]]]


async def _of_workflow(
    scene: Scene, instance: Instance, app: App, former: tuple[str | None, str], target: tuple[str, str]
) -> _Made:
    console = instance.console
    live, draft = await console.live_and_draft(app.id, app.live_version)
    if live is None or draft is None:
        raise Refused(f"{app.name!r} has no live version.")
    graph, count = switched(draft.graph, former, target)
    after = {**draft.document, "graph": graph}
    # A draft that the switch makes equal to what is live is what a switch the other way left behind half-way.
    if not same_meaning(live.document, draft.document) and not same_meaning(live.document, after):
        raise UnpublishedEdits(f"The draft of {app.name!r} holds edits that nobody published.")

    async def apply() -> Acted:
        now = await console.draft(app.id)
        if now is None or now.hash != draft.hash:
            raise StalePlan(f"The draft of {app.name!r} was edited a moment ago; nothing was changed.")
        held = await console.sync_draft(app.id, _sent(now, graph), expected_hash=now.hash)
        await _publish(console, app, (live.id, now, held), f"{former[1]} -> {target[1]} (difyops runbook)")
        scene.audit("app.switch_model", app.id, model=former[1], to=target[1], before=live.id)
        published = await console.published(app.id)
        if published is None or published.id == live.id or switched(published.graph, former, target)[1]:
            raise ServerFault(f"{app.name!r}: the new version is not live; the draft holds the change.")
        return Acted(
            text=f"{app.name} uses {target[1]} in {count} places, live as {published.id[:8]} (before: {live.id[:8]})",
            values=(Value(name="live_before", value=live.id), Value(name="live", value=published.id)),
        )

    return count, apply, used(draft.graph)


async def _publish(console: Console, app: App, before: tuple[str, Workflow, str], comment: str) -> None:
    """Publish the draft; when that fails and nothing went live, put the draft back. ``before`` is the id of what is
    live, the draft as it was, and the hash of what we wrote: an edit since then is not overwritten.

    Raises:
        ServerFault: it was not published; says what the draft holds. DifyopsError: nobody knows whether it was.
    """
    live, draft, held = before
    try:
        await console.publish(app.id, name="fallback model", comment=comment)
    except DifyopsError as error:
        now = await console.published(app.id)
        if now is not None and now.id != live:
            return  # only the answer was lost
        try:
            await console.sync_draft(app.id, _sent(draft, draft.graph), expected_hash=held)
        except DifyopsError:
            raise ServerFault(f"{error.message} Nothing went live; the draft holds the change.") from error
        raise ServerFault(f"{error.message} Nothing went live; the draft is as it was.") from error


def _sent(draft: Workflow, graph: dict[str, Any]) -> dict[str, Any]:
    """Return a draft's document with ``graph``, as it is sent."""
    return {**draft.document, "graph": graph, "environment_variables": _hidden(draft.environment_variables)}


def _hidden(variables: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    """Keep secrets as they are: a mask that is sent back would become the secret."""
    return [
        {**item, "value": HIDDEN} if item.get("value_type") == "secret" and item.get("value") else dict(item)
        for item in variables
    ]


async def _of_config(
    scene: Scene, instance: Instance, app: App, former: tuple[str | None, str], target: tuple[str, str]
) -> _Made:
    from difyops.snapshot.reading import config_of

    document = config_of(app)["model_config"]
    config, count = switched(document, former, target)

    async def apply() -> Acted:
        await instance.console.set_model_config(app.id, config)
        scene.audit("app.switch_model", app.id, model=former[1], to=target[1])
        after = await instance.console.app(app.id)
        if switched(after.model_config or {}, former, target)[1]:
            raise ServerFault(f"{app.name!r} still names {former[1]}; the server said yes.")
        return Acted(text=f"{app.name} uses {target[1]} (read back; live at once)")

    return count, apply, used(document)

"""``app.switch_model``: let an app answer with a fallback model, as a published version."""

from __future__ import annotations

from dataclasses import dataclass

from difyops.api.model import App
from difyops.counting import counted
from difyops.errors import NotFound, Refused
from difyops.publishing.document_change import DocumentChange, change_document
from difyops.runbook.keeping import keep, tag_before, way_back
from difyops.runbook.models import switched, used
from difyops.runbook.providers import same_provider
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned, Undo, Value

KIND = "app.switch_model"


async def plan(
    resources: Resources,
    *,
    app: str,
    model: str,
    to_model: str,
    provider: str | None = None,
    to_provider: str | None = None,
) -> Planned:
    """Put ``to_model`` wherever one app names ``model`` (of ``provider``, where several have it), and publish that.

    The new model must be usable on the instance. A draft with edits that nobody published is put back as it was.
    Secrets stay as they are. Read back afterwards; in the chat modes the config is live at once. When publishing fails,
    what was live is live again; a kill is recovered by difyops changes.
    Undo: the same with the models exchanged. Where that would change more back than was changed (the app uses
    ``to_model`` elsewhere, or ``model`` of several providers), what is live is kept first, in a snapshot, and the undo
    is a rollback to it.
    """
    found = await _found(resources, app, (provider, model), (to_provider, to_model))
    if not found.count:
        return Planned(text=f"{found.app.name} does not use {model!r}")
    text = (
        f"let {found.app.name} use {to_model} instead of {model} in {counted(found.count, 'place')}, and publish that"
    )

    async def apply() -> Acted:
        return await _switch(resources, found)

    if found.only_former is not None:
        parameters = {"app": found.app.id, "model": to_model, "to_model": model, "provider": found.target[0]}
        undo = Undo(action="app.switch_model", parameters={**parameters, "to_provider": found.only_former[0] or None})
        return Planned(text=text, apply=apply, undo=undo)
    tag = tag_before(resources, "model")

    async def kept_first() -> Acted:
        await keep(resources, found.app.id, tag)
        return await _switch(resources, found)

    return Planned(text=f"keep what is live as {tag}, then {text}", apply=kept_first, undo=way_back(found.app.id, tag))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is to be switched. Models are pairs of provider and name; ``former``'s provider may be ``None``: any.

    ``live``: the id of the live version, ``None`` in the chat modes; ``count``: in how many places ``former`` stands;
    ``only_former``: the one model that it means, where exchanging the two models again takes the switch back.
    """

    app: App
    live: str | None
    former: tuple[str | None, str]
    target: tuple[str, str]
    count: int
    only_former: tuple[str, str] | None


async def _found(
    resources: Resources, app: str, former: tuple[str | None, str], wanted: tuple[str | None, str]
) -> _Found:
    """Look where an app uses the former model, and which model of the instance is wanted.

    Raises:
        NotFound: no such app, or the wanted model cannot be used. Refused: nothing is live.
    """
    instance = await resources.instance()
    chosen = await instance.console.app((await resources.app(app)).id)
    fitting = [pair for pair in await instance.workspace.models("llm") if pair[1] == wanted[1]]
    target = next((pair for pair in fitting if wanted[0] is None or same_provider(pair[0], wanted[0])), None)
    if target is None:
        raise NotFound(f"The model {wanted[1]!r} cannot be used on {instance.name}.", status=404)
    live = await instance.console.published(chosen.id) if chosen.has_workflow else None
    if chosen.has_workflow and live is None:
        raise Refused(f"{chosen.name!r} has no live version.")
    document = live.graph if live else dict(chosen.model_config or {})
    pairs = used(document)
    formers = [pair for pair in pairs if pair[1] == former[1]]
    formers = [pair for pair in formers if former[0] is None or same_provider(pair[0], former[0])]
    return _Found(
        app=chosen,
        live=live.id if live else None,
        former=former,
        target=target,
        count=switched(document, former, target)[1],
        only_former=formers[0] if len(formers) == 1 and target not in pairs else None,
    )


async def _switch(resources: Resources, found: _Found) -> Acted:
    """Put the target wherever the former model stands, and publish that."""
    model, to_model = found.former[1], found.target[1]
    wanted = DocumentChange(
        kind=KIND,
        name="fallback model",
        text=f"{model} -> {to_model} (difyops runbook)",
        derive=lambda body: switched(body, found.former, found.target)[0],
        expected_live=found.live,
        told={"model": model, "to": to_model},
    )
    done = await change_document(await resources.workspace(), found.app, wanted)
    if done.after is None:
        return Acted(text=f"{found.app.name} uses {to_model} (read back; live at once)")
    versions = f"live as {done.after[:8]} (before: {str(done.before)[:8]})"
    told = "".join(f"; {text}" for text in (done.draft, *done.missed) if text)
    return Acted(
        text=f"{found.app.name} uses {to_model} in {counted(found.count, 'place')}, {versions}{told}",
        values=(Value(name="live_before", value=done.before), Value(name="live", value=done.after)),
    )

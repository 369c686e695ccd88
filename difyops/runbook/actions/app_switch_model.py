"""``app.switch_model``: let an app answer with a fallback model, as a published version."""

from __future__ import annotations

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
    instance = await resources.instance()
    chosen = await instance.console.app((await resources.app(app)).id)
    usable = await instance.workspace.models("llm")
    fitting = [pair for pair in usable if pair[1] == to_model]
    target = next((pair for pair in fitting if to_provider is None or same_provider(pair[0], to_provider)), None)
    if target is None:
        raise NotFound(f"The model {to_model!r} cannot be used on {instance.name}.", status=404)
    former = (provider, model)
    live = await instance.console.published(chosen.id) if chosen.has_workflow else None
    if chosen.has_workflow and live is None:
        raise Refused(f"{chosen.name!r} has no live version.")
    document = live.graph if live else dict(chosen.model_config or {})
    count, pairs = switched(document, former, target)[1], used(document)
    if not count:
        return Planned(text=f"{chosen.name} does not use {model!r}")
    text = f"let {chosen.name} use {to_model} instead of {model} in {counted(count, 'place')}, and publish that"

    async def apply() -> Acted:
        wanted = DocumentChange(
            kind=KIND,
            name="fallback model",
            text=f"{model} -> {to_model} (difyops runbook)",
            derive=lambda body: switched(body, former, target)[0],
            expected_live=live.id if live else None,
            told={"model": model, "to": to_model},
        )
        done = await change_document(await resources.workspace(), chosen, wanted)
        if done.after is None:
            return Acted(text=f"{chosen.name} uses {to_model} (read back; live at once)")
        versions = f"live as {done.after[:8]} (before: {str(done.before)[:8]})"
        told = "".join(f"; {text}" for text in (done.draft, *done.missed) if text)
        return Acted(
            text=f"{chosen.name} uses {to_model} in {counted(count, 'place')}, {versions}{told}",
            values=(Value(name="live_before", value=done.before), Value(name="live", value=done.after)),
        )

    formers = [pair for pair in pairs if pair[1] == model and (provider is None or same_provider(pair[0], provider))]
    if len(formers) == 1 and target not in pairs:
        parameters = {"app": chosen.id, "model": to_model, "to_model": model, "provider": target[0]}
        undo = Undo(action="app.switch_model", parameters={**parameters, "to_provider": formers[0][0] or None})
        return Planned(text=text, apply=apply, undo=undo)
    tag = tag_before(resources, "model")

    async def kept_first() -> Acted:
        await keep(resources, chosen.id, tag)
        return await apply()

    return Planned(text=f"keep what is live as {tag}, then {text}", apply=kept_first, undo=way_back(chosen.id, tag))

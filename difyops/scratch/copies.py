"""A copy of a document as an app of its own, and asking it: nobody else can reach it, nothing starts it by itself.

The copy has no web page and no triggers: their nodes are left out, so that no schedule and no address is ever made. Its
API is on, for one key that goes with the app. Secrets of the document come along: it stays on its instance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api.agents import Agents
from difyops.api.input_form import FILE_KINDS, InputField
from difyops.api.instance import Instance
from difyops.api.keys import Keys
from difyops.api.model import App
from difyops.api.run_faults import BAD_INPUT, CONCURRENCY, QUOTA, RATE_LIMIT, RunFailed
from difyops.api.service import Question, Service
from difyops.api.sse import ServerEvent
from difyops.dsl.load import dump_yaml
from difyops.dsl.model import NOTE_TYPE, as_dict, as_list, text_of
from difyops.dsl.portable import portable_dsl
from difyops.errors import DifyopsError, RateLimited, ServerFault, Unreachable
from difyops.history.failures import CALLER, GOOD, OURS, PAUSED, PROVIDER, whose
from difyops.history.live_failures import failure_of
from difyops.publishing.content import aligned
from difyops.publishing.writing import publish_draft, publish_soul, write_draft, write_soul
from difyops.replay import RecordedInput, ReplayTold
from difyops.scratch.apps import Scratches
from difyops.scratch.effects import cannot_run, effects_of, form, owned_files

JsonObject = dict[str, Any]
_LIMITS = frozenset({CONCURRENCY, QUOTA, RATE_LIMIT})
_AGENT = ("description", "icon", "icon_type")
_SHOWN = ("icon", "icon_type", "icon_background", "use_icon_as_answer_icon")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy that stands: its app, its form, and the calls of its key."""

    instance: Instance
    app: App
    form: tuple[InputField, ...]
    service: Service = field(repr=False)

    async def ask(self, recorded: RecordedInput, *, silence: float = 120.0) -> ReplayTold:
        """Ask the copy once and say what it came to; a failure of the app is told, not raised.

        Raises:
            DifyopsError: the copy cannot be asked (its API is off, the instance is gone).
        """
        clock = self.service.clock
        began = clock.monotonic()
        seen: dict[str, str] = {}

        def note(_: str, event: ServerEvent | None) -> None:
            if event is not None and event.body.get("workflow_run_id"):
                seen.setdefault("run", str(event.body["workflow_run_id"]))

        known = {item.name for item in self.form}
        inputs = {name: value for name, value in recorded.inputs.items() if name in known}
        question = Question(inputs=inputs, query=recorded.query, user="difyops-replay")
        try:
            answer = await self.service.run(question, on_line=note, silence=silence)
        except (RunFailed, ServerFault, RateLimited, Unreachable) as error:
            outcome = await self._whose(error, seen.get("run"))
            seconds = clock.monotonic() - began
            return ReplayTold(outcome=outcome, seconds=seconds, error=error.message, run_id=seen.get("run"))
        return ReplayTold(
            outcome=PAUSED if answer.status == "paused" else GOOD, seconds=answer.seconds, tokens=answer.tokens,
            price=answer.price, currency=answer.currency, text=answer.text, outputs=answer.outputs,
            run_id=answer.run_id,
        )  # fmt: skip

    async def _whose(self, error: DifyopsError, run_id: str | None) -> str:
        if isinstance(error, RunFailed) and error.kind == BAD_INPUT:
            return CALLER
        if not isinstance(error, RunFailed) or error.kind in _LIMITS:
            return PROVIDER if run_id is None else OURS
        failed = await failure_of(self.instance, self.app, run_id, error.message)
        return whose({"run": failed})["run"]


async def make_copy(scratches: Scratches, number: int, app: App, document: JsonObject, name: str) -> Copy:
    """Make a copy of ``document`` (with secrets in clear) beside ``app``, published and ready to be asked.

    Raises:
        DifyopsError: it could not be made; what is there of it is known to the sweep.
    """
    instance, change = scratches.instance, scratches.change
    console = instance.console
    scratch = scratches.announce(number, name, direct=True)
    if app.is_agent:
        copy_id = await _created(scratches, app, scratch)
    else:
        copy_id = await _imported(scratches, app, document, scratch)
    scratches.made(number, scratch, copy_id)
    await change.effect("switch site", lambda: console.set_site(copy_id, enabled=False), audited=False)
    if app.has_workflow:
        await _publish(scratches, copy_id, without_triggers(document))
    if app.is_agent:
        await _publish_agent(scratches, copy_id, document)
    await change.effect("switch API", lambda: console.set_api(copy_id, enabled=True), audited=False)
    key = await change.effect("make scratch key", lambda: Keys.of_app(console, copy_id).create(), audited=False)
    service = Service(instance.service_transport, key.token, app.mode, name=app.name)
    return Copy(instance=instance, app=await console.app(copy_id), form=await service.form(), service=service)


async def _imported(scratches: Scratches, app: App, document: JsonObject, scratch: str) -> str:
    console = scratches.instance.console
    version = scratches.instance.capabilities.dsl_version
    identity = {"mode": app.mode, "name": scratch, **{key: app.raw.get(key) for key in _SHOWN}}
    dsl = portable_dsl(identity, without_triggers(document), dsl_version=version, dependencies=[])
    imported = await scratches.change.effect(
        "make scratch", lambda: console.import_dsl(dump_yaml(dsl), name=scratch)
    )  # fmt: skip
    if not imported.app_id:
        raise ServerFault(f"The scratch copy of {app.name!r} could not be made: {imported.error or imported.status}.")
    return imported.app_id


async def _created(scratches: Scratches, app: App, scratch: str) -> str:
    """Create an agent app: an imported one would stop answering whenever somebody edits its draft (1.16.1)."""
    agents = Agents(scratches.instance.console)
    shown = {key: app.raw.get(key) for key in _AGENT if app.raw.get(key) is not None}
    identity = {"name": scratch, "role": (await agents.state(app)).role, **shown}
    return (await scratches.change.effect("make scratch", lambda: agents.create(identity))).id


async def _publish_agent(scratches: Scratches, copy_id: str, document: JsonObject) -> None:
    agents, change = Agents(scratches.instance.console), scratches.change
    copy, soul = await scratches.instance.console.app(copy_id), as_dict(document.get("agent_soul"))
    await write_soul(change, agents, copy, soul, over=None, effect="write scratch", audited=False)
    await publish_soul(change, agents, copy, note="scratch", effect="publish scratch", audited=False)


async def _publish(scratches: Scratches, copy_id: str, document: JsonObject) -> None:
    """Publish exactly ``document``: an import drops what an export leaves out."""
    console, change = scratches.instance.console, scratches.change
    draft = await console.draft(copy_id)
    exact = aligned(document, draft)
    expected = draft.hash if draft else None
    await write_draft(change, console, copy_id, exact, over=expected, effect="write scratch", audited=False)
    await publish_draft(change, console, copy_id, name="scratch", effect="publish scratch", audited=False)


def without_triggers(document: Mapping[str, Any]) -> JsonObject:
    """Return the document without the nodes that start runs by themselves, and without their edges."""
    graph = as_dict(document.get("graph"))
    nodes = [node for node in as_list(graph.get("nodes")) if isinstance(node, dict)]
    gone = {
        text_of(node.get("id"))
        for node in nodes
        if node.get("type") != NOTE_TYPE and text_of(as_dict(node.get("data")).get("type")).startswith("trigger-")
    }
    if not gone:
        return dict(document)
    kept = [node for node in nodes if node.get("id") not in gone]
    edges = [edge for edge in as_list(graph.get("edges")) if not {edge.get("source"), edge.get("target")} & gone]
    return {**document, "graph": {**graph, "nodes": kept, "edges": edges}}


def why_no_copy(app: App, documents: Iterable[Mapping[str, Any]], *, allow_effects: bool) -> str:
    """Say why copies of these documents of an app cannot be asked, blank where they can."""
    for document in documents:
        if found := cannot_run(document):
            return found
        if _needs_file(form(document)):
            return "it requires a file"
        if owned_files(document):
            return "its files and skills belong to its own agent and cannot be copied"
        effects = effects_of(document)
        if effects and not allow_effects:
            return f"it acts outside: {effects[0]} (--allow-effects runs it)"
    return ""


def _needs_file(found: tuple[InputField, ...]) -> bool:
    """Say whether an app cannot be asked without a file: recorded ones cannot be sent again."""
    return any(item.required and item.kind in FILE_KINDS for item in found)

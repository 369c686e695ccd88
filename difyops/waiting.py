"""What waits for a person in an instance, and letting one run go on: for ``app paused`` and ``runs.paused``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from difyops.api.human_input import (
    LONGEST_WAIT,
    FormAction,
    PausedNode,
    answer_form,
    form_of,
    pause_of,
    paused_runs,
    require_human_input,
)
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_feed import run_detail
from difyops.api.run_records import LoggedRun
from difyops.clock import Clock
from difyops.counting import counted
from difyops.errors import DifyopsError, NotFound, PartialFailure, Refused, UsageError
from difyops.fanout import Done, Failed, FanoutOptions, fan_out

_REJECTS = frozenset(
    ("no", "reject", "rejected", "decline", "declined", "deny", "denied", "cancel", "refuse", "abort", "拒绝", "驳回")
)
_LOOK_AGAIN = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One run that waits at one node. Times are unix seconds; ``by`` is the caller's id at the platform.

    ``actions`` are the ways to answer and ``inputs`` the fields; both blank where the form went out by mail only.
    """

    app_id: str
    app: str
    run: str
    node: str
    title: str
    asks: str
    since: float
    expires: float | None
    source: str
    by: str
    actions: tuple[FormAction, ...]
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """All that wait, longest first; ``unread`` names apps that could not be read, and why."""

    waits: tuple[Wait, ...]
    apps: int
    unread: tuple[str, ...] = ()

    @property
    def error(self) -> DifyopsError | None:
        """Return 3 where an app could not be read."""
        if not self.unread:
            return None
        return PartialFailure(f"{len(self.unread)} of {counted(self.apps, 'app')} could not be read: {self.unread[0]}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A form that was answered, and what became of the run. ``warnings`` tell what is odd about its end."""

    app: str
    run: str
    node: str
    action: str
    status: str
    outputs: Mapping[str, object]
    warnings: tuple[str, ...] = field(default=(), repr=False)

    @property
    def error(self) -> DifyopsError | None:
        """Return 3 where the run ended without what it should have made, or failed."""
        if self.status == "failed" or (self.status == "stopped" and not _has_any(self.outputs)):
            return PartialFailure(f"The form was answered, but the run ended as {self.status}.")
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How to answer: the id of an action (``None``: the form's only one), or its word for no; the fields; which node
    where a run waits at several; how many seconds to wait for what follows.
    """

    action: str | None = None
    rejects: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)
    node: str | None = None
    wait: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAnswer:
    """An answer that fits the form, before it is given."""

    app: App
    run: str
    node: PausedNode
    asks: str
    action: FormAction
    inputs: Mapping[str, str]


async def waits(instance: Instance, apps: Sequence[App], *, now: float) -> Waits:
    """Return what waits in these apps.

    Raises:
        NotSupported: the server has no pauses (before 1.13.0).
    """
    require_human_input(instance)
    asked = [app for app in apps if app.has_workflow]
    found: list[Wait] = []
    unread: list[str] = []

    async def read(app: App) -> list[Wait]:
        listed = await paused_runs(instance, app, since=now - LONGEST_WAIT)
        return [item for record in listed for item in await _of_run(instance, app, record)]

    async for result in fan_out(asked, read, FanoutOptions(limit=instance.context.max_in_flight)):
        match result:
            case Done(value=value):
                found += value
            case Failed(item=app, error=error):
                unread.append(f"{app.name}: {error.message}")
    if asked and len(unread) == len(asked):
        raise DifyopsError(f"No app could be read: {unread[0]}")
    found.sort(key=lambda item: (item.since, item.run, item.node))
    return Waits(waits=tuple(found), apps=len(asked), unread=tuple(sorted(unread)))


async def plan_answer(instance: Instance, app: App, run: str, reply: Reply) -> PlannedAnswer:
    """Look at the form of a run and return the answer that fits it.

    Raises:
        Refused: the run waits for nobody, or nobody can answer from here. UsageError: the answer does not fit,
            or the app has no such run.
    """
    require_human_input(instance)
    try:
        await run_detail(instance, app.id, run)
    except NotFound:
        raise UsageError(f"{app.name} has no run {run}.", hint=f"difyops app paused {app.name!r}") from None
    pause = await pause_of(instance, run)
    if not pause.nodes:
        raise Refused(f"The run {run} of {app.name} waits for nobody.", hint=f"difyops app paused {app.name!r}")
    node = _chosen(pause.nodes, reply.node)
    if node.token is None:
        raise Refused(f"{node.title} asks by mail only: its form can be answered there and not from here.")
    form = await form_of(instance, node.token)
    known = {item.name: item for item in form.inputs}
    unknown = next((name for name in reply.inputs if name not in known), None)
    if unknown is not None:
        raise UsageError(f"The form has no field {unknown!r} (it has: {', '.join(known) or 'none'}).")
    inputs = {name: reply.inputs.get(name, item.default) for name, item in known.items()}
    blank = [name for name, value in inputs.items() if value == "" and name not in reply.inputs]
    if blank:
        raise UsageError(
            f"The form wants {', '.join(blank)}.", hint=f"--input {blank[0]}=TEXT (a blank one: --input {blank[0]}=)"
        )
    return PlannedAnswer(
        app=app, run=run, node=node, asks=form.content, action=_action(form.actions, reply), inputs=inputs
    )  # fmt: skip


async def give_answer(instance: Instance, planned: PlannedAnswer, *, wait: float, clock: Clock) -> Answered:
    """Answer the form and look what becomes of the run.

    A run that was resumed may end as ``stopped`` although everything after the form ran (seen on 1.16.1): outputs
    count, not the word.

    Raises:
        Refused: somebody else was faster. RequestRejected: the server does not take the answer.
    """
    if planned.node.token is None:
        raise Refused(f"{planned.node.title} cannot be answered from here.")
    await answer_form(instance, planned.node.token, planned.inputs, planned.action.id)
    until, warnings = clock.monotonic() + wait, list[str]()
    status, outputs, error = "unknown", dict[str, object](), ""
    while True:
        try:
            body = await run_detail(instance, planned.app.id, planned.run)
            status, error = str(body.get("status")), str(body.get("error") or "")
            outputs = body["outputs"] if isinstance(body.get("outputs"), dict) else {}
            nodes = [item.node for item in (await pause_of(instance, planned.run)).nodes]
        except DifyopsError as fault:
            warnings = [f"The form was answered; what became of the run cannot be read: {fault.message}"]
            nodes = [planned.node.node]
        # the row says paused for a moment after the form is answered; only a node that waits now is another pause
        again = status == "paused" and bool(nodes) and planned.node.node not in nodes
        ended = status not in ("running", "paused", "unknown")
        if ended or again or clock.monotonic() >= until:
            break
        await clock.sleep(_LOOK_AGAIN)
    if status == "stopped" and _has_any(outputs):
        warnings.append(f"The server calls the run stopped ({error}), but its outputs are there.")
    elif again:
        warnings.append("The run waits again, at another node.")
    elif not ended:
        warnings.append("The run had not ended when the wait was over.")
    return Answered(
        app=planned.app.name, run=planned.run, node=planned.node.title, action=planned.action.id, status=status,
        outputs=outputs, warnings=tuple(warnings),
    )  # fmt: skip


async def _of_run(instance: Instance, app: App, record: LoggedRun) -> list[Wait]:
    try:
        pause = await pause_of(instance, record.id)
    except NotFound:  # it went on between the two calls
        return []
    return [await _of_node(instance, app, record, pause.since or record.started, node) for node in pause.nodes]


async def _of_node(instance: Instance, app: App, record: LoggedRun, since: float, node: PausedNode) -> Wait:
    asks, expires, actions, inputs = "", None, tuple[FormAction, ...](), tuple[str, ...]()
    if node.token is not None:
        try:
            form = await form_of(instance, node.token)
            asks, expires, actions = form.content, form.expires, form.actions
            inputs = tuple(item.name for item in form.inputs)
        except (NotFound, Refused):
            pass  # answered or over meanwhile: the run is still listed until the server moves on
    return Wait(
        app_id=app.id, app=app.name, run=record.id, node=node.node, title=node.title, asks=asks, since=since,
        expires=expires, source=record.source, by=record.user, actions=actions, inputs=inputs,
    )  # fmt: skip


def _chosen(nodes: Sequence[PausedNode], wanted: str | None) -> PausedNode:
    found = [item for item in nodes if wanted is None or wanted in (item.node, item.title)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(item.node for item in nodes)
    if found:
        raise UsageError(f"The run waits at {counted(len(found), 'node')}: {names}.", hint=f"--node {found[0].node}")
    raise UsageError(f"The run does not wait at {wanted!r} (it waits at: {names}).")


def _action(actions: Sequence[FormAction], reply: Reply) -> FormAction:
    listed = ", ".join(f"{item.id} ({item.title})" for item in actions) or "none"
    if reply.action is not None:
        found = [item for item in actions if reply.action in (item.id, item.title)]
        if not found:
            raise UsageError(f"The form has no action {reply.action!r} (it has: {listed}).")
        return found[0]
    if reply.rejects:
        found = [item for item in actions if {item.id.casefold(), item.title.casefold()} & _REJECTS]
        word = "no action that is plainly a no"
    else:
        found, word = list(actions), "several actions"
    if len(found) != 1:
        raise UsageError(f"The form has {word}: {listed}.", hint="Say which: --action ID")
    return found[0]


def _has_any(outputs: Mapping[str, object]) -> bool:
    return any(value not in (None, "", [], {}) for value in outputs.values())

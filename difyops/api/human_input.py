"""Runs that wait for a person (1.13.0 and newer): which, for what, since when; and answering their forms.

Seen on 1.13.0 and 1.16.1: ``GET /workflow/<run>/pause-details`` names the nodes with the address of a form; the last
part of that address is the token of ``GET`` and ``POST /form/human_input/<token>`` of the console. (The token that the
run's caller is told is another one, and of the service API.) Whoever holds a token can answer, so none is ever shown.
A form is answered once: a second answer is 412. No list of paused runs exists: logs of workflows can be filtered by
status, runs of chatflows are read newest first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from difyops.api import answers
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.paths import part
from difyops.api.run_feed import PAGE, runs_page
from difyops.api.run_records import LoggedRun
from difyops.api.shapes import filled, moment, obj, rows
from difyops.errors import NotFound, Refused, RequestRejected
from difyops.secret_text import SecretText

LONGEST_WAIT = 8 * 86400.0  # a server gives up after a week (HUMAN_INPUT_GLOBAL_TIMEOUT_SECONDS)
_MOST_PAGES = 50
_PAUSE = obj({"paused_nodes": rows(obj({"node_id": filled}))})
_GONE = "human_input_form_submitted", "human_input_form_expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormInput:
    """One field of a form."""

    name: str
    kind: str
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormAction:
    """One way to answer a form: the edge that the run takes then."""

    id: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedNode:
    """A node that waits. ``token`` lets whoever has it answer; blank where the form went out by mail only."""

    node: str
    title: str
    token: SecretText | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Why a run does not go on. ``since`` is unix seconds, ``None`` for a run that waits for nobody."""

    since: float | None
    nodes: tuple[PausedNode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a person is asked: the text, the fields, the ways to answer, until when (unix seconds)."""

    content: str
    inputs: tuple[FormInput, ...]
    actions: tuple[FormAction, ...]
    expires: float | None


def require_human_input(instance: Instance) -> None:
    """Refuse a server that has no pauses.

    Raises:
        NotSupported: it is older than 1.13.0.
    """
    instance.capabilities.require("human_input", "Waiting for a person")


async def paused_runs(instance: Instance, app: App, *, since: float) -> list[LoggedRun]:
    """Return the runs of an app that wait, newest first, begun at or after ``since``.

    Raises:
        NotSupported: the server has no pauses. DifyopsError: the list cannot be read.
    """
    require_human_input(instance)
    if not app.has_workflow:
        return []
    source = _logs(instance, app) if app.mode == "workflow" else _runs(instance, app)
    found: list[LoggedRun] = []
    async for record in source:
        if record.started < since:
            break
        if record.status == "paused":
            found.append(record)
    return found


async def pause_of(instance: Instance, run_id: str) -> Pause:
    """Return what a run waits for.

    Raises:
        NotFound: there is no such run. NotSupported: the server has no pauses.
    """
    require_human_input(instance)
    path = f"/workflow/{part(run_id)}/pause-details"
    body = await instance.console.mapping(path, doing="read what the run waits for", shape=_PAUSE)
    nodes = tuple(_node(row) for row in body["paused_nodes"])
    return Pause(since=_moment(body.get("paused_at")), nodes=nodes)


async def form_of(instance: Instance, token: SecretText) -> Form:
    """Return the form behind a token.

    Raises:
        NotFound: there is none. Refused: it was answered already, or its time is over.
    """
    path = f"/form/human_input/{part(token.reveal())}"
    try:
        body = await instance.console.mapping(path, doing="read the form", shape=answers.FORM)
    except RequestRejected as error:
        raise _told_apart(error, token) from None
    return Form(
        content=str(body.get("rendered_content") or body.get("form_content") or ""),
        inputs=tuple(_input(row) for row in body["inputs"]),
        actions=tuple(_action(row) for row in body["user_actions"]),
        expires=moment(body.get("expiration_time")),
    )  # fmt: skip


async def answer_form(instance: Instance, token: SecretText, inputs: Mapping[str, str], action: str) -> None:
    """Answer a form; sent once, never repeated.

    Raises:
        Refused: it was answered already, or its time is over. RequestRejected: the answer does not fit the form.
    """
    path = f"/form/human_input/{part(token.reveal())}"
    try:
        await instance.console.send("POST", path, {"inputs": dict(inputs), "action": action}, doing="answer the form")
    except RequestRejected as error:
        raise _told_apart(error, token) from None


async def _logs(instance: Instance, app: App) -> AsyncIterator[LoggedRun]:
    for number in range(1, _MOST_PAGES):
        body = await _got(instance, f"/apps/{part(app.id)}/workflow-app-logs", status="paused", page=number, limit=PAGE)
        for row in body["data"]:
            if record := LoggedRun.of_log(row):
                yield record
        if not body["has_more"]:
            return


async def _runs(instance: Instance, app: App) -> AsyncIterator[LoggedRun]:
    last: str | None = None
    for _ in range(_MOST_PAGES):
        page = await runs_page(instance, app, source="app-run", last_id=last)
        for row in page.rows:
            yield LoggedRun.of_run(row, "app-run")
        if not page.more or not page.rows:
            return
        last = str(page.rows[-1].get("id"))


async def _got(instance: Instance, path: str, **params: Any) -> Mapping[str, Any]:
    doing = "list paused runs"
    found: Mapping[str, Any] = await instance.console.get(path, doing=doing, shape=answers.WORKFLOW_LOGS, **params)
    return found


def _told_apart(error: RequestRejected, token: SecretText) -> Exception:
    """Return the error without the token, which servers repeat in their sentences."""
    said = error.message.replace(token.reveal(), "…")
    if isinstance(error, NotFound):
        return NotFound("There is no such form: it was answered, or it went out by mail only.")
    if error.status == 412 or error.server_code in _GONE:
        return Refused("The form was answered already, or its time is over.", hint="difyops app paused")
    error.message = said
    error.args = (said,)
    return error


def _node(row: Mapping[str, Any]) -> PausedNode:
    kind = row.get("pause_type")
    url = kind.get("backstage_input_url") if isinstance(kind, dict) else None
    token = url.rstrip("/").rpartition("/")[2].partition("?")[0] if isinstance(url, str) else ""
    return PausedNode(
        node=str(row.get("node_id")), title=str(row.get("node_title") or row.get("node_id")),
        token=SecretText(token) if token else None,
    )  # fmt: skip


def _action(row: Mapping[str, Any]) -> FormAction:
    return FormAction(id=str(row.get("id")), title=str(row.get("title") or ""))


def _input(row: Mapping[str, Any]) -> FormInput:
    default = row.get("default")
    value = default.get("value") if isinstance(default, dict) and default.get("type") == "constant" else ""
    return FormInput(
        name=str(row.get("output_variable_name") or ""), kind=str(row.get("type") or ""), default=str(value or "")
    )


def _moment(text: object) -> float | None:
    try:
        found = datetime.fromisoformat(str(text).replace("Z", "+00:00")) if text else None
    except ValueError:
        return None
    if found is None:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()

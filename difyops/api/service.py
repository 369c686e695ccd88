"""The service surface (``/v1``): running one app with its key, whatever its mode. The key selects the app.

All modes are run as streams: agents only stream, chatflows hang when blocking on 1.13.0, and only a stream tells
the task id by which a run can be stopped. Inputs are checked against the app's own form first, because a stream with
invalid ones stays silent for five minutes. A stream ends at ``workflow_finished`` for the workflow modes,
``message_end`` for the others, ``error`` for all; the connection is closed then by us. The end of a workflow run whose
stream broke is found again by the run's id (``run_ends``).
"""

from __future__ import annotations

import contextlib
import logging
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, NoReturn

import httpx

from difyops.api import answers
from difyops.api.auth import ServiceKey
from difyops.api.console import Console
from difyops.api.event_stream import lines
from difyops.api.faults import NO_ROUTE
from difyops.api.input_form import InputField, check_inputs, form_of
from difyops.api.instance import Instance
from difyops.api.messages import HttpAnswer as Reply
from difyops.api.paths import part
from difyops.api.run_answer import Answer, Gathered, OnDelta, OnTask, text_of
from difyops.api.run_ends import PATIENCE, RunEnds
from difyops.api.run_faults import told_apart, was_never_sent
from difyops.api.shapes import Shape, fit
from difyops.api.sse import SILENCE, BrokenStream, ServerEvent, parse_line
from difyops.api.transport import Transport, json_of
from difyops.clock import Clock, SystemClock
from difyops.config import Context, clean_url
from difyops.errors import CredentialError, DifyopsError, Forbidden, NotFound, ServerFault, Unreachable
from difyops.secret_text import SecretText

__all__ = ["Answer", "InputField", "Question", "Service", "app_key", "check_inputs", "text_of"]

_PATHS = {"workflow": "/v1/workflows/run", "completion": "/v1/completion-messages"}
_CHAT = "/v1/chat-messages"
_STOPS = {"workflow": "/v1/workflows/tasks/{}/stop", "completion": "/v1/completion-messages/{}/stop"}

OnLine = Callable[[str, ServerEvent | None], None]

log = logging.getLogger("difyops.api")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an app is asked: inputs by name, a query for the chat modes, who asks, files, a conversation to go on."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""
    user: str = "difyops"
    files: tuple[Mapping[str, Any], ...] = ()
    conversation_id: str | None = None


@dataclass(slots=True)
class Service:
    """The service calls of one app; ``name`` is what hints call it."""

    transport: Transport
    key: SecretText
    mode: str
    clock: Clock = field(default_factory=SystemClock)
    version: str = ""
    name: str = ""

    async def info(self) -> dict[str, Any]:
        """Return name, description and mode of the key's app: the cheapest proof that a key works."""
        try:
            body: dict[str, Any] = await self._get("/v1/info", doing="read the app's info", shape=answers.INFO)
        except NotFound as error:
            _raise_told_apart(error)
        return body

    async def form(self) -> tuple[InputField, ...]:
        """Return the input form of the key's app.

        Raises:
            RunFailed: the app cannot be run, as it stands (unpublished).
        """
        try:
            body = await self._get("/v1/parameters", doing="read the app's inputs", shape=answers.PARAMETERS)
        except DifyopsError as error:
            _raise_told_apart(error)
        return form_of(body)

    async def run(
        self,
        question: Question,
        *,
        on_delta: OnDelta | None = None,
        on_task: OnTask | None = None,
        on_line: OnLine | None = None,
        on_send: Callable[[], None] | None = None,
        silence: float = SILENCE,
        patience: float = PATIENCE,
    ) -> Answer:
        """Run the app once and return its answer; never repeated. ``on_task`` gets the id that ``stop`` takes.

        When the stream breaks, or no line comes for ``silence`` seconds, the end of the same run is looked for by its
        id, for ``patience`` seconds; ``learned`` in the answer says so. ``on_line`` gets each line as it comes, with
        the event that it is; ``on_send`` is called when the first byte is about to be sent.

        Raises:
            RunFailed: the app, its provider or its limits said no; or no end was seen in time, and it may go on.
            NotAuthenticated, Forbidden: key or API switch. TimedOut, Unreachable: lost before a run id was seen.
        """
        started = self.clock.monotonic()
        gathered = Gathered(mode=self.mode)

        def take(line: str) -> None:
            event = parse_line(line)
            if on_line:
                on_line(line, event)
            if event is not None and event.name != "ping":
                gathered.take(event, self.clock.monotonic() - started, on_delta, on_task)

        try:
            with self._named():
                await self._stream(question, gathered, take, silence, on_send)
        except (Unreachable, BrokenStream) as error:
            if gathered.run_id is None:
                lost = _unknown(error, gathered)
                if lost is error:
                    raise
                raise lost from error.__cause__
            log.warning("%s The end of run %s is looked for by its id.", error.message, gathered.run_id)
        except DifyopsError as error:
            _raise_told_apart(error)
        if gathered.run_id is not None and not (gathered.ended or gathered.paused):
            gathered.end(*await self._ends().find(gathered.run_id, question.user, patience), on_delta)
        return gathered.answer(self.clock.monotonic() - started)

    async def end_of(self, run_id: str, user: str, *, patience: float = PATIENCE) -> Answer:
        """Return the answer of a workflow run that was begun earlier, for the ``user`` who began it.

        Raises:
            RunFailed: what the run says about itself; or no end was seen in ``patience`` seconds.
        """
        started = self.clock.monotonic()
        gathered = Gathered(mode=self.mode, ids={"workflow_run_id": run_id})
        gathered.end(*await self._ends().find(run_id, user, patience))
        return gathered.answer(self.clock.monotonic() - started)

    async def detail(self, run_id: str) -> Mapping[str, Any]:
        """Return a workflow run as the server tells it now: status, inputs, outputs, error, times, tokens."""
        return await self._ends().detail(run_id)

    async def _stream(
        self,
        question: Question,
        gathered: Gathered,
        take: Callable[[str], None],
        silence: float,
        on_send: Callable[[], None] | None,
    ) -> None:
        path, body = _PATHS.get(self.mode, _CHAT), self._body(question)
        opened = self.transport.stream("POST", path, doing="run the app", auth=self._auth(), on_send=on_send, json=body)
        async with opened as answer:
            self.version = answer.headers.get("x-version") or self.version
            _check_is_stream(answer)
            async with aclosing(lines(answer, silence=silence)) as arriving:
                async for line in arriving:
                    take(line)
                    if gathered.ended or gathered.paused:
                        return

    def _ends(self) -> RunEnds:
        return RunEnds(transport=self.transport, auth=self._auth(), clock=self.clock, version=self.version)

    async def upload(self, name: str, content: bytes, kind: str, user: str) -> str:
        """Upload a file for ``user`` and return the id by which a question refers to it. ``kind`` is a media type.

        Raises:
            RequestRejected: too large (413), a type that the server does not take (415).
        """
        doing = f"upload {name}"
        response = await self.transport.request(
            "POST",
            "/v1/files/upload",
            doing=doing,
            auth=self._auth(),
            repeatable=False,
            files={"file": (name, content, kind)},
            data={"user": user},
        )
        return str(fit(json_of(response, doing=doing), answers.FILE, doing=doing, endpoint="/v1/files/upload")["id"])

    async def stop(self, task_id: str, user: str) -> None:
        """Ask the server to stop a run; it always says success."""
        path = _STOPS.get(self.mode, _CHAT + "/{}/stop").format(part(task_id))
        await self.transport.request(
            "POST", path, doing="stop the run", auth=self._auth(), json={"user": user}, repeatable=False
        )

    def _body(self, question: Question) -> dict[str, Any]:
        body: dict[str, Any] = {
            "inputs": dict(question.inputs),
            "user": question.user,
            "response_mode": "streaming",
        }
        if self.mode not in ("workflow", "completion"):
            body |= {"query": question.query, "auto_generate_name": False}
        elif self.mode == "completion" and question.query:
            body["inputs"].setdefault("query", question.query)
        if question.files:
            body["files"] = [dict(item) for item in question.files]
        if question.conversation_id:
            body["conversation_id"] = question.conversation_id
        return body

    async def _get(self, path: str, *, doing: str, shape: Shape) -> Any:
        with self._named():
            response = await self.transport.request("GET", path, doing=doing, auth=self._auth())
        return fit(json_of(response, doing=doing), shape, doing=doing, endpoint=path)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Name the app in the hint of a refusal, which the transport cannot."""
        try:
            yield
        except Forbidden as error:
            if self.name and error.hint:
                error.hint = re.sub(r"\bAPP\b", lambda _: shlex.quote(self.name), error.hint)
            raise

    def _auth(self) -> ServiceKey:
        return ServiceKey(self.key)


async def other_service_url(instance: Instance) -> str | None:
    """Return the address that the apps name for their service API when the context sends keys to another one.

    Only offered, never used unasked: keys go to no host that the context does not name.
    """
    try:
        first = await anext(aiter(instance.console.apps()), None)
        detail = await instance.console.app(first.id) if first else None
        named = clean_url(str(detail.raw.get("api_base_url") or "") if detail else "", where="api_base_url")
    except DifyopsError:  # it is an offer: what is in the way of it is told by other calls
        return None
    return None if _is_same_place(named, instance.context) else named


def _is_same_place(named: str, context: Context) -> bool:
    """Say whether keys go there already; an address of the server's own machine says nothing about ours."""
    url = httpx.URL(named)
    known = [httpx.URL(item) for item in (context.url, context.service_url)]
    return (
        named in (context.url, context.service_url)
        or url.host in ("localhost", "127.0.0.1", "::1")
        or (context.api_url is None and any(url.host == item.host and url.path == item.path for item in known))
    )


async def app_key(console: Console, app_id: str) -> SecretText:
    """Return a service key of an app, found through the console.

    Raises:
        CredentialError: the app has none (keys are not created as a side effect).
    """
    path = f"/apps/{part(app_id)}/api-keys"
    body = await console.get(path, doing="read the app's keys", shape=answers.KEYS)
    tokens = [row["token"] for row in body["data"]]
    if not tokens:
        raise CredentialError("The app has no API key.", hint="Create one in the web page (API access, API key).")
    return SecretText(tokens[0])


def _raise_told_apart(error: DifyopsError) -> NoReturn:
    if isinstance(error, NotFound) and error.server_code == NO_ROUTE:
        raise NotFound(
            f"{error.message.removesuffix('.')}: there is no service API (/v1) at this address.",
            status=error.status,
            server_code=NO_ROUTE,
            hint="If another host serves /v1, set api_url in the context: difyops context check.",
        ) from error
    apart = told_apart(error)
    if apart is error:
        raise error
    raise apart from error


def _unknown(error: Unreachable | BrokenStream, gathered: Gathered) -> DifyopsError:
    """Return the error of a stream that was lost before the id of a workflow run was seen: nothing can be found."""
    if was_never_sent(error):
        return error
    begun = "message_id" in gathered.ids or "task_id" in gathered.ids
    said = "The run began; its end is not known." if begun else "No run id was seen: it is unknown whether the app ran."
    message = f"{error.message.removesuffix('; the run may go on.').removesuffix('.')}. {said}"
    return type(error)(message, retryable=error.retryable)


def _check_is_stream(answer: Reply) -> None:
    kind = answer.headers.get("content-type", "")
    if "text/event-stream" not in kind:
        raise ServerFault(
            f"run the app: the answer is {kind.split(';')[0] or 'of no type'}, not a stream of events.",
            hint="difyops context check",
        )

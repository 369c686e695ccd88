"""The service surface (``/v1``): running one app with its key, whatever its mode. The key selects the app.

All modes are run as streams: agents only stream, chatflows hang when blocking on 1.13.0, and only a stream tells
the task id by which a run can be stopped. Inputs are checked against the app's own form first, because a stream with
invalid ones stays silent for five minutes. A stream ends at ``workflow_finished`` for the workflow modes,
``message_end`` for the others, ``error`` for all; the connection is closed then by us.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import httpx

from difyops.api import answers
from difyops.api.auth import ServiceKey
from difyops.api.console import Console
from difyops.api.event_stream import lines
from difyops.api.faults import NO_ROUTE
from difyops.api.input_form import InputField, check_inputs, form_of
from difyops.api.instance import Instance
from difyops.api.paths import part
from difyops.api.run_faults import CUT_OFF, RunFailed, run_failure, told_apart
from difyops.api.shapes import Shape, fit, whole
from difyops.api.sse import SILENCE, Event, parse_line
from difyops.api.transport import Transport, json_of
from difyops.clock import Clock, SystemClock
from difyops.config import Context, clean_url
from difyops.errors import CredentialError, DifyopsError, NotFound, ServerFault
from difyops.secret_text import SecretText

__all__ = ["Answer", "InputField", "Question", "Service", "app_key", "check_inputs", "text_of"]

_PATHS = {"workflow": "/v1/workflows/run", "completion": "/v1/completion-messages"}
_CHAT = "/v1/chat-messages"
_STOPS = {"workflow": "/v1/workflows/tasks/{}/stop", "completion": "/v1/completion-messages/{}/stop"}
_ENDS = {"workflow": "workflow_finished", "advanced-chat": "workflow_finished"}
_DELTAS = frozenset({"message", "agent_message", "text_chunk"})

_HIGHEST_PRICE = Decimal(10) ** 15
_LARGEST_ANSWER = 64 * 1024 * 1024

OnDelta = Callable[[str], None]
OnTask = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an app is asked: inputs by name, a query for the chat modes, who asks, files, a conversation to go on."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""
    user: str = "difyops"
    files: tuple[Mapping[str, Any], ...] = ()
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an app answered. ``outputs`` for workflows; times in seconds; ``tokens`` and ``price`` where known."""

    text: str
    outputs: Mapping[str, Any] = field(default_factory=dict)
    status: str = "succeeded"
    conversation_id: str | None = None
    message_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    tokens: int | None = None
    price: Decimal | None = None
    currency: str | None = None
    first_token: float | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class Service:
    """The service calls of one app."""

    transport: Transport
    key: SecretText
    mode: str
    clock: Clock = field(default_factory=SystemClock)

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
        silence: float = SILENCE,
    ) -> Answer:
        """Run the app once and return its answer; never repeated. ``on_task`` gets the id that ``stop`` takes.

        Raises:
            RunFailed: the app, its provider or its limits said no. NotAuthenticated, Forbidden: key or API switch.
            TimedOut: no line for ``silence`` seconds. Unreachable: the connection broke; the run may go on.
        """
        body = self._body(question)
        path = _PATHS.get(self.mode, _CHAT)
        started = self.clock.monotonic()
        gathered = _Gathered(mode=self.mode)
        try:
            async with self.transport.stream("POST", path, doing="run the app", auth=self._auth(), json=body) as answer:
                _check_is_stream(answer)
                async with aclosing(lines(answer, silence=silence)) as arriving:
                    async for line in arriving:
                        event = parse_line(line)
                        if event is None or event.name == "ping":
                            continue
                        gathered.take(event, self.clock.monotonic() - started, on_delta, on_task)
                        if gathered.ended:
                            break
        except DifyopsError as error:
            _raise_told_apart(error)
        return gathered.answer(self.clock.monotonic() - started)

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
        response = await self.transport.request("GET", path, doing=doing, auth=self._auth())
        return fit(json_of(response, doing=doing), shape, doing=doing, endpoint=path)

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


@dataclass(slots=True)
class _Gathered:
    """The answer as it grows, event by event."""

    mode: str
    parts: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
    finished: dict[str, Any] = field(default_factory=dict)
    first_token: float | None = None
    size: int = 0
    ended: bool = False

    def take(self, event: Event, elapsed: float, on_delta: OnDelta | None, on_task: OnTask | None) -> None:
        """Take one event in; failures raise."""
        self._remember(event, on_task)
        if event.name in _DELTAS:
            delta = str(event.body.get("answer") or event.data.get("text") or "")
            if delta:
                self.first_token = elapsed if self.first_token is None else self.first_token
                self.parts.append(delta)
                self.size += len(delta)
                if self.size > _LARGEST_ANSWER:
                    raise ServerFault(f"The answer is longer than {_LARGEST_ANSWER} characters.")
                if on_delta:
                    on_delta(delta)
        elif event.name == "message_replace":
            self.parts = [str(event.body.get("answer") or "")]
        elif event.name == "message_end":
            metadata = event.body.get("metadata")
            usage = metadata.get("usage") if isinstance(metadata, dict) else None
            self.usage = usage if isinstance(usage, dict) else {}
        elif event.name == "workflow_finished":
            self.finished = event.data
        elif event.name == "error":
            raise run_failure(str(event.body.get("code") or ""), str(event.body.get("message") or ""))
        self.ended = event.name == _ENDS.get(self.mode, "message_end")

    def answer(self, seconds: float) -> Answer:
        """Return the answer, or raise what the run says about itself."""
        if not self.ended:
            raise RunFailed("The stream ended without a result; the run may go on.", kind=CUT_OFF)
        status = str(self.finished.get("status") or "succeeded")
        if status not in ("succeeded", "partial-succeeded"):
            raise run_failure("", str(self.finished.get("error") or f"The run ended as {status}."))
        outputs = self._outputs()
        tokens = self.usage.get("total_tokens", self.finished.get("total_tokens"))
        text = "".join(self.parts) if self.mode != "workflow" or not outputs else text_of(outputs)
        return Answer(
            text=text,
            outputs=outputs if self.mode == "workflow" else {},
            status=status,
            conversation_id=self.ids.get("conversation_id"),
            message_id=self.ids.get("message_id"),
            run_id=self.ids.get("workflow_run_id"),
            task_id=self.ids.get("task_id"),
            tokens=whole(tokens),
            price=_price(self.usage.get("total_price")),
            currency=currency if isinstance(currency := self.usage.get("currency"), str) else None,
            first_token=self.first_token,
            seconds=seconds,
        )

    def _outputs(self) -> dict[str, Any]:
        outputs = self.finished.get("outputs") or {}
        if not isinstance(outputs, dict):
            raise ServerFault("run the app: the outputs of the run are no object.")
        return outputs

    def _remember(self, event: Event, on_task: OnTask | None) -> None:
        for name in ("task_id", "conversation_id", "message_id", "workflow_run_id"):
            value = event.body.get(name)
            if value:
                if name == "task_id" and name not in self.ids and on_task:
                    on_task(str(value))
                self.ids[name] = str(value)


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


def _check_is_stream(answer: httpx.Response) -> None:
    kind = answer.headers.get("content-type", "")
    if "text/event-stream" not in kind:
        raise ServerFault(
            f"run the app: the answer is {kind.split(';')[0] or 'of no type'}, not a stream of events.",
            hint="difyops context check",
        )


def text_of(outputs: Mapping[str, Any]) -> str:
    """Return a workflow's outputs as text: the only text field as it is, several as ``name: value`` lines."""
    filled = {key: value for key, value in outputs.items() if value not in (None, "")}
    texts = [value for value in filled.values() if isinstance(value, str)]
    if len(texts) == 1:
        return texts[0]
    return "\n".join(f"{key}: {value}" for key, value in filled.items())


def _price(text: Any) -> Decimal | None:
    try:
        price = Decimal(str(text)) if isinstance(text, str | int | float) and not isinstance(text, bool) else None
    except InvalidOperation:
        return None
    return price if price is not None and price.is_finite() and abs(price) < _HIGHEST_PRICE else None

"""What a run answers, put together from the events of its stream, or from its end alone when the stream broke."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from difyops.api.run_faults import CUT_OFF, PAUSED, RunFailed, run_failure
from difyops.api.shapes import whole
from difyops.api.sse import ServerEvent
from difyops.errors import ServerFault

STREAM = "stream"  # how the end was learned: from the run's own stream,
EVENTS = "events"  # from the events of the run, read once more,
POLLED = "polled"  # or from the run's detail, asked for until it had ended

_ENDS = {"workflow": "workflow_finished", "advanced-chat": "workflow_finished"}
_DELTAS = frozenset({"message", "agent_message", "text_chunk"})
_HIGHEST_PRICE = Decimal(10) ** 15
_LARGEST_ANSWER = 64 * 1024 * 1024

OnDelta = Callable[[str], None]
OnTask = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an app answered. ``outputs`` for workflows; times in seconds; ``tokens`` and ``price`` where known.

    ``learned`` says where its end was read: in its ``stream``, in the ``events`` of the run, or ``polled``.
    """

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
    learned: str = STREAM


@dataclass(slots=True)
class Gathered:
    """The answer as it grows, event by event."""

    mode: str
    parts: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
    finished: dict[str, Any] = field(default_factory=dict)
    first_token: float | None = None
    size: int = 0
    ended: bool = False
    paused: bool = False
    learned: str = STREAM

    @property
    def run_id(self) -> str | None:
        """Return the id of the workflow run, where there is one and it was seen."""
        return self.ids.get("workflow_run_id")

    def take(self, event: ServerEvent, elapsed: float, on_delta: OnDelta | None, on_task: OnTask | None) -> None:
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
        elif event.name == "workflow_paused":
            self.paused = True
        elif event.name == "error":
            raise run_failure(str(event.body.get("code") or ""), str(event.body.get("message") or ""))
        self.ended = event.name == _ENDS.get(self.mode, "message_end")

    def end(self, finished: Mapping[str, Any], learned: str, on_delta: OnDelta | None = None) -> None:
        """Take the end of the run from elsewhere; the rest of the text is told, where what came is its beginning."""
        self.finished, self.learned, self.ended = dict(finished), learned, True
        said, told = self._outputs().get("answer"), "".join(self.parts)
        if self.mode == "workflow" or not isinstance(said, str):
            return
        self.parts = [said]
        if on_delta and said.startswith(told) and len(said) > len(told):
            on_delta(said[len(told) :])

    def answer(self, seconds: float) -> Answer:
        """Return the answer, or raise what the run says about itself."""
        if self.paused or self.finished.get("status") == "paused":
            raise RunFailed("The run waits for a person (human input).", kind=PAUSED)
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
            learned=self.learned,
        )

    def _outputs(self) -> dict[str, Any]:
        outputs = self.finished.get("outputs") or {}
        if not isinstance(outputs, dict):
            raise ServerFault("run the app: the outputs of the run are no object.")
        return outputs

    def _remember(self, event: ServerEvent, on_task: OnTask | None) -> None:
        for name in ("task_id", "conversation_id", "message_id", "workflow_run_id"):
            value = event.body.get(name)
            if value:
                if name == "task_id" and name not in self.ids and on_task:
                    on_task(str(value))
                self.ids[name] = str(value)


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

"""What one agent answered, as a frozen record, and its way into and out of a line of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import Any

from difyops.api.run_faults import class_of
from difyops.broadcast.plan import Target
from difyops.errors import DifyopsError

ANSWERED = "answered"
FAILED = "failed"
REFUSED = "refused"
STOPPED = "stopped"
SKIPPED = "skipped"
STATUSES = (ANSWERED, FAILED, REFUSED, STOPPED, SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAnswer:
    """The end of one target.

    ``status``: answered; failed (the run was called and went wrong); refused (it was not called: no key, unpublished,
    input does not fit); stopped (cancelled while running: quorum, deadline, budget, Ctrl-C; ``text`` is what came);
    skipped (not begun). ``error`` is one word for the class of a failure, ``message`` says it. Times in seconds.
    ``learned``: where the end was read, in the run's ``stream``, its ``events`` once more, or ``polled``.
    """

    target: str
    context: str
    app_id: str
    app: str
    mode: str
    status: str
    text: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    tokens: int | None = None
    price: Decimal | None = None
    currency: str | None = None
    first_token: float | None = None
    seconds: float | None = None
    conversation_id: str | None = None
    message_id: str | None = None
    run_id: str | None = None
    learned: str = "stream"
    error: str | None = None
    message: str | None = None
    hint: str | None = None
    retryable: bool = False
    exit_code: int = field(default=0, repr=False)  # for our own, not for whoever reads the answers
    attempts: int = 0
    hedged: bool = False
    unused_inputs: tuple[str, ...] = ()
    order: int = 0

    @property
    def ok(self) -> bool:
        """Say whether there is a whole answer."""
        return self.status == ANSWERED


def without_answer(target: Target, status: str, error: DifyopsError | None = None, **known: Any) -> AgentAnswer:
    """Return the record of a target that has no whole answer, with what is known of it."""
    told: dict[str, Any] = {}
    if error is not None:
        told = {
            "error": class_of(error),
            "message": error.message,
            "hint": error.hint,
            "retryable": error.retryable,
            "exit_code": error.exit_code,
        }
    return AgentAnswer(**who(target), status=status, **{**told, **known})


def who(target: Target) -> dict[str, Any]:
    """Return the fields that say whose answer it is."""
    return {
        "target": target.id,
        "context": target.context,
        "app_id": target.app.id,
        "app": target.app.name,
        "mode": target.app.mode,
    }


def to_record(answer: AgentAnswer) -> dict[str, Any]:
    """Return JSON types; fields at their default are left out."""
    record: dict[str, Any] = {}
    for item in fields(AgentAnswer):
        value = getattr(answer, item.name)
        default = item.default if item.default_factory is MISSING else item.default_factory()
        if default is not MISSING and value == default:
            continue
        record[item.name] = str(value) if isinstance(value, Decimal) else value
    return record


def from_record(record: Mapping[str, Any]) -> AgentAnswer:
    """Read what ``to_record`` wrote; unknown fields are ignored.

    Raises:
        ValueError: it is not such a record.
    """
    known = {item.name for item in fields(AgentAnswer)}
    values = {key: value for key, value in record.items() if key in known}
    try:
        if "price" in values:
            values["price"] = Decimal(str(values["price"]))
        values["unused_inputs"] = tuple(values.get("unused_inputs", ()))
        answer = AgentAnswer(**values)
    except (TypeError, InvalidOperation) as error:
        raise ValueError(f"not an answer: {error}") from error
    if answer.status not in STATUSES:
        raise ValueError(f"not an answer: status {answer.status!r}")
    return answer

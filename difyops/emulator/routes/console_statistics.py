"""Statistics by day, in the account's time zone. Days without traffic are missing; workflow costs have no price."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

from starlette.responses import Response

from difyops.emulator import shapes
from difyops.emulator.records import Message, Run
from difyops.emulator.routes.console_logs import ZONE, local_minute
from difyops.emulator.routes.console_workflows import flow_app
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict

APP = "/console/api/apps/{app_id:uuid}"
_CHATS = ("chat", "agent-chat", "advanced-chat")


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, ZONE).strftime("%Y-%m-%d")


def _between(call: Call) -> Callable[[int], bool]:
    start, end = local_minute(call, "start"), local_minute(call, "end")
    return lambda moment: (start is None or moment >= start) and (end is None or moment < end)


def _messages(call: Call) -> dict[str, list[Message]]:
    inside = _between(call)
    days: dict[str, list[Message]] = {}
    for conversation in call.app.conversations.values():
        for message in conversation.messages:
            if inside(message.created_at):
                days.setdefault(_day(message.created_at), []).append(message)
    return dict(sorted(days.items()))


def _runs(call: Call) -> dict[str, list[Run]]:
    inside = _between(call)
    days: dict[str, list[Run]] = {}
    for run in call.app.runs:
        if run.triggered_from == "app-run" and inside(run.created_at):
            days.setdefault(_day(run.created_at), []).append(run)
    return dict(sorted(days.items()))


def _rows(days: Iterable[tuple[str, JsonDict]]) -> Response:
    return shapes.answer({"data": [{"date": day, **values} for day, values in days]})


def daily_messages(call: Call) -> Response:
    """Count messages."""
    return _rows((day, {"message_count": len(found)}) for day, found in _messages(call).items())


def daily_conversations(call: Call) -> Response:
    """Count conversations that had a message."""
    days = _messages(call).items()
    return _rows((day, {"conversation_count": len({m.conversation_id for m in found})}) for day, found in days)


def daily_end_users(call: Call) -> Response:
    """Count end users."""
    days = _messages(call).items()
    return _rows((day, {"terminal_count": len({m.end_user.id for m in found if m.end_user})}) for day, found in days)


def token_costs(call: Call) -> Response:
    """Sum tokens and price of messages; title calls are not in it."""
    days = _messages(call).items()
    return _rows((day, _costs(found)) for day, found in days)


def _costs(found: list[Message]) -> JsonDict:
    tokens = sum(message.message_tokens + message.answer_tokens for message in found)
    price = sum((Decimal(message.price) for message in found), Decimal(0))
    return {"token_count": tokens, "total_price": f"{price:.7f}", "currency": "USD"}


def session_interactions(call: Call) -> Response:
    """Average messages per conversation."""
    flow_app(call, _CHATS)
    days = _messages(call).items()
    return _rows(
        (day, {"interactions": round(len(found) / len({m.conversation_id for m in found}), 2)}) for day, found in days
    )


def satisfaction(call: Call) -> Response:
    """Likes per thousand messages."""
    days = _messages(call).items()
    return _rows(
        (day, {"rate": round(1000 * sum(_liked(message) for message in found) / len(found), 2)}) for day, found in days
    )


def _liked(message: Message) -> bool:
    return bool(message.feedback and message.feedback["rating"] == "like")


def response_time(call: Call) -> Response:
    """Average latency in milliseconds (completion apps only)."""
    flow_app(call, ("completion",))
    days = _messages(call).items()
    return _rows((day, {"latency": round(1000 * sum(m.latency for m in found) / len(found), 4)}) for day, found in days)


def tokens_per_second(call: Call) -> Response:
    """Answer tokens per second of latency."""
    days = _messages(call).items()
    return _rows((day, {"tps": _speed(found)}) for day, found in days)


def _speed(found: list[Message]) -> float:
    seconds = sum(message.latency for message in found)
    return round(sum(message.answer_tokens for message in found) / seconds, 4) if seconds else 0.0


def workflow_runs(call: Call) -> Response:
    """Count production runs of a workflow."""
    return _rows((day, {"runs": len(found)}) for day, found in _runs(call).items())


def workflow_terminals(call: Call) -> Response:
    """Count the end users of a workflow."""
    days = _runs(call).items()
    return _rows((day, {"terminal_count": len({r.end_user.id for r in found if r.end_user})}) for day, found in days)


def workflow_costs(call: Call) -> Response:
    """Sum the tokens of a workflow: a string, and no price."""
    return _rows((day, {"token_count": str(sum(r.total_tokens for r in found))}) for day, found in _runs(call).items())


def workflow_interactions(call: Call) -> Response:
    """Average runs per end user."""
    days = _runs(call).items()
    return _rows((day, {"interactions": _per_user(found)}) for day, found in days)


def _per_user(found: list[Run]) -> float:
    users = {run.end_user.id for run in found if run.end_user}
    return round(len(found) / max(1, len(users)), 2)


ROUTES = (
    Route("GET", f"{APP}/statistics/daily-messages", daily_messages),
    Route("GET", f"{APP}/statistics/daily-conversations", daily_conversations),
    Route("GET", f"{APP}/statistics/daily-end-users", daily_end_users),
    Route("GET", f"{APP}/statistics/token-costs", token_costs),
    Route("GET", f"{APP}/statistics/average-session-interactions", session_interactions),
    Route("GET", f"{APP}/statistics/user-satisfaction-rate", satisfaction),
    Route("GET", f"{APP}/statistics/average-response-time", response_time),
    Route("GET", f"{APP}/statistics/tokens-per-second", tokens_per_second),
    Route("GET", f"{APP}/workflow/statistics/daily-conversations", workflow_runs),
    Route("GET", f"{APP}/workflow/statistics/daily-terminals", workflow_terminals),
    Route("GET", f"{APP}/workflow/statistics/token-costs", workflow_costs),
    Route("GET", f"{APP}/workflow/statistics/average-app-interactions", workflow_interactions),
)

"""How broadcasts look: the plan, the result, and the lines of ``-o ndjson``, which leave as the answers come."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from difyops.broadcast.aggregate import Combined
from difyops.broadcast.answer import AgentAnswer
from difyops.broadcast.plan import BroadcastPlan
from difyops.broadcast.result import Broadcast
from difyops.counting import counted
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.render import machine
from difyops.render.safe import escaped, one_line

_MOST_ANSWERS = 20
_MOST_LINES = 40
_EXCERPT = 60


class AnswerLines:
    """Writes one JSON object a line to stdout, each as soon as it is there."""

    def add(self, answer: AgentAnswer) -> None:
        """Write one answer."""
        line = json.dumps({"kind": "answer", **machine.plain(answer)}, ensure_ascii=False)
        sys.stdout.write(escaped(line) + "\n")
        sys.stdout.flush()


def planned(plan: BroadcastPlan, *, aggregate: str) -> Outcome:
    """Show whom a broadcast would ask; nothing was called but the app lists."""
    rows = [
        (target.app.name, target.context, target.app.mode, "refused" if target.refusal else "ask", _why(target.refusal))
        for target in plan.targets
    ]
    refused = sum(1 for target in plan.targets if target.refusal)
    data = {
        "question": plan.question,
        "aggregate": aggregate,
        "tokens_at_least": plan.estimate,
        "targets": [
            {
                "target": item.id,
                "app": item.app.name,
                "app_id": item.app.id,
                "mode": item.app.mode,
                "refused": _why(item.refusal),
            }
            for item in plan.targets
        ],
    }
    return Outcome(
        kind="broadcast.plan",
        data=data,
        blocks=[Table(columns=("agent", "context", "mode", "plan", "why"), rows=rows)],
        summary=f"dry run: would ask {len(rows) - refused} of {counted(len(rows), 'target')}, at least"
        f" {counted(plan.estimate, 'token')}",
        warnings=plan.warnings,
        names=[target.app.name for target in plan.targets],
        records=data["targets"],  # type: ignore[arg-type]
    )


def broadcast(result: Broadcast, *, streamed: bool = False, answers_shown: bool = False) -> Outcome:
    """Show a broadcast. ``streamed``: its answers left as lines already; ``answers_shown``: they were on the screen."""
    data = _data(result)
    summary: list[Mapping[str, object]] = [{"kind": "summary", **{key: data[key] for key in data if key != "answers"}}]
    blocks: list[Block] = [] if answers_shown else _texts(result)
    blocks.append(_table(result, brief=answers_shown))
    blocks += _combined(result.combined)
    if streamed:
        failed = result.error
        summary[0] = {**summary[0], "ok": failed is None, "error": failed.as_dict() if failed else None}
    return Outcome(
        kind="broadcast",
        data=data,
        blocks=blocks,
        summary=_summary(result),
        warnings=result.warnings,
        names=[answer.app for answer in result.answers if answer.ok],
        records=summary if streamed else [{"kind": "answer", **_fields(item)} for item in result.answers],
        error=result.error,
    )


def _fields(answer: AgentAnswer) -> dict[str, object]:
    """Return an answer's fields as they are; they become JSON types where somebody asked for that."""
    return {item.name: getattr(answer, item.name) for item in fields(answer) if item.repr}


def _data(result: Broadcast) -> dict[str, Any]:
    return {
        "question": result.question,
        "user": result.user,
        "ended": result.ended,
        "counts": result.counts,
        "earlier": result.earlier,
        "unsaved": result.unsaved,
        "tokens": result.tokens,
        "prices": result.prices,
        "seconds": round(result.seconds, 3),
        "combined": result.combined if result.combined and result.combined.how != "list" else None,
        "answers": result.answers,
    }


def _texts(result: Broadcast) -> list[Block]:
    answered = [answer for answer in result.answers if answer.text]
    if len(answered) > _MOST_ANSWERS:
        return []
    return [Lines(title=_titled(answer), lines=_shortened(answer.text)) for answer in answered]


def _titled(answer: AgentAnswer) -> str:
    return one_line(answer.app) if answer.ok else f"{one_line(answer.app)} ({answer.status}; what came before)"


def _shortened(text: str) -> list[tuple[str, str]]:
    lines = [("", line[:4000]) for line in text.strip().splitlines()]
    if len(lines) <= _MOST_LINES:
        return lines
    return [*lines[:_MOST_LINES], ("", f"... and {counted(len(lines) - _MOST_LINES, 'more line')} (-o json has all)")]


def _table(result: Broadcast, *, brief: bool) -> Table:
    contexts = {answer.context for answer in result.answers}
    many = len(contexts) > 1
    columns = ["agent", *(["context"] if many else []), "status", "tokens", "price", "first token", "seconds", "answer"]
    rows = [
        (
            answer.app,
            *([answer.context] if many else []),
            answer.status,
            answer.tokens,
            f"{answer.price:f} {answer.currency or ''}".strip() if answer.price is not None else None,
            _rounded(answer.first_token),
            _rounded(answer.seconds),
            _excerpt(answer, brief=brief),
        )
        for answer in result.answers
    ]
    return Table(columns=columns, rows=rows, title="Broadcast", empty="Nobody was asked.")


def _excerpt(answer: AgentAnswer, *, brief: bool) -> str:
    """Return the beginning of an answer, or why there is none: in one word when the screen has the sentence."""
    if not answer.ok:
        return f"{answer.error}: {answer.message}" if answer.message and not brief else answer.error or ""
    said = one_line(answer.text[: _EXCERPT * 4])
    return said if len(said) <= _EXCERPT else said[: _EXCERPT - 1] + "…"


def _combined(combined: Combined | None) -> list[Block]:
    if combined is None or combined.how == "list":
        return []
    pairs: list[tuple[str, object]] = [
        ("answers used", f"{combined.used} of {combined.asked}"),
        ("decided", combined.decided),
        *((key, value) for key, value in combined.details.items() if not isinstance(value, (list, dict))),
        *(("note", note) for note in combined.notes),
    ]
    shown: list[Block] = [Facts(title=f"Together: {combined.how}", pairs=pairs)]
    if combined.text:
        shown.append(Lines(lines=_shortened(combined.text)))
    return shown


def _summary(result: Broadcast) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in result.counts.items() if count)
    price = "".join(f", {amount:f} {currency}".rstrip() for currency, amount in result.prices.items())
    ended = "" if result.ended == "all" else f", ended by {result.ended}"
    return f"{counts or 'nobody asked'} in {result.seconds:.1f} s, {counted(result.tokens, 'token')}{price}{ended}"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def _why(refusal: Exception | None) -> str | None:
    return str(refusal) if refusal else None

"""The answer that most agents gave. Answers count as equal when they are the same JSON, or the same words but for case,
space and punctuation at the end. A partial result is decided only when the missing votes could not change it.
"""

from __future__ import annotations

import json
from collections import defaultdict

from difyops.broadcast.aggregate import Answers, Combined
from difyops.broadcast.answer import AgentAnswer
from difyops.broadcast.json_answer import json_of
from difyops.counting import counted

_AT_THE_END = " \t\n.!?;,:\"'`*_"


def aggregate(answers: Answers, *, majority: float = 0.5) -> Combined:
    """Return the answer with the most votes and its margin over the next one.

    ``majority``: the share of all agents asked that the winner must exceed (0 to 1); 0 takes the most votes. A tie has
    no winner.
    """
    ballots: dict[str, list[AgentAnswer]] = defaultdict(list)
    for item in answers.given:
        ballots[ballot(item)].append(item)
    ranked = sorted(ballots.values(), key=len, reverse=True)
    votes = [len(who) for who in ranked]
    first, second = [*votes, 0, 0][:2]
    margin = first - second
    won = margin > 0 and first > majority * answers.asked
    winner = ranked[0][0] if won else None
    return Combined(
        how="vote",
        value=_shown(winner) if winner else None,
        text=winner.text.strip() if winner else "",
        used=len(answers.given),
        asked=answers.asked,
        decided=won and margin > answers.missing,
        notes=() if winner else (_why_none(first, margin, answers.asked),),
        details={
            "votes": first,
            "margin": margin,
            "ballots": [
                {"answer": _shown(who[0]), "votes": len(who), "agents": [item.app for item in who]} for who in ranked
            ],
        },
    )


def ballot(answer: AgentAnswer) -> str:
    """Return what an answer says, in a form in which equal answers are equal."""
    found, value = json_of(answer)
    if found and not isinstance(value, str):
        return "json:" + json.dumps(value, sort_keys=True, ensure_ascii=False)
    said = value if found else answer.text
    return "text:" + " ".join(said.casefold().split()).strip(_AT_THE_END)


def _shown(answer: AgentAnswer) -> object:
    found, value = json_of(answer)
    return value if found else answer.text.strip()


def _why_none(first: int, margin: int, asked: int) -> str:
    if first == 0:
        return "nobody voted"
    return "a tie" if margin == 0 else f"{first} of {counted(asked, 'vote')} are no majority"

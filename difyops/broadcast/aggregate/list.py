"""All answers side by side, in the order of the plan. A partial result is the list of those that came."""

from __future__ import annotations

from difyops.broadcast.aggregate import Answers, Combined


def aggregate(answers: Answers) -> Combined:
    """Return the answers as a list of agent and text."""
    value = [{"app": item.app, "context": item.context, "text": item.text} for item in answers.given]
    return Combined(
        how="list",
        value=value,
        text="\n".join(f"{item['app']}: {item['text']}" for item in value),
        used=len(value),
        asked=answers.asked,
        decided=not answers.missing,
    )

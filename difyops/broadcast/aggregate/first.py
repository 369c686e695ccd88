"""The answer that came first. Partial results do not matter: the first stays the first. Goes well with --wait any."""

from __future__ import annotations

from difyops.broadcast.aggregate import Answers, Combined


def aggregate(answers: Answers) -> Combined:
    """Return the first whole answer by order of arrival."""
    earliest = min(answers.given, key=lambda item: item.order, default=None)
    return Combined(
        how="first",
        value=earliest.text if earliest else None,
        text=earliest.text if earliest else "",
        used=1 if earliest else 0,
        asked=answers.asked,
        decided=earliest is not None,
        details={"app": earliest.app, "context": earliest.context, "seconds": earliest.seconds} if earliest else {},
    )

"""One text: every answer under a heading with its agent's name. A partial result says at its end who is missing."""

from __future__ import annotations

from difyops.broadcast.aggregate import Answers, Combined
from difyops.counting import counted


def aggregate(answers: Answers, *, heading: str = "##") -> Combined:
    """Return the answers as one markdown text; ``heading`` is what stands before each name."""
    parts = [f"{heading} {' '.join(item.app.split())}\n\n{item.text.strip()}" for item in answers.given]
    if answers.missing:
        parts.append(f"({answers.missing} of {counted(answers.asked, 'agent')} gave no answer.)")
    text = "\n\n".join(parts)
    used = len(answers.given)
    return Combined(how="concat", value=text, text=text, used=used, asked=answers.asked, decided=not answers.missing)

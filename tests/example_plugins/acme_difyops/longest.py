"""The longest answer. A partial result is not decided: a longer one may be missing."""

from __future__ import annotations

from difyops.broadcast.aggregate import Answers, Combined


def aggregate(answers: Answers, *, at_least: int = 0) -> Combined:
    """Return the answer with the most characters, of at least so many."""
    found = max((item.text for item in answers.given if len(item.text) >= at_least), key=len, default="")
    used = 1 if found else 0
    return Combined(how="longest", value=found, text=found, used=used, asked=answers.asked, decided=not answers.missing)

"""The answer holds this text."""

from __future__ import annotations

from difyops.evaluation.checks import CheckFound, CheckInput, failed, passed, shown


def check(given: CheckInput, *, text: str, ignore_case: bool = False) -> CheckFound:
    """Look for ``text`` in the answer. ``ignore_case``: upper and lower case are the same."""
    there, wanted = (given.text.casefold(), text.casefold()) if ignore_case else (given.text, text)
    return passed() if wanted in there else failed(f"the answer does not hold {shown(text)}: {shown(given.text)}")


def wrong(parameters: dict[str, object]) -> str | None:
    """Refuse a text that every answer holds."""
    return None if parameters["text"] else "contains: a blank text is in every answer."

"""How the doctor's checks look."""

from __future__ import annotations

from difyops.doctor import Examined
from difyops.outcome import Outcome, Table


def examined(result: Examined) -> Outcome:
    """Show the checks."""
    rows = [(check.name, check.verdict, check.found, check.hint) for check in result.checks]
    verdicts = [check.verdict for check in result.checks]
    counts = ", ".join(f"{verdicts.count(word)} {word}" for word in ("pass", "warn", "fail", "skipped"))
    return Outcome(
        kind="doctor",
        data=result,
        blocks=[Table(columns=("check", "verdict", "found", "next"), rows=rows)],
        summary=counts,
        names=[check.name for check in result.checks if check.verdict == "fail"],
        error=result.error,
    )
